//! Runs of the server.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, assistant, run, thread};
use doorward_core::authz::custom::Asked;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::ThreadId;
use doorward_core::operation::Grant;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::assistants;
use super::super::body::{Body, bad};
use super::super::run_request::{kept, moment_of, show_caller};
use super::super::runs::{AS_TEXT, Cancelling, JOINED};
use super::super::stateless::MAX_BATCH;
use super::super::{ids, threads as own};
use super::{
    ASSISTANT, STAMP, THREAD, exchange, pass, pass_for, reached, reaches, scrub, shown_at, stamped, told,
};
use crate::gateway::{look, unusable};
use crate::http::extract::json_list;
use crate::http::respond::Answer;
use crate::request::Request;

/// Where a run goes on.
pub(super) enum Place {
    /// In this thread.
    Thread(ThreadId),
    /// In a thread of its own; `waited` for by a client that is told of it as a new one.
    New { waited: bool },
}

impl Place {
    fn thread(&self) -> Option<&ThreadId> {
        match self {
            Self::Thread(id) => Some(id),
            Self::New { .. } => None,
        }
    }
}

/// Leave to begin a run, and the body that begins it.
pub(super) async fn admitted(
    request: &Request,
    place: &Place,
    mut body: Body,
) -> Result<(Grant, Map<String, Value>)> {
    let named = match body.member("assistant_id") {
        None => return Err(Error::new(codes::BAD_FIELD).message("\"assistant_id\" is a required property")),
        Some(Value::String(named)) => named.clone(),
        Some(_) => return Err(bad("assistant_id", "is a text")),
    };
    // What is looked at is what is sent: the server reads more spellings of an id than we do.
    let assistant = assistant_id(&named);
    body.0.insert("assistant_id".to_owned(), assistant.as_str().into());
    let turn = body.text("multitask_strategy")?.unwrap_or("enqueue").to_owned();
    let create = body.word("if_not_exists", &[("create", true), ("reject", false)])?.unwrap_or(false);
    // The server lays a configuration's metadata under the run's own: handlers are to see all of it.
    let config = body.maybe_object("config")?;
    let mut metadata =
        config.and_then(|config| config.get("metadata")).cloned().map(own::object).unwrap_or_default();
    metadata.extend(body.maybe_object("metadata")?.cloned().unwrap_or_default());
    body.maybe_object("context")?;
    if matches!(place, Place::New { .. })
        && let Some(named) = moment_named(&body)
    {
        return Err(bad(&named, "is of a thread, and this run has none"));
    }
    scrub::run(&mut body.0, place.thread());
    body.0.remove("thread_id");
    if let Some(url) = body.text("webhook")? {
        // The server would call it from where it stands.
        let inside = |_| bad("webhook", "leads to an address that may not be called from here");
        request.engine.outbound().check(url).map_err(inside)?;
    }
    let mut kwargs = body.0.clone();
    kwargs.retain(|name, _| !SHOWN_BESIDE.contains(&name.as_str()));
    let mut kwargs = Value::Object(kwargs);
    show_caller(request, &mut kwargs)?;
    let thread_id = match place {
        Place::Thread(id) => json!(id),
        Place::New { .. } => Value::Null,
    };
    let value = json!({
        "thread_id": thread_id,
        "assistant_id": assistant,
        "run_id": ids::fresh(&request.engine).to_string(),
        "status": "pending",
        "metadata": metadata,
        "prevent_insert_if_inflight": turn == "reject",
        "multitask_strategy": turn,
        "if_not_exists": if create || matches!(place, Place::New { waited: true }) { "create" } else { "reject" },
        "after_seconds": body.member("after_seconds").cloned().unwrap_or_else(|| json!(0)),
        "kwargs": kwargs,
    });
    let asked = Asked { value: own::object(value), uuids: &["thread_id", "assistant_id", "run_id"] };
    let target = place.thread().map_or_else(Target::any, |id| Target::named(id.as_str()));
    let grant = request.permit_asking::<run::Create>(target, asked).await?.into_grant();
    let prepared = prepare(request, &grant, place, body.0, (&named, &assistant), create).await;
    match prepared {
        Ok(body) => Ok((grant, body)),
        Err(error) => grant.close(Err(error)),
    }
}

/// The member that names a moment to go on from, if one does.
fn moment_named(body: &Body) -> Option<String> {
    let mut beside = ["checkpoint", "checkpoint_id"].into_iter();
    let beside = beside.find(|name| body.member(name).is_some_and(|one| !one.is_null()));
    beside.map(str::to_owned).or_else(|| moment_of(&body.0))
}

/// Members of a request that stand beside `kwargs` in what handlers are shown.
const SHOWN_BESIDE: &[&str] =
    &["assistant_id", "metadata", "multitask_strategy", "if_not_exists", "after_seconds", "thread_id"];

/// An assistant by its id: a graph's own has one that follows from the graph's name.
fn assistant_id(named: &str) -> String {
    ids::parse(named).map_or_else(|| ids::assistant_of(named).to_string(), |id| id.to_string())
}

async fn prepare(
    request: &Request,
    grant: &Grant,
    place: &Place,
    mut body: Map<String, Value>,
    (named, assistant): (&str, &str),
    create: bool,
) -> Result<Map<String, Value>> {
    runnable(request, grant, named, assistant).await?;
    // What handlers changed of the request in place.
    let mut kwargs = own::object(grant.amended().get("kwargs").cloned().unwrap_or_default());
    scrub::run(&mut kwargs, place.thread());
    body.extend(kwargs);
    body.insert("assistant_id".to_owned(), assistant.into());
    let mut metadata = own::amended_metadata(grant);
    if matches!(place, Place::New { .. }) && body.get("on_completion").and_then(Value::as_str) == Some("keep")
    {
        // A thread that stays is made by whoever may make threads; the server names it.
        metadata = kept(request, &ids::fresh(&request.engine).to_string().into(), metadata).await?;
    }
    let metadata = stamped(grant, metadata);
    body.insert("metadata".to_owned(), Value::Object(metadata.clone()));
    if let Place::Thread(id) = place {
        let missing = |error: Error| match error.is(codes::NOT_FOUND) {
            true => error.message("Thread or assistant not found."),
            false => error,
        };
        match reached(request, grant, &THREAD, id.as_str()).await {
            Ok(_) => {}
            Err(error) if error.is(codes::NOT_FOUND) && create => {
                made(request, grant, id, metadata).await.map_err(missing)?;
            }
            Err(error) => return Err(missing(error)),
        }
        body.remove("if_not_exists");
    }
    Ok(body)
}

/// Makes the thread that a run asks for, as the caller's. One that is there already is somebody else's, or was made a moment ago.
async fn made(request: &Request, grant: &Grant, id: &ThreadId, metadata: Map<String, Value>) -> Result<()> {
    let metadata = stamped(grant, kept(request, id, metadata).await?);
    let new = json!({ "thread_id": id, "metadata": metadata, "if_exists": "do_nothing" });
    let answer = exchange(request, grant, Method::POST, "/threads".to_owned(), Some(&new)).await?;
    match answer.status {
        StatusCode::OK if reaches(grant, &THREAD, &answer.json()?)? => Ok(()),
        StatusCode::OK | StatusCode::CONFLICT => Err(Error::new(codes::NOT_FOUND)),
        _ => Err(unusable("the upstream did not make the thread")),
    }
}

/// Whether an assistant may be run: a graph's own by everybody, another one by whoever may read it.
async fn runnable(request: &Request, grant: &Grant, named: &str, id: &str) -> Result<()> {
    let absent = || match ids::parse(named) {
        Some(_) => Error::new(codes::NOT_FOUND).message("Thread or assistant not found."),
        None => assistants::unknown_graph(request, named),
    };
    let own = ids::parse(id).map(|id| (&request.site.graphs_own, id));
    let now_ms = request.engine.clock().steady_ms();
    if own.is_some_and(|(known, id)| known.is_known(id, now_ms)) {
        return Ok(());
    }
    let shown = shown_at(request, grant, &ASSISTANT, id).await;
    let shown = shown.map_err(|error| if error.is(codes::NOT_FOUND) { absent() } else { error })?;
    let metadata = shown.get("metadata");
    let is_graphs_own = metadata.and_then(|metadata| metadata.get("created_by")).and_then(Value::as_str)
        == Some("system")
        && metadata.is_some_and(|metadata| metadata.get(STAMP).is_none());
    if is_graphs_own {
        if let Some((known, id)) = own {
            known.learn(id, now_ms);
        }
        return Ok(());
    }
    let asked = Asked { value: own::object(json!({ "assistant_id": id })), uuids: &["assistant_id"] };
    let reading = request.permit_asking::<assistant::Read>(Target::named(id), asked).await?;
    let reached = match reaches(&reading, &ASSISTANT, &shown) {
        Ok(true) => Ok(()),
        Ok(false) => Err(absent()),
        Err(error) => Err(error),
    };
    reading.close(reached)
}

async fn begin(mut request: Request, place: Place, path: String) -> Result<Answer> {
    request.may::<run::Create>()?;
    let body = Body::read(&mut request).await?;
    let (grant, body) = admitted(&request, &place, body).await?;
    pass(&request, grant, Method::POST, path, Some(Value::Object(body))).await
}

async fn in_thread(request: Request, rest: &str) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let path = format!("/threads/{id}/runs{rest}");
    begin(request, Place::Thread(id), path).await
}

/// `POST /threads/{thread}/runs`
pub(crate) async fn create(request: Request) -> Result<Answer> {
    in_thread(request, "").await
}

/// `POST /threads/{thread}/runs/wait`
pub(crate) async fn wait(request: Request) -> Result<Answer> {
    in_thread(request, "/wait").await
}

/// `POST /threads/{thread}/runs/stream`
pub(crate) async fn stream(request: Request) -> Result<Answer> {
    in_thread(request, "/stream").await
}

/// `POST /runs`
pub(crate) async fn create_alone(request: Request) -> Result<Answer> {
    begin(request, Place::New { waited: false }, "/runs".to_owned()).await
}

/// `POST /runs/wait`
pub(crate) async fn wait_alone(request: Request) -> Result<Answer> {
    begin(request, Place::New { waited: true }, "/runs/wait".to_owned()).await
}

/// `POST /runs/stream`
pub(crate) async fn stream_alone(request: Request) -> Result<Answer> {
    begin(request, Place::New { waited: true }, "/runs/stream".to_owned()).await
}

/// `POST /runs/batch`: one by one, each with leave of its own.
pub(crate) async fn batch(mut request: Request) -> Result<Answer> {
    request.may::<run::Create>()?;
    let items = json_list(&request.bytes().await?)?;
    if items.is_empty() || items.len() > MAX_BATCH {
        return Err(Error::new(codes::BAD_FIELD).message("A batch holds 1 to 16 runs."));
    }
    let mut begun = Vec::with_capacity(items.len());
    for item in items {
        let Value::Object(members) = item else {
            return Err(Error::new(codes::BAD_FIELD).message("A batch is a list of objects."));
        };
        let (grant, body) = admitted(&request, &Place::New { waited: false }, Body(members)).await?;
        let came =
            exchange(&request, &grant, Method::POST, "/runs".to_owned(), Some(&Value::Object(body))).await;
        let run = match &came {
            Ok(answer) if answer.status == StatusCode::OK => Some(answer.json()),
            _ => None,
        };
        match (run, came) {
            (Some(run), _) => begun.push(grant.close(run)?),
            (None, came) => return told(grant, came.map(|refused| refused.into_answer())).await,
        }
    }
    Ok(super::shown(&Value::Array(begun)))
}

/// Whether the listener wants the run stopped when it leaves.
fn cancels(request: &Request) -> bool {
    request.query.as_deref().is_some_and(|query| {
        query.split('&').any(|pair| pair.split('=').next() == Some("cancel_on_disconnect"))
    })
}

/// The routes that wait for a run.
const AWAITING: &[&str] = &["/join", "/stream"];

/// Stands for the words about a thread that is not there, which name it.
const THREAD_WORDS: &str = "";

/// Passes a request about a run on, once it is known that leave for `A` reaches its thread.
async fn of_run<A: Action>(
    request: &Request,
    method: Method,
    rest: &str,
    asked: Asked,
    words: &'static str,
) -> Result<Answer> {
    let (thread, id) = (ids::thread_in_path(request)?, ids::run_in_path(request)?);
    let grant = request.permit_asking::<A>(Target::named(id.as_str()), asked).await?.into_grant();
    if let Err(error) = reached(request, &grant, &THREAD, thread.as_str()).await {
        let error = match words {
            THREAD_WORDS => own::missing(error, &thread),
            words if error.is(codes::NOT_FOUND) => error.message(words),
            _ => error,
        };
        return grant.close(Err(error));
    }
    if cancels(request) {
        let asked = Cancelling::of_listener().asked(&thread, std::slice::from_ref(&id));
        let stopping = request.permit_asking::<run::Cancel>(Target::named(id.as_str()), asked).await;
        let reached = match stopping {
            Ok(stopping) => {
                let reached = reached(request, &stopping, &THREAD, thread.as_str()).await.map(|_| ());
                stopping.close(reached)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = reached {
            return grant.close(Err(own::missing(error, &thread)));
        }
    }
    if AWAITING.contains(&rest) {
        // Of a run that the thread does not have the server tells in a stream that it has begun by then.
        let at = format!("/threads/{thread}/runs/{id}");
        let there = look(request, &grant, at).await.and_then(|run| match run.status {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(Error::new(codes::RUN_NOT_FOUND)),
            _ => Err(unusable("the upstream does not say whether it has the run")),
        });
        if let Err(error) = there {
            return grant.close(Err(error));
        }
    }
    let time = (rest == "/stream").then_some(JOINED);
    pass_for(request, grant, (method, format!("/threads/{thread}/runs/{id}{rest}"), None), time).await
}

async fn reading(
    request: &Request,
    rest: &str,
    uuids: &'static [&'static str],
    words: &'static str,
) -> Result<Answer> {
    let thread = ids::thread_in_path(request)?;
    let asked = Asked { uuids, ..own::named(&thread) };
    of_run::<run::Read>(request, Method::GET, rest, asked, words).await
}

/// `GET /threads/{thread}/runs/{run}`
pub(crate) async fn get(request: Request) -> Result<Answer> {
    reading(&request, "", &["thread_id"], THREAD_WORDS).await
}

/// `GET /threads/{thread}/runs/{run}/join`
pub(crate) async fn join(request: Request) -> Result<Answer> {
    reading(&request, "/join", AS_TEXT, "Thread not found").await
}

/// `GET /threads/{thread}/runs/{run}/stream`
pub(crate) async fn join_stream(request: Request) -> Result<Answer> {
    reading(&request, "/stream", &["thread_id"], "Run not found").await
}

/// `DELETE /threads/{thread}/runs/{run}`
pub(crate) async fn delete(request: Request) -> Result<Answer> {
    let (thread, id) = (ids::thread_in_path(&request)?, ids::run_in_path(&request)?);
    let value = json!({ "run_id": id, "thread_id": thread });
    let asked = Asked { value: own::object(value), uuids: &["run_id", "thread_id"] };
    of_run::<run::Delete>(&request, Method::DELETE, "", asked, "Not Found").await
}

/// `POST /threads/{thread}/runs/{run}/cancel`
pub(crate) async fn cancel(request: Request) -> Result<Answer> {
    let (thread, id) = (ids::thread_in_path(&request)?, ids::run_in_path(&request)?);
    let asked = Cancelling::read(&request)?.asked(&thread, std::slice::from_ref(&id));
    of_run::<run::Cancel>(&request, Method::POST, "/cancel", asked, "No runs found to cancel.").await
}

/// `POST /runs/cancel`, for runs that are named: those of everybody are not.
pub(crate) async fn cancel_named(mut request: Request) -> Result<Answer> {
    request.may::<run::Cancel>()?;
    let body = Body::read(&mut request).await?;
    if body.member("status").is_some_and(|status| !status.is_null()) {
        return Err(bad("status", "would stop everybody's runs; name them by `thread_id` and `run_ids`"));
    }
    let (Some(thread), Some(named)) = (body.text("thread_id")?, body.texts("run_ids")?) else {
        return Err(Error::new(codes::BAD_FIELD).message("`thread_id` and `run_ids` are required"));
    };
    let thread = ids::thread(thread)?;
    let named = named.into_iter().map(ids::run).collect::<Result<Vec<_>>>()?;
    let asked = Cancelling::read(&request)?.asked(&thread, &named);
    let grant =
        request.permit_asking::<run::Cancel>(Target::named(thread.as_str()), asked).await?.into_grant();
    if let Err(error) = reached(&request, &grant, &THREAD, thread.as_str()).await {
        let words = "No runs found to cancel.";
        let error = if error.is(codes::NOT_FOUND) { error.message(words) } else { error };
        return grant.close(Err(error));
    }
    let body = json!({ "thread_id": thread, "run_ids": named });
    pass(&request, grant, Method::POST, "/runs/cancel".to_owned(), Some(body)).await
}

/// `GET /threads/{thread}/runs`
pub(crate) async fn list(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let reading = request.permit_asking::<thread::Read>(Target::named(id.as_str()), own::named(&id)).await?;
    let seen = reached(&request, &reading, &THREAD, id.as_str()).await.map(|_| ());
    reading.close(seen.map_err(|error| own::missing(error, &id)))?;
    let value = json!({ "thread_id": id, "metadata": {} });
    let asked = Asked { value: own::object(value), uuids: &["thread_id"] };
    let grant = request.permit_asking::<thread::List>(Target::any(), asked).await?.into_grant();
    pass(&request, grant, Method::GET, format!("/threads/{id}/runs"), None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graphs_assistant_is_named_by_either() {
        let by_name = assistant_id("agent");
        assert_eq!(by_name, "fe096781-5601-53d2-b2f6-0d3403f7e9ca");
        assert_eq!(assistant_id(&by_name.to_uppercase()), by_name);
    }
}
