//! The document's routes in front of a server that lacks them: each is made of routes the server has.

use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, graph, message, thread};
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::Method;
use serde_json::{Map, Value, json};

use super::envelope::topmost;
use super::subject::THREAD;
use super::threads::object;
use crate::gateway::{
    Buffered, Claim, JsonBody, claimed, fresh_id, listing, named, own_request, owned, send, unusable,
};
use crate::http::respond::Answer;
use crate::request::Request;

/// What the upstream said: what was asked for, or its own refusal to be passed on.
enum Heard {
    Data(Value),
    Refused(Answer),
}

async fn heard(buffered: Buffered) -> Result<Heard> {
    if !buffered.status.is_success() {
        return Ok(Heard::Refused(buffered.into_answer()));
    }
    match buffered.json()? {
        Value::Object(mut members) => match members.remove("data") {
            Some(data @ (Value::Object(_) | Value::Null)) => Ok(Heard::Data(data)),
            Some(_) => Err(unusable("the envelope's data is of another shape")),
            None => Err(unusable("the envelope has no data")),
        },
        _ => Err(unusable("the answer is no envelope")),
    }
}

/// What stands at a place of an answer, or null: an upstream may answer anything.
fn taken(value: &mut Value, place: &[&str]) -> Value {
    place.iter().try_fold(value, |value, name| value.get_mut(*name)).map(Value::take).unwrap_or_default()
}

/// One exchange with the server on behalf of the caller.
async fn exchange(
    request: &Request,
    grant: &Grant,
    claim: &Claim,
    method: Method,
    path: String,
    body: Option<&Value>,
) -> Result<Heard> {
    let outbound = own_request(request, grant, method, path, body.map(|body| body.to_string().into_bytes()));
    let arrival = send(request, grant, Some(claim), outbound).await?;
    heard(arrival.read().await?).await
}

/// Closes the grant with what came of it, in the document's form.
async fn told(
    request: &Request,
    grant: Grant,
    came: Result<Heard>,
    show: impl FnOnce(Value) -> Value,
) -> Result<Answer> {
    match came {
        Ok(Heard::Data(data)) => {
            let members = object(show(data));
            grant.finish(Outcome::Done, None).await;
            Ok(topmost(request, members))
        }
        Ok(Heard::Refused(answer)) => {
            grant.finish(Outcome::Failed, Some(format!("upstream answered {}", answer.status()))).await;
            Ok(answer)
        }
        Err(error) => grant.close(Err(error)),
    }
}

/// The grant and the claim of a request that names a thread in its path.
async fn admitted<A: Action>(request: &Request) -> Result<(Grant, Claim)> {
    let id = request.param("id")?.to_owned();
    let grant = request.permit::<A>(Target::named(&id))?.into_grant();
    match owned(&request.engine, &grant, THREAD.kind, id).await {
        Ok(claim) => Ok((grant, claim)),
        Err(error) => grant.close(Err(error)),
    }
}

/// The path of a thread upstream. An id that came in a path is a path segment already, spelled as it came.
fn upstream_path(request: &Request, rest: &str) -> String {
    let segment = request.path.segments().nth(1).unwrap_or_default();
    format!("/v1/threads/{segment}{rest}")
}

/// `POST /threads`: an id is made and claimed; the server learns of it when the thread is first used.
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, _) = request.permit_with_json::<thread::Create, Map<String, Value>>(Target::any()).await?;
    let mut grant = permit.into_grant();
    let id = fresh_id(&engine);
    grant.name_resource(&id);
    match claimed(&engine, &grant, THREAD.kind, id).await {
        Ok(claim) => {
            grant.finish(Outcome::Done, None).await;
            Ok(topmost(&request, object(json!({ "thread_id": claim.id }))))
        }
        Err(error) => grant.close(Err(error)),
    }
}

/// `GET /threads`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let grant = request.permit::<thread::List>(Target::any())?.into_grant();
    let mut outbound = own_request(&request, &grant, Method::GET, "/v1/threads".to_owned(), None);
    outbound.query.clone_from(&request.query);
    let came = async {
        let arrival = send(&request, &grant, None, outbound).await?;
        let buffered = arrival.read().await?;
        if !buffered.status.is_success() {
            return Ok(Heard::Refused(buffered.into_answer()));
        }
        let mut tree = listing::filtered(&request, &THREAD, &grant, &buffered).await?;
        Ok(Heard::Data(taken(&mut tree, &["data"])))
    };
    let came = came.await;
    told(&request, grant, came, |data| data).await
}

/// `GET /threads/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (grant, claim) = admitted::<thread::Read>(&request).await?;
    let path = upstream_path(&request, "");
    let came = exchange(&request, &grant, &claim, Method::GET, path, None).await;
    let id = claim.id.clone();
    told(&request, grant, came, |mut data| {
        // A thread that was made here and never used is `null` there.
        let mut thread = object(taken(&mut data, &["thread_data", "thread"]));
        thread.insert("thread_id".to_owned(), Value::from(id));
        Value::Object(thread)
    })
    .await
}

/// `DELETE /threads/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (grant, claim) = admitted::<thread::Delete>(&request).await?;
    let (path, body) = (upstream_path(&request, ""), json!({ "config": {} }));
    let mut came = exchange(&request, &grant, &claim, Method::DELETE, path, Some(&body)).await;
    if let Ok(Heard::Data(_)) = &came
        && let Err(error) = claim.bury(&request.engine, &grant).await
    {
        came = Err(error);
    }
    told(&request, grant, came, |_| json!({ "thread_id": claim.id, "deleted": true })).await
}

/// `GET /threads/{id}/messages`
pub(super) async fn messages(request: Request) -> Result<Answer> {
    let (grant, claim) = admitted::<message::Read>(&request).await?;
    let path = upstream_path(&request, "/messages");
    let came = exchange(&request, &grant, &claim, Method::GET, path, None).await;
    told(
        &request,
        grant,
        came,
        |mut data| json!({ "thread_id": claim.id, "messages": taken(&mut data, &["messages"]) }),
    )
    .await
}

/// `POST /threads/{id}/messages`: a run of the graph in that thread.
pub(super) async fn say(mut request: Request) -> Result<Answer> {
    let id = request.param("id")?.to_owned();
    let grant = request.permit::<graph::Invoke>(Target::named(&id))?.into_grant();
    let read = async {
        let body = JsonBody::read(&mut request, &THREAD).await?;
        named(&request, &THREAD, &body)?;
        run_of(&body, &id)
    };
    let prepared = match read.await {
        Ok(run) => owned(&request.engine, &grant, THREAD.kind, id).await.map(|claim| (run, claim)),
        Err(error) => Err(error),
    };
    let (run, claim) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return grant.close(Err(error)),
    };
    let came =
        exchange(&request, &grant, &claim, Method::POST, "/v1/graph/invoke".to_owned(), Some(&run)).await;
    told(&request, grant, came, |mut data| {
        let messages = taken(&mut data, &["messages"]);
        let content =
            messages.as_array().and_then(|all| all.last()).and_then(|last| last.get("content")).cloned();
        json!({ "thread_id": claim.id, "content": content, "messages": messages })
    })
    .await
}

/// What the server runs when the document says `{"content": ...}`.
fn run_of(body: &JsonBody, id: &str) -> Result<Value> {
    let blocks = match body.member("content") {
        Some(Value::String(text)) if !text.is_empty() => json!([{ "type": "text", "text": text }]),
        Some(Value::Array(blocks)) if !blocks.is_empty() => Value::Array(blocks.clone()),
        _ => return Err(Error::new(codes::BAD_FIELD).message("`content` is a text or a list of blocks.")),
    };
    let role = body.member("role").cloned().unwrap_or_else(|| "user".into());
    if !role.is_string() {
        return Err(Error::new(codes::BAD_FIELD).message("`role` is a text."));
    }
    Ok(json!({ "messages": [{ "role": role, "content": blocks }], "config": { "thread_id": id } }))
}
