//! A raw client of a hub: one WebSocket, frames by hand, many in one write. It knows as much of RFC 6455 as the two servers send it.

use std::net::SocketAddr;

use doorward_protocols::hypha::value;
use rmpv::Value;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::text;

const READ: usize = 256 << 10;
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// One connection that was let in.
pub(super) struct Wire {
    socket: tokio::net::TcpStream,
    inbound: Vec<u8>,
    /// What of `inbound` was looked at.
    seen: usize,
    outbound: Vec<u8>,
    /// `workspace/client`.
    pub(super) address: String,
    /// `*/manager`.
    pub(super) manager: String,
    pub(super) workspace: String,
}

impl Wire {
    /// Comes in under this name. `path` is where the hub's socket is.
    pub(super) async fn enter(
        at: SocketAddr,
        path: &str,
        client_id: &str,
        token: &str,
    ) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().map_err(text)?.connect(at).await.map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let mut wire = Self {
            socket,
            inbound: Vec::new(),
            seen: 0,
            outbound: Vec::new(),
            address: String::new(),
            manager: String::new(),
            workspace: String::new(),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        wire.outbound.extend_from_slice(request.as_bytes());
        wire.flush().await?;
        let end = loop {
            if let Some(at) = wire.inbound.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            wire.fill().await?;
        };
        if !wire.inbound.starts_with(b"HTTP/1.1 101") {
            return Err(String::from_utf8_lossy(&wire.inbound[..end]).into_owned());
        }
        wire.seen = end;
        let hello =
            json!({"client_id": client_id, "workspace": null, "token": token, "reconnection_token": null});
        wire.queue(0x1, &[hello.to_string().as_bytes()]);
        wire.flush().await?;
        let info = loop {
            if let Some((opcode, payload)) = wire.next()? {
                if opcode == 0x1 {
                    break payload.to_vec();
                }
                continue;
            }
            wire.fill().await?;
        };
        let info: serde_json::Value = serde_json::from_slice(&info).map_err(text)?;
        let said = |name: &str| info[name].as_str().map(str::to_owned).ok_or_else(|| info.to_string());
        wire.workspace = said("workspace")?;
        wire.address = format!("{}/{}", wire.workspace, said("client_id")?);
        wire.manager = format!("*/{}", said("manager_id")?);
        // What is held for ten thousand of these is nobody's.
        wire.inbound = Vec::new();
        wire.outbound = Vec::new();
        wire.seen = 0;
        Ok(wire)
    }

    /// Puts a frame behind those that wait to be sent.
    pub(super) fn queue(&mut self, opcode: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let out = &mut self.outbound;
        out.push(0x80 | opcode);
        match length {
            0..=125 => out.push(0x80 | u8::try_from(length).expect("it is small")),
            126..=0xffff => {
                out.push(0x80 | 126);
                out.extend_from_slice(&u16::try_from(length).expect("it is small").to_be_bytes());
            }
            _ => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        let begin = out.len();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        // In eights, so that the load costs less than what is measured.
        let mask = u64::from_ne_bytes([MASK, MASK].concat().try_into().expect("eight bytes"));
        let mut eights = out[begin..].chunks_exact_mut(8);
        for eight in &mut eights {
            let plain = u64::from_ne_bytes((&*eight).try_into().expect("eight bytes"));
            eight.copy_from_slice(&(plain ^ mask).to_ne_bytes());
        }
        for (byte, mask) in eights.into_remainder().iter_mut().zip(MASK.iter().cycle()) {
            *byte ^= mask;
        }
    }

    /// Sends what waits.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        if !self.outbound.is_empty() {
            self.socket.write_all(&self.outbound).await.map_err(text)?;
            self.outbound.clear();
        }
        Ok(())
    }

    /// Reads what has come, at least something. What is given up while it waits is nothing lost.
    pub(super) async fn fill(&mut self) -> Result<(), String> {
        if self.seen == self.inbound.len() {
            self.inbound.clear();
            self.seen = 0;
        } else if self.seen > READ {
            self.inbound.drain(..self.seen);
            self.seen = 0;
        }
        self.inbound.reserve(READ);
        match self.socket.read_buf(&mut self.inbound).await.map_err(text)? {
            0 => Err("the server closed the connection".to_owned()),
            _ => Ok(()),
        }
    }

    /// The next whole frame of what has come: its opcode and payload.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &[u8])>, String> {
        let rest = &self.inbound[self.seen..];
        let [first, second, ..] = *rest else { return Ok(None) };
        let (head, length) = match second {
            126 => match rest.get(2..4) {
                Some(two) => (4, usize::from(u16::from_be_bytes(two.try_into().expect("two bytes")))),
                None => return Ok(None),
            },
            127 => match rest.get(2..10) {
                Some(eight) => {
                    let length = u64::from_be_bytes(eight.try_into().expect("eight bytes"));
                    (10, usize::try_from(length).map_err(text)?)
                }
                None => return Ok(None),
            },
            short => (2, usize::from(short)),
        };
        if rest.len() < head + length {
            return Ok(None);
        }
        let at = self.seen + head;
        self.seen = at + length;
        match first & 0x0f {
            0x8 => {
                let why = String::from_utf8_lossy(&self.inbound[at + 2.min(length)..at + length]);
                Err(format!("the server closed the connection: {why}"))
            }
            opcode => Ok(Some((opcode, &self.inbound[at..at + length]))),
        }
    }

    /// Calls a method of the manager and waits for its answer, which has to be good.
    pub(super) async fn manage(&mut self, method: &str, args: Vec<Value>) -> Result<(), String> {
        let head = value::map([
            ("type", "method".into()),
            ("from", self.address.as_str().into()),
            ("to", self.manager.as_str().into()),
            ("method", format!("services.default.{method}").into()),
            ("session", "manage".into()),
        ]);
        let extra = value::map([("args", Value::Array(args)), ("promise", "*".into()), ("t", 15.0.into())]);
        self.queue(0x2, &[&value::write(&head), &value::write(&extra)]);
        self.flush().await?;
        loop {
            while let Some((_, frame)) = self.next()? {
                let Ok(head) = doorward_protocols::hypha::Head::read(frame) else { continue };
                match head.method {
                    Some("manage.resolve") => return Ok(()),
                    Some("manage.reject") => return Err(String::from_utf8_lossy(head.tail()).into_owned()),
                    _ => {}
                }
            }
            self.fill().await?;
        }
    }
}
