//! `/ws`: a client of hypha-rpc, from its first text to its last.
//!
//! The upgrade is agreed to whoever asks, and a refusal is told in a text and a close frame: clients take another answer for another
//! protocol (hypha-rpc 0.21.47 goes to a path of its past on 403).

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use doorward_core::authn::{Line, Offered, Place, Presented};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::RequestId;
use doorward_core::operation::Origin;
use doorward_hub::{Hello, Hub, Link, Out, Refused, Sender};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::USER_AGENT;
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::hub;
use crate::access::Access;
use crate::http::body::Room;
use crate::http::browser::foreign;
use crate::http::duplex::{Duplex, Ended};
use crate::http::extract::{Seen, user_agent};
use crate::http::frames::{Message, Opcode};
use crate::http::respond::Answer;
use crate::http::sources::Shown;
use crate::phase::{Phases, taking_nothing};
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
/// So much is written at once, about.
const WRITTEN_AT_ONCE: usize = 256 << 10;
/// Messages that are read before what is to be written has its turn.
const READ_AT_ONCE: usize = 256;
/// Parameters of an address by which clients of the past said who they are.
const OF_THE_PAST: &[&str] = &["workspace", "client_id", "token", "reconnection_token"];

/// What is known of a connection before anything is said on it.
struct Arrival {
    hub: Hub,
    request: Request,
    origin: Origin,
    /// What the handshake showed, where the operator listed places for that; or why not.
    shown: Result<Option<Shown<'static>>>,
    is_of_the_past: bool,
}

/// `GET /ws`.
pub(super) async fn open(mut request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let missing = || Error::new(codes::INTERNAL).operator("a socket's route without a handshake");
    let handshake = request.handshake.take().ok_or_else(missing)?;
    let query = request.query()?;
    let is_of_the_past = OF_THE_PAST.iter().any(|name| query.text(name).is_some());
    let origin = Origin {
        request: RequestId::new(request.engine.clock(), request.engine.random()),
        address: Some(request.client.address),
        user_agent: request.headers.get(USER_AGENT).and_then(user_agent),
    };
    let room = request.body.give_up();
    let shown = std::mem::replace(&mut request.shown, Ok(None));
    let arrival = Arrival { hub, request, origin, shown, is_of_the_past };
    Ok(handshake.agree_to_stay((room, MAX_MESSAGE_BYTES), move |client| {
        // Boxed: of a client that stays nothing is kept of how it came in.
        let arriving = Box::pin(arrival.line(client));
        async move {
            let line = arriving.await;
            if let Some(line) = line {
                line.run().await;
            }
        }
    }))
}

/// Says why not, as a text and as the reason of the close.
async fn refuse(mut client: Duplex, refused: &Refused) {
    let text = json!({ "type": "error", "message": refused.message }).to_string();
    let _ = client.send(Opcode::Text, text.as_bytes()).await;
    client.close(refused.code, &refused.message).await;
}

impl Arrival {
    /// Lets the client in, or tells it why not.
    async fn line(self, mut client: Duplex) -> Option<Stay> {
        if self.is_of_the_past {
            let what = "Connection with query parameters is not supported. Please upgrade your client to the latest version.";
            let refused = Refused::protocol(1008, what);
            self.hub.count_refused(refused.why);
            refuse(client, &refused).await;
            return None;
        }
        let let_in = async {
            client.at_most(MAX_HELLO_BYTES);
            let hello = hello(&mut client).await?;
            client.at_most(MAX_MESSAGE_BYTES);
            let (link, access) = self.let_in(&hello).await?;
            let info = self.hub.connection_info(&link).await?;
            Ok::<_, Refused>((link, access, info))
        };
        let (link, access, info) = match let_in.await {
            Ok(let_in) => let_in,
            Err(refused) => {
                tracing::debug!(code = refused.code, why = refused.message, "a client is not let in");
                self.hub.count_refused(refused.why);
                refuse(client, &refused).await;
                return None;
            }
        };
        client.send(Opcode::Text, info.to_string().as_bytes()).await.ok()?;
        let phases = self.request.site.phases.clone();
        Some(Stay::new(client, link, (access, phases), self.request.site.message_rate))
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
        let text =
            hello.reconnection_token.as_ref().or(hello.token.as_ref()).map(|text| text.expose().as_str());
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
async fn hello(client: &mut Duplex) -> Result<Hello, Refused> {
    let late = || Refused::protocol(1008, "Authentication payload timeout");
    let bad =
        |what: &str| Refused::protocol(1003, format!("Failed to decode authentication information: {what}"));
    let first = timeout(HELLO_WITHIN, client.message()).await.map_err(|_| late())?;
    let text = match first {
        Ok(Message::Text(text)) => text,
        Ok(Message::Binary(_)) => return Err(bad("the first message is a text")),
        Err(Ended::TooLarge) => return Err(bad("it is too large")),
        Ok(_) | Err(_) => return Err(bad("the client left")),
    };
    serde_json::from_str(&text).map_err(|_| bad("it is no JSON with client_id, workspace, token"))
}

/// Code and reason of a close.
type End = (u16, Cow<'static, str>);

/// A client that was let in.
///
/// ```text
///  what others sent ─ link ──► written, as many at once as there are         first, so that nothing waits for what comes
///  what it sent ─────────────► the hub, one after the other                  one that has to wait holds up those behind it
/// ```
/// What has to wait does so here and not in the socket: what comes for this client must not wait with it.
struct Stay {
    client: Duplex,
    link: Link,
    sender: Arc<Sender>,
    /// What ends it from outside.
    ends: FuturesUnordered<BoxFuture<'static, End>>,
    /// What the client sent and is not sent on yet.
    sending: Option<BoxFuture<'static, ()>>,
    bucket: Bucket,
    /// When the client last sent something.
    heard: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Stay {
    fn new(
        client: Duplex,
        link: Link,
        (mut access, mut phases): (Access, Phases),
        rate: MessageRate,
    ) -> Self {
        let ends = FuturesUnordered::new();
        ends.push(
            async move {
                tokio::select! {
                    biased;
                    () = access.ended() => (1008, Cow::from("Authentication error: the credential has ended")),
                    () = taking_nothing(&mut phases) => (1001, Cow::from("Server is shutting down")),
                }
            }
            .boxed(),
        );
        let now = Instant::now();
        let sender = Arc::new(link.sender());
        let (bucket, alarm) = (Bucket::full(rate, now), Box::pin(sleep_until(now + IDLE)));
        Self { client, link, sender, ends, sending: None, bucket, heard: now, alarm }
    }

    /// Goes on until the hub, the client, its leave or the server ends it.
    async fn run(mut self) {
        let end = poll_fn(|cx| self.poll_end(cx)).await;
        let Self { client, .. } = self;
        if let Some((code, reason)) = end {
            client.close(code, &reason).await;
        }
    }

    /// Does what can be done; the end is what to close with, or nothing where there is nobody to be told.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            if let Poll::Ready(Some(end)) = self.ends.poll_next_unpin(cx) {
                return Poll::Ready(Some(end));
            }
            // Whoever takes a byte now and then does not come to what they are told last.
            if self.client.waiting() >= WRITTEN_AT_ONCE && self.sender.is_let_go() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(end) = self.poll_out(cx) {
                return Poll::Ready(end);
            }
            match self.poll_in(cx) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => {}
                Poll::Pending if self.client.is_pinged() => {}
                Poll::Pending => return self.poll_alarm(cx),
            }
        }
    }

    /// Writes what waits for the client, as many messages at once as there are.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            let mut is_all = false;
            while !is_all && self.client.waiting() < WRITTEN_AT_ONCE {
                match self.link.poll_next(cx) {
                    Poll::Ready(Some(Out::Frame(bytes))) => self.client.add(Opcode::Binary, &bytes),
                    Poll::Ready(Some(Out::Large(head, tail))) => {
                        self.client.add_large(Opcode::Binary, &head, tail);
                    }
                    Poll::Ready(Some(Out::Text(text))) => self.client.add(Opcode::Text, text.as_bytes()),
                    Poll::Ready(Some(Out::Close(code, reason))) => {
                        return Poll::Ready(Some((code, reason.into())));
                    }
                    Poll::Ready(None) => return Poll::Ready(Some((1000, "".into()))),
                    Poll::Pending => is_all = true,
                }
            }
            if ready!(self.client.poll_flush(cx)).is_err() {
                return Poll::Ready(None);
            }
            self.link.sent();
            if is_all {
                return Poll::Pending;
            }
        }
    }

    /// Sends on what the client sent. Ready without an end when it sent so much that others have their turn.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<Option<Option<End>>> {
        let now = Instant::now();
        for _ in 0..READ_AT_ONCE {
            if let Some(sending) = &mut self.sending {
                ready!(sending.as_mut().poll(cx));
                self.sending = None;
            }
            let end = match ready!(self.client.poll_message(cx)) {
                Ok((message, room)) => self.take(message, room, now).map(Some),
                Err(Ended::TooLarge) => Some(Some((1009, "a message may have 2 MiB".into()))),
                Err(Ended::NoFrame) => Some(Some((1002, "this is no WebSocket".into()))),
                Err(Ended::Gone) => Some(None),
            };
            if end.is_some() {
                return Poll::Ready(end);
            }
        }
        Poll::Ready(None)
    }

    fn take(&mut self, message: Message, room: Option<Room>, now: Instant) -> Option<End> {
        if matches!(message, Message::Close) {
            return Some((1000, "".into()));
        }
        if !self.bucket.take(now) {
            return Some((1008, "Rate limit exceeded. Please slow down.".into()));
        }
        // They cost what a message costs, and are no sign of life.
        if matches!(message, Message::Ping(_) | Message::Pong | Message::Part) {
            return None;
        }
        self.heard = now;
        self.sending = match message {
            Message::Binary(bytes) => match self.sender.hand_in(bytes) {
                Ok(waits) => waits.map(|waits| {
                    let held = async move {
                        let _room = room;
                        waits.await;
                    };
                    held.boxed()
                }),
                Err(error) => return Some((1003, error.to_string().into())),
            },
            Message::Text(text) => {
                let sender = Arc::clone(&self.sender);
                Some(async move { said(&text, &sender).await }.boxed())
            }
            _ => None,
        };
        None
    }

    /// Ends a client that has been silent for too long, or does not go on with what was begun.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            let idle = self.heard + IDLE;
            let due = self.client.due().map_or(idle, |due| due.min(idle));
            // It may go off early, and is set anew then: for each message it would cost more than the message.
            if self.alarm.deadline() > due {
                self.alarm.as_mut().reset(due);
            }
            ready!(self.alarm.as_mut().poll(cx));
            let now = Instant::now();
            if now >= idle {
                return Poll::Ready(Some((1001, "Connection idle for too long".into())));
            }
            if now >= due {
                return Poll::Ready(None);
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

/// Messages that may still come, refilled as time goes by.
pub(super) struct Bucket {
    rate: MessageRate,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: MessageRate, now: Instant) -> Self {
        Self { rate, left: f64::from(rate.burst), at: now }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.left = (self.left + (now - self.at).as_secs_f64() * f64::from(self.rate.each_second))
            .min(f64::from(self.rate.burst));
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
