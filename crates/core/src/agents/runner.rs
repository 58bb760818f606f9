//! What answers in a thread. To add a runner: a file, and a row in [`BUILTIN`].

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value};

use super::context::Context;
use crate::error::Result;
use crate::id::{RunId, ThreadId};

/// A place among the runs that a runner takes at once; dropping it gives it back.
#[derive(Debug, Default)]
pub struct Place {
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Place {
    /// Where nothing is counted.
    #[must_use]
    pub fn free() -> Self {
        Self::default()
    }

    /// One that is counted: it is given back when what is held is dropped.
    #[must_use]
    pub fn counted(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Some(Box::new(held)) }
    }
}

/// What a runner is given.
pub struct RunInput {
    /// The run.
    pub run: RunId,
    /// Where it goes on.
    pub thread: ThreadId,
    /// What [`Runner::admit`] gave; to be held until the work is over.
    pub place: Place,
    /// The thread's messages so far, to be read once the work begins.
    pub context: Context,
    /// What the caller's credential says about the caller, as the run's user configuration.
    pub user: Map<String, Value>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// More text of the answer.
    Text(String),
    /// The run failed: what the client is told, and a detail for the operator's log alone.
    Failed(Fault, String),
}

/// How a run fails. A run keeps the code and the message, `code: message`, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The agent said so, or could not be started.
    Failed,
    /// It ended before it said that its answer is whole.
    Exited,
    /// What it said is no answer.
    BadAnswer,
    /// It said more than it may.
    TooLong,
    /// It took longer than it may.
    TimedOut,
    /// Whoever does its thinking takes no more for the moment.
    Busy,
    /// What it was told is more than it may be told.
    InputTooLong,
}

impl Fault {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "agent_failed",
            Self::Exited => "agent_exited",
            Self::BadAnswer => "agent_bad_answer",
            Self::TooLong => "agent_answer_too_long",
            Self::TimedOut => "agent_timed_out",
            Self::Busy => "agent_busy",
            Self::InputTooLong => "agent_input_too_long",
        }
    }

    /// What people are told.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Failed => "the agent failed",
            Self::Exited => "the agent ended before its answer was whole",
            Self::BadAnswer => "the agent's answer cannot be read",
            Self::TooLong => "the answer is too long",
            Self::TimedOut => "the agent took too long",
            Self::Busy => "the agent takes no more at the moment; try again later",
            Self::InputTooLong => "what was said is too long for the agent",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

/// Something that answers.
pub trait Runner: Send + Sync {
    /// The name in configuration.
    fn name(&self) -> &'static str;
    /// Takes a run on, before anything of it is written. `caller` is whose runs are counted together
    /// ([`account_or_network`](crate::limits::shares::account_or_network)).
    ///
    /// # Errors
    /// `agents_busy` when there is no place left, or none for this caller.
    fn admit(&self, caller: &str) -> Result<Place> {
        let _ = caller;
        Ok(Place::free())
    }
    /// Answers the last message. The stream ends when the answer is whole; dropping it stops the work.
    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent>;
}

/// A row of the table.
pub struct Descriptor {
    /// The name in configuration.
    pub name: &'static str,
    /// Makes one.
    pub build: fn() -> Arc<dyn Runner>,
}

/// Every runner.
pub static BUILTIN: &[Descriptor] = &[
    Descriptor { name: "echo", build: || Arc::new(Echo) },
    Descriptor { name: "config", build: || Arc::new(Config) },
];

/// The runner of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Descriptor> {
    BUILTIN.iter().find(|descriptor| descriptor.name == name)
}

/// Says again what it was told.
struct Echo;

impl Runner for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent> {
        let answer = async move {
            let messages = match input.context.read().await {
                Ok(messages) => messages,
                Err((fault, detail)) => return stream::iter(vec![RunEvent::Failed(fault, detail)]),
            };
            let said = messages.last().map(|message| text_of(&message.content)).unwrap_or_default();
            let answer = format!("Echo: {said}");
            let words = answer.split_inclusive(' ').map(|word| RunEvent::Text(word.to_owned()));
            stream::iter(words.collect::<Vec<_>>())
        };
        answer.flatten_stream().boxed()
    }
}

/// Says what it learns of its caller, as JSON: to see what an agent would.
struct Config;

impl Runner for Config {
    fn name(&self) -> &'static str {
        "config"
    }

    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent> {
        let text = serde_json::json!({ "user": input.user }).to_string();
        stream::iter([RunEvent::Text(text)]).boxed()
    }
}

/// The text of a message's content: itself, or its text parts one after the other.
#[must_use]
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| match part {
                Value::String(text) => Some(text.as_str()),
                other => other.get("text").and_then(Value::as_str),
            })
            .collect(),
        _ => String::new(),
    }
}
