//! An ASGI application of a client's: `serve({scope, receive, send})`, where the last two are called back by it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use doorward_hub::{Conversation, Fault, Visit};
use doorward_protocols::hypha::value;
use futures_util::stream;
use http::StatusCode;
use rmpv::Value;

use super::apps::{Asked, asgi_pairs, begun, plain};
use super::object::{Callable, member};
use crate::http::body::Body;
use crate::http::respond::Answer;

/// How long an application may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// A body is handed over in parts of this size.
const PART: usize = 256 << 10;
/// Most messages of one answer.
const MOST_MESSAGES: usize = 1_000_000;

struct Serving {
    conversation: Conversation,
    /// Kept for the workspace that the caller is in.
    _visit: Visit,
    /// What was not handed over yet.
    body: Bytes,
    body_is_over: bool,
    messages: usize,
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
pub(super) async fn answer(visit: Visit, object: &Value, asked: &Asked) -> Result<Answer, Fault> {
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
    let mut serving =
        Serving { conversation, _visit: visit, body: asked.body.clone(), body_is_over: false, messages: 0 };
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
    Ok(answer)
}

impl Serving {
    /// What the application sends next; what it wants to receive meanwhile it is given.
    async fn next(&mut self) -> Result<Sent, Fault> {
        loop {
            self.messages += 1;
            if self.messages > MOST_MESSAGES {
                return Err(Fault::other("the application sends too much"));
            }
            let said = self.conversation.next(SILENCE).await?;
            match said.name.as_str() {
                "receive" => {
                    let message = self.received();
                    if let Some(session) = said.session {
                        self.conversation.answer(&session, Ok(message)).await?;
                    }
                }
                "send" => {
                    if let Some(session) = &said.session {
                        self.conversation.answer(session, Ok(Value::Nil)).await?;
                    }
                    let message = said.args.into_iter().next().unwrap_or(Value::Nil);
                    match value::get(&message, "type").and_then(Value::as_str) {
                        Some("http.response.start") => return Ok(Sent::Start(message)),
                        Some("http.response.body") => {
                            let bytes = match value::get(&message, "body") {
                                Some(Value::Binary(bytes)) => bytes.clone(),
                                Some(Value::String(text)) => text.as_bytes().to_vec(),
                                _ => Vec::new(),
                            };
                            let more =
                                value::get(&message, "more_body").and_then(Value::as_bool).unwrap_or(false);
                            return Ok(Sent::Body(bytes, more));
                        }
                        _ => {}
                    }
                }
                "resolve" => return Ok(Sent::Over),
                "reject" => return Err(doorward_hub::raised(said.args.first())),
                _ => {}
            }
        }
    }

    fn received(&mut self) -> Value {
        if self.body_is_over {
            return value::map([("type", "http.disconnect".into())]);
        }
        let part = self.body.split_to(self.body.len().min(PART));
        let more = !self.body.is_empty();
        self.body_is_over = !more;
        value::map([
            ("type", "http.request".into()),
            ("body", Value::Binary(part.to_vec())),
            ("more_body", more.into()),
        ])
    }
}
