//! Threads of the server.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::thread;
use doorward_core::authz::custom::Asked;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::ThreadId;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::body::{Body, bad};
use super::super::{ids, threads as own};
use super::{STAMP, THREAD, exchange, pass, reached, reaches, shown, shown_whole, stamped, told};
use crate::gateway::unusable;
use crate::http::respond::Answer;
use crate::request::Request;

/// `POST /threads`
pub(crate) async fn create(mut request: Request) -> Result<Answer> {
    request.may::<thread::Create>()?;
    let mut body = Body::read(&mut request).await?;
    let id = match body.text("thread_id")? {
        Some(text) => ids::thread(text)?.to_string(),
        None => ids::fresh(&request.engine).to_string(),
    };
    let keep = body.word("if_exists", &[("raise", false), ("do_nothing", true)])?.unwrap_or(false);
    let metadata = body.object("metadata")?.cloned().unwrap_or_default();
    let if_exists = if keep { "do_nothing" } else { "raise" };
    let value = json!({ "thread_id": id, "metadata": metadata, "if_exists": if_exists });
    let asked = Asked { value: own::object(value), uuids: &["thread_id"] };
    let grant = request.permit_asking::<thread::Create>(Target::named(&id), asked).await?.into_grant();
    let metadata = stamped(&grant, own::amended_metadata(&grant));
    body.0.insert("thread_id".to_owned(), id.as_str().into());
    body.0.insert("metadata".to_owned(), Value::Object(metadata));
    let came = async {
        let made =
            exchange(&request, &grant, Method::POST, "/threads".to_owned(), Some(&Value::Object(body.0)))
                .await?;
        // With `do_nothing` the server shows whatever is there, whoever it belongs to: that is for whoever may read it.
        if made.status == StatusCode::OK && keep {
            let taken = || Error::new(codes::CONFLICT).message(format!("Thread with ID {id} already exists"));
            let asked = own::named(&ThreadId::from(id.as_str()));
            let reading = request.permit_asking::<thread::Read>(Target::named(&id), asked).await?;
            let seen = reaches(&reading, &THREAD, &made.json()?);
            reading.close(seen.and_then(|seen| if seen { Ok(()) } else { Err(taken()) }))?;
        }
        Ok(made.into_answer())
    };
    let came = came.await;
    told(grant, came).await
}

/// `GET /threads/{thread}`
pub(crate) async fn get(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let grant = request
        .permit_asking::<thread::Read>(Target::named(id.as_str()), own::named(&id))
        .await?
        .into_grant();
    let reached = match shown_whole(&request, &grant, &THREAD, id.as_str()).await {
        Ok(Some(answer)) => return told(grant, Ok(answer)).await,
        Ok(None) => reached(&request, &grant, &THREAD, id.as_str()).await.map(drop),
        Err(error) => Err(error),
    };
    match reached {
        Ok(()) => pass(&request, grant, Method::GET, format!("/threads/{id}"), None).await,
        Err(error) => grant.close(Err(own::missing(error, &id))),
    }
}

/// `PATCH /threads/{thread}`
pub(crate) async fn update(mut request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    request.may::<thread::Update>()?;
    let mut body = Body::read(&mut request).await?;
    let metadata = body.object("metadata")?.cloned().unwrap_or_default();
    let value = json!({ "thread_id": id, "metadata": metadata });
    let asked = Asked { value: own::object(value), uuids: &["thread_id"] };
    let grant =
        request.permit_asking::<thread::Update>(Target::named(id.as_str()), asked).await?.into_grant();
    let mut metadata = own::amended_metadata(&grant);
    // Whose a thread is does not change by changing it.
    metadata.remove(STAMP);
    body.0.insert("metadata".to_owned(), Value::Object(metadata));
    if let Err(error) = reached(&request, &grant, &THREAD, id.as_str()).await {
        let error = if error.is(codes::NOT_FOUND) { error.message("Not Found") } else { error };
        return grant.close(Err(error));
    }
    pass(&request, grant, Method::PATCH, format!("/threads/{id}"), Some(Value::Object(body.0))).await
}

/// `DELETE /threads/{thread}`
pub(crate) async fn delete(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let grant = request
        .permit_asking::<thread::Delete>(Target::named(id.as_str()), own::named(&id))
        .await?
        .into_grant();
    if let Err(error) = reached(&request, &grant, &THREAD, id.as_str()).await {
        return grant.close(Err(own::missing(error, &id)));
    }
    pass(&request, grant, Method::DELETE, format!("/threads/{id}"), None).await
}

/// `POST /threads/{thread}/copy`
pub(crate) async fn copy(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    let conflict = |error: Error| match error.is(codes::NOT_FOUND) {
        true => Error::new(codes::CONFLICT).message("Conflict"),
        false => error,
    };
    let reading = request.permit_asking::<thread::Read>(Target::named(id.as_str()), own::named(&id)).await?;
    let original = reached(&request, &reading, &THREAD, id.as_str()).await.map_err(conflict);
    let original = reading.close(original)?;
    let of_original = original.get("metadata").cloned().unwrap_or_else(|| json!({}));
    let value = json!({ "thread_id": ids::fresh(&request.engine).to_string(), "metadata": of_original });
    let asked = Asked { value: own::object(value), uuids: &["thread_id"] };
    let grant = request.permit_asking::<thread::Create>(Target::any(), asked).await?.into_grant();
    let came = async {
        let made = exchange(&request, &grant, Method::POST, format!("/threads/{id}/copy"), None).await?;
        if made.status != StatusCode::OK {
            return Ok(made.into_answer());
        }
        let mut copy = made.json()?;
        let to = copy.get("thread_id").and_then(Value::as_str).map(str::to_owned);
        let to = to.ok_or_else(|| unusable("a copy has no id"))?;
        ids::thread(&to).map_err(|_| unusable("a copy has no id"))?;
        // The server copies the metadata too, and with it whose it is.
        let metadata = Value::Object(stamped(&grant, own::amended_metadata(&grant)));
        let path = format!("/threads/{to}");
        let change = json!({ "metadata": metadata });
        let changed = exchange(&request, &grant, Method::PATCH, path.clone(), Some(&change)).await;
        if !changed.as_ref().is_ok_and(|changed| changed.status.is_success()) {
            // A copy that looks like somebody else's is nobody's wish.
            exchange(&request, &grant, Method::DELETE, path, None).await?;
            return Err(changed.err().unwrap_or_else(|| unusable("a copy could not be given to its owner")));
        }
        copy["metadata"] = metadata;
        Ok(shown(&copy))
    };
    let came = came.await;
    told(grant, came).await
}

/// `POST /threads/prune`
pub(crate) async fn prune(mut request: Request) -> Result<Answer> {
    request.may::<thread::Delete>()?;
    let mut body = Body::read(&mut request).await?;
    let Some(named) = body.texts("thread_ids")? else {
        return Err(Error::new(codes::BAD_FIELD).message("\"thread_ids\" is a required property"));
    };
    if named.len() > own::MAX_PRUNED {
        return Err(bad("thread_ids", "holds at most 100"));
    }
    let mut pruned = named.into_iter().map(ids::thread).collect::<Result<Vec<_>>>()?;
    pruned.sort();
    pruned.dedup();
    let value = json!({ "thread_ids": pruned });
    let asked = Asked { value: own::object(value), uuids: &["thread_ids"] };
    let grant = request.permit_asking::<thread::Delete>(Target::any(), asked).await?.into_grant();
    for id in &pruned {
        let each = request.permit_asking::<thread::Delete>(Target::named(id.as_str()), own::named(id)).await;
        let reached = match each {
            Ok(each) => {
                let reached = reached(&request, &each, &THREAD, id.as_str()).await.map(|_| ());
                each.close(reached)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = reached {
            let words = "At least one thread not found or not authorized";
            let error = if error.is(codes::NOT_FOUND) { error.message(words) } else { error };
            return grant.close(Err(error));
        }
    }
    body.0.insert("thread_ids".to_owned(), json!(pruned));
    pass(&request, grant, Method::POST, "/threads/prune".to_owned(), Some(Value::Object(body.0))).await
}
