//! Runs as a service: an agent at work in a thread.
//!
//! The caller's message and the run are written before the runner starts; the answer and the end of the run are
//! written in one transaction when it stops. A client that leaves does not stop the run; a revoked credential does.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::model::{Message, MessageRole, Run, RunStatus};
use super::runner::{Fault, RunEvent, RunInput};
use super::threads::{NewMessage, Threads};
use crate::authz::catalogue::run;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{MessageId, RunId, ThreadId};
use crate::live::LiveGuard;
use crate::memory::revocations::Key;
use crate::operation::Permit;
use crate::ports::Batch;
use crate::ports::store::{Page, Write};

/// Most messages a runner is shown; each may be large, and many runs go on at once.
const CONTEXT: u32 = 64;
/// Longest answer kept.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// Longest time a run takes.
const MAX_RUN: std::time::Duration = std::time::Duration::from_secs(600);

/// What happens in a run, in order.
#[derive(Debug, Clone)]
pub enum Progress {
    /// More text.
    Text(String),
    /// It is over: the run as it ended, and the answer if there is one.
    Ended(Run, Option<Message>),
}

/// A run at work.
pub struct Running {
    /// The run as it began.
    pub run: Run,
    /// What was said to start it, as it is kept.
    pub said: Vec<Message>,
    /// The id its answer will have.
    pub answer: MessageId,
    /// What happens, to the end. Dropping it does not stop the run.
    pub progress: mpsc::Receiver<Progress>,
}

/// Runs as a service.
pub struct Runs<'e> {
    engine: &'e Engine,
}

impl<'e> Runs<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Says something in a thread and lets the agent answer.
    ///
    /// # Errors
    /// `not_found` for the thread, `bad_field`, `agents_busy`.
    pub async fn start(
        &self,
        mut permit: Permit<run::Create>,
        thread: &ThreadId,
        said: Vec<NewMessage>,
    ) -> Result<Running> {
        let threads = Threads::new(self.engine);
        let prepared = async {
            threads.visible(&permit, thread).await?;
            if said.len() > 32 {
                return Err(Error::new(codes::BAD_FIELD).message("messages: at most 32 can be said at once."));
            }
            let nothing = Page { after: None, limit: 1 };
            if said.is_empty() && self.engine.store().messages(thread, nothing).await?.is_empty() {
                return Err(Error::new(codes::BAD_FIELD).message("messages: there is nothing to answer."));
            }
            let said = said.into_iter().map(|new| threads.message(thread, new, None));
            let said = said.collect::<Result<Vec<_>>>()?;
            // Last, so that what is refused anyway takes nobody's place.
            Ok((said, self.engine.runner().admit()?))
        };
        let (messages, place) = match prepared.await {
            Ok(messages) => messages,
            Err(error) => return permit.close(Err(error)),
        };
        let run = Run {
            id: RunId::new(self.engine.clock(), self.engine.random()),
            thread: thread.clone(),
            status: RunStatus::Running,
            error: None,
            created_at_ms: self.engine.now_ms(),
            finished_at_ms: None,
        };
        permit.name_resource(run.id.as_str());
        let guard = self.engine.watch(permit.auth());
        let stopped = self.engine.memory().live.register(vec![stop_key(thread)]);
        let user = user_config(permit.auth());
        let mut writes: Vec<Write> = messages.iter().cloned().map(Write::InsertMessage).collect();
        writes.push(Write::InsertRun(run.clone()));
        permit.commit(writes).await?;
        let context = self.engine.store().newest_messages(thread, CONTEXT).await?;
        let (sender, progress) = mpsc::channel(64);
        let answer = MessageId::new(self.engine.ordered_clock(), self.engine.random());
        let engine = self.engine.clone();
        let work = Work { engine, run: run.clone(), answer: answer.clone(), guard, stopped, sender };
        let input = RunInput { run: run.id.clone(), thread: thread.clone(), place, messages: context, user };
        self.engine.spawn(work.carry(input));
        Ok(Running { run, said: messages, answer, progress })
    }

    /// Stops what runs in a thread in this process; returns how many runs were at work.
    ///
    /// # Errors
    /// `not_found` for the thread.
    pub async fn stop(&self, permit: Permit<run::Cancel>, thread: &ThreadId) -> Result<usize> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            let page = Page { after: None, limit: 200 };
            let runs = self.engine.store().runs(thread, page).await?;
            self.engine.memory().live.end(stop_key(thread));
            Ok(runs.iter().filter(|run| run.status == RunStatus::Running).count())
        };
        let found = found.await;
        permit.close(found)
    }

    /// A thread's runs, newest first, at most 200.
    ///
    /// # Errors
    /// `not_found` for the thread.
    pub async fn list(&self, permit: Permit<run::Read>, thread: &ThreadId, page: Page) -> Result<Vec<Run>> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            let page = Page { limit: page.limit.clamp(1, 200), ..page };
            Ok(self.engine.store().runs(thread, page).await?)
        };
        let found = found.await;
        permit.close(found)
    }

    /// One run.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, permit: Permit<run::Read>, thread: &ThreadId, id: &RunId) -> Result<Run> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            self.engine.store().run(thread, id).await?.ok_or_else(|| Error::new(codes::NOT_FOUND))
        };
        let found = found.await;
        permit.close(found)
    }
}

/// What stops the runs of a thread in this process.
fn stop_key(thread: &ThreadId) -> Key {
    Key::of_work(&format!("runs of {thread}"))
}

/// What a run knows of its caller: what AgentFlow merges under the run's `user` configuration.
fn user_config(auth: &crate::principal::AuthContext) -> Map<String, Value> {
    let mut user: Map<String, Value> = auth.claims.clone().into_iter().collect();
    user.insert("user_id".into(), (&*auth.principal.subject).into());
    user
}

struct Work {
    engine: Engine,
    run: Run,
    answer: MessageId,
    guard: LiveGuard,
    stopped: LiveGuard,
    sender: mpsc::Sender<Progress>,
}

impl Work {
    async fn carry(mut self, input: RunInput) {
        let runner = Arc::clone(self.engine.runner());
        let mut events = runner.run(input);
        let mut answer = String::new();
        let deadline = tokio::time::sleep(MAX_RUN);
        tokio::pin!(deadline);
        let (status, error) = loop {
            let room = MAX_ANSWER_BYTES - answer.len();
            // Handing on is part of the step: a reader that left does not stop the run, one that is slow slows it down,
            // and neither keeps it from being stopped.
            let step = async {
                let event = events.next().await;
                if let Some(RunEvent::Text(text)) = &event
                    && text.len() <= room
                {
                    let _ = self.sender.send(Progress::Text(text.clone())).await;
                }
                event
            };
            let event = tokio::select! {
                event = step => event,
                () = self.stopped.ended() => break (RunStatus::Interrupted, Some("it was stopped".to_owned())),
                () = self.guard.ended() => {
                    break (RunStatus::Interrupted, Some("the caller's access ended".to_owned()));
                }
                () = &mut deadline => break (RunStatus::Error, Some(Fault::TimedOut.to_string())),
            };
            match event {
                None => break (RunStatus::Success, None),
                Some(RunEvent::Failed(fault, detail)) => {
                    tracing::warn!(run = %self.run.id, code = fault.code(), detail, "the agent failed");
                    break (RunStatus::Error, Some(fault.to_string()));
                }
                Some(RunEvent::Text(text)) if text.len() > room => {
                    break (RunStatus::Error, Some(Fault::TooLong.to_string()));
                }
                Some(RunEvent::Text(text)) => answer.push_str(&text),
            }
        };
        // Whatever still works for this run stops before its end is told.
        drop(events);
        self.end(status, error, answer).await;
    }

    async fn end(mut self, status: RunStatus, error: Option<String>, answer: String) {
        let at_ms = self.engine.now_ms();
        let mut writes = Vec::new();
        let mut message = None;
        if status == RunStatus::Success && !answer.is_empty() {
            let new =
                NewMessage { role: MessageRole::Assistant, content: answer.into(), metadata: Map::new() };
            let made = Threads::new(&self.engine).message(&self.run.thread, new, Some(self.run.id.clone()));
            if let Ok(mut made) = made {
                made.id = self.answer.clone();
                writes.push(Write::InsertMessage(made.clone()));
                message = Some(made);
            }
        }
        writes.push(Write::FinishRun { id: self.run.id.clone(), status, error: error.clone(), at_ms });
        if let Err(failure) = self.engine.commit(Batch::durable(writes)).await {
            // The thread was deleted meanwhile, or the store is away; the next start marks the run as interrupted.
            tracing::warn!(run = %self.run.id, %failure, "a run's end could not be written");
            message = None;
            self.run.status = RunStatus::Error;
            self.run.error = Some("the end of the run could not be written".to_owned());
        } else {
            self.run.status = status;
            self.run.error = error;
        }
        self.run.finished_at_ms = Some(at_ms);
        let _ = self.sender.send(Progress::Ended(self.run, message)).await;
    }
}
