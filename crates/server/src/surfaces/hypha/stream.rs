//! `GET /rpc`: what the hub sends to a client of hypha-rpc that speaks plain HTTP (`transport: "http"`), as a stream that goes on.
//!
//! ```text
//!  4 bytes, big-endian: a length ─ so many bytes of MessagePack       first connection_info, then frames as of a WebSocket,
//!                                                                     and {"type": "ping"} when nothing else was to be said
//! ```
//! What the client sends comes by [`super::posted`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Call;
use doorward_core::random;
use doorward_core::secret::SecretText;
use doorward_hub::{Hello, Hub, Link, Out, Refused, Why};
use doorward_protocols::encoding::base64url_encode;
use doorward_protocols::hypha::value;
use futures_util::stream::unfold;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, timeout};

use super::socket::WRITE_PATIENCE;
use super::streams::{Proof, Stream, cookie_name};
use super::{caller, hub};
use crate::access::Access;
use crate::http::body::{Body, BodyError};
use crate::http::respond::{Answer, json_answer};
use crate::phase::{Phases, taking_nothing};
use crate::request::Request;
use crate::site::Site;

/// How often a client hears something at least. hypha-rpc 0.21.47 for Python gives a stream up that is silent for as long as a call may
/// take, which is 30 s where nobody says otherwise, and so does not outlive the 30 s of Hypha 0.21.137.
const PING: Duration = Duration::from_secs(10);
/// A client that sends nothing for this long is asked for a sign of life, and let go after so many questions without one.
const SILENCE: Duration = Duration::from_secs(60);
const QUESTIONS: u32 = 3;
/// How long a client may take for the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Tells proxies (nginx) not to gather an answer before they pass it on.
static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /rpc`.
pub(super) async fn open(request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let query = request.query()?;
    let given = |name: &str| query.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let fresh = || base64url_encode(&random::bytes::<16>(request.engine.random()));
    let hello = Hello {
        client_id: Some(given("client_id").unwrap_or_else(fresh)),
        workspace: given("workspace"),
        token: None,
        reconnection_token: given("reconnection_token").map(SecretText::new),
    };
    let shown = shown(&request).await.inspect_err(|_| hub.count_refused(Why::Credential))?;
    let call = match &hello.reconnection_token {
        None => shown.clone(),
        Some(text) => coming_back(&request, &shown, text.expose())
            .await
            .inspect_err(|_| hub.count_refused(Why::Credential))?,
    };
    match let_in(&request, &hub, &hello, call, &shown).await {
        Ok(answer) => Ok(answer),
        Err(refused) => {
            tracing::debug!(why = refused.message, "a client is not let in");
            hub.count_refused(refused.why);
            Ok(refusal(&hello, &refused))
        }
    }
}

/// Who asks. To open a stream is to come in: where a browser says that the page is another's, nobody's cookie lets it.
async fn shown(request: &Request) -> Result<Call> {
    let shown = caller::of(request).await?;
    caller::must_be_asked_by_a_page_of_ours(request)?;
    Ok(shown)
}

/// Whose a token is that a client comes back with. A credential beside it, which clients go on showing, is the same person's.
async fn coming_back(request: &Request, shown: &Call, text: &str) -> Result<Call> {
    let found = caller::by_text(request, (*shown.origin).clone(), Some(text)).await;
    let found = found.map_err(|error| match error.status() {
        401 => {
            let message = format!("Invalid reconnection token: {}", error.public_message());
            Error::new(error.code()).message(message)
        }
        _ => error,
    })?;
    if !shown.auth.is_anonymous() && shown.auth.principal != found.auth.principal {
        let message = "Invalid reconnection token: it is another caller's than the token beside it.";
        return Err(Error::new(codes::TOKEN_INVALID).message(message));
    }
    Ok(found)
}

async fn let_in(
    request: &Request,
    hub: &Hub,
    hello: &Hello,
    call: Call,
    shown: &Call,
) -> std::result::Result<Answer, Refused> {
    let link = hub.connect(hello, call).await?;
    // As of a WebSocket: being a member ends too.
    let access = Access::watch(link.call()).map_err(|error| Refused::authentication(&error))?;
    let info = hub.connection_info(&link).await?;
    let address = format!("{}/{}", link.workspace(), link.client_id());
    let mut cookie = None;
    let proof = if shown.auth.is_anonymous() {
        let secret = base64url_encode(&random::bytes::<32>(request.engine.random()));
        cookie = Some(kept(request, hub, &address, &secret));
        Proof::Cookie(SecretText::new(secret))
    } else {
        Proof::Credential(Box::new(shown.auth.as_ref().clone()))
    };
    let site = Arc::clone(&request.site);
    let stream = site.streams.insert(address, link.sender(), proof, site.message_rate);
    let (parts, coming) = mpsc::channel(1);
    let line = Line { link, access, phases: site.phases.clone(), site, stream, parts };
    tokio::spawn(line.run(packed(&info)));
    let mut answer = answer(coming, cookie);
    if let Some(line) = &request.line {
        answer.body_mut().hold(line.while_there());
    }
    Ok(answer)
}

/// Leaves with the client what its requests have to bring back.
fn kept(request: &Request, hub: &Hub, address: &str, secret: &str) -> HeaderValue {
    let secure = if hub.base_url().starts_with("https://") { "; Secure" } else { "" };
    let (name, path) = (cookie_name(address), &request.site.public_prefix);
    let text = format!("{name}={secret}; Path={path}/rpc; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::try_from(text).expect("base64url and a path of ours are visible ASCII");
    value.set_sensitive(true);
    value
}

fn answer(coming: mpsc::Receiver<Bytes>, cookie: Option<HeaderValue>) -> Answer {
    // The length goes ahead by itself: what it is the length of is not copied for it.
    let parts = unfold((coming, None::<Bytes>), |(mut coming, rest)| async move {
        if let Some(rest) = rest {
            return Some((Ok::<_, BodyError>(rest), (coming, None)));
        }
        let frame: Bytes = coming.recv().await?;
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
        Some((Ok(Bytes::copy_from_slice(&length)), (coming, Some(frame))))
    });
    let mut answer = Answer::new(Body::stream(parts));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-msgpack-stream"));
    headers.insert(X_ACCEL_BUFFERING.clone(), HeaderValue::from_static("no"));
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
    answer
}

fn packed(json: &Value) -> Bytes {
    value::write(&value::from_json(json)).into()
}

/// Says why not, with the status that the kind of reason has.
fn refusal(hello: &Hello, refused: &Refused) -> Answer {
    let status = match refused.why {
        Why::Protocol | Why::Name => StatusCode::BAD_REQUEST,
        Why::Credential => StatusCode::UNAUTHORIZED,
        Why::Bound if hello.reconnection_token.is_some() => StatusCode::UNAUTHORIZED,
        // Whether there is such a workspace is not told by these.
        Why::Bound | Why::Denied | Why::Missing => StatusCode::FORBIDDEN,
        Why::Taken => StatusCode::CONFLICT,
        Why::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_answer(status, &json!({ "success": false, "detail": refused.message }))
}

/// A client that was let in. It lives on a task of its own: that a client does not read holds nobody in the hub.
struct Line {
    link: Link,
    access: Access,
    phases: Phases,
    site: Arc<Site>,
    stream: Arc<Stream>,
    parts: mpsc::Sender<Bytes>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.site.streams.remove(&self.stream);
    }
}

impl Line {
    async fn run(mut self, first: Bytes) {
        let _ = self.parts.send(first).await;
        let Some(why) = self.go_on().await else { return };
        // Whoever does not read does not hear it either.
        let last = packed(&json!({ "type": "error", "message": why }));
        let _ = timeout(LAST_WORDS, self.parts.send(last)).await;
    }

    /// Goes on until the hub, the client, its leave or the server ends it; the answer is what to tell the client, if it is there.
    async fn go_on(&mut self) -> Option<String> {
        let now = Instant::now();
        let (mut ping, mut look) = (interval_at(now + PING, PING), interval_at(now + SILENCE, SILENCE));
        let (mut heard, mut questions) = (self.stream.requests(), 0);
        let over = || Some("Authentication error: the credential has ended".to_owned());
        loop {
            // Whoever does not read is let go while it does not. Nothing is taken from the hub before the last thing was taken from here.
            let place = tokio::select! {
                biased;
                () = self.access.ended() => return over(),
                () = taking_nothing(&mut self.phases) => return Some("Server is shutting down".to_owned()),
                () = self.link.closing() => None,
                place = timeout(WRITE_PATIENCE, self.parts.reserve()) => Some(place.ok()?.ok()?),
            };
            let Some(place) = place else { break };
            let next = tokio::select! {
                biased;
                () = self.access.ended() => return over(),
                () = taking_nothing(&mut self.phases) => return Some("Server is shutting down".to_owned()),
                () = self.parts.closed() => return None,
                out = self.link.next() => match out {
                    Some(Out::Frame(bytes)) => bytes,
                    Some(Out::Large(head, tail)) => [head, tail].concat().into(),
                    Some(Out::Text(text)) => packed(&serde_json::from_str(&text).unwrap_or_default()),
                    Some(Out::Close(_, reason)) => return Some(reason),
                    None => return None,
                },
                _ = ping.tick() => packed(&json!({ "type": "ping" })),
                _ = look.tick() => {
                    let now = self.stream.requests();
                    questions = if now == heard { questions + 1 } else { 0 };
                    heard = now;
                    if questions > QUESTIONS {
                        return Some("the client does not answer".to_owned());
                    }
                    if questions > 0 {
                        let sender = self.link.sender();
                        tokio::spawn(async move { sender.ask_for_life().await });
                    }
                    continue;
                }
            };
            place.send(next);
            ping.reset();
        }
        match self.link.next().await {
            Some(Out::Close(_, reason)) => Some(reason),
            _ => None,
        }
    }
}
