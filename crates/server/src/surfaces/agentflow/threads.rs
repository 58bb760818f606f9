//! Threads and messages of the embedded agent server, in both forms.

use doorward_core::agents::model::Thread;
use doorward_core::agents::threads::{NewThread, ThreadChanges};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{message, thread};
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{MessageId, ThreadId};
use doorward_core::ports::store::Page;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::envelope::{self, enveloped, topmost};
use super::subject::THREAD;
use crate::gateway::{JsonBody, named};
use crate::http::respond::Answer;
use crate::request::Request;

/// Items without a `limit`, and with any.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 200;
/// How much is read at once.
const PAGE: u32 = 200;
/// Furthest into a list that `offset` reaches.
const MAX_OFFSET: u32 = 10_000;

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

pub(super) fn thread_id(request: &Request) -> Result<ThreadId> {
    request.param("id").map(ThreadId::from)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct New {
    thread_name: Option<String>,
    metadata: Option<Map<String, Value>>,
}

/// `POST /threads`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = request.permit_with_json::<thread::Create, New>(Target::any()).await?;
    let new = NewThread { id: None, name: body.thread_name, metadata: body.metadata.unwrap_or_default() };
    let made = engine.threads().create(permit, new).await?;
    Ok(topmost(&request, envelope::thread(&made)))
}

/// Which part of a list a query asks for, counted down while the list is read.
struct Part {
    skip: u32,
    left: u32,
    search: Option<String>,
}

impl Part {
    /// Whether an item with this text belongs to the part.
    fn takes(&mut self, text: impl FnOnce() -> String) -> bool {
        if self.left == 0
            || self.search.as_ref().is_some_and(|search| !text().to_lowercase().contains(search))
        {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

fn part(request: &Request) -> Result<Part> {
    let query = request.query()?;
    let bad = |text: &str| Error::new(codes::BAD_FIELD).message(text);
    let limit = query.number("limit")?.unwrap_or(DEFAULT_LIMIT);
    let offset = query.number("offset")?.unwrap_or(0);
    if limit == 0 {
        return Err(bad("`limit` must be greater than 0."));
    }
    if offset > MAX_OFFSET {
        return Err(bad("`offset` reaches too far."));
    }
    let search = query.text("search").filter(|text| !text.is_empty()).map(str::to_lowercase);
    Ok(Part { skip: offset, left: limit.min(MAX_LIMIT), search })
}

async fn listed(request: &Request) -> Result<Vec<Value>> {
    let mut permit = request.permit::<thread::List>(Target::any())?;
    let mut part = match part(request) {
        Ok(part) => part,
        Err(error) => return permit.close(Err(error)),
    };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, limit: PAGE };
        let threads = request.engine.threads().list(permit, Filter::Everything, page).await?;
        let taken = threads.iter().filter(|thread| part.takes(|| thread.name.clone().unwrap_or_default()));
        found.extend(taken.map(|thread| Value::Object(envelope::thread(thread))));
        if threads.len() < PAGE as usize || part.left == 0 {
            return Ok(found);
        }
        after = threads.last().map(|thread| thread.id.as_str().to_owned());
        permit = request.permit::<thread::List>(Target::any())?;
    }
}

/// `GET /v1/threads`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let threads = listed(&request).await?;
    Ok(enveloped(&request, json!({ "threads": threads })))
}

/// `GET /threads`
pub(super) async fn list_topmost(request: Request) -> Result<Answer> {
    let threads = listed(&request).await?;
    Ok(topmost(&request, object(json!({ "threads": threads }))))
}

async fn found(request: &Request) -> Result<Thread> {
    let id = thread_id(request)?;
    let permit = request.permit::<thread::Read>(Target::named(id.as_str()))?;
    request.engine.threads().get(permit, &id).await
}

/// `GET /v1/threads/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let thread = envelope::thread(&found(&request).await?);
    Ok(enveloped(&request, json!({ "thread_data": { "thread": thread } })))
}

/// `GET /threads/{id}`
pub(super) async fn get_topmost(request: Request) -> Result<Answer> {
    let thread = envelope::thread(&found(&request).await?);
    Ok(topmost(&request, thread))
}

async fn deleted(request: &Request) -> Result<ThreadId> {
    let id = thread_id(request)?;
    let permit = request.permit::<thread::Delete>(Target::named(id.as_str()))?;
    request.engine.threads().delete(permit, &id).await?;
    Ok(id)
}

fn success(message: &str) -> Value {
    json!({ "success": true, "message": message, "data": true })
}

/// `DELETE /v1/threads/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    deleted(&request).await?;
    Ok(enveloped(&request, success("Thread deleted successfully")))
}

/// `DELETE /threads/{id}`
pub(super) async fn delete_topmost(request: Request) -> Result<Answer> {
    let id = deleted(&request).await?;
    Ok(topmost(&request, object(json!({ "thread_id": id, "deleted": true }))))
}

/// `GET /v1/threads/{id}/state`
pub(super) async fn state(request: Request) -> Result<Answer> {
    let state = found(&request).await?.state;
    Ok(enveloped(&request, json!({ "state": state })))
}

/// `PUT /v1/threads/{id}/state`
pub(super) async fn put_state(mut request: Request) -> Result<Answer> {
    let id = thread_id(&request)?;
    let permit = request.permit::<thread::Update>(Target::named(id.as_str()))?;
    let state = match new_state(&mut request).await {
        Ok(state) => state,
        Err(error) => return permit.close(Err(error)),
    };
    let changes = ThreadChanges { state: Some(state), ..ThreadChanges::default() };
    let changed = request.engine.threads().update(permit, &id, changes).await?;
    Ok(enveloped(&request, json!({ "state": changed.state })))
}

async fn new_state(request: &mut Request) -> Result<Map<String, Value>> {
    let body = JsonBody::read(request, &THREAD).await?;
    named(request, &THREAD, &body)?;
    match body.member("state") {
        Some(Value::Object(state)) => Ok(state.clone()),
        _ => Err(Error::new(codes::BAD_FIELD).message("`state` is an object.")),
    }
}

/// `DELETE /v1/threads/{id}/state`
pub(super) async fn clear_state(request: Request) -> Result<Answer> {
    let id = thread_id(&request)?;
    let permit = request.permit::<thread::Update>(Target::named(id.as_str()))?;
    let changes = ThreadChanges { state: Some(Map::new()), ..ThreadChanges::default() };
    request.engine.threads().update(permit, &id, changes).await?;
    Ok(enveloped(&request, success("State cleared successfully")))
}

async fn said(request: &Request) -> Result<(ThreadId, Vec<Value>)> {
    let id = thread_id(request)?;
    let mut permit = request.permit::<message::Read>(Target::named(id.as_str()))?;
    let mut part = match part(request) {
        Ok(part) => part,
        Err(error) => return permit.close(Err(error)),
    };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, limit: PAGE };
        let messages = request.engine.threads().messages(permit, &id, page).await?;
        let taken = messages.iter().filter(|message| part.takes(|| message.content.to_string()));
        found.extend(taken.map(envelope::message));
        if messages.len() < PAGE as usize || part.left == 0 {
            return Ok((id, found));
        }
        after = messages.last().map(|message| message.id.as_str().to_owned());
        permit = request.permit::<message::Read>(Target::named(id.as_str()))?;
    }
}

/// `GET /v1/threads/{id}/messages`
pub(super) async fn messages(request: Request) -> Result<Answer> {
    let (_, messages) = said(&request).await?;
    Ok(enveloped(&request, json!({ "messages": messages })))
}

/// `GET /threads/{id}/messages`
pub(super) async fn messages_topmost(request: Request) -> Result<Answer> {
    let (id, messages) = said(&request).await?;
    Ok(topmost(&request, object(json!({ "thread_id": id, "messages": messages }))))
}

/// `GET /v1/threads/{id}/messages/{message}`
pub(super) async fn message(request: Request) -> Result<Answer> {
    let (thread, id) = (thread_id(&request)?, MessageId::from(request.param("message")?));
    let permit = request.permit::<message::Read>(Target::named(id.as_str()))?;
    let found = request.engine.threads().message_of(permit, &thread, &id).await?;
    Ok(enveloped(&request, envelope::message(&found)))
}

/// `DELETE /v1/threads/{id}/messages/{message}`
pub(super) async fn delete_message(request: Request) -> Result<Answer> {
    let (thread, id) = (thread_id(&request)?, MessageId::from(request.param("message")?));
    let permit = request.permit::<message::Delete>(Target::named(id.as_str()))?;
    request.engine.threads().delete_message(permit, &thread, &id).await?;
    Ok(enveloped(&request, json!({ "success": true, "message": "Message deleted successfully" })))
}
