//! The gateway against nginx: `proxy_pass` with `auth_request` to the same check, in front of the same upstream.
//!
//! What is compared is CPU per request of everything between client and upstream: the gateway's process on one side, nginx and
//! the process it asks on the other. Both keep connections in all directions, write a line of log for each request, and look
//! at the same kind of token. The upstream and the clients are in this process and not counted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::caller::{Caller, PASSWORD};
use crate::house::directory;
use crate::measure::{Report, Wanted, thread_cpu, wall};
use crate::process::{Running, binary, cpu_s, start_as};

const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const BODY: &str = r#"{"data":{"info":{"nodes":1}},"metadata":{}}"#;

/// An upstream in this process that answers everything alike, after so much work.
fn upstream(work: Duration) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, work));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, work: Duration) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let _ = stream.set_nodelay(true);
    let mut held = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        while let Some(end) = held.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            held.drain(..end + 4);
            let begun = thread_cpu();
            while thread_cpu() - begun < work {
                std::hint::spin_loop();
            }
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => held.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
}

/// nginx with one worker for each core, as Debian configures it, and nothing it does not need.
struct Nginx {
    master: Child,
    address: String,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-QUIT", &self.master.id().to_string()]).status();
        let _ = self.master.wait();
    }
}

impl Nginx {
    fn start(directory: &Path, upstream: &str, check: &str) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = format!("127.0.0.1:{}", port.map_err(|error| error.to_string())?.port());
        let place = directory.display();
        let config = format!(
            "worker_processes auto; daemon off; pid {place}/nginx.pid; error_log /dev/null;
             events {{ worker_connections 1024; }}
             http {{
               access_log {place}/access.log;
               keepalive_requests 1000000;
               client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
               uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
               upstream agents {{ server {upstream}; keepalive 32; keepalive_requests 1000000; }}
               upstream check {{ server {check}; keepalive 32; keepalive_requests 1000000; }}
               server {{
                 listen {address};
                 location / {{
                   auth_request /check;
                   proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass http://agents;
                 }}
                 location = /check {{
                   internal; proxy_http_version 1.1; proxy_set_header Connection \"\";
                   proxy_pass_request_body off; proxy_set_header Content-Length \"\";
                   proxy_set_header Host localhost; proxy_pass http://check/v1/me;
                 }}
               }}
             }}"
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        let master = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nginx: {error}"))?;
        let nginx = Self { master, address };
        let begun = wall();
        while TcpStream::connect(&nginx.address).is_err() {
            if wall() - begun > Duration::from_secs(10) {
                return Err("nginx does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(nginx)
    }

    fn cpu_s(&self) -> Option<f64> {
        let master = self.master.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).ok()?;
        let workers = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        workers.map(cpu_s).sum()
    }
}

/// What a round brought.
#[derive(Default)]
struct Round {
    requests: f64,
    cpu_s: f64,
    took_ms: Vec<f64>,
}

fn round(address: &str, path: &str, token: &str, cpu: &dyn Fn() -> Option<f64>) -> Result<Round, String> {
    let stop = AtomicBool::new(false);
    let before = cpu().ok_or("the system does not tell")?;
    let all = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = Caller::new(address)?;
                    let mut took_ms = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let asked = wall();
                        let (status, answer) = caller.ask("GET", path, token, "")?;
                        if status != 200 || answer != BODY {
                            return Err(format!("{address}{path} answered {status}: {answer}"));
                        }
                        took_ms.push((wall() - asked).as_secs_f64() * 1000.0);
                    }
                    Ok(took_ms)
                })
            })
            .collect();
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().map_err(|_| "a client panicked".to_owned())?).collect()
    });
    let all: Result<Vec<Vec<f64>>, String> = all;
    let took_ms: Vec<f64> = all?.into_iter().flatten().collect();
    let cpu_s = cpu().ok_or("the system does not tell")? - before;
    Ok(Round { requests: took_ms.len() as f64, cpu_s, took_ms })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn p99(round: &mut Round) -> f64 {
    round.took_ms.sort_by(f64::total_cmp);
    round.took_ms[round.took_ms.len() * 99 / 100]
}

struct Sides {
    _store: tempfile::TempDir,
    gateway: Running,
    gateway_at: String,
    check: Running,
    nginx: Nginx,
    tokens: [String; 2],
}

fn token(address: &str) -> Result<String, String> {
    let mut ann = Caller::new(address)?;
    let body = serde_json::json!({"username": "ann", "password": PASSWORD}).to_string();
    let (status, answer) = ann.ask("POST", "/v1/users", "", &body)?;
    if status != 201 {
        return Err(format!("signing up was answered {status}: {answer}"));
    }
    ann.log_in()
}

fn sides(binary: &Path, work: Duration) -> Result<Sides, String> {
    let upstream = upstream(work)?;
    let store = directory();
    let place = |name: &str| {
        let path = store.path().join(name);
        std::fs::create_dir_all(&path).map(|()| path).map_err(|error| error.to_string())
    };
    let before = format!("http://{upstream}");
    let arguments = ["--upstream", &before, "--surface", "agentflow"];
    let (gateway, gateway_at, _) = start_as(binary, &place("gateway")?, &arguments, &[])?;
    let (check, check_at, _) = start_as(binary, &place("check")?, &[], &[])?;
    let nginx = Nginx::start(&place("nginx")?, &upstream, &check_at)?;
    let tokens = [token(&gateway_at)?, token(&check_at)?];
    Ok(Sides { _store: store, gateway, gateway_at, check, nginx, tokens })
}

fn measure(report: &mut Report, binary: &Path, (name, work): (&str, Duration)) -> Result<(), String> {
    let sides = sides(binary, work)?;
    let ours = || sides.gateway.cpu_s();
    let theirs = || Some(sides.nginx.cpu_s()? + sides.check.cpu_s()?);
    let (mut cpu, mut late, mut own, mut other) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut mine = round(&sides.gateway_at, "/agentflow/v1/graph", &sides.tokens[0], &ours)?;
        let mut peer = round(&sides.nginx.address, "/v1/graph", &sides.tokens[1], &theirs)?;
        let each = |round: &Round| round.cpu_s / round.requests * 1e6;
        own.push(each(&mine));
        other.push(each(&peer));
        cpu.push(each(&mine) / each(&peer));
        late.push(p99(&mut mine) / p99(&mut peer));
    }
    report.figure(&format!("gateway, {name}: CPU per request"), median(own), "µs", Wanted::Shown);
    report.figure(
        &format!("nginx with auth_request, {name}: CPU per request"),
        median(other),
        "µs",
        Wanted::Shown,
    );
    report.figure(
        &format!("gateway, {name}: CPU × nginx with auth_request"),
        median(cpu),
        "×",
        Wanted::AtMost(0.67),
    );
    report.figure(
        &format!("gateway, {name}: p99 × nginx with auth_request"),
        median(late),
        "×",
        Wanted::AtMost(1.0),
    );
    Ok(())
}

pub(crate) fn run(report: &mut Report) {
    let upstreams = [("bare upstream", Duration::ZERO), ("upstream of 1 ms", Duration::from_millis(1))];
    let Some(binary) = binary() else {
        upstreams.iter().for_each(|(name, _)| report.absent(name, "build it: cargo build --release"));
        return;
    };
    for upstream in upstreams {
        if let Err(why) = measure(report, &binary, upstream) {
            report.absent(&format!("gateway, {}", upstream.0), &why);
        }
    }
}
