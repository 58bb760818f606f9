//! Forward-auth for a key that was seen before, beside an axum route that answers 200 with nothing.
//!
//! Both are processes of their own and are asked the same bytes by this one, in turn. A proxy keeps its connections, and so does the load.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::caller::{Caller, PASSWORD};
use crate::house::directory;
use crate::measure::{Report, Wanted, wall};
use crate::process::{binary, start_as, threads_cpu_ns};

/// What this program is told to be the peer by.
pub(crate) const PEER: &str = "empty-route";

const CLIENTS: usize = 16;
/// Many and short: what else the machine does then falls on both sides, and a round that it falls upon is one of many.
const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(400);
const NAMES: [&str; 4] = [
    "forward-auth: CPU of a request",
    "an empty axum route: CPU of a request",
    "forward-auth, requests per CPU second × an empty axum route's",
    "forward-auth: requests a second × an empty axum route's",
];
const AREA: &str =
    "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[areas.app]\nprefixes = [\"/\"]\nroles = [\"user\"]\n";

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// The peer, on the runtime of `#[tokio::main]`, as ours is: says where it is, and answers until it is ended.
pub(crate) fn empty_route() -> Result<(), String> {
    let routes = axum::Router::new().route("/v1/forward-auth", axum::routing::get(|| async {}));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        println!("{}", listener.local_addr().map_err(text)?);
        axum::serve(listener, routes).await.map_err(text)
    })
}

struct Peer {
    child: Child,
    address: String,
}

impl Peer {
    fn start() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(text)?;
        let mut child = Command::new(program).arg(PEER).stdout(Stdio::piped()).spawn().map_err(text)?;
        let mut address = String::new();
        let said = child.stdout.take().ok_or("it says nothing")?;
        BufReader::new(said).read_line(&mut address).map_err(text)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether an answer is there with its body, whose length it says.
fn is_whole(held: &[u8]) -> bool {
    let Some(head) = held.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&held[..head]).to_ascii_lowercase();
    let length =
        text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    held.len() >= head + 4 + length.unwrap_or(0)
}

/// One connection: the same request again and again; how often it was answered 200.
fn ask(address: &str, request: &[u8], stop: &AtomicBool) -> Result<u32, String> {
    let mut socket = TcpStream::connect(address).map_err(text)?;
    socket.set_nodelay(true).map_err(text)?;
    let (mut held, mut chunk, mut done) = (Vec::new(), [0; 4096], 0);
    while !stop.load(Ordering::Relaxed) {
        socket.write_all(request).map_err(text)?;
        held.clear();
        while !is_whole(&held) {
            match socket.read(&mut chunk).map_err(text)? {
                0 => return Err("the connection was closed".to_owned()),
                read => held.extend_from_slice(&chunk[..read]),
            }
        }
        if !held.starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&held).into_owned());
        }
        done += 1;
    }
    Ok(done)
}

/// Microseconds of CPU for a request, and requests a second.
pub(crate) fn round(pid: u32, address: &str, request: &[u8]) -> Result<[f64; 2], String> {
    let stop = AtomicBool::new(false);
    let used = || threads_cpu_ns(pid).ok_or("the system does not tell");
    let (begun, before) = (wall(), used()?);
    let all: Result<Vec<u32>, String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| ask(address, request, &stop))).collect();
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().map_err(|_| "a client panicked".to_owned())?).collect()
    });
    let done = f64::from(all?.iter().sum::<u32>());
    let took_s = (wall() - begun).as_secs_f64();
    let spent =
        used()?.into_iter().map(|(thread, ns)| ns.saturating_sub(before.get(&thread).copied().unwrap_or(0)));
    Ok([spent.sum::<u64>() as f64 / done / 1e3, done / took_s])
}

/// Both sides of a round, each first in every other one.
pub(crate) fn in_turn<T>(
    at: usize,
    first: impl FnOnce() -> Result<T, String>,
    second: impl FnOnce() -> Result<T, String>,
) -> Result<(T, T), String> {
    if at.is_multiple_of(2) {
        let first = first()?;
        return Ok((first, second()?));
    }
    let second = second()?;
    Ok((first()?, second))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measured(report: &mut Report) -> Result<(), String> {
    let binary = binary().ok_or("build it: cargo build --release")?;
    let home = directory();
    let config = home.path().join("areas.toml");
    std::fs::write(&config, AREA).map_err(text)?;
    let (running, address, _) =
        start_as(&binary, home.path(), &["--config", &config.display().to_string()], &[])?;
    let mut ann = Caller::new(&address)?;
    let person = serde_json::json!({"username": "ann", "password": PASSWORD}).to_string();
    match ann.ask("POST", "/v1/users", "", &person)? {
        (201, _) => {}
        (status, answer) => return Err(format!("signing up was answered {status}: {answer}")),
    }
    let token = ann.log_in()?;
    let wanted = serde_json::json!({"name": "bench", "scopes": ["read"], "expires_in": 3600}).to_string();
    let (status, answer) = ann.ask("POST", "/v1/api-keys", &token, &wanted)?;
    let made: serde_json::Value = serde_json::from_str(&answer).map_err(text)?;
    let key = made["key"].as_str().ok_or_else(|| format!("a key was answered {status}: {answer}"))?;
    let request = format!(
        "GET /v1/forward-auth HTTP/1.1\r\nHost: app.example\r\nX-Original-Method: GET\r\nX-Original-URI: /things/1?a=b\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: app.example\r\nX-API-Key: {key}\r\n\r\n"
    );
    let peer = Peer::start()?;
    let sides = [(running.id(), &address), (peer.child.id(), &peer.address)];
    let mut seen = [const { Vec::new() }; 5];
    for at in 0..ROUNDS {
        let [own, peer] = sides;
        let ask = |(pid, address): (u32, &String)| round(pid, address, request.as_bytes());
        let ([own_us, own_rate], [peer_us, peer_rate]) = in_turn(at, || ask(own), || ask(peer))?;
        let round = [own_us, peer_us, peer_us / own_us, own_rate / peer_rate, own_rate];
        seen.iter_mut().zip(round).for_each(|(all, value)| all.push(value));
    }
    // Of ratios within a round: what else the machine does changes from one to the next.
    let [own_us, peer_us, cpu_ratio, rate_ratio, own_rate] = seen.map(median);
    report.figure(NAMES[0], own_us, "µs", Wanted::Shown);
    report.figure(NAMES[1], peer_us, "µs", Wanted::Shown);
    report.figure(NAMES[2], cpu_ratio, "×", Wanted::AtLeast(0.6));
    report.figure(NAMES[3], rate_ratio, "×", Wanted::Shown);
    report.figure("forward-auth, this process asking on the same cores", own_rate, "/s", Wanted::Shown);
    Ok(())
}

pub(crate) fn run(report: &mut Report) {
    if let Err(why) = measured(report) {
        NAMES.iter().for_each(|name| report.absent(name, &why));
    }
}
