//! Threads of the embedded agent server.

use doorward_core::agents::search::Standing;
use doorward_core::agents::threads::{NewThread, ThreadChanges};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::thread;
use doorward_core::authz::custom::Asked;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::ThreadId;
use doorward_core::operation::Grant;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::{ids, search, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// What this server cannot do for a thread.
const BEYOND: &[&str] = &["ttl", "supersteps"];
/// Most threads that are pruned at once.
pub(super) const MAX_PRUNED: usize = 100;

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The metadata of what was asked for, as the mount's handlers left it.
pub(super) fn amended_metadata(grant: &Grant) -> Map<String, Value> {
    match grant.amended().get("metadata") {
        Some(Value::Object(members)) => members.clone(),
        _ => Map::new(),
    }
}

/// Names a thread to handlers that are asked about it.
pub(super) fn named(id: &ThreadId) -> Asked {
    Asked { value: object(json!({ "thread_id": id })), uuids: &["thread_id"] }
}

/// The platform's words for a thread that is not there, or not the caller's.
pub(super) fn missing(error: Error, id: &ThreadId) -> Error {
    if error.is(codes::NOT_FOUND) { error.message(format!("Thread with ID {id} not found")) } else { error }
}

/// `POST /threads`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    request.may::<thread::Create>()?;
    let body = Body::read(&mut request).await?;
    body.cannot(BEYOND)?;
    let id = match body.text("thread_id")? {
        Some(text) => ids::thread(text)?,
        None => ThreadId::from(ids::fresh(&request.engine).to_string()),
    };
    let keep = body.word("if_exists", &[("raise", false), ("do_nothing", true)])?.unwrap_or(false);
    let metadata = body.object("metadata")?.cloned().unwrap_or_default();
    let if_exists = if keep { "do_nothing" } else { "raise" };
    let value = json!({ "thread_id": id, "metadata": metadata, "if_exists": if_exists });
    let asked = Asked { value: object(value), uuids: &["thread_id"] };
    let permit = request.permit_asking::<thread::Create>(Target::any(), asked).await?;
    let new = NewThread { id: Some(id.clone()), name: None, metadata: amended_metadata(&permit) };
    let taken = || Error::new(codes::CONFLICT).message(format!("Thread with ID {id} already exists"));
    let standing = match request.engine.threads().create(permit, new).await {
        Ok(made) => request.engine.threads().stand(made).await?,
        // What is there already is shown to whoever may read it, not to whoever may make one.
        Err(error) if error.is(codes::CONFLICT) && keep => standing(&request, &id)
            .await
            .map_err(|error| if error.is(codes::NOT_FOUND) { taken() } else { error })?,
        Err(error) if error.is(codes::CONFLICT) => return Err(taken()),
        Err(error) => return Err(error),
    };
    shown(&request, &standing).await
}

async fn shown(request: &Request, standing: &Standing) -> Result<Answer> {
    let values = search::values(request, standing).await?;
    Ok(json_answer(StatusCode::OK, &views::thread(standing, values)))
}

/// `GET /threads/{thread}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let standing = standing(&request, &id).await?;
    shown(&request, &standing).await
}

/// A thread that the caller may read.
///
/// # Errors
/// `not_found` in the platform's words.
pub(super) async fn standing(request: &Request, id: &ThreadId) -> Result<Standing> {
    let permit = request.permit_asking::<thread::Read>(Target::named(id.as_str()), named(id)).await?;
    request.engine.threads().standing(permit, id).await.map_err(|error| missing(error, id))
}

/// `PATCH /threads/{thread}`
pub(super) async fn update(mut request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    request.may::<thread::Update>()?;
    let body = Body::read(&mut request).await?;
    body.cannot(BEYOND)?;
    let metadata = body.object("metadata")?.cloned().unwrap_or_default();
    let value = json!({ "thread_id": id, "metadata": metadata });
    let asked = Asked { value: object(value), uuids: &["thread_id"] };
    let permit = request.permit_asking::<thread::Update>(Target::named(id.as_str()), asked).await?;
    let changes = ThreadChanges { metadata: Some(amended_metadata(&permit)), ..ThreadChanges::default() };
    let changed = request.engine.threads().update(permit, &id, changes).await;
    let thread = changed.map_err(|error| match error.is(codes::NOT_FOUND) {
        true => error.message("Not Found"),
        false => error,
    })?;
    let standing = request.engine.threads().stand(thread).await?;
    shown(&request, &standing).await
}

/// `DELETE /threads/{thread}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let permit = request.permit_asking::<thread::Delete>(Target::named(id.as_str()), named(&id)).await?;
    request.engine.threads().delete(permit, &id).await.map_err(|error| missing(error, &id))?;
    Ok(no_content())
}

/// `POST /threads/{thread}/copy`
pub(super) async fn copy(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    // What is not there and what is not the caller's is a conflict here, in the platform's words.
    let conflict = |error: Error| match error.is(codes::NOT_FOUND) {
        true => Error::new(codes::CONFLICT).message("Conflict"),
        false => error,
    };
    let read = request.permit_asking::<thread::Read>(Target::named(id.as_str()), named(&id)).await?;
    let original = request.engine.threads().get(read, &id).await.map_err(conflict)?;
    let to = ThreadId::from(ids::fresh(&request.engine).to_string());
    // The copy is a new thread, so whatever handlers write into those they write into this.
    let value = json!({ "thread_id": to, "metadata": original.metadata });
    let asked = Asked { value: object(value), uuids: &["thread_id"] };
    let permit = request.permit_asking::<thread::Create>(Target::any(), asked).await?;
    let metadata = amended_metadata(&permit);
    let thread = request.engine.threads().copy(permit, &original, to, metadata).await?;
    let mut view = views::thread(&request.engine.threads().stand(thread).await?, Value::Null);
    view.remove("values");
    Ok(json_answer(StatusCode::OK, &view))
}

/// `POST /threads/prune`
pub(super) async fn prune(mut request: Request) -> Result<Answer> {
    request.may::<thread::Delete>()?;
    let body = Body::read(&mut request).await?;
    let Some(named_ids) = body.texts("thread_ids")? else {
        return Err(Error::new(codes::BAD_FIELD).message("\"thread_ids\" is a required property"));
    };
    if named_ids.len() > MAX_PRUNED {
        return Err(super::body::bad("thread_ids", "holds at most 100"));
    }
    body.word("strategy", &[("delete", ())])?;
    let mut pruned = named_ids.into_iter().map(ids::thread).collect::<Result<Vec<_>>>()?;
    pruned.sort();
    pruned.dedup();
    let all_or_none = |error: Error| match error.is(codes::NOT_FOUND) {
        true => error.message("At least one thread not found or not authorized"),
        false => error,
    };
    // It is known of all of them that they may go before the first of them goes.
    let asked = Asked { value: object(json!({ "thread_ids": pruned })), uuids: &["thread_ids"] };
    let permit = request.permit_asking::<thread::Delete>(Target::any(), asked).await?;
    let all = async {
        for id in &pruned {
            request.engine.threads().reaches(&permit, id).await?;
        }
        Ok(())
    };
    let all = all.await;
    permit.close(all.map_err(all_or_none))?;
    let count = pruned.len();
    for id in &pruned {
        let permit = request.permit_asking::<thread::Delete>(Target::named(id.as_str()), named(id)).await?;
        request.engine.threads().delete(permit, id).await.map_err(all_or_none)?;
    }
    Ok(json_answer(StatusCode::OK, &json!({ "pruned_count": count })))
}
