//! Threads and messages of the embedded agent server.

use doorward_core::agents::model::MessageRole;
use doorward_core::agents::threads::{NewMessage, NewThread, ThreadChanges};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{message, thread};
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{MessageId, ThreadId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::listing;
use super::users::present;
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct New {
    name: Option<String>,
    metadata: Map<String, Value>,
}

/// `POST /v1/threads`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = request.permit_with_json::<thread::Create, New>(Target::any()).await?;
    let made = engine
        .threads()
        .create(permit, NewThread { id: None, name: body.name, metadata: body.metadata })
        .await?;
    Ok(json_answer(StatusCode::CREATED, &made))
}

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
    Ok(listing::answer("threads", threads.iter().map(|thread| json!(thread)).collect(), limit))
}

fn filter(text: &str) -> Result<Filter> {
    let value: Value = crate::http::extract::json_body(text.as_bytes())?;
    Filter::parse(&value).map_err(|error| Error::new(codes::BAD_FILTER).message(error.to_string()))
}

/// `GET /v1/threads/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let id = ThreadId::from(request.param("id")?);
    let permit = request.permit::<thread::Read>(Target::named(id.as_str()))?;
    let found = request.engine.threads().get(permit, &id).await?;
    Ok(json_answer(StatusCode::OK, &found))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Changes {
    #[serde(deserialize_with = "present")]
    name: Option<Option<String>>,
    metadata: Option<Map<String, Value>>,
    state: Option<Map<String, Value>>,
}

/// `PATCH /v1/threads/{id}`: metadata is merged, state replaced.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let id = ThreadId::from(request.param("id")?);
    let (permit, body) =
        request.permit_with_json::<thread::Update, Changes>(Target::named(id.as_str())).await?;
    let Changes { name, metadata, state } = body;
    let changed = engine.threads().update(permit, &id, ThreadChanges { name, metadata, state }).await?;
    Ok(json_answer(StatusCode::OK, &changed))
}

/// `DELETE /v1/threads/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let id = ThreadId::from(request.param("id")?);
    let permit = request.permit::<thread::Delete>(Target::named(id.as_str()))?;
    request.engine.threads().delete(permit, &id).await?;
    Ok(no_content())
}

/// A message as a body spells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    role: Option<String>,
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

/// `POST /v1/threads/{id}/messages`
pub(super) async fn add_message(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let id = ThreadId::from(request.param("id")?);
    let (permit, body) =
        request.permit_with_json::<message::Create, Said>(Target::named(id.as_str())).await?;
    let new = match body.into_new() {
        Ok(new) => new,
        Err(error) => return permit.close(Err(error)),
    };
    let said = engine.threads().add_message(permit, &id, new).await?;
    Ok(json_answer(StatusCode::CREATED, &said))
}

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
    Ok(listing::answer("messages", found.iter().map(|message| json!(message)).collect(), limit))
}

fn one(request: &Request) -> Result<(ThreadId, MessageId)> {
    Ok((ThreadId::from(request.param("id")?), MessageId::from(request.param("message")?)))
}

/// `GET /v1/threads/{id}/messages/{message}`
pub(super) async fn message(request: Request) -> Result<Answer> {
    let (thread, id) = one(&request)?;
    let permit = request.permit::<message::Read>(Target::named(id.as_str()))?;
    let found = request.engine.threads().message_of(permit, &thread, &id).await?;
    Ok(json_answer(StatusCode::OK, &found))
}

/// `DELETE /v1/threads/{id}/messages/{message}`
pub(super) async fn delete_message(request: Request) -> Result<Answer> {
    let (thread, id) = one(&request)?;
    let permit = request.permit::<message::Delete>(Target::named(id.as_str()))?;
    request.engine.threads().delete_message(permit, &thread, &id).await?;
    Ok(no_content())
}
