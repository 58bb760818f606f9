//! The assistant that each graph has by itself. It is nobody's: everybody who may run something may run it, and a condition of the
//! mount's handlers hides it from who looks for it, as on the real server.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::assistant;
use doorward_core::authz::custom::Asked;
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::{Body, bad};
use super::{ids, threads, views};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

fn metadata() -> Map<String, Value> {
    threads::object(json!({ "created_by": "system" }))
}

fn view(request: &Request, graph: &str) -> Value {
    let since = views::moment(request.site.since_ms);
    json!({
        "assistant_id": ids::assistant_of(graph).to_string(),
        "graph_id": graph,
        "config": {},
        "context": {},
        "metadata": metadata(),
        "name": graph,
        "description": null,
        "version": 1,
        "created_at": since,
        "updated_at": since,
    })
}

/// The graph that an assistant runs.
///
/// # Errors
/// In the platform's words: for what is no assistant's name, and for one that there is not.
pub(super) fn graph_of(request: &Request, named: &str) -> Result<String> {
    let graphs = &request.site.graphs.names;
    let is_meant = |graph: &&String| {
        *graph == named || ids::parse(named).is_some_and(|id| id == ids::assistant_of(graph))
    };
    match graphs.iter().find(is_meant) {
        Some(graph) => Ok(graph.clone()),
        None if ids::parse(named).is_some() => {
            Err(Error::new(codes::NOT_FOUND).message("Thread or assistant not found."))
        }
        None => Err(unknown_graph(request, named)),
    }
}

/// The platform's words for an assistant that is neither an id nor a graph's name.
pub(super) fn unknown_graph(request: &Request, named: &str) -> Error {
    let shown: String = named.chars().take(64).collect();
    Error::new(codes::BAD_FIELD).message(format!(
        "Invalid assistant: '{shown}'. Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: {}",
        request.site.graphs.names.join(", ")
    ))
}

/// Whether leave to look at assistants reaches those that are nobody's.
fn shows(grant: &Grant) -> bool {
    *grant.filter() != Filter::Nothing && grant.matches(&metadata())
}

/// One assistant's graph, for whoever may see it.
async fn visible(request: &Request, id: Uuid) -> Result<String> {
    let text = id.to_string();
    let asked = Asked { value: threads::object(json!({ "assistant_id": text })), uuids: &["assistant_id"] };
    let permit = request.permit_asking::<assistant::Read>(Target::named(&text), asked).await?;
    let found = request.site.graphs.names.iter().find(|graph| ids::assistant_of(graph) == id);
    let found = found.filter(|_| shows(&permit)).cloned();
    permit.close(found.ok_or_else(|| Error::new(codes::NOT_FOUND).message("Not Found")))
}

/// `GET /assistants/{assistant}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let graph = visible(&request, ids::assistant_in_path(&request)?).await?;
    Ok(json_answer(StatusCode::OK, &view(&request, &graph)))
}

/// `GET /assistants/{assistant}/schemas`
pub(super) async fn schemas(request: Request) -> Result<Answer> {
    let graph = visible(&request, ids::assistant_in_path(&request)?).await?;
    let state = json!({
        "type": "object",
        "properties": { "messages": { "type": "array", "items": {} } },
        "required": ["messages"],
    });
    let told = json!({
        "graph_id": graph,
        "input_schema": state,
        "output_schema": state,
        "state_schema": state,
        "config_schema": { "type": "object", "properties": {} },
        "context_schema": { "type": "object", "properties": {} },
    });
    Ok(json_answer(StatusCode::OK, &told))
}

/// `GET /assistants/{assistant}/graph`, the one route where its name will do.
pub(super) async fn graph(request: Request) -> Result<Answer> {
    let named = request.param("assistant")?;
    let id = match request.site.graphs.names.iter().find(|graph| *graph == named) {
        Some(graph) => ids::assistant_of(graph),
        None => ids::assistant_in_path(&request)?,
    };
    visible(&request, id).await?;
    let node = &request.site.graphs.node;
    let told = json!({
        "nodes": [
            { "id": "__start__", "type": "runnable", "data": { "name": "__start__" } },
            { "id": node, "type": "runnable", "data": { "name": node } },
            { "id": "__end__", "type": "runnable", "data": { "name": "__end__" } },
        ],
        "edges": [{ "source": "__start__", "target": node }, { "source": node, "target": "__end__" }],
    });
    Ok(json_answer(StatusCode::OK, &told))
}

async fn found(request: &mut Request, counting: bool) -> Result<Vec<Value>> {
    request.may::<assistant::List>()?;
    let body = Body::read(request).await?;
    body.cannot(&["select"])?;
    let graph_id = body.text("graph_id")?.map(str::to_owned);
    let wanted = body.object("metadata")?.cloned().unwrap_or_default();
    let limit = if counting { 1000 } else { body.whole("limit", 1, 1000)?.unwrap_or(10) };
    let offset = body.whole("offset", 0, 10_000)?.unwrap_or(0);
    let value = json!({
        "graph_id": graph_id,
        "metadata": wanted,
        "limit": if counting { 0 } else { limit },
        "offset": offset,
    });
    let asked = Asked { value: threads::object(value), uuids: &[] };
    let permit = request.permit_asking::<assistant::List>(Target::any(), asked).await?;
    let wanted = threads::amended_metadata(&permit);
    let metadata = metadata();
    let reaches = shows(&permit) && wanted.iter().all(|(name, value)| metadata.get(name) == Some(value));
    let graphs = request
        .site
        .graphs
        .names
        .iter()
        .filter(|graph| reaches && graph_id.as_ref().is_none_or(|wanted| wanted == *graph));
    let part = graphs.skip(offset as usize).take(limit as usize);
    permit.close(Ok(part.map(|graph| view(request, graph)).collect()))
}

/// `POST /assistants/search`
pub(super) async fn search(mut request: Request) -> Result<Answer> {
    let found = found(&mut request, false).await?;
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let mut answer = json_answer(StatusCode::OK, &found);
    answer.headers_mut().insert("x-pagination-total", HeaderValue::from(count));
    Ok(answer)
}

/// `POST /assistants/count`
pub(super) async fn count(mut request: Request) -> Result<Answer> {
    Ok(json_answer(StatusCode::OK, &found(&mut request, true).await?.len()))
}

/// What the embedded agent has one of.
pub(super) async fn subgraphs(request: Request) -> Result<Answer> {
    let id = request.param("assistant").ok().and_then(ids::parse);
    visible(&request, id.ok_or_else(|| bad("assistant_id", "is a UUID"))?).await?;
    Ok(json_answer(StatusCode::OK, &json!({})))
}
