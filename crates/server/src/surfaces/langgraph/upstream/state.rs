//! What is read of a thread of the server, and its state that is changed from outside.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, thread};
use doorward_core::error::Result;
use doorward_core::id::ThreadId;
use http::Method;
use serde_json::Value;

use super::super::body::Body;
use super::super::{ids, threads as own};
use super::{THREAD, pass, reached};
use crate::gateway::segment;
use crate::http::respond::Answer;
use crate::request::Request;

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
    pass(request, grant, method, format!("/threads/{id}{rest}"), body).await
}

/// The body of a request about a thread, which names that thread wherever it names one.
async fn body_of(request: &mut Request) -> Result<Value> {
    let id = ids::thread_in_path(request)?;
    let mut body = Body::read(request).await?;
    own_thread(&mut body, &id);
    Ok(Value::Object(body.0))
}

/// Puts the thread of the path in the place of any other that a checkpoint names.
pub(super) fn own_thread(body: &mut Body, id: &ThreadId) {
    for name in ["checkpoint", "before", "config"] {
        let Some(Value::Object(given)) = body.0.get_mut(name) else { continue };
        if given.contains_key("thread_id") {
            given.insert("thread_id".to_owned(), id.as_str().into());
        }
        if let Some(Value::Object(configurable)) = given.get_mut("configurable")
            && configurable.contains_key("thread_id")
        {
            configurable.insert("thread_id".to_owned(), id.as_str().into());
        }
    }
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
    within::<thread::Read>(&request, Method::GET, "/stream", None).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_names_the_thread_of_its_path() {
        let given = json!({
            "checkpoint": {"thread_id": "theirs", "checkpoint_id": "c"},
            "before": {"configurable": {"thread_id": "theirs", "checkpoint_id": "c"}},
            "values": {"thread_id": "a word of the graph's"},
        });
        let mut body = Body(own::object(given));
        own_thread(&mut body, &ThreadId::from("mine"));
        assert_eq!(
            Value::Object(body.0),
            json!({
                "checkpoint": {"thread_id": "mine", "checkpoint_id": "c"},
                "before": {"configurable": {"thread_id": "mine", "checkpoint_id": "c"}},
                "values": {"thread_id": "a word of the graph's"},
            })
        );
    }
}
