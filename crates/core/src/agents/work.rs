//! A run at work: it waits for its turn where it has to, asks the runner, and writes how it ended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::context::Context;
use super::feed::{RunFeed, Told};
use super::model::{Message, MessageRole, Run, RunStatus};
use super::runner::{Fault, Place, RunEvent, RunInput};
use super::runs::Progress;
use super::threads::{NewMessage, Threads};
use super::turns;
use crate::engine::Engine;
use crate::error::Result;
use crate::id::MessageId;
use crate::live::LiveGuard;
use crate::ports::Batch;
use crate::ports::store::Write;

/// Longest answer kept.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// Longest time a run takes.
const MAX_RUN: Duration = Duration::from_secs(600);

/// Who hears of a run.
pub(super) enum Listeners {
    /// Whoever began it. One that reads slowly slows it down, one that left does not stop it.
    One(mpsc::Sender<Progress>),
    /// Whoever comes.
    Many(Arc<RunFeed>),
}

impl Listeners {
    async fn text(&self, text: &str) {
        match self {
            Self::One(sender) => drop(sender.send(Progress::Text(text.to_owned())).await),
            Self::Many(feed) => feed.tell(Told::Text(text.into())),
        }
    }

    async fn ended(&self, run: Run, answer: Option<Message>) {
        match self {
            Self::One(sender) => drop(sender.send(Progress::Ended(Box::new(run), answer)).await),
            Self::Many(feed) => feed.tell(Told::Ended(Box::new(run), answer.map(Box::new))),
        }
    }
}

/// A run that may go on.
pub(super) struct Work {
    pub(super) engine: Engine,
    pub(super) run: Run,
    pub(super) answer: MessageId,
    pub(super) guard: LiveGuard,
    pub(super) stopped: LiveGuard,
    /// What the run knows of its caller.
    pub(super) user: Map<String, Value>,
    /// Whose runs are counted together.
    pub(super) caller: String,
    pub(super) listeners: Listeners,
}

/// A run that waits for its turn.
pub(super) struct Waiting {
    pub(super) work: Work,
    pub(super) turn: turns::Place,
    /// The runner's place, where it could be had at once.
    pub(super) place: Option<Place>,
    pub(super) said: Vec<NewMessage>,
    pub(super) after: Duration,
    /// Whether the thread goes when the run is over.
    pub(super) temporary: bool,
}

/// How a run ended.
type End = (RunStatus, Option<String>);

fn stopped() -> End {
    (RunStatus::Interrupted, Some("it was stopped".to_owned()))
}

fn access_ended() -> End {
    (RunStatus::Interrupted, Some("the caller's access ended".to_owned()))
}

impl Waiting {
    pub(super) async fn carry(self) {
        let Self { mut work, mut turn, place, said, after, temporary } = self;
        let engine = work.engine.clone();
        let (id, thread) = (work.run.id.clone(), work.run.thread.clone());
        let coming = async {
            tokio::time::sleep(after).await;
            turn.take().await;
        };
        let waited = tokio::select! {
            () = coming => None,
            () = work.stopped.ended() => Some(stopped()),
            () = work.guard.ended() => Some(access_ended()),
        };
        match waited {
            // No reason is kept: there was nothing to break off.
            Some((status, _)) => work.end(status, None, String::new()).await,
            None => match work.begin(place, said).await {
                Ok((place, context)) => {
                    let working = engine.working();
                    work.carry(place, context).await;
                    drop(working);
                }
                Err(error) => {
                    tracing::warn!(run = %id, ?error, "a run could not begin");
                    let what = format!("{}: {}", error.code().name, error.public_message());
                    work.end(RunStatus::Error, Some(what), String::new()).await;
                }
            },
        }
        engine.agents().feeds.finished(&id);
        let mut writes = Vec::new();
        if engine.agents().is_rolled_back(&id) {
            writes.push(Write::DeleteRun { id: id.clone(), with_messages: true });
        }
        if temporary {
            writes = vec![Write::DeleteThread(thread)];
        }
        if !writes.is_empty()
            && let Err(error) = engine.commit(Batch::durable(writes)).await
        {
            // Somebody else removed it first, or the store is away and the next request for it says so.
            tracing::debug!(run = %id, %error, "what was to go with the run is still there");
        }
        drop(turn);
    }
}

impl Work {
    /// Writes what was said, now that the turn has come, and tells what the thread holds.
    async fn begin(&mut self, place: Option<Place>, said: Vec<NewMessage>) -> Result<(Place, Context)> {
        let place = match place {
            Some(place) => place,
            None => self.engine.runner().admit(&self.caller)?,
        };
        let threads = Threads::new(&self.engine);
        let mut writes = vec![Write::BeginRun(self.run.id.clone())];
        for new in said {
            let message = threads.message(&self.run.thread, new, Some(self.run.id.clone()))?;
            writes.push(Write::InsertMessage(message));
        }
        // Made after what it answers, whose order in the thread is that of the ids.
        self.answer = MessageId::new(self.engine.ordered_clock(), self.engine.random());
        self.engine.commit(Batch::durable(writes)).await?;
        let reading = self.engine.agents().readers.enter().await;
        let shown = Arc::new(threads.newest(&self.run.thread, None).await?);
        drop(reading);
        if let Listeners::Many(feed) = &self.listeners {
            feed.tell(Told::Begun { messages: Arc::clone(&shown), answer: self.answer.clone() });
        }
        Ok((place, Context::of(shown)))
    }

    pub(super) async fn carry(mut self, place: Place, context: Context) {
        let (run, thread) = (self.run.id.clone(), self.run.thread.clone());
        let user = std::mem::take(&mut self.user);
        let mut events = self.engine.runner().run(RunInput { run, thread, place, context, user });
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
                    self.listeners.text(text).await;
                }
                event
            };
            let event = tokio::select! {
                event = step => event,
                () = self.stopped.ended() => break stopped(),
                () = self.guard.ended() => break access_ended(),
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
        if let Listeners::Many(_) = &self.listeners {
            writes.push(Write::TouchThread { id: self.run.thread.clone(), at_ms });
        }
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
        self.listeners.ended(self.run, message).await;
    }
}
