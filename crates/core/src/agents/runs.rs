//! Runs as a service: an agent at work in a thread.
//!
//! The caller's message and the run are written before the runner starts; the answer and the end of the run are
//! written in one transaction when it stops. A client that leaves does not stop the run; a revoked credential does.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::context::Context;
use super::feed::Follower;
use super::model::{Message, Run, RunStatus, Thread};
use super::threads::{NewMessage, NewThread, TRIES, Threads, sayable};
use super::turns::Turn;
use super::work::{Listeners, Waiting, Work};
use crate::authz::catalogue::thread::Create as CreateThread;
use crate::authz::catalogue::{Action as _, run};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{MessageId, RunId, ThreadId};
use crate::identity::validate;
use crate::limits::shares::account_or_network;
use crate::memory::revocations::Key;
use crate::operation::Permit;
use crate::ports::store::{Change, Page, Write};
use crate::ports::{Batch, Conflict, StoreError};
use crate::principal::AuthContext;

/// How long between looks at a run that goes on in another process.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What happens in a run, in order.
#[derive(Debug, Clone)]
pub enum Progress {
    /// More text.
    Text(String),
    /// It is over: the run as it ended, and the answer if there is one.
    Ended(Box<Run>, Option<Message>),
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

/// What a run in its turn is made of.
pub struct InTurn {
    /// Its id.
    pub id: RunId,
    /// What is said.
    pub said: Vec<NewMessage>,
    /// What the surface keeps of the request.
    pub details: Map<String, Value>,
    /// How it gets along with others in the thread.
    pub turn: Turn,
    /// How long it waits before it asks for its turn.
    pub after: Duration,
    /// Merged into the thread's state.
    pub values: Map<String, Value>,
    /// Merged into the thread's metadata.
    pub metadata: Map<String, Value>,
    /// The thread to make if there is none of that id.
    pub create: Option<NewThread>,
    /// Whether the thread goes when the run is over.
    pub temporary: bool,
}

/// Runs as a service.
pub struct Runs<'e> {
    engine: &'e Engine,
}

impl<'e> Runs<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Says something in a thread and lets the agent answer, beside whatever else runs there.
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
        let caller = caller(&permit);
        let prepared = async {
            threads.visible(&permit, thread).await?;
            self.sayable(thread, &said).await?;
            let said = said.into_iter().map(|new| threads.message(thread, new, None));
            let said = said.collect::<Result<Vec<_>>>()?;
            // Last, so that what is refused anyway takes nobody's place.
            Ok((said, self.engine.runner().admit(&caller)?))
        };
        let (messages, place) = match prepared.await {
            Ok(messages) => messages,
            Err(error) => return permit.close(Err(error)),
        };
        let id = RunId::new(self.engine.clock(), self.engine.random());
        let run = self.row(id, thread, RunStatus::Running, Map::new());
        permit.name_resource(run.id.as_str());
        let (sender, progress) = mpsc::channel(64);
        let work = self.work((permit.auth(), caller), &run, Listeners::One(sender));
        // Watched first, then looked at: what was revoked meanwhile begins nothing.
        if permit.call().is_revoked() {
            return permit.close(Err(Error::new(codes::TOKEN_REVOKED)));
        }
        let mut writes: Vec<Write> = messages.iter().cloned().map(Write::InsertMessage).collect();
        writes.push(Write::InsertRun(run.clone()));
        permit.commit(writes).await?;
        let answer = work.answer.clone();
        self.engine.spawn(work.carry(place, Context::before(self.engine, thread, &answer)));
        Ok(Running { run, said: messages, answer, progress })
    }

    /// As [`Runs::start`], in its turn among the thread's runs. What is said is written when the turn comes.
    ///
    /// # Errors
    /// As there; `thread_busy` where it is not to wait.
    pub async fn start_in_turn(
        &self,
        mut permit: Permit<run::Create>,
        thread: &ThreadId,
        asked: InTurn,
    ) -> Result<(Run, Follower)> {
        let agents = self.engine.agents();
        let caller = caller(&permit);
        let prepared = async {
            let threads = Threads::new(self.engine);
            let (found, is_new) = match (threads.visible(&permit, thread).await, &asked.create) {
                (Ok(found), _) => (found, false),
                (Err(error), Some(new)) if error.is(codes::NOT_FOUND) => {
                    permit.call().may(CreateThread::DEF)?;
                    (threads.made(&permit, new)?, true)
                }
                (Err(error), _) => return Err(error),
            };
            self.sayable(thread, &asked.said).await?;
            let waits = asked.after > Duration::ZERO;
            let later = match waits {
                true => {
                    let owner = permit.auth().principal.owner_key();
                    let full = || Error::new(codes::AGENTS_BUSY).retry_after_s(10);
                    Some(agents.later(owner).ok_or_else(full)?)
                }
                false => None,
            };
            let too_many = || {
                Error::new(codes::AGENTS_BUSY).message("Too many runs wait in this thread.").retry_after_s(10)
            };
            let mut turn = agents.turns.place(thread).ok_or_else(too_many)?;
            let free = !waits && turn.take_now();
            if asked.turn == Turn::Reject && (!free || self.unfinished(thread).await?.is_some()) {
                return Err(Error::new(codes::THREAD_BUSY));
            }
            // Whoever can begin at once is told at once that there is no room.
            let place = if free { Some(self.engine.runner().admit(&caller)?) } else { None };
            Ok((found, is_new, later, turn, place))
        };
        let (found, is_new, later, turn, place) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return permit.close(Err(error)),
        };
        let InTurn { id, said, details, turn: manner, after, values, metadata, temporary, create: _ } = asked;
        let run = self.row(id, thread, RunStatus::Pending, details);
        permit.name_resource(run.id.as_str());
        let feed = agents.feeds.open(&run.id);
        let Some(follower) = agents.feeds.follow(&run.id) else {
            return permit.close(Err(Error::new(codes::INTERNAL).operator("a feed vanished")));
        };
        let work = self.work((permit.auth(), caller), &run, Listeners::Many(feed));
        if permit.call().is_revoked() {
            agents.feeds.forget(&run.id);
            return permit.close(Err(Error::new(codes::TOKEN_REVOKED)));
        }
        let begun = self.begun(&mut permit, (found, is_new), (&values, &metadata), &run).await;
        if let Err(error) = begun {
            agents.feeds.forget(&run.id);
            return permit.close(Err(error));
        }
        if matches!(manner, Turn::Interrupt | Turn::Rollback) {
            self.stop_others(thread, &run.id, manner == Turn::Rollback).await?;
        }
        let waiting = Waiting { work, turn, place, said, after, temporary };
        // Stopping does not wait for what has not begun: the next start marks it as interrupted.
        tokio::spawn(async move {
            waiting.carry().await;
            drop(later);
        });
        Ok((run, follower))
    }

    /// Writes that a run is to begin, with the thread as it makes or changes it. One that somebody else changes meanwhile is read, and
    /// decided about, anew.
    async fn begun(
        &self,
        permit: &mut Permit<run::Create>,
        (mut thread, is_new): (Thread, bool),
        (values, metadata): (&Map<String, Value>, &Map<String, Value>),
        run: &Run,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let mut writes = changed_thread(&thread, is_new, (values, metadata), self.engine.now_ms())?;
            writes.push(Write::InsertRun(run.clone()));
            match permit.attempt(writes).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict(Conflict::Stale)) => {
                    thread = Threads::new(self.engine).visible(permit, &run.thread).await?;
                }
                // Somebody else has a thread of that id.
                Err(StoreError::Conflict(Conflict::Exists)) => return Err(Error::new(codes::NOT_FOUND)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(codes::CONFLICT))
    }

    async fn sayable(&self, thread: &ThreadId, said: &[NewMessage]) -> Result<()> {
        if said.len() > 32 {
            return Err(Error::new(codes::BAD_FIELD).message("messages: at most 32 can be said at once."));
        }
        // Before it waits: what cannot be said is not held until its turn comes.
        said.iter().try_for_each(sayable)?;
        let nothing = Page { after: None, limit: 1 };
        if said.is_empty() && self.engine.store().messages(thread, nothing).await?.is_empty() {
            return Err(Error::new(codes::BAD_FIELD).message("messages: there is nothing to answer."));
        }
        Ok(())
    }

    fn row(&self, id: RunId, thread: &ThreadId, status: RunStatus, details: Map<String, Value>) -> Run {
        let created_at_ms = self.engine.now_ms();
        let thread = thread.clone();
        Run { id, thread, status, error: None, created_at_ms, finished_at_ms: None, details }
    }

    fn work(&self, (auth, caller): (&AuthContext, String), run: &Run, listeners: Listeners) -> Work {
        let live = &self.engine.memory().live;
        Work {
            engine: self.engine.clone(),
            run: run.clone(),
            answer: MessageId::new(self.engine.ordered_clock(), self.engine.random()),
            guard: self.engine.watch(auth),
            stopped: live.register(stop_keys(auth, run)),
            user: user_config(auth),
            caller,
            listeners,
        }
    }

    /// The newest run of a thread that has not come to an end.
    async fn unfinished(&self, thread: &ThreadId) -> Result<Option<Run>> {
        let newest = Page { after: None, limit: 1 };
        let runs = self.engine.store().runs(thread, newest).await?;
        Ok(runs.into_iter().find(|run| run.status.is_unfinished()))
    }

    async fn stop_others(&self, thread: &ThreadId, but: &RunId, and_forget: bool) -> Result<()> {
        let runs = newest_unfinished(self.engine, thread).await?;
        self.end(runs.iter().filter(|run| run.id != *but), and_forget).await
    }

    /// Ends runs: those of this process now, others when their process hears of it.
    async fn end(&self, runs: impl Iterator<Item = &Run> + Send, and_forget: bool) -> Result<()> {
        let mut elsewhere = Vec::new();
        for run in runs {
            if and_forget {
                self.engine.agents().rolled_back(&run.id);
            }
            if !self.engine.memory().live.end(Key::of_run(&run.id)) {
                elsewhere.push(Write::Announce(Change::Stop { run: run.id.clone(), and_forget }));
            }
        }
        if !elsewhere.is_empty() {
            self.engine.commit(Batch::durable(elsewhere)).await?;
        }
        Ok(())
    }

    /// Stops what runs in a thread, in whichever process; returns how many runs were at work.
    ///
    /// # Errors
    /// `not_found` for the thread.
    pub async fn stop(&self, permit: Permit<run::Cancel>, thread: &ThreadId) -> Result<usize> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            let runs = newest_unfinished(self.engine, thread).await?;
            self.engine.memory().live.end(stop_key(thread));
            self.end(runs.iter(), false).await?;
            Ok(runs.iter().filter(|run| run.status == RunStatus::Running).count())
        };
        let found = found.await;
        permit.close(found)
    }

    /// Stops single runs of a thread, in whichever process; `and_forget` also removes them, with what they said. Returns those that
    /// were unfinished.
    ///
    /// # Errors
    /// `not_found` for the thread, and when it has none of them.
    pub async fn cancel(
        &self,
        permit: Permit<run::Cancel>,
        thread: &ThreadId,
        ids: &[RunId],
        and_forget: bool,
    ) -> Result<Vec<Run>> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            let (mut stopped, mut known) = (Vec::new(), false);
            for id in ids {
                let run = self.engine.store().run(thread, id).await?;
                known |= run.is_some();
                stopped.extend(run.filter(|run| run.status.is_unfinished()));
            }
            self.end(stopped.iter(), and_forget).await?;
            if known { Ok(stopped) } else { Err(Error::new(codes::NOT_FOUND)) }
        };
        let found = found.await;
        permit.close(found)
    }

    /// Forgets a run, which is stopped if it goes on. Its messages stay.
    ///
    /// # Errors
    /// `not_found` for the thread, `run_not_found`.
    pub async fn delete(&self, permit: Permit<run::Delete>, thread: &ThreadId, id: &RunId) -> Result<()> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            self.engine.store().run(thread, id).await?.ok_or_else(|| Error::new(codes::RUN_NOT_FOUND))
        };
        let run = match found.await {
            Ok(run) => run,
            Err(error) => return permit.close(Err(error)),
        };
        let mut writes = vec![Write::DeleteRun { id: id.clone(), with_messages: false }];
        if run.status.is_unfinished() && !self.engine.memory().live.end(Key::of_run(id)) {
            writes.push(Write::Announce(Change::Stop { run: run.id, and_forget: false }));
        }
        match permit.commit(writes).await {
            Err(StoreError::Conflict(Conflict::Missing)) => Err(Error::new(codes::RUN_NOT_FOUND)),
            other => Ok(other?),
        }
    }

    /// A run and what is heard of it, if it goes on or ended a moment ago in this process.
    ///
    /// # Errors
    /// `not_found` for the thread, `run_not_found`.
    pub async fn follow(
        &self,
        permit: Permit<run::Read>,
        thread: &ThreadId,
        id: &RunId,
    ) -> Result<(Run, Option<Follower>)> {
        let run = self.get(permit, thread, id).await?;
        Ok((run, self.engine.agents().feeds.follow(id)))
    }

    /// Stops a run of this process that whoever wanted it has left.
    pub fn abandon(&self, id: &RunId) {
        self.engine.memory().live.end(Key::of_run(id));
    }

    /// A run once it has come to its end, wherever it goes on. Having it is the leave to see it.
    ///
    /// # Errors
    /// `run_not_found` when it was forgotten meanwhile.
    pub async fn settled(&self, run: &Run) -> Result<Run> {
        loop {
            let found = self.engine.store().run(&run.thread, &run.id).await?;
            let now = found.ok_or_else(|| Error::new(codes::RUN_NOT_FOUND))?;
            if !now.status.is_unfinished() {
                return Ok(now);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
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
    /// `not_found` for the thread, `run_not_found`.
    pub async fn get(&self, permit: Permit<run::Read>, thread: &ThreadId, id: &RunId) -> Result<Run> {
        let found = async {
            Threads::new(self.engine).visible(&permit, thread).await?;
            self.engine.store().run(thread, id).await?.ok_or_else(|| Error::new(codes::RUN_NOT_FOUND))
        };
        let found = found.await;
        permit.close(found)
    }
}

/// Whose runs are counted together.
fn caller(permit: &Permit<run::Create>) -> String {
    account_or_network(permit.auth(), permit.call().origin.address)
}

/// What stops the runs of a thread in this process.
pub(super) fn stop_key(thread: &ThreadId) -> Key {
    Key::of_work(&format!("runs of {thread}"))
}

/// What stops a run in this process: with its thread, by itself, or with its assistant, where it is one that somebody made.
fn stop_keys(auth: &AuthContext, run: &Run) -> Vec<Key> {
    let mut keys = vec![stop_key(&run.thread), Key::of_run(&run.id)];
    let assistant = run.details.get("assistant_id").and_then(Value::as_str);
    keys.extend(assistant.map(|id| stop_assistant_key(id, &auth.principal.owner_key())));
    keys
}

/// What stops somebody's runs of an assistant in this process.
pub(super) fn stop_assistant_key(assistant: &str, owner: &str) -> Key {
    Key::of_work(&format!("runs of assistant {assistant} by {owner}"))
}

/// Those of a thread's newest runs that have not come to an end.
async fn newest_unfinished(engine: &Engine, thread: &ThreadId) -> Result<Vec<Run>> {
    let page = Page { after: None, limit: 200 };
    let mut runs = engine.store().runs(thread, page).await?;
    runs.retain(|run| run.status.is_unfinished());
    Ok(runs)
}

/// What tells every process that a thread's runs are to stop.
pub(super) async fn announced_stop(engine: &Engine, thread: &ThreadId) -> Result<Vec<Write>> {
    let runs = newest_unfinished(engine, thread).await?.into_iter();
    Ok(runs.map(|run| Write::Announce(Change::Stop { run: run.id, and_forget: false })).collect())
}

/// The thread as a run makes or changes it, if it does.
fn changed_thread(
    seen: &Thread,
    is_new: bool,
    (values, metadata): (&Map<String, Value>, &Map<String, Value>),
    now_ms: i64,
) -> Result<Vec<Write>> {
    let news =
        |of: &Map<String, Value>, new: &Map<String, Value>| new.iter().any(|(k, v)| of.get(k) != Some(v));
    if !is_new && !news(&seen.state, values) && !news(&seen.metadata, metadata) {
        return Ok(Vec::new());
    }
    let mut thread = seen.clone();
    thread.state.extend(values.clone());
    thread.metadata.extend(metadata.clone());
    validate::metadata("input", &thread.state)?;
    validate::metadata("metadata", &thread.metadata)?;
    thread.updated_at_ms = now_ms;
    Ok(vec![match is_new {
        true => Write::InsertThread(thread),
        false => Write::ChangeThread { to: Box::new(thread), seen: Box::new(seen.clone()) },
    }])
}

/// What a run knows of its caller: what AgentFlow merges under the run's `user` configuration.
fn user_config(auth: &AuthContext) -> Map<String, Value> {
    let mut user: Map<String, Value> = auth.claims.clone().into_iter().collect();
    user.insert("user_id".into(), (&*auth.principal.subject).into());
    user
}
