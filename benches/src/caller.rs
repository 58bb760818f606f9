//! A client that keeps one connection and asks one thing after the other.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery staple 7";

/// One connection that is kept.
pub(crate) struct Caller {
    socket: TcpStream,
    address: String,
}

impl Caller {
    /// Connects.
    pub(crate) fn new(address: &str) -> Result<Self, String> {
        let socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { socket, address: address.to_owned() })
    }

    /// The status and body of a request; of a body in chunks, all of it as it came.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Result<(u16, String), String> {
        let text = |error: std::io::Error| error.to_string();
        let credential =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{credential}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.socket.write_all(request.as_bytes()).map_err(text)?;
        let mut all = Vec::new();
        let mut chunk = [0; 8192];
        loop {
            let read = self.socket.read(&mut chunk).map_err(text)?;
            if read == 0 {
                return Err("the connection was closed".into());
            }
            all.extend_from_slice(&chunk[..read]);
            let answer = String::from_utf8_lossy(&all);
            let Some((head, rest)) = answer.split_once("\r\n\r\n") else { continue };
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            if head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked")) {
                if rest.ends_with("0\r\n\r\n") {
                    return Ok((status, rest.to_owned()));
                }
                continue;
            }
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
            });
            if rest.len() >= length.unwrap_or(0) {
                return Ok((status, rest.to_owned()));
            }
        }
    }

    /// Logs `ann` in, whose password is [`PASSWORD`]; her access token.
    pub(crate) fn log_in(&mut self) -> Result<String, String> {
        let body = serde_json::json!({"grant_type": "password", "username": "ann", "password": PASSWORD});
        let (status, answer) = self.ask("POST", "/v1/token", "", &body.to_string())?;
        let answer: serde_json::Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        match (status, answer["access_token"].as_str()) {
            (200, Some(token)) => Ok(token.to_owned()),
            _ => Err(format!("a log-in was answered {status}: {answer}")),
        }
    }
}
