//! In front of the real agent server, which then needs no auth of its own (langgraph-api 0.16.7, observed open and behind its handlers).
//!
//! ```text
//! request ─ leave, handlers ─► look: whose is it? ─► rebuilt request ─► upstream ─► answer, filtered where it lists
//! ```
//! What owns a thing stands in its metadata there: what handlers write, and a stamp of ours beside it for what they do not cover. Routes
//! that no table names are not reachable: `/internal/*`, `/deploy`, `/docs`, `/metrics`, MCP, A2A.

pub(super) mod assistants;
pub(super) mod crons;
pub(crate) mod graphs_own;
mod listing;
pub(super) mod runs;
mod scrub;
pub(super) mod search;
pub(super) mod state;
pub(super) mod store;
pub(super) mod threads;

use std::time::Duration;

use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::gateway::{
    Arrival, Buffered, Outbound, look, own_request, passed_request, search_for, send, unusable,
};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// The member of a thing's metadata that says whose it is: [`doorward_core::principal::Principal::owner_key`].
pub(super) const STAMP: &str = "doorward_owner";

/// A kind of thing that the server keeps.
pub(super) struct Kind {
    /// Where one of them is shown, with its id behind.
    under: &'static str,
    /// Where some of them are found by their ids, if they are.
    searched_at: Option<&'static str>,
    /// The member that names it.
    id: &'static str,
}

pub(super) static THREAD: Kind =
    Kind { under: "/threads/", searched_at: Some("/threads/search"), id: "thread_id" };
pub(super) static ASSISTANT: Kind = Kind { under: "/assistants/", searched_at: None, id: "assistant_id" };

pub(super) static CRON: Kind = Kind { under: "/runs/crons/", searched_at: None, id: "cron_id" };

/// Whether leave reaches a thing as the server shows it.
pub(super) fn reaches(grant: &Grant, kind: &Kind, thing: &Value) -> Result<bool> {
    let none = Map::new();
    let (Some(id), Some(metadata)) = (
        thing.get(kind.id).and_then(Value::as_str),
        match thing.get("metadata") {
            None | Some(Value::Null) => Some(&none),
            Some(Value::Object(metadata)) => Some(metadata),
            Some(_) => None,
        },
    ) else {
        return Err(unusable("a thing of the upstream has no id or no metadata"));
    };
    let owner = metadata.get(STAMP).and_then(Value::as_str).unwrap_or_default();
    Ok(grant.reaches(id, owner, metadata))
}

/// A thing that leave reaches: its id and metadata, as the server shows them now.
///
/// # Errors
/// `not_found` for what is not there and for what is not the caller's: the two are not told apart.
pub(super) async fn reached(request: &Request, grant: &Grant, kind: &Kind, id: &str) -> Result<Value> {
    let thing = match kind.searched_at {
        Some(path) => found(request, grant, kind, path, id).await?,
        None => shown_at(request, grant, kind, id).await?,
    };
    judged(grant, kind, id, &thing)?;
    Ok(thing)
}

/// Refuses a thing that is not the one that was asked for, or that leave does not reach.
fn judged(grant: &Grant, kind: &Kind, id: &str, thing: &Value) -> Result<()> {
    if thing.get(kind.id).and_then(Value::as_str) != Some(id) {
        return Err(unusable("the upstream showed another thing than was asked for"));
    }
    match reaches(grant, kind, thing)? {
        true => Ok(()),
        false => {
            Err(Error::new(codes::NOT_FOUND).operator("it is somebody else's upstream").by_rule("owner"))
        }
    }
}

/// Most bytes of a thing that is read before it is known whose it is. Above it costs less to ask for its metadata first.
const SMALL_BYTES: u64 = 64 << 10;

/// A thing that leave reaches, as the server shows it: looked at and told in one exchange. `None` when it is too large for that, and when
/// the client asks for it in another form.
///
/// # Errors
/// As [`reached`].
pub(super) async fn shown_whole(
    request: &Request,
    grant: &Grant,
    kind: &Kind,
    id: &str,
) -> Result<Option<Answer>> {
    if request.query.is_some() {
        return Ok(None);
    }
    let outbound = passed_request(request, grant, Method::GET, format!("{}{id}", kind.under), None);
    let arrival = send(request, grant, None, outbound).await?;
    if !arrival.has_at_most(SMALL_BYTES) {
        return Ok(None);
    }
    match arrival.status {
        StatusCode::OK => {
            let shown = arrival.read().await?;
            judged(grant, kind, id, &shown.json()?)?;
            Ok(Some(shown.into_answer()))
        }
        StatusCode::NOT_FOUND => Err(Error::new(codes::NOT_FOUND)),
        _ => Err(unusable("the upstream does not say whether it has the thing")),
    }
}

/// A thing without what it holds, which may be more than can be looked through.
async fn found(request: &Request, grant: &Grant, kind: &Kind, path: &str, id: &str) -> Result<Value> {
    let wanted = json!({ "ids": [id], "select": [kind.id, "metadata"], "limit": 1 });
    let found = search_for(request, grant, path.to_owned(), &wanted).await?;
    let one = match (found.status, found.json()?) {
        (StatusCode::OK, Value::Array(mut found)) => found.pop(),
        _ => return Err(unusable("the upstream does not say whether it has the thing")),
    };
    one.ok_or_else(|| Error::new(codes::NOT_FOUND))
}

async fn shown_at(request: &Request, grant: &Grant, kind: &Kind, id: &str) -> Result<Value> {
    let found = look(request, grant, format!("{}{id}", kind.under)).await?;
    match found.status {
        StatusCode::OK => found.json(),
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Err(Error::new(codes::NOT_FOUND)),
        _ => Err(unusable("the upstream does not say whether it has the thing")),
    }
}

/// Metadata with the caller's stamp, whatever a client or a handler says that it is.
pub(super) fn stamped(grant: &Grant, mut metadata: Map<String, Value>) -> Map<String, Value> {
    metadata.insert(STAMP.to_owned(), grant.auth().principal.owner_key().into());
    metadata
}

/// Relative places only: a client follows them with its credential.
fn is_relative(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.starts_with('/') && !text.starts_with("//") && !text.contains('\\'))
}

static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What of a query reaches the server. Others may do more than their route was let do, as `delete_threads` does.
const QUERY: &[&str] = &[
    "limit",
    "offset",
    "status",
    "select",
    "before",
    "subgraphs",
    "wait",
    "action",
    "stream_mode",
    "cancel_on_disconnect",
    "xray",
    "recurse",
    "namespace",
    "checkpoint_ns",
];

fn passed_query(query: Option<&str>) -> Option<String> {
    let passes = |pair: &&str| QUERY.contains(&pair.split('=').next().unwrap_or_default());
    let pairs: Vec<&str> = query?.split('&').filter(passes).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// Passes a request on and its answer back as it comes; the grant is closed when its last byte has been sent.
///
/// # Errors
/// The upstream's.
pub(super) async fn pass(
    request: &Request,
    grant: Grant,
    method: Method,
    path: String,
    body: Option<Value>,
) -> Result<Answer> {
    pass_for(request, grant, (method, path, body), None).await
}

/// As [`pass`], for at most so long: a stream of what goes on elsewhere is told under one answer of the handlers.
///
/// # Errors
/// As there.
pub(super) async fn pass_for(
    request: &Request,
    grant: Grant,
    (method, path, body): (Method, String, Option<Value>),
    time: Option<Duration>,
) -> Result<Answer> {
    let body = body.map(|body| body.to_string().into_bytes());
    let outbound = passed_request(request, &grant, method, path, body);
    let outbound = Outbound { query: passed_query(request.query.as_deref()), ..outbound };
    match send(request, &grant, None, outbound).await {
        Ok(arrival) => Ok(placed(arrival).for_at_most(time).into_answer(Some(grant))),
        Err(error) => grant.close(Err(error)),
    }
}

fn placed(arrival: Arrival) -> Arrival {
    arrival
        .passing(&[LOCATION, CONTENT_LOCATION], is_relative)
        .passing(std::slice::from_ref(&BUFFERING), |_| true)
}

/// One exchange whose answer has to be understood.
///
/// # Errors
/// The upstream's.
pub(super) async fn exchange(
    request: &Request,
    grant: &Grant,
    method: Method,
    path: String,
    body: Option<&Value>,
) -> Result<Buffered> {
    let body = body.map(|body| body.to_string().into_bytes());
    let outbound: Outbound = own_request(request, grant, method, path, body);
    send(request, grant, None, outbound).await?.read().await
}

/// Closes a grant with what an exchange came to: the server's own refusals are passed on as they are.
pub(super) async fn told(grant: Grant, came: Result<Answer>) -> Result<Answer> {
    use doorward_core::audit::Outcome;
    match came {
        Ok(answer) if answer.status().is_success() => {
            grant.finish(Outcome::Done, None).await;
            Ok(answer)
        }
        Ok(answer) => {
            grant.finish(Outcome::Failed, Some(format!("upstream answered {}", answer.status()))).await;
            Ok(answer)
        }
        Err(error) => grant.close(Err(error)),
    }
}

/// A JSON answer that was made here out of the server's.
pub(super) fn shown(value: &Value) -> Answer {
    json_answer(StatusCode::OK, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_what_its_route_may_do_and_for_nothing_else() {
        for (given, expected) in [
            (Some("limit=5&select=a&select=b"), Some("limit=5&select=a&select=b")),
            (Some("delete_threads=true"), None),
            (Some("delete_threads=true&wait=1"), Some("wait=1")),
            (Some("%64elete_threads=true"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(passed_query(given).as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn places_that_lead_elsewhere_are_not_passed_on() {
        for (place, passes) in [
            ("/threads/t/runs/r", true),
            ("//evil.example/x", false),
            ("https://evil.example/", false),
            ("/\\evil.example", false),
        ] {
            assert_eq!(is_relative(&HeaderValue::from_static(place)), passes, "{place}");
        }
    }
}
