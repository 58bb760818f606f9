//! Crons: runs that begin by the clock, with the embedded agent server.
//!
//! What a cron runs is a request for a run: it is read where those are read, when it is made and each time it is due.

use doorward_core::agents::crons::{Cron, CronChanges, CronSearch, Crons, NewCron};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, cron, thread};
use doorward_core::authz::custom::Asked;
use doorward_core::clock::from_rfc3339;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::ThreadId;
use doorward_core::operation::{Grant, Permit};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::body::{Body, bad};
use super::run_request::{self, Place, RESERVED};
use super::{ids, threads, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// Furthest into a list that `offset` reaches, and most that is told at once.
const MAX_OFFSET: u32 = 10_000;
const MOST: u32 = 1_000;

const COLUMNS: &[&str] = &[
    "cron_id",
    "assistant_id",
    "thread_id",
    "on_run_completed",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "user_id",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
];

/// Members of a cron that are not for its runs: they say when, and where runs leave their threads.
pub(super) const OF_CRONS: &[&str] = &["schedule", "timezone", "end_time", "enabled", "on_run_completed"];
/// Members that a request for a run may have and a cron's may not: they are about one run, and here nobody waits for it.
pub(super) const OF_ONE_RUN: &[&str] = &["after_seconds", "if_not_exists", "on_completion", "on_disconnect"];

fn view(one: &Cron) -> Map<String, Value> {
    let mut payload = one.payload.clone();
    // What was said when it was made; others than its owner may have turned it off since.
    if let Some(enabled) = payload.get_mut("enabled") {
        *enabled = one.enabled.into();
    }
    threads::object(json!({
        "cron_id": one.id,
        "assistant_id": one.assistant,
        "thread_id": one.thread,
        "user_id": one.user,
        "end_time": one.end_at_ms.map(views::moment),
        "schedule": one.schedule,
        "timezone": one.timezone,
        "payload": payload,
        "next_run_date": one.next_at_ms.map(views::moment),
        "metadata": one.metadata,
        "on_run_completed": match (&one.thread, one.keep) {
            (Some(_), _) => None,
            (None, true) => Some("keep"),
            (None, false) => Some("delete"),
        },
        "enabled": one.enabled,
        "created_at": views::moment(one.created_at_ms),
        "updated_at": views::moment(one.updated_at_ms),
    }))
}

fn told(one: &Cron) -> Answer {
    json_answer(StatusCode::OK, &view(one))
}

/// What a cron asks for each time, as a request for a run.
pub(super) fn as_run(payload: &Map<String, Value>) -> Body {
    let mut members = payload.clone();
    members.retain(|name, _| !OF_CRONS.contains(&name.as_str()) && !OF_ONE_RUN.contains(&name.as_str()));
    Body(members)
}

/// A moment of a body; one without an offset is UTC's.
fn moment(body: &Body, name: &str) -> Result<Option<i64>> {
    let Some(text) = body.text(name)? else { return Ok(None) };
    from_rfc3339(text).map(Some).ok_or_else(|| bad(name, "is a date and time such as 2030-01-01T00:00:00Z"))
}

fn completed(body: &Body) -> Result<Option<bool>> {
    body.word("on_run_completed", &[("keep", true), ("delete", false)])
}

fn enabled(body: &Body) -> Result<Option<bool>> {
    match body.member("enabled") {
        None => Ok(None),
        Some(_) => body.flag("enabled").map(Some),
    }
}

/// The cron that a path names.
pub(super) fn in_path(request: &Request) -> Result<String> {
    let named = request.param("cron").ok().and_then(ids::parse);
    let malformed = || Error::new(codes::BAD_FIELD).message("Invalid cron ID: must be a UUID");
    named.map(|id| id.to_string()).ok_or_else(malformed)
}

async fn permit<A: Action>(request: &Request, id: &str, value: Value) -> Result<Permit<A>> {
    let asked = Asked { value: threads::object(value), uuids: &["cron_id", "thread_id"] };
    request.permit_asking::<A>(Target::named(id), asked).await
}

/// What a cron runs, as the handlers left it, with its own id where its runs find it.
fn amended_payload(grant: &Grant, id: &str) -> Result<Map<String, Value>> {
    let Some(Value::Object(mut payload)) = grant.amended().get("payload").cloned() else {
        return Err(bad("payload", "is an object"));
    };
    let config = payload.entry("config").or_insert_with(|| json!({}));
    if config.is_null() {
        *config = json!({});
    }
    let config = config.as_object_mut().ok_or_else(|| bad("config", "is an object"))?;
    let configurable = config.entry("configurable").or_insert_with(|| json!({}));
    let configurable =
        configurable.as_object_mut().ok_or_else(|| bad("config.configurable", "is an object"))?;
    configurable.retain(|name, _| !RESERVED.contains(&name.as_str()));
    configurable.insert("cron_id".to_owned(), id.into());
    if let Some(metadata) = payload.get_mut("metadata") {
        // It is said twice, and once to the handlers.
        *metadata = Value::Object(threads::amended_metadata(grant));
    }
    Ok(payload)
}

async fn made(mut request: Request, thread: Option<ThreadId>) -> Result<Answer> {
    request.may::<cron::Create>()?;
    let mut body = Body::read(&mut request).await?;
    let schedule =
        body.text("schedule")?.ok_or_else(|| bad("schedule", "is a required property"))?.to_owned();
    let timezone = body.text("timezone")?.map(str::to_owned);
    let (end_at_ms, keep) = (moment(&body, "end_time")?, completed(&body)?);
    let enabled = enabled(&body)?.unwrap_or(true);
    let place = match &thread {
        Some(id) => Place::Thread(id.clone()),
        None => Place::New { waited: false },
    };
    let read = run_request::read(&request, &as_run(&body.0), &place).await;
    let assistant = read.map_err(|error| assistant_missing(error, &body))?.into_assistant();
    body.0.insert("assistant_id".to_owned(), assistant.as_str().into());
    let id = ids::fresh(&request.engine).to_string();
    let value = json!({
        "payload": body.0,
        "schedule": schedule,
        "cron_id": id,
        "thread_id": thread,
        "user_id": request.call()?.auth.principal.subject,
        "end_time": body.member("end_time"),
        "metadata": body.maybe_object("metadata")?.cloned().unwrap_or_default(),
    });
    let permit = permit::<cron::Create>(&request, &id, value).await?;
    if let Some(thread) = &thread
        && let Err(error) = threads::standing(&request, thread).await
    {
        return permit.close(Err(thread_missing(error, thread)));
    }
    let payload = match amended_payload(&permit, &id) {
        Ok(payload) => payload,
        Err(error) => return permit.close(Err(error)),
    };
    let new = NewCron {
        id,
        assistant,
        thread: thread.map(|id| id.as_str().to_owned()),
        metadata: threads::amended_metadata(&permit),
        schedule,
        timezone,
        end_at_ms,
        enabled,
        keep: keep.unwrap_or(false),
        payload,
    };
    Ok(told(&Crons::of(&request.engine).create(permit, new).await?))
}

/// The platform's words for the thread of a cron that there is not.
pub(super) fn thread_missing(error: Error, id: &ThreadId) -> Error {
    worded(
        error,
        format!(
            "Thread with ID '{id}' not found. Please verify the ID is correct and the thread hasn't been deleted or expired."
        ),
    )
}

/// The platform's words for an assistant that there is not, where a cron names it.
fn assistant_missing(error: Error, body: &Body) -> Error {
    let named: String =
        body.text("assistant_id").ok().flatten().unwrap_or_default().chars().take(64).collect();
    if error.is(codes::NOT_FOUND) { error.message(format!("Assistant '{named}' not found")) } else { error }
}

/// `POST /runs/crons`
pub(super) async fn create(request: Request) -> Result<Answer> {
    made(request, None).await
}

/// `POST /threads/{thread}/runs/crons`
pub(super) async fn create_in_thread(request: Request) -> Result<Answer> {
    let thread = ids::thread_in_path(&request)?;
    made(request, Some(thread)).await
}

fn worded(error: Error, text: impl Into<String>) -> Error {
    if error.is(codes::NOT_FOUND) { error.message(text) } else { error }
}

/// `GET /runs/crons/{cron}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let id = in_path(&request)?;
    let permit = permit::<cron::Read>(&request, &id, json!({ "cron_id": id })).await?;
    let found = Crons::of(&request.engine).get(permit, &id).await;
    Ok(told(&found.map_err(|error| worded(error, "Not Found"))?))
}

/// `PATCH /runs/crons/{cron}`
pub(super) async fn update(mut request: Request) -> Result<Answer> {
    let id = in_path(&request)?;
    request.may::<cron::Update>()?;
    let mut body = Body::read(&mut request).await?;
    if body.0.is_empty() {
        return Err(Error::new(codes::BAD_REQUEST).message("Request body cannot be empty"));
    }
    // What it runs stays an assistant's; what is changed of it has to fit whichever that is.
    body.0.remove("assistant_id");
    let mut run = as_run(&body.0);
    let graph = request.site.graphs.names.first().cloned().unwrap_or_default();
    run.0.insert("assistant_id".to_owned(), graph.into());
    run_request::read(&request, &run, &Place::New { waited: false }).await?;
    let end_at_ms = match body.member("end_time") {
        Some(Value::Null) => Some(None),
        _ => moment(&body, "end_time")?.map(Some),
    };
    let mut changes = CronChanges {
        schedule: body.text("schedule")?.map(str::to_owned),
        timezone: body.text("timezone")?.map(str::to_owned),
        end_at_ms,
        enabled: enabled(&body)?,
        keep: completed(&body)?,
        ..CronChanges::default()
    };
    let value = json!({
        "cron_id": id,
        "schedule": changes.schedule,
        "end_time": body.member("end_time"),
        "enabled": changes.enabled,
        "on_run_completed": body.member("on_run_completed"),
        "payload": body.0,
        "metadata": body.maybe_object("metadata")?.cloned().unwrap_or_default(),
    });
    let permit = permit::<cron::Update>(&request, &id, value).await?;
    changes.metadata = threads::amended_metadata(&permit);
    changes.payload = match amended_payload(&permit, &id) {
        Ok(payload) => payload,
        Err(error) => return permit.close(Err(error)),
    };
    changes.payload.remove("assistant_id");
    if !body.0.contains_key("config") && changes.payload.get("config") == Some(&only_its_id(&id)) {
        // Nothing is said of it.
        changes.payload.remove("config");
    }
    (changes.beside, changes.payload) = std::mem::take(&mut changes.payload)
        .into_iter()
        .partition(|(name, _)| OF_CRONS.contains(&name.as_str()) || name == "metadata");
    let changed = Crons::of(&request.engine).update(permit, &id, &changes).await;
    Ok(told(&changed.map_err(|error| worded(error, format!("Cron '{id}' not found")))?))
}

fn only_its_id(id: &str) -> Value {
    json!({ "configurable": { "cron_id": id } })
}

/// `DELETE /runs/crons/{cron}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let id = in_path(&request)?;
    let permit = permit::<cron::Delete>(&request, &id, json!({ "cron_id": id })).await?;
    let gone = Crons::of(&request.engine).delete(permit, &id).await;
    gone.map_err(|error| worded(error, "Not Found"))?;
    Ok(no_content())
}

fn id_in(body: &Body, name: &str, what: &str) -> Result<Option<String>> {
    let malformed = || Error::new(codes::BAD_FIELD).message(format!("Invalid {what} ID: must be a UUID"));
    let text = body.text(name)?;
    text.map(|text| ids::parse(text).map(|id| id.to_string()).ok_or_else(malformed)).transpose()
}

/// What a search of crons is for, and what handlers are asked about it.
pub(super) struct Searched {
    pub(super) search: CronSearch,
    pub(super) limit: usize,
    pub(super) offset: usize,
    by: By,
    ascending: bool,
    columns: Option<Vec<String>>,
}

impl Searched {
    pub(super) fn read(body: &Body, counting: bool) -> Result<Self> {
        let columns = body.texts("select")?.filter(|columns| !columns.is_empty());
        if let Some(unknown) = columns.iter().flatten().find(|column| !COLUMNS.contains(column)) {
            let shown: String = unknown.chars().take(64).collect();
            return Err(bad("select", &format!("has no column {shown:?}")));
        }
        Ok(Self {
            search: CronSearch {
                assistant: id_in(body, "assistant_id", "assistant")?,
                thread: id_in(body, "thread_id", "thread")?,
                enabled: if counting { None } else { enabled(body)? },
                metadata: body.maybe_object("metadata")?.cloned().unwrap_or_default(),
            },
            limit: if counting { 0 } else { body.whole("limit", 1, MOST)?.unwrap_or(10) as usize },
            offset: if counting { 0 } else { body.whole("offset", 0, MAX_OFFSET)?.unwrap_or(0) as usize },
            by: body.word("sort_by", SORTS)?.unwrap_or(by_created),
            ascending: body.word("sort_order", &[("asc", true), ("desc", false)])?.unwrap_or(false),
            columns: columns.map(|columns| columns.into_iter().map(str::to_owned).collect()),
        })
    }

    pub(super) fn asked(&self) -> Asked {
        let value = json!({
            "assistant_id": self.search.assistant,
            "thread_id": self.search.thread,
            "limit": self.limit,
            "offset": self.offset,
            "metadata": self.search.metadata,
        });
        Asked { value: threads::object(value), uuids: &["assistant_id", "thread_id"] }
    }
}

/// Leave to look at the threads in which the crons that are looked for run; `false` for a thread that the caller does not see.
async fn threads_shown(request: &Request, thread: Option<&String>) -> Result<bool> {
    match thread {
        Some(id) => match threads::standing(request, &ThreadId::from(id.as_str())).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(codes::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        },
        None => {
            let leave = request.permit_asking::<thread::List>(Target::any(), Asked::default()).await?;
            leave.close(Ok(true))
        }
    }
}

async fn found(request: &mut Request, counting: bool) -> Result<(Vec<Cron>, Searched)> {
    request.may::<cron::List>()?;
    let body = Body::read(request).await?;
    let mut searched = Searched::read(&body, counting)?;
    let permit = request.permit_asking::<cron::List>(Target::any(), searched.asked()).await?;
    searched.search.metadata = threads::amended_metadata(&permit);
    match threads_shown(request, searched.search.thread.as_ref()).await {
        Ok(true) => {}
        Ok(false) => return permit.close(Ok((Vec::new(), searched))),
        Err(error) => return permit.close(Err(error)),
    }
    let mut all = Crons::of(&request.engine).list(permit, &searched.search).await?;
    all.sort_by(|a, b| (searched.by)(a, b).then_with(|| a.id.cmp(&b.id)));
    if !searched.ascending {
        all.reverse();
    }
    Ok((all, searched))
}

type By = fn(&Cron, &Cron) -> std::cmp::Ordering;

fn by_created(a: &Cron, b: &Cron) -> std::cmp::Ordering {
    a.created_at_ms.cmp(&b.created_at_ms)
}

const SORTS: &[(&str, By)] = &[
    ("cron_id", |a, b| a.id.cmp(&b.id)),
    ("assistant_id", |a, b| a.assistant.cmp(&b.assistant)),
    ("thread_id", |a, b| a.thread.cmp(&b.thread)),
    ("next_run_date", |a, b| a.next_at_ms.cmp(&b.next_at_ms)),
    ("end_time", |a, b| a.end_at_ms.cmp(&b.end_at_ms)),
    ("created_at", by_created),
    ("updated_at", |a, b| a.updated_at_ms.cmp(&b.updated_at_ms)),
];

/// `POST /runs/crons/search`
pub(super) async fn search(mut request: Request) -> Result<Answer> {
    let (all, searched) = found(&mut request, false).await?;
    let part: Vec<_> = all.iter().skip(searched.offset).take(searched.limit).map(view).collect();
    let more = all.len() > searched.offset + part.len();
    Ok(listed(part, &searched, more))
}

/// A part of a list, with the headers that say how far it is known to reach.
pub(super) fn listed(mut part: Vec<Map<String, Value>>, searched: &Searched, more: bool) -> Answer {
    if let Some(columns) = &searched.columns {
        part.iter_mut().for_each(|one| one.retain(|name, _| columns.contains(name)));
    }
    let known = searched.offset + part.len();
    let mut answer = json_answer(StatusCode::OK, &part);
    answer.headers_mut().insert("x-pagination-total", HeaderValue::from(known + usize::from(more)));
    if more {
        answer.headers_mut().insert("x-pagination-next", HeaderValue::from(known));
    }
    answer
}

/// `POST /runs/crons/count`
pub(super) async fn count(mut request: Request) -> Result<Answer> {
    Ok(json_answer(StatusCode::OK, &found(&mut request, true).await?.0.len()))
}
