//! The binary itself: how long until it answers, and how much memory it then holds.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::house::directory;
use crate::measure::{Report, Wanted, wall};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running(Child);

impl Running {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time it has used, in seconds.
    pub(crate) fn cpu_s(&self) -> Option<f64> {
        cpu_s(self.0.id())
    }

    pub(crate) fn resident_mb(&self) -> Option<f64> {
        resident_mb(self.0.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing stays behind.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn binary() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let path = root.join("target/release/doorward");
    path.exists().then_some(path)
}

/// Starts it and returns it with the address that answered, and how long that took.
fn start(binary: &Path, data: &Path) -> Result<(Running, String, f64), String> {
    start_with(binary, data, &[])
}

/// As [`start`], with settings of the environment.
pub(crate) fn start_with(
    binary: &Path,
    data: &Path,
    settings: &[(&str, &str)],
) -> Result<(Running, String, f64), String> {
    start_as(binary, data, &[], settings)
}

/// As [`start_with`], with more arguments.
pub(crate) fn start_as(
    binary: &Path,
    data: &Path,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> Result<(Running, String, f64), String> {
    let ready = data.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let begun = wall();
    let child = Command::new(binary)
        .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data.join("store"))
        .arg("--ready-file")
        .arg(&ready)
        .args(arguments)
        .envs(settings.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let running = Running(child);
    while wall() - begun < PATIENCE {
        if let Ok(text) = std::fs::read_to_string(&ready)
            && let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
        {
            let url = json["url"].as_str().unwrap_or_default();
            let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
            answer(&address)?;
            return Ok((running, address, (wall() - begun).as_secs_f64() * 1000.0));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("it was not ready in time".into())
}

fn answer(address: &str) -> Result<(), String> {
    let mut socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let request =
        format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut text = String::new();
    socket.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(text.lines().next().unwrap_or("").to_owned()) }
}

/// CPU time of a process, in seconds, as the system counts it: in hundredths.
pub(crate) fn cpu_s(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, but no closing bracket follows its own.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// CPU time of each thread of a process so far, in nanoseconds, as the scheduler counts it.
pub(crate) fn threads_cpu_ns(pid: u32) -> Option<HashMap<OsString, u64>> {
    let mut all = HashMap::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // One may end meanwhile.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
        all.insert(thread.file_name(), text.split_ascii_whitespace().next()?.parse().ok()?);
    }
    Some(all)
}

/// As [`cpu_s`], with the processes that it began and that still run.
pub(crate) fn tree_cpu_s(pid: u32) -> Option<f64> {
    let mut all = cpu_s(pid)?;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
        all += children.filter_map(tree_cpu_s).sum::<f64>();
    }
    Some(all)
}

/// Memory that a process holds.
pub(crate) fn resident_mb(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// Connections that were answered and stay open.
const IDLE: usize = 10_000;

/// What the process holds while so many clients keep their connections and say nothing.
fn idle_connections(running: &Running, address: &str) -> Result<f64, String> {
    let text = |error: std::io::Error| error.to_string();
    let limit = getrlimit(Resource::Nofile);
    let room = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, room).map_err(|error| error.to_string())?;
    let request = format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut sockets = Vec::with_capacity(IDLE);
    let mut answer = [0; 4096];
    for n in 0..IDLE {
        let mut socket = TcpStream::connect(address).map_err(|error| format!("connection {n}: {error}"))?;
        socket.write_all(request.as_bytes()).map_err(text)?;
        let read = socket.read(&mut answer).map_err(text)?;
        if !answer[..read].starts_with(b"HTTP/1.1 200") {
            return Err(format!("connection {n} was not answered"));
        }
        sockets.push(socket);
    }
    let held = resident_mb(running.0.id()).ok_or("the system does not tell")?;
    // They are still there, and still served.
    for socket in sockets.iter_mut().step_by(1_000) {
        socket.write_all(request.as_bytes()).map_err(text)?;
        let read = socket.read(&mut answer).map_err(text)?;
        if !answer[..read].starts_with(b"HTTP/1.1 200") {
            return Err("a connection was given up".into());
        }
    }
    Ok(held)
}

pub(crate) fn run(report: &mut Report) {
    let Some(binary) = binary() else {
        report.absent("idle memory, start to first answer", "build it: cargo build --release");
        return;
    };
    let directory = directory();
    if let Err(why) = start(&binary, directory.path()) {
        report.absent("start to first answer", &why);
        return;
    }
    // The first start made the store and its keys; a quick-start store is one that exists.
    let mut best = f64::INFINITY;
    let mut memory = None;
    for _ in 0..5 {
        match start(&binary, directory.path()) {
            Ok((running, _, ms)) => {
                best = best.min(ms);
                memory = resident_mb(running.0.id());
            }
            Err(why) => report.absent("start to first answer", &why),
        }
    }
    report.figure("start to first answer, quick-start store", best, "ms", Wanted::AtMost(100.0));
    match start(&binary, directory.path()) {
        Ok((running, address, _)) => match idle_connections(&running, &address) {
            Ok(mb) => {
                report.figure(
                    "memory with 10,000 idle keep-alive connections",
                    mb,
                    "MB",
                    Wanted::AtMost(150.0),
                );
            }
            Err(why) => report.absent("memory with 10,000 idle keep-alive connections", &why),
        },
        Err(why) => report.absent("memory with 10,000 idle keep-alive connections", &why),
    }
    match memory {
        Some(mb) => report.figure("idle memory", mb, "MB", Wanted::AtMost(25.0)),
        None => report.absent("idle memory", "the system does not tell"),
    }
}
