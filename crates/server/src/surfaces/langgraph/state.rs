//! A thread's state, its past, and changing it from outside.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::thread;
use doorward_core::error::{Error, Result, codes};
use http::StatusCode;
use serde_json::{Value, json};

use super::body::{Body, bad};
use super::budget::Budget;
use super::checkpoints::{self, Node};
use super::{ids, messages, threads};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Most of the past that is told at once.
const MAX_HISTORY: u32 = 1000;

fn node(request: &Request) -> Node<'_> {
    let graphs = &request.site.graphs;
    Node { name: &graphs.node, graph: graphs.names.first().map_or("agent", String::as_str) }
}

/// The state at a checkpoint, or now.
async fn at(request: &Request, checkpoint: Option<&str>) -> Result<Answer> {
    let id = ids::thread_in_path(request)?;
    let standing = threads::standing(request, &id).await?;
    let all = request.engine.threads().shown_messages(&standing.thread).await?;
    let found = checkpoints::of(&all, standing.newest.as_ref());
    let wanted = match checkpoint {
        Some(checkpoint) => found.iter().find(|one| one.id == checkpoint),
        None => found.last(),
    };
    let state = match wanted {
        Some(wanted) => wanted.view(&standing.thread, &all, node(request)),
        None => checkpoints::empty(&standing.thread, checkpoint),
    };
    Ok(json_answer(StatusCode::OK, &state))
}

/// `GET /threads/{thread}/state`
pub(super) async fn get(request: Request) -> Result<Answer> {
    at(&request, None).await
}

/// `GET /threads/{thread}/state/{checkpoint}`
pub(super) async fn get_at(request: Request) -> Result<Answer> {
    at(&request, Some(request.param("checkpoint")?)).await
}

/// `POST /threads/{thread}/state/checkpoint`
pub(super) async fn post_at(mut request: Request) -> Result<Answer> {
    request.may::<thread::Read>()?;
    let body = Body::read(&mut request).await?;
    let Some(checkpoint) = body.object("checkpoint")? else {
        return Err(Error::new(codes::BAD_FIELD).message("\"checkpoint\" is a required property"));
    };
    match checkpoint.get("checkpoint_id") {
        None | Some(Value::Null) => at(&request, None).await,
        Some(Value::String(id)) if id.len() <= 128 => at(&request, Some(id)).await,
        Some(_) => Err(bad("checkpoint.checkpoint_id", "is a text of at most 128 bytes")),
    }
}

/// `POST /threads/{thread}/state`
pub(super) async fn update(mut request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    request.may::<thread::Update>()?;
    let body = Body::read(&mut request).await?;
    body.cannot(&["checkpoint", "checkpoint_id"])?;
    body.text("as_node")?;
    let mut values = body.maybe_object("values")?.cloned().unwrap_or_default();
    let said = messages::read(values.remove("messages").as_ref())?;
    let permit =
        request.permit_asking::<thread::Update>(Target::named(id.as_str()), threads::named(&id)).await?;
    let changed = request.engine.threads().update_state(permit, &id, said, values).await;
    let thread = changed.map_err(|error| threads::missing(error, &id))?;
    let all = request.engine.threads().shown_messages(&thread).await?;
    let now = checkpoints::of(&all, None).pop();
    let checkpoint = now.map_or(Value::Null, |now| checkpoints::reference(&thread, &now.id));
    let told = json!({
        "checkpoint": checkpoint,
        "configurable": checkpoint,
        "checkpoint_id": checkpoint.get("checkpoint_id"),
    });
    Ok(json_answer(StatusCode::OK, &told))
}

/// What part of the past is asked for.
struct Part {
    limit: u32,
    before: Option<String>,
}

async fn history(request: &Request, part: Part) -> Result<Answer> {
    let id = ids::thread_in_path(request)?;
    let standing = threads::standing(request, &id).await?;
    let all = request.engine.threads().shown_messages(&standing.thread).await?;
    let found = checkpoints::of(&all, standing.newest.as_ref());
    let end = match &part.before {
        None => found.len(),
        // What is before a moment that never was is nothing.
        Some(before) => found.iter().position(|one| one.id == *before).unwrap_or(0),
    };
    // Each state holds all messages before it: what does not fit is told to whoever asks for what was `before`.
    let (mut told, mut budget): (Vec<Value>, _) = (Vec::new(), Budget::new());
    for one in found[..end].iter().rev().take(part.limit as usize) {
        let state = one.view(&standing.thread, &all, node(request));
        if !budget.takes(&state, told.is_empty()) {
            break;
        }
        told.push(state);
    }
    Ok(json_answer(StatusCode::OK, &told))
}

/// `GET /threads/{thread}/history`
pub(super) async fn get_history(request: Request) -> Result<Answer> {
    let query = request.query()?;
    let limit = query.number("limit")?.unwrap_or(1);
    if limit > MAX_HISTORY {
        return Err(bad("limit", "is at most 1000"));
    }
    let before = query.text("before").filter(|text| !text.is_empty()).map(str::to_owned);
    history(&request, Part { limit, before }).await
}

/// `POST /threads/{thread}/history`
pub(super) async fn post_history(mut request: Request) -> Result<Answer> {
    request.may::<thread::Read>()?;
    let body = Body::read(&mut request).await?;
    body.cannot(&["metadata", "checkpoint"])?;
    let limit = body.whole("limit", 1, MAX_HISTORY)?.unwrap_or(1);
    let before = match body.member("before") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Object(given)) => {
            // A whole configuration, or what its `configurable` holds.
            let inner = given.get("configurable").and_then(Value::as_object).unwrap_or(given);
            match inner.get("checkpoint_id").and_then(Value::as_str) {
                Some(id) => Some(id.to_owned()),
                None => return Err(bad("before", "names no checkpoint_id")),
            }
        }
        Some(_) => return Err(bad("before", "is a checkpoint or its id")),
    };
    history(&request, Part { limit, before }).await
}
