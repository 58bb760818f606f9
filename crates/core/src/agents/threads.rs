//! Threads and messages as a service. Every query carries the permit's filter: what it hides does not exist.

use serde_json::{Map, Value};

use super::content;
use super::crons;
use super::model::{Message, MessageRole, Thread};
use super::runs::{announced_stop, stop_key};
use super::search::{Standing, stand};
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

/// Most messages of a thread that are shown as its state: the newest.
pub const SHOWN: u32 = 200;
/// How often a change is tried that others get before.
pub(super) const TRIES: usize = 8;
/// Most bytes of them, by what they cost to hold.
const MAX_SHOWN_BYTES: usize = 4 << 20;
/// Most messages that are copied with a thread.
const MAX_COPIED: usize = 5000;

/// What a new thread is made of.
#[derive(Default)]
pub struct NewThread {
    /// Its id, where the client chooses one; it must be nobody's.
    pub id: Option<ThreadId>,
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

/// Whether a change waits for nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// It is refused while a run goes on.
    Needed,
    /// It is made beside whatever goes on.
    NotNeeded,
}

/// Threads and messages as a service.
pub struct Threads<'e> {
    pub(super) engine: &'e Engine,
}

/// Whether this can be said.
///
/// # Errors
/// `bad_field`.
pub(super) fn sayable(new: &NewMessage) -> Result<()> {
    content::check(&new.content)?;
    validate::metadata("metadata", &new.metadata)
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

    /// A thread of the caller's that is not written yet.
    pub(super) fn made(&self, grant: &Grant, new: &NewThread) -> Result<Thread> {
        validate::metadata("metadata", &new.metadata)?;
        let name = new.name.as_deref().map(|name| validate::label("name", name, 200)).transpose()?;
        let now_ms = self.engine.now_ms();
        let fresh = || ThreadId::new(self.engine.clock(), self.engine.random());
        Ok(Thread {
            id: new.id.clone().unwrap_or_else(fresh),
            mount: grant.mount().name.to_string(),
            owner: grant.auth().principal.owner_key(),
            name,
            metadata: new.metadata.clone(),
            state: Map::new(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        })
    }

    /// Starts a thread; the caller owns it.
    ///
    /// # Errors
    /// `bad_field`; `conflict` when its id is somebody's.
    pub async fn create(&self, mut permit: Permit<thread::Create>, new: NewThread) -> Result<Thread> {
        let thread = match self.made(&permit, &new) {
            Ok(thread) => thread,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(thread.id.as_str());
        permit.commit(vec![Write::InsertThread(thread.clone())]).await?;
        Ok(thread)
    }

    /// A new thread with the messages and the state of another, which the caller was shown.
    ///
    /// # Errors
    /// `bad_field`, `too_large` for one of more than 5,000 messages.
    pub async fn copy(
        &self,
        mut permit: Permit<thread::Create>,
        original: &Thread,
        id: ThreadId,
        metadata: Map<String, Value>,
    ) -> Result<Thread> {
        let prepared = async {
            let new = NewThread { id: Some(id), name: original.name.clone(), metadata };
            let thread = Thread { state: original.state.clone(), ..self.made(&permit, &new)? };
            let mut writes = vec![Write::InsertThread(thread.clone())];
            let mut after = None;
            loop {
                let page = Page { after, limit: 200 };
                let part = self.engine.store().messages(&original.id, page).await?;
                after = part.last().map(|last| last.id.as_str().to_owned());
                let is_last = part.len() < 200;
                let copied = |one: Message| Message { thread: thread.id.clone(), run: None, ..one };
                writes.extend(part.into_iter().map(|one| Write::InsertMessage(copied(one))));
                if writes.len() > MAX_COPIED {
                    return Err(Error::new(codes::TOO_LARGE).message("The thread has too many messages."));
                }
                if is_last {
                    return Ok((thread, writes));
                }
            }
        };
        match prepared.await {
            Ok((thread, writes)) => {
                permit.name_resource(thread.id.as_str());
                permit.commit(writes).await?;
                Ok(thread)
            }
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Says something in a thread without an agent, and changes its state.
    ///
    /// # Errors
    /// `not_found`; `thread_busy` while a run goes on; `bad_field`.
    pub async fn update_state(
        &self,
        permit: Permit<thread::Update>,
        id: &ThreadId,
        said: Vec<NewMessage>,
        values: Map<String, Value>,
    ) -> Result<Thread> {
        let made = if said.len() > 32 {
            Err(Error::new(codes::BAD_FIELD).message("messages: at most 32 can be said at once."))
        } else {
            said.into_iter().map(|new| self.message(id, new, None)).collect::<Result<Vec<_>>>()
        };
        let said = match made {
            Ok(said) => said,
            Err(error) => return permit.close(Err(error)),
        };
        let change = |thread: &mut Thread| {
            thread.state.extend(values.clone());
            validate::metadata("values", &thread.state)?;
            Ok(said.iter().cloned().map(Write::InsertMessage).collect())
        };
        self.changed(permit, id, Idle::Needed, change).await
    }

    /// Changes a thread as it is now: one that somebody else changes meanwhile is read, and decided about, anew.
    async fn changed(
        &self,
        mut permit: Permit<thread::Update>,
        id: &ThreadId,
        idle: Idle,
        change: impl Fn(&mut Thread) -> Result<Vec<Write>> + Send + Sync,
    ) -> Result<Thread> {
        for _ in 0..TRIES {
            let prepared = async {
                let seen = self.visible(&permit, id).await?;
                if idle == Idle::Needed {
                    self.must_be_idle(id).await?;
                }
                let mut thread = seen.clone();
                let beside = change(&mut thread)?;
                thread.updated_at_ms = self.engine.now_ms();
                Ok((seen, thread, beside))
            };
            let (seen, thread, beside) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            let change = Write::ChangeThread { to: Box::new(thread.clone()), seen: Box::new(seen) };
            match permit.attempt(std::iter::once(change).chain(beside).collect()).await {
                Ok(()) => return Ok(thread),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    async fn must_be_idle(&self, id: &ThreadId) -> Result<()> {
        let newest = self.engine.store().runs(id, Page { after: None, limit: 1 }).await?;
        if newest.iter().any(|run| run.status.is_unfinished()) {
            return Err(Error::new(codes::THREAD_BUSY).message(format!("Thread {id} has in-flight runs")));
        }
        Ok(())
    }

    /// Where a thread stands that the caller was shown.
    ///
    /// # Errors
    /// The store's.
    pub async fn stand(&self, thread: Thread) -> Result<Standing> {
        stand(self.engine, thread).await
    }

    /// The newest messages of a thread that the caller was shown, in order; at most [`SHOWN`], and of 4 MiB.
    ///
    /// # Errors
    /// The store's.
    pub async fn shown_messages(&self, thread: &Thread) -> Result<Vec<Message>> {
        self.newest(&thread.id, None).await
    }

    /// As [`Threads::shown_messages`], of those `before` an id where one is given.
    pub(super) async fn newest(&self, thread: &ThreadId, before: Option<&MessageId>) -> Result<Vec<Message>> {
        let mut found = Vec::new();
        // More and more of them: a few large ones are enough to know that all would be too many.
        for limit in [16, 64, SHOWN] {
            found = self.engine.store().newest_messages(thread, before, limit).await?;
            let size: usize = found.iter().map(content::cost).sum();
            if size > MAX_SHOWN_BYTES || found.len() < limit as usize {
                break;
            }
        }
        let mut room = MAX_SHOWN_BYTES;
        let fits = found.iter().rev().take_while(|message| {
            let size = content::cost(message);
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        let kept = fits.count();
        Ok(found.split_off(found.len() - kept))
    }

    /// Whether leave reaches this thread.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn reaches(&self, grant: &Grant, id: &ThreadId) -> Result<()> {
        self.visible(grant, id).await.map(|_| ())
    }

    /// The thread, if the grant reaches it.
    pub(super) async fn visible(&self, grant: &Grant, id: &ThreadId) -> Result<Thread> {
        if id.as_str().len() > MAX_ID_BYTES {
            return Err(not_found());
        }
        let found = self.engine.store().thread(&grant.mount().name, id, grant.filter()).await?;
        let thread = found.ok_or_else(not_found)?;
        grant.must_match(&thread.metadata)?;
        Ok(thread)
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
        let seen = |all: Vec<Thread>| all.into_iter().filter(|one| permit.matches(&one.metadata)).collect();
        let found = found.map(seen).map_err(Into::into);
        permit.close(found)
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
        let change = |thread: &mut Thread| {
            if let Some(name) = &changes.name {
                thread.name = name.as_deref().map(|name| validate::label("name", name, 200)).transpose()?;
            }
            for (key, value) in changes.metadata.iter().flatten() {
                if value.is_null() {
                    thread.metadata.remove(key);
                } else {
                    thread.metadata.insert(key.clone(), value.clone());
                }
            }
            validate::metadata("metadata", &thread.metadata)?;
            if let Some(state) = &changes.state {
                validate::metadata("state", state)?;
                thread.state = state.clone();
            }
            Ok(Vec::new())
        };
        self.changed(permit, id, Idle::NotNeeded, change).await
    }

    /// Removes a thread with its messages, its runs and its owner's crons in it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(&self, mut permit: Permit<thread::Delete>, id: &ThreadId) -> Result<()> {
        for _ in 0..TRIES {
            let prepared = async {
                let thread = self.visible(&permit, id).await?;
                let mut writes = crons::with_thread(self.engine, &thread).await?;
                // What still runs in it, in whichever process, has nowhere to answer.
                writes.extend(announced_stop(self.engine, id).await?);
                Ok(writes)
            };
            let mut writes = match prepared.await {
                Ok(writes) => writes,
                Err(error) => return permit.close(Err(error)),
            };
            writes.push(Write::DeleteThread(id.clone()));
            match permit.attempt(writes).await {
                Ok(()) => {
                    self.engine.memory().live.end(stop_key(id));
                    return Ok(());
                }
                // Something of it went a moment ago: what is left is looked at anew.
                Err(StoreError::Conflict(Conflict::Missing)) => {}
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
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
        sayable(&new)?;
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
