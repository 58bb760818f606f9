//! Assistants of the server: everybody's own, beside those that each graph has by itself.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, assistant};
use doorward_core::authz::custom::Asked;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::body::Body;
use super::super::{ids, threads as own};
use super::{ASSISTANT, STAMP, exchange, pass, reached, reaches, scrub, stamped, told};
use crate::gateway::look;
use crate::http::respond::Answer;
use crate::request::Request;

fn missing(error: Error) -> Error {
    if error.is(codes::NOT_FOUND) { error.message("Not Found") } else { error }
}

fn named(id: &str) -> Map<String, Value> {
    own::object(json!({ "assistant_id": id }))
}

/// Leave for `A` on the assistant of the path, which it reaches.
async fn admitted<A: Action>(request: &Request, id: &str, value: Map<String, Value>) -> Result<Grant> {
    let asked = Asked { value, uuids: &["assistant_id"] };
    let grant = request.permit_asking::<A>(Target::named(id), asked).await?.into_grant();
    match reached(request, &grant, &ASSISTANT, id).await {
        Ok(_) => Ok(grant),
        Err(error) => grant.close(Err(missing(error))),
    }
}

async fn reading(request: &Request, method: Method, rest: &str, body: Option<Value>) -> Result<Answer> {
    let id = match request.param("assistant")? {
        // The one route where a graph's name will do.
        name if rest == "/graph" && ids::parse(name).is_none() => ids::assistant_of(name).to_string(),
        _ => ids::assistant_in_path(request)?.to_string(),
    };
    let grant = admitted::<assistant::Read>(request, &id, named(&id)).await?;
    pass(request, grant, method, format!("/assistants/{id}{rest}"), body).await
}

/// `GET /assistants/{assistant}`
pub(crate) async fn get(request: Request) -> Result<Answer> {
    reading(&request, Method::GET, "", None).await
}

/// `GET /assistants/{assistant}/graph`
pub(crate) async fn graph(request: Request) -> Result<Answer> {
    reading(&request, Method::GET, "/graph", None).await
}

/// `GET /assistants/{assistant}/schemas`
pub(crate) async fn schemas(request: Request) -> Result<Answer> {
    reading(&request, Method::GET, "/schemas", None).await
}

/// `GET /assistants/{assistant}/subgraphs`
pub(crate) async fn subgraphs(request: Request) -> Result<Answer> {
    reading(&request, Method::GET, "/subgraphs", None).await
}

/// `POST /assistants/{assistant}/versions`
pub(crate) async fn versions(mut request: Request) -> Result<Answer> {
    request.may::<assistant::Read>()?;
    let body = Body::read(&mut request).await?;
    reading(&request, Method::POST, "/versions", Some(Value::Object(body.0))).await
}

/// What handlers are shown of an assistant that is made or changed.
fn shown(body: &Body, id: &str) -> Result<Map<String, Value>> {
    let mut value = named(id);
    for name in ["graph_id", "config", "context", "name"] {
        value.insert(name.to_owned(), body.member(name).cloned().unwrap_or_default());
    }
    let metadata = body.maybe_object("metadata")?.cloned().unwrap_or_default();
    value.insert("metadata".to_owned(), Value::Object(metadata));
    Ok(value)
}

/// What nobody says of an assistant: the server calls its own by that word.
fn own_words(mut metadata: Map<String, Value>) -> Map<String, Value> {
    metadata.remove("created_by");
    metadata
}

/// `POST /assistants`
pub(crate) async fn create(mut request: Request) -> Result<Answer> {
    request.may::<assistant::Create>()?;
    let mut body = Body::read(&mut request).await?;
    let id = match body.text("assistant_id")? {
        Some(text) => ids::parse(text).ok_or_else(|| super::super::body::bad("assistant_id", "is a UUID"))?,
        None => ids::fresh(&request.engine),
    };
    let reserved = request.site.graphs_own.reserves(id);
    let id = id.to_string();
    let keep = body.word("if_exists", &[("raise", false), ("do_nothing", true)])?.unwrap_or(false);
    scrub::configuration(&mut body.0);
    let asked = Asked { value: shown(&body, &id)?, uuids: &["assistant_id"] };
    let grant = request.permit_asking::<assistant::Create>(Target::named(&id), asked).await?.into_grant();
    let metadata = stamped(&grant, own_words(own::amended_metadata(&grant)));
    body.0.insert("assistant_id".to_owned(), id.as_str().into());
    body.0.insert("metadata".to_owned(), Value::Object(metadata));
    let came = async {
        let taken = || Error::new(codes::CONFLICT).message(format!("Assistant {id} already exists"));
        let made = match (reserved, keep) {
            // A graph's own is the server's to make: [`super::graphs_own`] relies on it.
            (true, false) => return Err(taken()),
            (true, true) => look(&request, &grant, format!("/assistants/{id}")).await?,
            (false, _) => {
                let body = Value::Object(body.0);
                exchange(&request, &grant, Method::POST, "/assistants".to_owned(), Some(&body)).await?
            }
        };
        // What was there already is for whoever may read it.
        if made.status == StatusCode::OK && keep {
            let asked = Asked { value: named(&id), uuids: &["assistant_id"] };
            let reading = request.permit_asking::<assistant::Read>(Target::named(&id), asked).await?;
            let seen = reaches(&reading, &ASSISTANT, &made.json()?);
            reading.close(seen.and_then(|seen| if seen { Ok(()) } else { Err(taken()) }))?;
        }
        Ok(made.into_answer())
    };
    let came = came.await;
    told(grant, came).await
}

/// `PATCH /assistants/{assistant}`
pub(crate) async fn update(mut request: Request) -> Result<Answer> {
    let id = ids::assistant_in_path(&request)?.to_string();
    request.may::<assistant::Update>()?;
    let mut body = Body::read(&mut request).await?;
    scrub::configuration(&mut body.0);
    let value = shown(&body, &id)?;
    let grant = admitted::<assistant::Update>(&request, &id, value).await?;
    let mut metadata = own_words(own::amended_metadata(&grant));
    metadata.remove(STAMP);
    body.0.insert("metadata".to_owned(), Value::Object(metadata));
    pass(&request, grant, Method::PATCH, format!("/assistants/{id}"), Some(Value::Object(body.0))).await
}

/// `POST /assistants/{assistant}/latest`
pub(crate) async fn latest(mut request: Request) -> Result<Answer> {
    let id = ids::assistant_in_path(&request)?.to_string();
    request.may::<assistant::Update>()?;
    let body = Body::read(&mut request).await?;
    let mut value = named(&id);
    value.insert("version".to_owned(), body.member("version").cloned().unwrap_or_default());
    let grant = admitted::<assistant::Update>(&request, &id, value).await?;
    pass(&request, grant, Method::POST, format!("/assistants/{id}/latest"), Some(Value::Object(body.0))).await
}

/// `DELETE /assistants/{assistant}`
pub(crate) async fn delete(request: Request) -> Result<Answer> {
    let id = ids::assistant_in_path(&request)?.to_string();
    if request.query()?.text("delete_threads").is_some_and(|given| given != "false") {
        return Err(super::super::body::bad("delete_threads", "would take other people's threads along"));
    }
    let grant = admitted::<assistant::Delete>(&request, &id, named(&id)).await?;
    pass(&request, grant, Method::DELETE, format!("/assistants/{id}"), None).await
}
