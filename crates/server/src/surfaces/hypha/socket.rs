//! `/ws`: a client of hypha-rpc, from its first text to its last.
//!
//! The upgrade is agreed to whoever asks, and a refusal is told in a text and a close frame: clients take another answer for another
//! protocol (hypha-rpc 0.21.47 goes to a path of its past on 403).

use std::time::Duration;

use doorward_core::authn::{Line, Offered, Place, Presented};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::RequestId;
use doorward_core::operation::Origin;
use doorward_hub::{Hello, Hub, Link, Out, Refused, Sender};
use doorward_protocols::hypha::head::FrameError;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::hub;
use crate::access::Access;
use crate::http::body::Room;
use crate::http::browser::foreign;
use crate::http::extract::{Seen, user_agent};
use crate::http::respond::Answer;
use crate::http::sources::Shown;
use crate::http::websocket::{Client, close, stopped};
use crate::request::Request;
use crate::server::MessageRate;

/// How long a client may take for its first text, and how large that may be.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
const MAX_HELLO_BYTES: usize = 64 << 10;
/// Largest message. Clients send larger things in parts of 256 KiB.
pub(super) const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// Longest text after the first; longer ones are no news to anybody.
pub(super) const MAX_TEXT_BYTES: usize = 1000;
/// A client that sends nothing for this long is let go (its protocol's pings are nothing).
const IDLE: Duration = Duration::from_secs(600);
/// How long a client may take to take what it is sent.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// Messages of a client that wait to be sent on.
const QUEUE: usize = 16;
/// Parameters of an address by which clients of the past said who they are.
const OF_THE_PAST: &[&str] = &["workspace", "client_id", "token", "reconnection_token"];

/// What is known of a connection before anything is said on it.
struct Arrival {
    hub: Hub,
    request: Request,
    origin: Origin,
    /// What the handshake showed, where the operator listed places for that; or why not.
    shown: Result<Option<Shown<'static>>>,
}

/// `GET /ws`.
pub(super) async fn open(mut request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let missing = || Error::new(codes::INTERNAL).operator("a socket's route without a handshake");
    let handshake = request.handshake.take().ok_or_else(missing)?;
    let query = request.query()?;
    let of_the_past = OF_THE_PAST.iter().any(|name| query.text(name).is_some());
    let origin = Origin {
        request: RequestId::new(request.engine.clock(), request.engine.random()),
        address: Some(request.client.address),
        user_agent: user_agent(&request.headers),
    };
    let room = request.body.give_up();
    let shown = std::mem::replace(&mut request.shown, Ok(None));
    let arrival = Arrival { hub, request, origin, shown };
    Ok(handshake.agree((room, MAX_MESSAGE_BYTES), move |client| async move {
        if of_the_past {
            let what = "Connection with query parameters is not supported. Please upgrade your client to the latest version.";
            let refused = Refused::protocol(1008, what);
            arrival.hub.count_refused(refused.why);
            return refuse(client, &refused).await;
        }
        arrival.run(client).await;
    }))
}

fn frame(code: u16, reason: &str) -> CloseFrame {
    // A close frame holds 123 bytes of reason (RFC 6455 §5.5).
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame { code: CloseCode::from(code), reason: reason[..end].to_owned().into() }
}

/// Says why not, as a text and as the reason of the close.
async fn refuse(mut client: Client, refused: &Refused) {
    let text = json!({ "type": "error", "message": refused.message }).to_string();
    let _ = timeout(WRITE_PATIENCE, client.send(Message::text(text))).await;
    close(client, frame(refused.code, &refused.message), |client| drop(client.get_mut().whole())).await;
}

impl Arrival {
    async fn run(self, mut client: Client) {
        let let_in = async {
            client.get_mut().at_most(MAX_HELLO_BYTES);
            let hello = hello(&mut client).await?;
            client.get_mut().at_most(usize::MAX);
            let (link, access) = self.let_in(&hello).await?;
            let info = self.hub.connection_info(&link).await?;
            Ok::<_, Refused>((link, access, info))
        };
        let (link, access, info) = match let_in.await {
            Ok(let_in) => let_in,
            Err(refused) => {
                tracing::debug!(code = refused.code, why = refused.message, "a client is not let in");
                self.hub.count_refused(refused.why);
                return refuse(client, &refused).await;
            }
        };
        if !matches!(timeout(WRITE_PATIENCE, client.send(Message::text(info.to_string()))).await, Ok(Ok(())))
        {
            return;
        }
        let stopping = self.request.site.stopping.clone();
        let rate = self.request.site.message_rate;
        let end = Stay { client: &mut client, link, access, stopping, rate }.run().await;
        if let Some(end) = end {
            close(client, end, |client| drop(client.get_mut().whole())).await;
        }
    }

    /// What the handshake showed. A browser sends its cookies whoever made the page that opens a WebSocket.
    fn shown(&self) -> Result<Option<Offered<'_>>, Refused> {
        let shown = self.shown.as_ref().map_err(Refused::authentication)?;
        let Some(shown) = shown else { return Ok(None) };
        let Request { headers, site, .. } = &self.request;
        if shown.by_browser
            && foreign(headers, site.public_origin.as_deref(), |origin| site.cors.lists(origin))
        {
            let message = "A cookie says who is asking, and a page of another site opened the connection.";
            return Err(Refused::authentication(&Error::new(codes::CROSS_SITE).message(message)));
        }
        Ok(Some(shown.as_offered()))
    }

    /// Finds out who it is, by the token it comes back with, the one it was given, or what the handshake showed, and lets them in.
    async fn let_in(&self, hello: &Hello) -> Result<(Link, Access), Refused> {
        let text = hello.reconnection_token.as_deref().or(hello.token.as_deref());
        let text =
            text.map(|text| text.strip_prefix("Bearer ").unwrap_or(text)).filter(|text| !text.is_empty());
        let seen = Seen(&self.request.headers);
        let presented = Presented {
            offered: match text {
                Some(text) => Some(Offered { place: Place::Bearer, text }),
                None => self.shown()?,
            },
            headers: &seen,
            // A client that says who it is is not looked for anywhere else.
            line: text.is_none().then_some(Line {
                method: "GET",
                path: "/ws",
                query: self.request.query.as_deref().unwrap_or_default(),
                websocket: true,
            }),
            client: Some(self.request.client.address),
            ..Presented::nothing()
        };
        let (engine, mount) = (&self.request.engine, &self.request.site.mount);
        let call = engine.authenticate(mount, self.origin.clone(), &presented).await;
        let call = call.map_err(|error| Refused::authentication(&error))?;
        let link = self.hub.connect(hello, call).await?;
        // What lets somebody in may be more than what they came with: being a member ends too.
        let access = Access::watch(link.call()).map_err(|error| Refused::authentication(&error))?;
        Ok((link, access))
    }
}

/// The first text.
async fn hello(client: &mut Client) -> Result<Hello, Refused> {
    let late = || Refused::protocol(1008, "Authentication payload timeout");
    let bad =
        |what: &str| Refused::protocol(1003, format!("Failed to decode authentication information: {what}"));
    let first = async {
        loop {
            match client.next().await {
                Some(Ok(Message::Text(text))) => {
                    drop(client.get_mut().whole());
                    return Ok(text);
                }
                Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                    client.get_mut().control(payload.len())
                }
                Some(Ok(Message::Binary(_))) => return Err(bad("the first message is a text")),
                Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => {
                    return Err(bad("the client left"));
                }
            }
        }
    };
    let text = timeout(HELLO_WITHIN, first).await.map_err(|_| late())??;
    if text.len() > MAX_HELLO_BYTES {
        return Err(bad("it is too large"));
    }
    serde_json::from_str(&text).map_err(|_| bad("it is no JSON with client_id, workspace, token"))
}

/// A client that was let in.
struct Stay<'c> {
    client: &'c mut Client,
    link: Link,
    access: Access,
    stopping: watch::Receiver<bool>,
    rate: MessageRate,
}

/// What a client sent, and the room that it takes until it is sent on.
type Sent = (Message, Option<Room>);

impl Stay<'_> {
    /// Goes on until the hub, the client, its leave or the server ends it; the answer is what to close with.
    ///
    /// What the client sends is sent on by a task of its own: it may have to wait for whoever it is for, and what comes for this client
    /// must not wait with it. While a few messages wait, no more are read.
    async fn run(mut self) -> Option<CloseFrame> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let mut sending_on = tokio::spawn(send_on(self.link.sender(), queued));
        let mut bucket = Bucket::full(self.rate);
        let mut heard = Instant::now();
        let end = loop {
            let (client, link) = (&mut *self.client, &mut self.link);
            let read = async {
                let place = queue.reserve().await;
                (place, client.next().await)
            };
            tokio::select! {
                biased;
                () = self.access.ended() => break Some(frame(1008, "Authentication error: the credential has ended")),
                () = stopped(&mut self.stopping) => break Some(frame(1001, "Server is shutting down")),
                bad = &mut sending_on => {
                    let why = bad.ok().flatten();
                    break Some(frame(1003, &why.map_or_else(String::new, |error| error.to_string())));
                }
                out = link.next() => {
                    let message = match out {
                        Some(Out::Frame(bytes)) => Message::Binary(bytes),
                        Some(Out::Text(text)) => Message::text(text),
                        Some(Out::Close(code, reason)) => break Some(frame(code, &reason)),
                        None => break Some(frame(1000, "")),
                    };
                    let sent = tokio::select! {
                        biased;
                        () = self.access.ended() => {
                            break Some(frame(1008, "Authentication error: the credential has ended"));
                        }
                        sent = timeout(WRITE_PATIENCE, self.client.send(message)) => sent,
                    };
                    if !matches!(sent, Ok(Ok(()))) {
                        break None;
                    }
                }
                (place, message) = read => {
                    let message = match message {
                        Some(Ok(message)) => message,
                        Some(Err(SocketError::Capacity(_))) => break Some(frame(1009, "a message may have 2 MiB")),
                        Some(Err(SocketError::Protocol(_) | SocketError::Utf8(_))) => {
                            break Some(frame(1002, "this is no WebSocket"));
                        }
                        Some(Err(_)) | None => break None,
                    };
                    let whole = match &message {
                        Message::Binary(_) | Message::Text(_) => self.client.get_mut().whole(),
                        Message::Ping(payload) | Message::Pong(payload) => {
                            self.client.get_mut().control(payload.len());
                            continue;
                        }
                        Message::Close(_) => break Some(frame(1000, "")),
                        Message::Frame(_) => continue,
                    };
                    if !bucket.take() {
                        break Some(frame(1008, "Rate limit exceeded. Please slow down."));
                    }
                    heard = Instant::now();
                    // A queue that nobody reads is seen by the task that ended.
                    if let Ok(place) = place {
                        place.send((message, whole));
                    }
                }
                () = tokio::time::sleep_until(heard + IDLE) => break Some(frame(1001, "Connection idle for too long")),
            }
        };
        sending_on.abort();
        end
    }
}

/// Sends on what a client sent, in its order. It ends with what is no frame.
async fn send_on(sender: Sender, mut queued: mpsc::Receiver<Sent>) -> Option<FrameError> {
    while let Some((message, _room)) = queued.recv().await {
        match message {
            Message::Binary(bytes) => {
                if let Err(error) = sender.receive(bytes).await {
                    return Some(error);
                }
            }
            Message::Text(text) => said(&text, &sender).await,
            _ => {}
        }
    }
    None
}

/// Messages that may still come, refilled as time goes by.
pub(super) struct Bucket {
    rate: MessageRate,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: MessageRate) -> Self {
        Self { rate, left: rate.burst.into(), at: Instant::now() }
    }

    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let come = (now - self.at).as_secs_f64() * f64::from(self.rate.each_second);
        self.left = (self.left + come).min(self.rate.burst.into());
        self.at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// Answers a text: a sign of life, or a new token to come back with.
pub(super) async fn said(text: &str, sender: &Sender) {
    #[derive(serde::Deserialize)]
    struct Said {
        r#type: String,
    }
    if text.len() > MAX_TEXT_BYTES {
        return;
    }
    let Ok(said) = serde_json::from_str::<Said>(text) else { return };
    let answer = match said.r#type.as_str() {
        "ping" => json!({ "type": "pong" }),
        "refresh_token" => match sender.reconnection_token().await {
            Ok(token) => json!({
                "type": "reconnection_token",
                "reconnection_token": token,
            }),
            Err(refused) => json!({ "type": "error", "message": refused.message }),
        },
        _ => return,
    };
    sender.say(answer.to_string()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_a_close_frame() {
        assert_eq!(frame(1008, "short").reason.as_str(), "short");
        assert_eq!(frame(1008, &"é".repeat(100)).reason.len(), 122);
    }
}
