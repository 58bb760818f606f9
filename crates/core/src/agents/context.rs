//! What a runner is shown of a thread. It is read when the work begins and not before: many runs wait at once, and what each of them
//! would hold meanwhile is what one caller wrote.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::model::Message;
use super::runner::Fault;
use super::threads::Threads;
use crate::engine::Engine;
use crate::id::{MessageId, ThreadId};

/// Most messages a runner is shown; each may be large, and many runs go on at once.
const MOST: usize = 64;
/// So many runs read at once what was said in their threads: before it is known how much that is, it may be a lot.
const READING: usize = 2;

/// Where the messages are.
enum Source {
    /// In the store: those before the answer.
    Kept { engine: Engine, thread: ThreadId, answer: MessageId },
    /// In memory, for whoever hears the run.
    Shown(Arc<Vec<Message>>),
}

/// What a runner is shown.
pub struct Context(Source);

impl Context {
    /// What was said in a thread before an answer of this id.
    pub(super) fn before(engine: &Engine, thread: &ThreadId, answer: &MessageId) -> Self {
        Self(Source::Kept { engine: engine.clone(), thread: thread.clone(), answer: answer.clone() })
    }

    /// These messages, oldest first.
    #[must_use]
    pub fn of(messages: Arc<Vec<Message>>) -> Self {
        Self(Source::Shown(messages))
    }

    /// The newest messages, at most 64 and about 4 MiB of them. To be dropped before anybody is waited for.
    ///
    /// # Errors
    /// How the run fails: the store cannot be read.
    pub async fn read(&self) -> Result<Messages, (Fault, String)> {
        let all = match &self.0 {
            Source::Shown(all) => Arc::clone(all),
            Source::Kept { engine, thread, answer } => {
                let _turn = engine.agents().readers.enter().await;
                let read = Threads::new(engine).newest(thread, Some(answer)).await;
                Arc::new(
                    read.map_err(|error| (Fault::Failed, format!("the thread cannot be read: {error:?}")))?,
                )
            }
        };
        let from = all.len().saturating_sub(MOST);
        Ok(Messages { all, from })
    }
}

/// Messages of a thread, oldest first; the last one is to be answered.
pub struct Messages {
    all: Arc<Vec<Message>>,
    from: usize,
}

impl Deref for Messages {
    type Target = [Message];

    fn deref(&self) -> &[Message] {
        &self.all[self.from..]
    }
}

/// Runs that read what was said in their threads, a few at once.
pub(super) struct Readers(Semaphore);

impl Default for Readers {
    fn default() -> Self {
        Self(Semaphore::new(READING))
    }
}

impl Readers {
    pub(super) async fn enter(&self) -> SemaphorePermit<'_> {
        self.0.acquire().await.expect("the semaphore is never closed")
    }
}
