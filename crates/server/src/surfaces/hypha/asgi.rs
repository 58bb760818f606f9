//! An ASGI application of a client's: `serve({scope, receive, send})`, where the last two are called back by it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::error::Error;
use doorward_hub::{Conversation, Fault, Incoming, Visit};
use doorward_protocols::hypha::value;
use futures_util::stream;
use http::StatusCode;
use rmpv::Value;
use tokio::time::{Instant, Interval, interval};

use super::apps::{Asked, asgi_pairs, begun, plain};
use super::object::{Callable, member};
use crate::http::body::{Body, InParts};
use crate::http::respond::Answer;

/// How long an application may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How often an application that waits for something hears that it is waited for: more often than its client gives up.
const BEAT: Duration = Duration::from_secs(5);
/// Most calls of `receive` that wait at once; applications have one.
const MOST_WAITING: usize = 16;
/// Most messages of one answer.
const MOST_MESSAGES: usize = 1_000_000;

struct Serving {
    /// Taken when it is over.
    conversation: Option<Conversation>,
    /// Kept for the workspace that the caller is in.
    _visit: Visit,
    upload: InParts,
    /// The application was given the last part.
    body_is_over: bool,
    /// Calls of `receive` that wait, by where their answers go: for a part, and then for the visitor to leave.
    waiting: VecDeque<String>,
    beat: Interval,
    heard: Instant,
    messages: usize,
}

/// What happens next.
enum Event {
    Said(Incoming),
    Part(Result<Option<Bytes>, Error>),
    Beat,
}

/// What an application sent of its answer.
enum Sent {
    Start(Value),
    Body(Vec<u8>, bool),
    /// It returned.
    Over,
}

fn scope(asked: &Asked, visit: &Visit) -> Value {
    let pair = |(name, value): (&str, Cow<'_, str>)| {
        Value::Array(vec![Value::Binary(name.as_bytes().to_vec()), Value::Binary(value.as_bytes().to_vec())])
    };
    let address = asked.request.client.address.to_string();
    let path = format!("/{}", asked.path());
    value::map([
        ("type", "http".into()),
        ("asgi", value::map([("version", "3.0".into()), ("spec_version", "2.3".into())])),
        ("http_version", "1.1".into()),
        ("method", asked.request.method.as_str().into()),
        ("path", path.as_str().into()),
        ("raw_path", Value::Binary(path.clone().into_bytes())),
        ("query_string", Value::Binary(asked.request.query.clone().unwrap_or_default().into_bytes())),
        ("headers", Value::Array(asked.headers().map(pair).collect())),
        ("root_path", "".into()),
        ("scheme", "http".into()),
        ("server", Value::Nil),
        ("client", Value::Array(vec![address.into(), 0.into()])),
        ("state", Value::Map(Vec::new())),
        ("workspace", asked.workspace.as_str().into()),
        ("service_id", asked.id.as_str().into()),
        ("user", value::from_json(&visit.user().to_json())),
    ])
}

/// Has the application answer.
pub(super) async fn answer(
    visit: Visit,
    object: &Value,
    asked: &Asked,
    upload: InParts,
) -> Result<Answer, Fault> {
    let serve = member(object, "serve").and_then(|found| Callable::read(found, "method"));
    let Some(serve) = serve else {
        return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "The service has no function serve."));
    };
    let scope = scope(asked, &visit);
    let own = visit.address().to_owned();
    let callback = |session: &str, name: &str| {
        value::map([
            ("_rtype", "method".into()),
            ("_rtarget", own.as_str().into()),
            ("_rmethod", format!("{session}.{name}").into()),
            ("_rpromise", true.into()),
            ("_rname", name.into()),
            ("_rasync", true.into()),
            ("_rdoc", Value::Nil),
        ])
    };
    let conversation = serve
        .begin(&visit, |session| {
            let argument = value::map([
                ("scope", scope),
                ("receive", callback(session, "receive")),
                ("send", callback(session, "send")),
            ]);
            (vec![argument], None)
        })
        .await?;
    let mut serving = Serving {
        conversation: Some(conversation),
        _visit: visit,
        upload,
        body_is_over: false,
        waiting: VecDeque::new(),
        beat: interval(BEAT),
        heard: Instant::now(),
        messages: 0,
    };
    let start = match serving.next().await? {
        Sent::Start(message) => message,
        Sent::Body(..) => return Err(Fault::other("the application sent a body before its start")),
        Sent::Over => return Err(Fault::other("the application returned without an answer")),
    };
    let status = value::get(&start, "status").and_then(Value::as_u64).unwrap_or(0);
    let mut answer = begun(status, asgi_pairs(&start), asked.operators)?;
    let parts = stream::unfold(Some(serving), |serving| async move {
        let mut serving = serving?;
        loop {
            match serving.next().await {
                Ok(Sent::Body(bytes, more)) => {
                    let left = more.then_some(serving);
                    return Some((Ok(Bytes::from(bytes)), left));
                }
                Ok(Sent::Over) => return None,
                Ok(Sent::Start(_)) => {}
                // The client sees that the answer is not whole.
                Err(fault) => return Some((Err(std::io::Error::other(fault.line())), None)),
            }
        }
    });
    *answer.body_mut() = Body::stream(parts);
    if let Some(line) = &asked.request.line {
        answer.body_mut().hold(line.while_there());
    }
    Ok(answer)
}

fn gone() -> Fault {
    Fault::other("the application is gone")
}

impl Serving {
    /// What the application sends next; what it wants to receive meanwhile it is given, as it comes.
    async fn next(&mut self) -> Result<Sent, Fault> {
        loop {
            let conversation = self.conversation.as_mut().ok_or_else(gone)?;
            let (waits, reads) = (!self.waiting.is_empty(), !self.waiting.is_empty() && !self.body_is_over);
            let silence = (self.heard + SILENCE).saturating_duration_since(Instant::now());
            let event = tokio::select! {
                biased;
                said = conversation.next(silence) => Event::Said(said?),
                part = self.upload.next(), if reads => Event::Part(part),
                _ = self.beat.tick(), if waits => Event::Beat,
            };
            match event {
                Event::Said(said) => {
                    self.heard = Instant::now();
                    if let Some(sent) = self.said(said).await? {
                        return Ok(sent);
                    }
                }
                Event::Part(part) => {
                    let part = part.map_err(|error| Fault::value(error.public_message()))?;
                    self.hand_over(part.unwrap_or_default()).await?;
                }
                Event::Beat => {
                    for session in &self.waiting {
                        conversation.beat(session).await?;
                    }
                }
            }
        }
    }

    async fn said(&mut self, said: Incoming) -> Result<Option<Sent>, Fault> {
        self.messages += 1;
        if self.messages > MOST_MESSAGES {
            return Err(Fault::other("the application sends too much"));
        }
        match said.name.as_str() {
            "receive" => {
                self.waiting.extend(said.session);
                if self.waiting.len() > MOST_WAITING {
                    return Err(Fault::other("the application receives too much at once"));
                }
            }
            "send" => {
                if let Some(session) = &said.session {
                    let conversation = self.conversation.as_ref().ok_or_else(gone)?;
                    conversation.answer(session, Ok(Value::Nil)).await?;
                }
                return Ok(sent(said.args.into_iter().next().unwrap_or(Value::Nil)));
            }
            "resolve" => return Ok(Some(Sent::Over)),
            "reject" => return Err(doorward_hub::raised(said.args.first())),
            _ => {}
        }
        Ok(None)
    }

    /// Gives the application that waits the next part of what the visitor sends. No more is read before it asks again.
    async fn hand_over(&mut self, part: Bytes) -> Result<(), Fault> {
        self.body_is_over = part.is_empty() || self.upload.is_over();
        let message = value::map([
            ("type", "http.request".into()),
            ("body", Value::Binary(part.to_vec())),
            ("more_body", (!self.body_is_over).into()),
        ]);
        let Some(session) = self.waiting.pop_front() else { return Ok(()) };
        self.conversation.as_ref().ok_or_else(gone)?.answer(&session, Ok(message)).await
    }
}

impl Drop for Serving {
    /// The visitor left, or has the whole answer: whoever waits for that hears of it.
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(conversation) = self.conversation.take().filter(|_| !waiting.is_empty()) else { return };
        tokio::spawn(async move {
            for session in waiting {
                let left = value::map([("type", "http.disconnect".into())]);
                let _ = conversation.answer(&session, Ok(left)).await;
            }
        });
    }
}

/// What a message of an application's says, if it is one of an answer.
fn sent(message: Value) -> Option<Sent> {
    match value::get(&message, "type").and_then(Value::as_str) {
        Some("http.response.start") => Some(Sent::Start(message)),
        Some("http.response.body") => {
            let bytes = match value::get(&message, "body") {
                Some(Value::Binary(bytes)) => bytes.clone(),
                Some(Value::String(text)) => text.as_bytes().to_vec(),
                _ => Vec::new(),
            };
            let more = value::get(&message, "more_body").and_then(Value::as_bool).unwrap_or(false);
            Some(Sent::Body(bytes, more))
        }
        _ => None,
    }
}
