//! How threads, messages and runs are shown.

use doorward_core::agents::model::{self, MessageRole};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::listing::Item;

/// A conversation.
#[derive(Serialize, JsonSchema)]
pub(super) struct Thread {
    id: String,
    /// The mount it was made at; mounts never see each other's threads.
    mount: String,
    /// Whose it is: authority and subject.
    owner: String,
    /// A title.
    name: Option<String>,
    /// What the client attached.
    metadata: Map<String, Value>,
    /// What the client or a run left behind.
    state: Map<String, Value>,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl From<model::Thread> for Thread {
    fn from(thread: model::Thread) -> Self {
        let model::Thread { id, mount, owner, name, metadata, state, created_at_ms, updated_at_ms } = thread;
        Self { id: id.to_string(), mount, owner, name, metadata, state, created_at_ms, updated_at_ms }
    }
}

impl Item for Thread {
    const NAME: &'static str = "threads";

    fn id(&self) -> &str {
        &self.id
    }
}

/// Who said a message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageRole")]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// The caller.
    User,
    /// The agent.
    Assistant,
    /// Instructions.
    System,
    /// A tool's result.
    Tool,
}

impl From<MessageRole> for Role {
    fn from(role: MessageRole) -> Self {
        match role {
            MessageRole::User => Self::User,
            MessageRole::Assistant => Self::Assistant,
            MessageRole::System => Self::System,
            MessageRole::Tool => Self::Tool,
        }
    }
}

/// One message of a thread.
#[derive(Serialize, JsonSchema)]
pub(super) struct Message {
    id: String,
    /// The thread it stands in.
    thread: String,
    role: Role,
    /// Text, or a list of parts.
    content: Value,
    /// What was attached.
    metadata: Map<String, Value>,
    /// The run that made it, if one did.
    run: Option<String>,
    created_at_ms: i64,
}

impl From<model::Message> for Message {
    fn from(message: model::Message) -> Self {
        let model::Message { id, thread, role, content, metadata, run, created_at_ms } = message;
        let (id, thread, run) = (id.to_string(), thread.to_string(), run.map(|run| run.to_string()));
        Self { id, thread, role: role.into(), content, metadata, run, created_at_ms }
    }
}

impl Item for Message {
    const NAME: &'static str = "messages";

    fn id(&self) -> &str {
        &self.id
    }
}

/// Where a run stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RunStatus {
    /// Waiting for its turn in the thread.
    Pending,
    /// Working.
    Running,
    /// Finished with an answer.
    Success,
    /// Finished without one.
    Error,
    /// Stopped on request, or the process ended under it.
    Interrupted,
}

/// One answer of the agent, being made or made.
#[derive(Serialize, JsonSchema)]
pub(super) struct Run {
    id: String,
    /// The thread it works in.
    thread: String,
    status: RunStatus,
    /// Why it failed.
    error: Option<String>,
    created_at_ms: i64,
    finished_at_ms: Option<i64>,
    /// What is kept of the request.
    details: Map<String, Value>,
}

impl From<model::Run> for Run {
    fn from(run: model::Run) -> Self {
        let model::Run { id, thread, status, error, created_at_ms, finished_at_ms, details } = run;
        let status = match status {
            model::RunStatus::Pending => RunStatus::Pending,
            model::RunStatus::Running => RunStatus::Running,
            model::RunStatus::Success => RunStatus::Success,
            model::RunStatus::Error => RunStatus::Error,
            model::RunStatus::Interrupted => RunStatus::Interrupted,
        };
        let (id, thread) = (id.to_string(), thread.to_string());
        Self { id, thread, status, error, created_at_ms, finished_at_ms, details }
    }
}

impl Item for Run {
    const NAME: &'static str = "runs";

    fn id(&self) -> &str {
        &self.id
    }
}

/// A run that has ended, with what the agent said last.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndedRun")]
pub(super) struct Ended {
    pub(super) run: Run,
    /// The agent's message; `null` where it failed.
    pub(super) message: Option<Message>,
}
