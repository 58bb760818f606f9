//! Threads and messages as a service. Every query carries the permit's filter: what it hides does not exist.

use serde_json::{Map, Value};

use super::model::{Message, MessageRole, Thread};
use crate::authz::catalogue::{message, thread};
use crate::authz::filter::Filter;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{MAX_ID_BYTES, MessageId, RunId, ThreadId};
use crate::identity::validate;
use crate::operation::{Grant, Permit};
use crate::ports::Conflict;
use crate::ports::StoreError;
use crate::ports::store::{Page, Write};

/// Largest message content, as JSON.
pub const MAX_CONTENT_BYTES: usize = 256 << 10;

/// What a new thread is made of.
#[derive(Default)]
pub struct NewThread {
    /// A title.
    pub name: Option<String>,
    /// What the client attaches.
    pub metadata: Map<String, Value>,
}

/// What to change; absent members stay.
#[derive(Default)]
pub struct ThreadChanges {
    /// The title; `Some(None)` clears it.
    pub name: Option<Option<String>>,
    /// Merged into the metadata; `null` removes a member.
    pub metadata: Option<Map<String, Value>>,
    /// Replaces the state.
    pub state: Option<Map<String, Value>>,
}

/// What a new message is made of.
pub struct NewMessage {
    /// Who says it.
    pub role: MessageRole,
    /// Text, or a list of parts.
    pub content: Value,
    /// What is attached.
    pub metadata: Map<String, Value>,
}

/// Threads and messages as a service.
pub struct Threads<'e> {
    engine: &'e Engine,
}

fn not_found() -> Error {
    Error::new(codes::NOT_FOUND)
}

fn bounded(page: Page) -> Page {
    Page { limit: page.limit.clamp(1, 200), ..page }
}

impl<'e> Threads<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Starts a thread; the caller owns it.
    ///
    /// # Errors
    /// `bad_field`.
    pub async fn create(&self, mut permit: Permit<thread::Create>, new: NewThread) -> Result<Thread> {
        let checked = validate::metadata("metadata", &new.metadata)
            .and_then(|()| new.name.as_deref().map(|name| validate::label("name", name, 200)).transpose());
        let name = match checked {
            Ok(name) => name,
            Err(error) => return permit.close(Err(error)),
        };
        let now_ms = self.engine.now_ms();
        let thread = Thread {
            id: ThreadId::new(self.engine.clock(), self.engine.random()),
            mount: permit.mount().name.to_string(),
            owner: permit.auth().principal.owner_key(),
            name,
            metadata: new.metadata,
            state: Map::new(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        permit.name_resource(thread.id.as_str());
        permit.commit(vec![Write::InsertThread(thread.clone())]).await?;
        Ok(thread)
    }

    /// The thread, if the grant reaches it.
    pub(super) async fn visible(&self, grant: &Grant, id: &ThreadId) -> Result<Thread> {
        if id.as_str().len() > MAX_ID_BYTES {
            return Err(not_found());
        }
        let found = self.engine.store().thread(&grant.mount().name, id, grant.filter()).await?;
        found.ok_or_else(not_found)
    }

    /// One thread.
    ///
    /// # Errors
    /// `not_found`, also for somebody else's.
    pub async fn get(&self, permit: Permit<thread::Read>, id: &ThreadId) -> Result<Thread> {
        let found = self.visible(&permit, id).await;
        permit.close(found)
    }

    /// Threads that the permit and `filter` let through, newest first, at most 200.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        permit: Permit<thread::List>,
        filter: Filter,
        page: Page,
    ) -> Result<Vec<Thread>> {
        let both = permit.filter().clone().and(filter);
        let found = self.engine.store().threads(&permit.mount().name, &both, bounded(page)).await;
        permit.close(found.map_err(Into::into))
    }

    /// Changes a thread.
    ///
    /// # Errors
    /// `not_found`, `bad_field`.
    pub async fn update(
        &self,
        permit: Permit<thread::Update>,
        id: &ThreadId,
        changes: ThreadChanges,
    ) -> Result<Thread> {
        let prepared = async {
            let mut thread = self.visible(&permit, id).await?;
            if let Some(name) = changes.name {
                thread.name = name.as_deref().map(|name| validate::label("name", name, 200)).transpose()?;
            }
            for (key, value) in changes.metadata.into_iter().flatten() {
                if value.is_null() {
                    thread.metadata.remove(&key);
                } else {
                    thread.metadata.insert(key, value);
                }
            }
            validate::metadata("metadata", &thread.metadata)?;
            if let Some(state) = changes.state {
                validate::metadata("state", &state)?;
                thread.state = state;
            }
            thread.updated_at_ms = self.engine.now_ms();
            Ok(thread)
        };
        match prepared.await {
            Ok(thread) => {
                permit.commit(vec![Write::UpdateThread(thread.clone())]).await?;
                Ok(thread)
            }
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Removes a thread with its messages and runs.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(&self, permit: Permit<thread::Delete>, id: &ThreadId) -> Result<()> {
        match self.visible(&permit, id).await {
            Ok(_) => Ok(permit.commit(vec![Write::DeleteThread(id.clone())]).await?),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Adds a message.
    ///
    /// # Errors
    /// `not_found` for the thread, `bad_field`.
    pub async fn add_message(
        &self,
        mut permit: Permit<message::Create>,
        thread: &ThreadId,
        new: NewMessage,
    ) -> Result<Message> {
        let made = self.visible(&permit, thread).await.and_then(|_| self.message(thread, new, None));
        match made {
            Ok(message) => {
                permit.name_resource(message.id.as_str());
                permit.commit(vec![Write::InsertMessage(message.clone())]).await?;
                Ok(message)
            }
            Err(error) => permit.close(Err(error)),
        }
    }

    pub(super) fn message(&self, thread: &ThreadId, new: NewMessage, run: Option<RunId>) -> Result<Message> {
        let bad = |text: &str| Err(Error::new(codes::BAD_FIELD).message(text));
        match &new.content {
            Value::String(text) if text.is_empty() => return bad("content: must not be empty."),
            Value::Array(parts) if parts.is_empty() => return bad("content: must not be empty."),
            Value::String(_) | Value::Array(_) => {}
            _ => return bad("content: is a text or a list of parts."),
        }
        if serde_json::to_string(&new.content).map_or(usize::MAX, |text| text.len()) > MAX_CONTENT_BYTES {
            return bad("content: is too large.");
        }
        validate::metadata("metadata", &new.metadata)?;
        Ok(Message {
            id: MessageId::new(self.engine.ordered_clock(), self.engine.random()),
            thread: thread.clone(),
            role: new.role,
            content: new.content,
            metadata: new.metadata,
            run,
            created_at_ms: self.engine.now_ms(),
        })
    }

    /// Messages of a thread in order, at most 200.
    ///
    /// # Errors
    /// `not_found` for the thread.
    pub async fn messages(
        &self,
        permit: Permit<message::Read>,
        thread: &ThreadId,
        page: Page,
    ) -> Result<Vec<Message>> {
        let found = self.read_messages(&permit, thread, page).await;
        permit.close(found)
    }

    async fn read_messages(&self, grant: &Grant, thread: &ThreadId, page: Page) -> Result<Vec<Message>> {
        self.visible(grant, thread).await?;
        Ok(self.engine.store().messages(thread, bounded(page)).await?)
    }

    /// One message.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn message_of(
        &self,
        permit: Permit<message::Read>,
        thread: &ThreadId,
        id: &MessageId,
    ) -> Result<Message> {
        let found = async {
            self.visible(&permit, thread).await?;
            self.engine.store().message(thread, id).await?.ok_or_else(not_found)
        };
        let found = found.await;
        permit.close(found)
    }

    /// Removes a message.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_message(
        &self,
        permit: Permit<message::Delete>,
        thread: &ThreadId,
        id: &MessageId,
    ) -> Result<()> {
        if let Err(error) = self.visible(&permit, thread).await {
            return permit.close(Err(error));
        }
        let write = Write::DeleteMessage { thread: thread.clone(), id: id.clone() };
        close_missing(permit.commit(vec![write]).await)
    }
}

fn close_missing(done: Result<(), StoreError>) -> Result<()> {
    match done {
        Err(StoreError::Conflict(Conflict::Missing)) => Err(not_found()),
        other => Ok(other?),
    }
}
