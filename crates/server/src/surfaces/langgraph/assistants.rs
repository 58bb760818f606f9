//! Assistants: the one that each graph has by itself, and those that people make.
//!
//! A graph's own is nobody's: everybody who may run something may run it, a condition of the mount's handlers hides it from who looks for
//! it, and nobody changes it, as on the real server.

use doorward_core::agents::assistants::{Assistant, AssistantChanges, AssistantSearch, Assistants, Version};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, assistant};
use doorward_core::authz::custom::Asked;
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::{Grant, Permit};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::{Body, bad};
use super::{ids, threads, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// Furthest into a list that `offset` reaches, and most that is told at once.
const MAX_OFFSET: u32 = 10_000;
const MOST: u32 = 1_000;

const COLUMNS: &[&str] = &[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
];

/// The assistant that a graph has by itself.
fn of_graph(request: &Request, graph: &str) -> Assistant {
    let at_ms = request.site.since_ms;
    Assistant {
        id: ids::assistant_of(graph).to_string(),
        version: Version {
            version: 1,
            graph: graph.to_owned(),
            name: graph.to_owned(),
            description: None,
            config: Map::new(),
            context: Map::new(),
            metadata: threads::object(json!({ "created_by": "system" })),
            at_ms,
        },
        created_at_ms: at_ms,
        updated_at_ms: at_ms,
    }
}

fn version_view(id: &str, version: &Version) -> Map<String, Value> {
    threads::object(json!({
        "assistant_id": id,
        "graph_id": version.graph,
        "config": version.config,
        "context": version.context,
        "metadata": version.metadata,
        "name": version.name,
        "description": version.description,
        "version": version.version,
        "created_at": views::moment(version.at_ms),
    }))
}

fn view(one: &Assistant) -> Map<String, Value> {
    let mut shown = version_view(&one.id, &one.version);
    shown.insert("created_at".to_owned(), views::moment(one.created_at_ms).into());
    shown.insert("updated_at".to_owned(), views::moment(one.updated_at_ms).into());
    shown
}

fn told(one: &Assistant) -> Answer {
    json_answer(StatusCode::OK, &view(one))
}

/// The graph that has this assistant by itself.
fn graph_with(request: &Request, id: Uuid) -> Option<&String> {
    request.site.graphs.names.iter().find(|graph| ids::assistant_of(graph) == id)
}

/// The assistant that a run names: a graph's own by its name or id, for everybody; one that somebody made, for whoever may read it.
///
/// # Errors
/// In the platform's words: for what is no assistant's name, and for one that there is not.
pub(super) async fn meant(request: &Request, named: &str) -> Result<Assistant> {
    if let Some(graph) = request.site.graphs.names.iter().find(|graph| *graph == named) {
        return Ok(of_graph(request, graph));
    }
    let id = ids::parse(named).ok_or_else(|| unknown_graph(request, named))?;
    if let Some(graph) = graph_with(request, id) {
        return Ok(of_graph(request, graph));
    }
    let found = read(request, id).await;
    found.map_err(|error| worded(error, "Thread or assistant not found."))
}

fn worded(error: Error, text: impl Into<String>) -> Error {
    if error.is(codes::NOT_FOUND) { error.message(text) } else { error }
}

/// The platform's words for an assistant that is neither an id nor a graph's name.
pub(super) fn unknown_graph(request: &Request, named: &str) -> Error {
    let shown: String = named.chars().take(64).collect();
    Error::new(codes::BAD_FIELD).message(format!(
        "Invalid assistant: '{shown}'. Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: {}",
        request.site.graphs.names.join(", ")
    ))
}

/// Refuses a graph that there is not.
fn graph_known(request: &Request, graph: &str) -> Result<()> {
    if request.site.graphs.names.iter().any(|known| known == graph) {
        return Ok(());
    }
    let shown: String = graph.chars().take(64).collect();
    Err(Error::new(codes::NOT_FOUND).message(format!("Graph '{shown}' not found")))
}

/// Whether leave to look at assistants reaches those that are nobody's.
fn shows(grant: &Grant, metadata: &Map<String, Value>) -> bool {
    *grant.filter() != Filter::Nothing && grant.matches(metadata)
}

fn named(id: &str) -> Map<String, Value> {
    threads::object(json!({ "assistant_id": id }))
}

async fn permit<A: Action>(request: &Request, id: &str, value: Map<String, Value>) -> Result<Permit<A>> {
    let asked = Asked { value, uuids: &["assistant_id"] };
    request.permit_asking::<A>(Target::named(id), asked).await
}

/// One assistant that somebody made, for whoever may see it.
async fn read(request: &Request, id: Uuid) -> Result<Assistant> {
    let id = id.to_string();
    let permit = permit::<assistant::Read>(request, &id, named(&id)).await?;
    Assistants::of(&request.engine).get(permit, &id).await
}

/// One assistant, a graph's own among them.
async fn visible(request: &Request, id: Uuid) -> Result<Assistant> {
    let Some(graph) = graph_with(request, id) else {
        return read(request, id).await.map_err(|error| worded(error, "Not Found"));
    };
    let one = of_graph(request, graph);
    let permit = permit::<assistant::Read>(request, &one.id, named(&one.id)).await?;
    let found =
        if shows(&permit, &one.version.metadata) { Ok(one) } else { Err(Error::new(codes::NOT_FOUND)) };
    permit.close(found.map_err(|error| worded(error, "Not Found")))
}

/// `GET /assistants/{assistant}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    Ok(told(&visible(&request, ids::assistant_in_path(&request)?).await?))
}

/// `GET /assistants/{assistant}/schemas`
pub(super) async fn schemas(request: Request) -> Result<Answer> {
    let one = visible(&request, ids::assistant_in_path(&request)?).await?;
    let state = json!({
        "type": "object",
        "properties": { "messages": { "type": "array", "items": {} } },
        "required": ["messages"],
    });
    let told = json!({
        "graph_id": one.version.graph,
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

/// What the embedded agent has one of.
pub(super) async fn subgraphs(request: Request) -> Result<Answer> {
    let id = request.param("assistant").ok().and_then(ids::parse);
    visible(&request, id.ok_or_else(|| bad("assistant_id", "is a UUID"))?).await?;
    Ok(json_answer(StatusCode::OK, &json!({})))
}

/// Everything that a search is for and its caller may see, in the order that is asked for.
async fn found(request: &mut Request, counting: bool) -> Result<(Vec<Assistant>, Body, u32, u32)> {
    request.may::<assistant::List>()?;
    let body = Body::read(request).await?;
    let graph = body.text("graph_id")?.map(str::to_owned);
    let limit = if counting { 0 } else { body.whole("limit", 1, MOST)?.unwrap_or(10) };
    let offset = if counting { 0 } else { body.whole("offset", 0, MAX_OFFSET)?.unwrap_or(0) };
    let by = body.word("sort_by", SORTS)?.unwrap_or(by_created);
    let ascending = body.word("sort_order", &[("asc", true), ("desc", false)])?.unwrap_or(false);
    let value = json!({
        "graph_id": graph,
        "metadata": body.maybe_object("metadata")?.cloned().unwrap_or_default(),
        "limit": limit,
        "offset": offset,
    });
    let asked = Asked { value: threads::object(value), uuids: &[] };
    let name = body.text("name")?.map(str::to_owned);
    let permit = request.permit_asking::<assistant::List>(Target::any(), asked).await?;
    let search = AssistantSearch { graph, name, metadata: threads::amended_metadata(&permit) };
    let of_graphs = request.site.graphs.names.iter().map(|graph| of_graph(request, graph));
    let mut all: Vec<_> = of_graphs
        .filter(|one| shows(&permit, &one.version.metadata) && search.is_for(&one.version))
        .collect();
    all.extend(Assistants::of(&request.engine).list(permit, &search).await?);
    all.sort_by(|a, b| by(a, b).then_with(|| a.id.cmp(&b.id)));
    if !ascending {
        all.reverse();
    }
    Ok((all, body, limit, offset))
}

type By = fn(&Assistant, &Assistant) -> std::cmp::Ordering;

fn by_created(a: &Assistant, b: &Assistant) -> std::cmp::Ordering {
    a.created_at_ms.cmp(&b.created_at_ms)
}

const SORTS: &[(&str, By)] = &[
    ("assistant_id", |a, b| a.id.cmp(&b.id)),
    ("created_at", by_created),
    ("updated_at", |a, b| a.updated_at_ms.cmp(&b.updated_at_ms)),
    ("name", |a, b| a.version.name.cmp(&b.version.name)),
    ("graph_id", |a, b| a.version.graph.cmp(&b.version.graph)),
];

/// `POST /assistants/search`
pub(super) async fn search(mut request: Request) -> Result<Answer> {
    let (all, body, limit, offset) = found(&mut request, false).await?;
    let columns = body.texts("select")?.filter(|columns| !columns.is_empty());
    if let Some(unknown) = columns.iter().flatten().find(|column| !COLUMNS.contains(column)) {
        let shown: String = unknown.chars().take(64).collect();
        return Err(bad("select", &format!("has no column {shown:?}")));
    }
    let (limit, offset) = (limit as usize, offset as usize);
    let part = all.iter().skip(offset).take(limit).map(|one| {
        let mut shown = view(one);
        if let Some(columns) = &columns {
            shown.retain(|name, _| columns.contains(&name.as_str()));
        }
        shown
    });
    let part: Vec<_> = part.collect();
    let (known, more) = (offset + part.len(), all.len() > offset + part.len());
    let mut answer = json_answer(StatusCode::OK, &part);
    answer.headers_mut().insert("x-pagination-total", HeaderValue::from(known + usize::from(more)));
    if more {
        answer.headers_mut().insert("x-pagination-next", HeaderValue::from(known));
    }
    Ok(answer)
}

/// `POST /assistants/count`
pub(super) async fn count(mut request: Request) -> Result<Answer> {
    Ok(json_answer(StatusCode::OK, &found(&mut request, true).await?.0.len()))
}

/// What handlers are shown of an assistant that is made or changed. `created_by` is the platform's own word.
fn shown(body: &Body, id: &str) -> Result<Map<String, Value>> {
    let mut value = named(id);
    for name in ["graph_id", "config", "context", "name"] {
        value.insert(name.to_owned(), body.member(name).cloned().unwrap_or_default());
    }
    let mut metadata = body.maybe_object("metadata")?.cloned().unwrap_or_default();
    metadata.remove("created_by");
    value.insert("metadata".to_owned(), Value::Object(metadata));
    Ok(value)
}

/// What a body says of an assistant's settings.
struct Settings {
    config: Option<Map<String, Value>>,
    context: Option<Map<String, Value>>,
}

/// Configuration and context, which say the same: a graph finds the context in `config.configurable` too.
fn settings(body: &Body) -> Result<Settings> {
    let mut config = body.maybe_object("config")?.cloned();
    let mut context = body.maybe_object("context")?.cloned();
    let configurable = config.as_ref().and_then(|config| config.get("configurable"));
    let configurable = configurable.and_then(Value::as_object).filter(|members| !members.is_empty()).cloned();
    let says = context.as_ref().is_some_and(|context| !context.is_empty());
    match configurable {
        Some(_) if says => {
            let text = "Cannot specify both configurable and context. Prefer setting context alone.";
            return Err(Error::new(codes::BAD_FIELD).message(text));
        }
        Some(configurable) => context = Some(configurable),
        None if says => {
            let context = context.clone().unwrap_or_default();
            config.get_or_insert_default().insert("configurable".to_owned(), Value::Object(context));
        }
        None => {}
    }
    Ok(Settings { config, context })
}

/// `POST /assistants`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    request.may::<assistant::Create>()?;
    let body = Body::read(&mut request).await?;
    let id = match body.text("assistant_id")? {
        Some(text) => ids::parse(text).ok_or_else(|| bad("assistant_id", "is a UUID"))?,
        None => ids::fresh(&request.engine),
    };
    let graph = body.text("graph_id")?.ok_or_else(|| bad("graph_id", "is a required property"))?.to_owned();
    graph_known(&request, &graph)?;
    let keep = body.word("if_exists", &[("raise", false), ("do_nothing", true)])?.unwrap_or(false);
    let Settings { config, context } = settings(&body)?;
    let description = match body.member("description") {
        Some(Value::Null) => None,
        _ => body.text("description")?.map(str::to_owned),
    };
    let named_so = body.text("name")?.filter(|name| !name.is_empty()).unwrap_or("Untitled").to_owned();
    let text = id.to_string();
    let permit = permit::<assistant::Create>(&request, &text, shown(&body, &text)?).await?;
    let taken = || Error::new(codes::CONFLICT).message(format!("Assistant {id} already exists"));
    let first = Version {
        version: 1,
        graph,
        name: named_so,
        description,
        config: config.unwrap_or_default(),
        context: context.unwrap_or_default(),
        metadata: threads::amended_metadata(&permit),
        at_ms: 0,
    };
    let made = match graph_with(&request, id) {
        // That of a graph is there already.
        Some(_) => permit.close(Err(taken())),
        None => Assistants::of(&request.engine).create(permit, &text, first).await,
    };
    match made {
        Ok(made) => Ok(told(&made)),
        // What is there already is shown to whoever may read it, not to whoever may make one.
        Err(error) if error.is(codes::CONFLICT) && keep => {
            let seen = visible(&request, id).await;
            Ok(told(&seen.map_err(|error| if error.is(codes::NOT_FOUND) { taken() } else { error })?))
        }
        Err(error) if error.is(codes::CONFLICT) => Err(taken()),
        Err(error) => Err(error),
    }
}

/// `PATCH /assistants/{assistant}`
pub(super) async fn update(mut request: Request) -> Result<Answer> {
    let id = ids::assistant_in_path(&request)?.to_string();
    request.may::<assistant::Update>()?;
    let body = Body::read(&mut request).await?;
    let graph = body.text("graph_id")?.map(str::to_owned);
    if let Some(graph) = &graph {
        graph_known(&request, graph)?;
    }
    let Settings { config, context } = settings(&body)?;
    let config = config.filter(|config| !config.is_empty());
    let (name, description) =
        (body.text("name")?.map(str::to_owned), body.text("description")?.map(str::to_owned));
    let permit = permit::<assistant::Update>(&request, &id, shown(&body, &id)?).await?;
    let metadata = threads::amended_metadata(&permit);
    let changes = AssistantChanges { graph, name, description, config, context, metadata };
    let changed = Assistants::of(&request.engine).update(permit, &id, changes).await;
    Ok(told(&changed?))
}

/// `POST /assistants/{assistant}/latest`
pub(super) async fn latest(mut request: Request) -> Result<Answer> {
    let id = ids::assistant_in_path(&request)?.to_string();
    request.may::<assistant::Update>()?;
    let body = Body::read(&mut request).await?;
    let version =
        body.whole("version", 0, u32::MAX)?.ok_or_else(|| bad("version", "is a required property"))?;
    let mut value = named(&id);
    value.insert("version".to_owned(), version.into());
    let permit = permit::<assistant::Update>(&request, &id, value).await?;
    let found = Assistants::of(&request.engine).set_latest(permit, &id, i64::from(version)).await;
    Ok(told(&found?))
}

/// `POST /assistants/{assistant}/versions`
pub(super) async fn versions(mut request: Request) -> Result<Answer> {
    let uuid = ids::assistant_in_path(&request)?;
    request.may::<assistant::Read>()?;
    let body = Body::read(&mut request).await?;
    let metadata = body.maybe_object("metadata")?.cloned().unwrap_or_default();
    let limit = body.whole("limit", 1, MOST)?.unwrap_or(10) as usize;
    let offset = body.whole("offset", 0, MAX_OFFSET)?.unwrap_or(0) as usize;
    let id = uuid.to_string();
    let all = match graph_with(&request, uuid) {
        Some(_) => vec![visible(&request, uuid).await?.version],
        None => {
            let permit = permit::<assistant::Read>(&request, &id, named(&id)).await?;
            let found = Assistants::of(&request.engine).versions(permit, &id, &metadata).await;
            found.map_err(|error| worded(error, format!("Assistant {id} not found")))?
        }
    };
    let part: Vec<_> = all.iter().skip(offset).take(limit).map(|one| version_view(&id, one)).collect();
    if part.is_empty() {
        return Err(Error::new(codes::NOT_FOUND).message(format!("Assistant {id} not found")));
    }
    Ok(json_answer(StatusCode::OK, &part))
}

/// `DELETE /assistants/{assistant}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let id = ids::assistant_in_path(&request)?.to_string();
    if request.query()?.text("delete_threads").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(bad("delete_threads", "is not supported: threads are deleted one by one, or pruned"));
    }
    let permit = permit::<assistant::Delete>(&request, &id, named(&id)).await?;
    let gone = Assistants::of(&request.engine).delete(permit, &id).await;
    gone.map_err(|error| worded(error, format!("Assistant with ID {id} not found")))?;
    Ok(no_content())
}
