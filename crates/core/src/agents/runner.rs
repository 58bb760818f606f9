//! What answers in a thread. To add a runner: a file, and a row in [`BUILTIN`].

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde_json::{Map, Value};

use super::model::Message;

/// What a runner is given.
pub struct RunInput {
    /// The thread's messages so far, oldest first; the last one is to be answered.
    pub messages: Vec<Message>,
    /// What the caller's credential says about the caller, as the run's user configuration.
    pub user: Map<String, Value>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// More text of the answer.
    Text(String),
    /// The run failed; a public text.
    Failed(String),
}

/// Something that answers.
pub trait Runner: Send + Sync {
    /// The name in configuration.
    fn name(&self) -> &'static str;
    /// Answers the last message. The stream ends when the answer is whole.
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
        let said = input.messages.last().map(|message| text_of(&message.content)).unwrap_or_default();
        let answer = format!("Echo: {said}");
        let words: Vec<_> = answer.split_inclusive(' ').map(|word| RunEvent::Text(word.to_owned())).collect();
        stream::iter(words).boxed()
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
