//! `/{workspace}/services/…`: services of clients and of the server, called by whoever speaks HTTP.

use bytes::Bytes;
use doorward_core::error::{Error, Result, codes};
use doorward_hub::{Args, Fault, Hub, Offer, Visit};
use doorward_protocols::hypha::address::is_name;
use doorward_protocols::hypha::value;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use rmpv::Value;

use super::object::{Callable, member};
use super::{caller, fault, hub, moved};
use crate::http::body::Body;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

const MSGPACK: &str = "application/msgpack";
/// Names that mean something else in a call over HTTP than an argument.
const TAKEN: &[&str] = &["workspace", "service_id", "function_key"];
/// Largest body of a call.
const MAX_BODY_BYTES: usize = 8 << 20;
/// Most values that a generator may give one caller.
const MOST_VALUES: usize = 1_000_000;

/// How a request speaks, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Json,
    Msgpack,
}

fn speech(request: &Request) -> Result<Speech> {
    let Some(given) = request.headers.get(CONTENT_TYPE) else { return Ok(Speech::Json) };
    let given = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match given.to_ascii_lowercase().as_str() {
        "" | "application/json" => Ok(Speech::Json),
        MSGPACK | "application/x-msgpack" => Ok(Speech::Msgpack),
        _ => {
            let message = "The body is application/json or application/msgpack.";
            Err(Error::new(codes::UNSUPPORTED_MEDIA).message(message))
        }
    }
}

/// The hub, and the caller in the workspace that the path names.
async fn arrive(request: &Request) -> Result<std::result::Result<(Hub, Visit), Fault>> {
    let hub = hub(request)?;
    let call = caller::of(request).await?;
    let named = request.param("workspace")?;
    if !is_name(named) {
        return Ok(Err(Fault::key(format!("Workspace '{named}' not found"))));
    }
    Ok(hub.visit(call, request.param("workspace")?).await.map(|visit| (hub, visit)))
}

fn spoken(speech: Speech, said: &Value) -> Answer {
    match speech {
        Speech::Msgpack => {
            let mut answer = Response::new(Body::full(value::write(said)));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MSGPACK));
            answer
        }
        Speech::Json => match value::to_json(said) {
            Ok(json) => json_answer(StatusCode::OK, &json),
            Err(what) => fault::answer(&Fault::value(format!(
                "the service returned {what}, which JSON has no words for; ask with Content-Type: {MSGPACK}"
            ))),
        },
    }
}

fn to_answer(done: std::result::Result<Answer, Fault>) -> Answer {
    done.unwrap_or_else(|error| fault::answer(&error))
}

/// `GET /{workspace}/services` and the like: the place is spelled with a slash at the end.
pub(super) async fn with_slash(request: Request) -> Result<Answer> {
    let location = format!("{}{}/", request.site.public_prefix, request.path.as_str());
    Ok(moved(location, request.query.as_deref()))
}

/// `GET /{workspace}/info`.
pub(super) async fn workspace(request: Request) -> Result<Answer> {
    let (_, visit) = match arrive(&request).await? {
        Ok(arrived) => arrived,
        Err(error) => return Ok(fault::answer(&error)),
    };
    Ok(to_answer(
        visit.workspace_info(request.param("workspace")?).await.map(|info| spoken(Speech::Json, &info)),
    ))
}

/// `GET /{workspace}/services/`.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let (_, visit) = match arrive(&request).await? {
        Ok(arrived) => arrived,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let workspace = request.param("workspace")?;
    let listed = visit.services(workspace).await.map(|mut services| {
        for service in &mut services {
            let id = value::get(service, "id").and_then(Value::as_str).unwrap_or_default();
            let short = id.strip_prefix(&format!("{workspace}/")).unwrap_or(id).to_owned();
            value::set(service, "id", short.into());
        }
        spoken(Speech::Json, &Value::Array(services))
    });
    Ok(to_answer(listed))
}

/// `GET /{workspace}/services/{service}`.
pub(super) async fn info(request: Request) -> Result<Answer> {
    let (_, visit) = match arrive(&request).await? {
        Ok(arrived) => arrived,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let (workspace, id) = (request.param("workspace")?, request.param("service")?);
    let query = request.query()?;
    let found = visit.find(workspace, id, query.text("_mode")).await;
    let within = visit.workspace() == workspace;
    Ok(to_answer(found.map(|offer| spoken(Speech::Json, &offer.record(within)))))
}

/// `GET` and `POST /{workspace}/services/{service}/{function}`.
pub(super) async fn call(mut request: Request) -> Result<Answer> {
    let speech = speech(&request)?;
    // Whatever a function does, another's page does not have it done for whoever looks at that page, by a link no more than by a form.
    caller::must_be_asked_by_a_page_of_ours(&request)?;
    let (_, visit) = match arrive(&request).await? {
        Ok(arrived) => arrived,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let named = match given(&mut request, speech).await? {
        Ok(named) => named,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let (workspace, id) = (request.param("workspace")?.to_owned(), request.param("service")?.to_owned());
    let function = request.param("function")?.to_owned();
    let mode = request.query()?.text("_mode").map(str::to_owned);
    let done = async {
        let offer = visit.find(&workspace, &id, mode.as_deref()).await?;
        let said = match &offer {
            Offer::Ours(ours) => visit.call(ours, &function, Args::named(named)).await?,
            Offer::Of(service, _) => {
                // Hypha drops them; its own log-in needs them and is ours.
                let mut named = named;
                named.retain(|(name, _)| !name.as_str().is_some_and(|name| TAKEN.contains(&name)));
                let object = visit.object(service).await?;
                let missing = || Fault::key(format!("{function} not found."));
                let member = member(&object, &function).ok_or_else(missing)?;
                match Callable::read(member, "method") {
                    Some(method) => {
                        let named = (!named.is_empty()).then_some(named);
                        method.call(&visit, Vec::new(), named).await?
                    }
                    None => member.clone(),
                }
            }
        };
        Ok(match Callable::read(&said, "generator") {
            Some(_) => stream_of(visit, &said, speech),
            None => spoken(speech, &said),
        })
    };
    Ok(to_answer(done.await))
}

/// Arguments by name, from the body or the query.
async fn given(
    request: &mut Request,
    speech: Speech,
) -> Result<std::result::Result<Vec<(Value, Value)>, Fault>> {
    let query = request.query()?;
    if request.method == Method::GET || request.method == Method::HEAD {
        let pairs = query.pairs().map(|(name, text)| (Value::from(name), typed(text)));
        return Ok(Ok(pairs.filter(is_argument).collect()));
    }
    let body = request.body.read(&request.headers, MAX_BODY_BYTES).await?;
    if body.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let invalid = |why: String| Fault::value(format!("Invalid request body: {why}"));
    let body = match speech {
        Speech::Json => serde_json::from_slice(&body)
            .map(|json: serde_json::Value| value::from_json(&json))
            .map_err(|error| invalid(error.to_string())),
        Speech::Msgpack => value::read(&body).map_err(|error| invalid(error.to_string())),
    };
    Ok(body.map(|body| match body {
        Value::Map(named) => named.into_iter().filter(is_argument).collect(),
        // As Hypha has it: what is no map becomes arguments with numbers for names.
        Value::Array(items) => {
            items.into_iter().enumerate().map(|(at, item)| (Value::from(at.to_string()), item)).collect()
        }
        one => vec![("0".into(), one)],
    }))
}

fn is_argument((name, _): &(Value, Value)) -> bool {
    name.as_str() != Some("_mode")
}

/// A text of a query as what it looks like: a number, true, false, null, or JSON.
fn typed(text: &str) -> Value {
    let json = text.starts_with(['{', '[', '"', '-']) || text.starts_with(|c: char| c.is_ascii_digit());
    if json || matches!(text, "true" | "false" | "null") {
        // Long rows of digits and such as `1e5x` stay what they are.
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
            return value::from_json(&json);
        }
    }
    match text {
        "True" => true.into(),
        "False" => false.into(),
        "None" => Value::Nil,
        text => text.into(),
    }
}

/// What a generator gives, as it gives it: events for JSON, values one after another for MessagePack.
fn stream_of(visit: Visit, generator: &Value, speech: Speech) -> Answer {
    let next = Callable::read(generator, "generator");
    let close = value::get(generator, "_rclose_method").and_then(Value::as_str).map(str::to_owned);
    let close =
        next.as_ref().zip(close).map(|(next, method)| Callable { target: next.target.clone(), method });
    let state = Streaming { visit, next, close, speech, given: 0 };
    let parts = stream::unfold(state, |mut state| async move {
        let part = state.part().await?;
        Some((Ok::<_, std::convert::Infallible>(part), state))
    });
    let mut answer = Response::new(Body::stream(parts));
    let media = match speech {
        Speech::Json => "text/event-stream",
        Speech::Msgpack => MSGPACK,
    };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

struct Streaming {
    visit: Visit,
    /// What gives the next value; `None` when the last was given.
    next: Option<Callable>,
    /// What an abandoned generator is told.
    close: Option<Callable>,
    speech: Speech,
    given: usize,
}

impl Streaming {
    async fn part(&mut self) -> Option<Bytes> {
        let next = self.next.take()?;
        let said = next.call(&self.visit, Vec::new(), None).await;
        let stop =
            |value: &Value| value::get(value, "_rtype").and_then(Value::as_str) == Some("stop_iteration");
        self.given += 1;
        match said {
            Ok(value) if stop(&value) => {
                self.close = None;
                (self.speech == Speech::Json).then(|| Bytes::from_static(b"data: [DONE]\n\n"))
            }
            Ok(value) => {
                self.next = (self.given < MOST_VALUES).then_some(next);
                Some(self.spelled(&value))
            }
            Err(error) => {
                let line = value::map([("error", error.line().into())]);
                Some(self.spelled(&line))
            }
        }
    }

    fn spelled(&self, said: &Value) -> Bytes {
        match self.speech {
            Speech::Msgpack => value::write(said).into(),
            Speech::Json => {
                let json = value::to_json(said).unwrap_or_else(|what| serde_json::json!({ "error": what }));
                format!("data: {json}\n\n").into()
            }
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let Some(close) = self.close.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let visit = self.visit.again();
        runtime.spawn(async move {
            let _ = close.call(&visit, Vec::new(), None).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_typed_by_how_it_looks() {
        for (text, expected) in [
            ("1", 1.into()),
            ("-2.5", (-2.5).into()),
            ("true", true.into()),
            ("False", false.into()),
            ("null", Value::Nil),
            ("{\"a\": [1]}", value::map([("a", Value::Array(vec![1.into()]))])),
            ("word", "word".into()),
            ("1 apple", "1 apple".into()),
            ("007", "007".into()),
            ("", "".into()),
        ] {
            assert_eq!(typed(text), expected, "{text}");
        }
    }
}
