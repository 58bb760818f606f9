//! Threads and messages of the embedded agent server.

use doorward_core::agents::model::MessageRole;
use doorward_core::agents::threads::{NewMessage, NewThread, ThreadChanges};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{message, thread};
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{MessageId, ThreadId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::conversation::{Message, Thread};
use super::listing::{self, Listed};
use super::tags;
use super::users::present;
use crate::http::respond::Answer;
use crate::openapi::{Content, Described, Nothing, Parameter, Values};
use crate::request::Request;

/// A new thread.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "NewThread")]
#[serde(deny_unknown_fields, default)]
pub(super) struct New {
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    metadata: Map<String, Value>,
}

pub(super) static CREATE: Described<New, Thread> =
    Described::new("makeThread", &tags::THREADS, "Make a thread")
        .takes(r#"{"name": "Holiday", "metadata": {"project": "travel"}}"#)
        .answers(201)
        .refuses(&[codes::CONFLICT]);

/// `POST /v1/threads`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = CREATE.permit::<thread::Create>(&mut request, Target::any()).await?;
    let made = engine
        .threads()
        .create(permit, NewThread { id: None, name: body.name, metadata: body.metadata })
        .await?;
    Ok(CREATE.answer(&made.into()))
}

pub(super) static LIST: Described<Nothing, Listed<Thread>> = Described::new(
    "listThreads",
    &tags::THREADS,
    "One's threads, newest first",
)
.parameters(&[
    listing::LIMIT,
    listing::AFTER,
    Parameter::query(
        "filter",
        Values::Text,
        "Over metadata, as JSON with `$eq`, `$contains`, `$and` and `$or`: `{\"project\": \"travel\"}`.",
    ),
])
.answers(200)
.refuses(&[codes::BAD_FILTER, codes::BAD_JSON]);

/// `GET /v1/threads`, newest first; `?filter=` takes a JSON filter over labels.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<thread::List>(Target::any())?;
    let asked = request.query().and_then(|query| {
        let page = listing::page(&query)?;
        let filter = query.text("filter").map_or(Ok(Filter::Everything), filter)?;
        Ok((page, filter))
    });
    let (page, filter) = match asked {
        Ok(asked) => asked,
        Err(error) => return permit.close(Err(error)),
    };
    let limit = page.limit;
    let threads = request.engine.threads().list(permit, filter, page).await?;
    Ok(LIST.answer(&Listed::new(threads.into_iter().map(Thread::from), limit)))
}

fn filter(text: &str) -> Result<Filter> {
    let value: Value = crate::http::extract::json_body(text.as_bytes())?;
    Filter::parse(&value).map_err(|error| Error::new(codes::BAD_FILTER).message(error.to_string()))
}

pub(super) static GET: Described<Nothing, Thread> =
    Described::new("readThread", &tags::THREADS, "A thread").answers(200);

/// `GET /v1/threads/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let id = ThreadId::from(request.param("id")?);
    let permit = request.permit::<thread::Read>(Target::named(id.as_str()))?;
    let found = request.engine.threads().get(permit, &id).await?;
    Ok(GET.answer(&found.into()))
}

/// Changes of a thread. A member that is absent stays as it is.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "ThreadChanges")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Changes {
    #[serde(deserialize_with = "present")]
    #[schemars(length(min = 1, max = 200))]
    name: Option<Option<String>>,
    /// Merged into what is there.
    metadata: Option<Map<String, Value>>,
    /// In the place of what is there.
    state: Option<Map<String, Value>>,
}

pub(super) static CHANGE: Described<Changes, Thread> =
    Described::new("changeThread", &tags::THREADS, "Change a thread")
        .takes(r#"{"metadata": {"project": "travel"}}"#)
        .answers(200)
        .refuses(&[codes::CONFLICT]);

/// `PATCH /v1/threads/{id}`: metadata is merged, state replaced.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let id = ThreadId::from(request.param("id")?);
    let (permit, body) = CHANGE.permit::<thread::Update>(&mut request, Target::named(id.as_str())).await?;
    let Changes { name, metadata, state } = body;
    let changed = engine.threads().update(permit, &id, ThreadChanges { name, metadata, state }).await?;
    Ok(CHANGE.answer(&changed.into()))
}

pub(super) static DELETE: Described =
    Described::new("deleteThread", &tags::THREADS, "Delete a thread with its messages and runs")
        .refuses(&[codes::THREAD_BUSY, codes::CONFLICT]);

/// `DELETE /v1/threads/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let id = ThreadId::from(request.param("id")?);
    let permit = request.permit::<thread::Delete>(Target::named(id.as_str()))?;
    request.engine.threads().delete(permit, &id).await?;
    Ok(DELETE.done())
}

/// Who says a message, as bodies spell it.
#[derive(JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it stands for a text in the schema")]
enum Spoken {
    User,
    Human,
    Assistant,
    Ai,
    System,
    Tool,
}

/// A message as a body spells it.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewMessage")]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// `user` unless it says otherwise; `human` is the same, and `ai` is `assistant`.
    #[schemars(with = "Option<Spoken>")]
    role: Option<String>,
    /// Text, or a list of parts, of at most 256 KiB as JSON.
    #[schemars(with = "Content")]
    content: Value,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl Said {
    /// The message; `user` unless it says otherwise.
    ///
    /// # Errors
    /// `bad_field` for an unknown role.
    pub(super) fn into_new(self) -> Result<NewMessage> {
        let unknown = || Error::new(codes::BAD_FIELD).message("`role` is user, assistant, system or tool.");
        let role =
            self.role.as_deref().map_or(Some(MessageRole::User), MessageRole::parse).ok_or_else(unknown)?;
        Ok(NewMessage { role, content: self.content, metadata: self.metadata })
    }
}

pub(super) static SAY: Described<Said, Message> =
    Described::new("addMessage", &tags::THREADS, "Say something without an answer")
        .takes(r#"{"content": "hello"}"#)
        .answers(201)
        .refuses(&[codes::THREAD_BUSY, codes::CONFLICT]);

/// `POST /v1/threads/{id}/messages`
pub(super) async fn add_message(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let id = ThreadId::from(request.param("id")?);
    let (permit, body) = SAY.permit::<message::Create>(&mut request, Target::named(id.as_str())).await?;
    let new = match body.into_new() {
        Ok(new) => new,
        Err(error) => return permit.close(Err(error)),
    };
    let said = engine.threads().add_message(permit, &id, new).await?;
    Ok(SAY.answer(&said.into()))
}

pub(super) static MESSAGES: Described<Nothing, Listed<Message>> =
    Described::new("listMessages", &tags::THREADS, "The messages of a thread, oldest first")
        .parameters(listing::PAGE)
        .answers(200);

/// `GET /v1/threads/{id}/messages`, oldest first.
pub(super) async fn messages(request: Request) -> Result<Answer> {
    let id = ThreadId::from(request.param("id")?);
    let permit = request.permit::<message::Read>(Target::named(id.as_str()))?;
    let page = match request.query().and_then(|query| listing::page(&query)) {
        Ok(page) => page,
        Err(error) => return permit.close(Err(error)),
    };
    let limit = page.limit;
    let found = request.engine.threads().messages(permit, &id, page).await?;
    Ok(MESSAGES.answer(&Listed::new(found.into_iter().map(Message::from), limit)))
}

fn one(request: &Request) -> Result<(ThreadId, MessageId)> {
    Ok((ThreadId::from(request.param("id")?), MessageId::from(request.param("message")?)))
}

pub(super) static MESSAGE: Described<Nothing, Message> =
    Described::new("readMessage", &tags::THREADS, "A message").answers(200);

/// `GET /v1/threads/{id}/messages/{message}`
pub(super) async fn message(request: Request) -> Result<Answer> {
    let (thread, id) = one(&request)?;
    let permit = request.permit::<message::Read>(Target::named(id.as_str()))?;
    let found = request.engine.threads().message_of(permit, &thread, &id).await?;
    Ok(MESSAGE.answer(&found.into()))
}

pub(super) static DELETE_MESSAGE: Described =
    Described::new("deleteMessage", &tags::THREADS, "Remove a message")
        .refuses(&[codes::THREAD_BUSY, codes::CONFLICT]);

/// `DELETE /v1/threads/{id}/messages/{message}`
pub(super) async fn delete_message(request: Request) -> Result<Answer> {
    let (thread, id) = one(&request)?;
    let permit = request.permit::<message::Delete>(Target::named(id.as_str()))?;
    request.engine.threads().delete_message(permit, &thread, &id).await?;
    Ok(DELETE_MESSAGE.done())
}
