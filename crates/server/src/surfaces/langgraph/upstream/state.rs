//! What is read of a thread of the server, and its state that is changed from outside.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, thread};
use doorward_core::error::Result;
use http::Method;
use serde_json::Value;

use super::super::body::Body;
use super::super::runs::JOINED;
use super::super::{ids, threads as own};
use super::{THREAD, pass_for, reached, scrub};
use crate::gateway::segment;
use crate::http::respond::Answer;
use crate::request::Request;

/// The route that goes on as long as its listener.
const STREAM: &str = "/stream";

/// Passes a request about a thread on, once it is known that leave for `A` reaches it.
async fn within<A: Action>(
    request: &Request,
    method: Method,
    rest: &str,
    body: Option<Value>,
) -> Result<Answer> {
    let id = ids::thread_in_path(request)?;
    let grant = request.permit_asking::<A>(Target::named(id.as_str()), own::named(&id)).await?.into_grant();
    if let Err(error) = reached(request, &grant, &THREAD, id.as_str()).await {
        return grant.close(Err(own::missing(error, &id)));
    }
    // By the id in its one spelling: the server keeps checkpoints under the path as it came.
    let time = (rest == STREAM).then_some(JOINED);
    pass_for(request, grant, (method, format!("/threads/{id}{rest}"), body), time).await
}

/// The body of a request about a thread, which names that thread wherever it names one.
async fn body_of(request: &mut Request) -> Result<Value> {
    let id = ids::thread_in_path(request)?;
    let mut body = Body::read(request).await?;
    scrub::checkpoints(&mut body.0, &id);
    Ok(Value::Object(body.0))
}

/// `GET /threads/{thread}/state`
pub(crate) async fn get(request: Request) -> Result<Answer> {
    within::<thread::Read>(&request, Method::GET, "/state", None).await
}

/// `GET /threads/{thread}/state/{checkpoint}`
pub(crate) async fn get_at(request: Request) -> Result<Answer> {
    let rest = format!("/state/{}", segment(request.param("checkpoint")?));
    within::<thread::Read>(&request, Method::GET, &rest, None).await
}

/// `POST /threads/{thread}/state/checkpoint`
pub(crate) async fn post_at(mut request: Request) -> Result<Answer> {
    request.may::<thread::Read>()?;
    let body = body_of(&mut request).await?;
    within::<thread::Read>(&request, Method::POST, "/state/checkpoint", Some(body)).await
}

/// `POST /threads/{thread}/state`
pub(crate) async fn update(mut request: Request) -> Result<Answer> {
    request.may::<thread::Update>()?;
    let body = body_of(&mut request).await?;
    within::<thread::Update>(&request, Method::POST, "/state", Some(body)).await
}

/// `GET /threads/{thread}/history`
pub(crate) async fn get_history(request: Request) -> Result<Answer> {
    within::<thread::Read>(&request, Method::GET, "/history", None).await
}

/// `POST /threads/{thread}/history`
pub(crate) async fn post_history(mut request: Request) -> Result<Answer> {
    request.may::<thread::Read>()?;
    let body = body_of(&mut request).await?;
    within::<thread::Read>(&request, Method::POST, "/history", Some(body)).await
}

/// `GET /threads/{thread}/stream`
pub(crate) async fn stream(request: Request) -> Result<Answer> {
    within::<thread::Read>(&request, Method::GET, STREAM, None).await
}
