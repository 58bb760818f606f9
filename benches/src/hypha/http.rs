//! Calls over HTTP: to a function of a client, and to the login service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use doorward_protocols::hypha::{Head, value};
use rmpv::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::load::Round;
use super::sides::Side;
use super::text;
use super::wire::Wire;
use crate::measure::wall;

/// Connections that ask, one thing after the other each.
const CLIENTS: usize = 32;
/// Requests that one connection makes, and so one address: what one address may begin of log-ins (`hub/src/login.rs`), with some left.
pub(super) const STARTS: usize = 190;

/// A client that offers a function to everybody, until it is dropped.
pub(super) struct Provider {
    task: tokio::task::JoinHandle<()>,
    /// Where its function is.
    pub(super) path: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    pub(super) async fn enter(side: &Side) -> Result<Self, String> {
        let mut wire = Wire::enter(side.at, &format!("{}/ws", side.prefix), "offers", &side.token).await?;
        let config = || value::map([("visibility", "public".into()), ("require_context", false.into())]);
        for (name, kind) in [("built-in", "built-in"), ("bench", "generic")] {
            let record = value::map([
                ("id", format!("{}:{name}", wire.address).into()),
                ("name", name.into()),
                ("type", kind.into()),
                ("config", config()),
            ]);
            wire.manage("register_service", vec![record]).await?;
        }
        let object = value::map([
            ("id", format!("{}:bench", wire.address).into()),
            ("name", "bench".into()),
            ("type", "generic".into()),
            ("config", config()),
            (
                "echo",
                value::map([
                    ("_rtype", "method".into()),
                    ("_rtarget", wire.address.as_str().into()),
                    ("_rmethod", "services.bench.echo".into()),
                    ("_rpromise", "*".into()),
                    ("_rname", "echo".into()),
                    ("_rasync", false.into()),
                    ("_rdoc", "Gives back what it is given.".into()),
                ]),
            ),
        ]);
        let path = format!("{}/{}/services/offers:bench/echo", side.prefix, wire.workspace);
        let task = tokio::spawn(async move { while offer(&mut wire, &object).await.is_ok() {} });
        Ok(Self { task, path })
    }
}

/// Answers what has come.
async fn offer(wire: &mut Wire, object: &Value) -> Result<(), String> {
    let (mut answers, own) = (Vec::new(), wire.address.clone());
    while let Some((_, frame)) = wire.next()? {
        let Ok(head) = Head::read(frame) else { continue };
        let (Some(method), Some(session), Some(from)) = (head.method, head.session, head.from) else {
            continue;
        };
        let said = match method {
            "services.built-in.get_service" => object.clone(),
            "services.bench.echo" => "what is said and comes back".into(),
            _ => continue,
        };
        let answer = value::map([
            ("type", "method".into()),
            ("from", own.as_str().into()),
            ("to", from.into()),
            ("method", format!("{session}.resolve").into()),
            ("parent", session.into()),
        ]);
        answers
            .push((value::write(&answer), value::write(&value::map([("args", Value::Array(vec![said]))]))));
    }
    for (head, extra) in &answers {
        wire.queue(0x2, &[head, extra]);
    }
    wire.flush().await?;
    wire.fill().await
}

/// What all addresses together may begin in the time that a key lives, in three rounds, with some left.
pub(super) const ALL_STARTS: usize = 15_000;

/// Addresses of this machine that nobody used yet.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// From an address that is used by nobody else: what bounds how often one address may ask is not what is measured.
async fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let (third, fourth) =
        (u8::try_from(next / 250 % 256).map_err(text)?, u8::try_from(next % 250 + 1).map_err(text)?);
    let socket = TcpSocket::new_v4().map_err(text)?;
    socket.bind(SocketAddr::from(([127, 64, third, fourth], 0))).map_err(text)?;
    let stream = socket.connect(at).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    Ok(stream)
}

async fn ask(stream: &mut TcpStream, request: &[u8], held: &mut Vec<u8>) -> Result<(), String> {
    stream.write_all(request).await.map_err(text)?;
    held.clear();
    loop {
        if let Some(end) = held.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(String::from_utf8_lossy(held).into_owned());
            }
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let length = length.ok_or_else(|| format!("an answer without a length: {head}"))?;
            if held.len() >= end + 4 + length {
                return Ok(());
            }
        }
        if stream.read_buf(held).await.map_err(text)? == 0 {
            return Err("the server closed the connection".to_owned());
        }
    }
}

/// Posts nothing to `path`, again and again; so often at most from one address, and altogether.
pub(super) async fn posts(
    side: &Side,
    (path, of_one, of_all): (&str, usize, usize),
    long: Duration,
) -> Result<Round, String> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
        side.at
    );
    let request: Arc<[u8]> = request.into_bytes().into();
    let at = side.at;
    // Once before it counts, by which whatever is made at the first call is there.
    ask(&mut connect(at).await?, &request, &mut Vec::new()).await?;
    let left = Arc::new(AtomicUsize::new(of_all));
    let less = |left: usize| left.checked_sub(1);
    let (begun, before) = (wall(), side.cpu_s()?);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (request, left) = (Arc::clone(&request), Arc::clone(&left));
            tokio::spawn(async move {
                let (mut took_ms, mut held) = (Vec::new(), Vec::new());
                while wall() - begun < long && left.load(Ordering::Relaxed) > 0 {
                    let mut stream = connect(at).await?;
                    for _ in 0..of_one {
                        let is_over = wall() - begun >= long;
                        if is_over || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
                            break;
                        }
                        let asked = wall();
                        ask(&mut stream, &request, &mut held).await?;
                        took_ms.push((wall() - asked).as_secs_f64() * 1000.0);
                    }
                }
                Ok::<_, String>(took_ms)
            })
        })
        .collect();
    let mut took_ms = Vec::new();
    for client in clients {
        took_ms.extend(client.await.map_err(text)??);
    }
    let took_s = (wall() - begun).as_secs_f64();
    Ok(Round { done: took_ms.len() as f64, took_s, cpu_s: side.cpu_s()? - before, took_ms })
}
