//! What the embedded agent server keeps. Times are milliseconds since the epoch.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{MessageId, RunId, ThreadId};

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// Stable id.
    pub id: ThreadId,
    /// The mount it was made through; mounts never see each other's threads.
    pub mount: String,
    /// Who owns it ([`crate::principal::Principal::owner_key`]).
    pub owner: String,
    /// A title.
    pub name: Option<String>,
    /// What the client attached.
    pub metadata: Map<String, Value>,
    /// Agent state the client or a run left behind.
    pub state: Map<String, Value>,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The caller.
    User,
    /// The agent.
    Assistant,
    /// Instructions.
    System,
    /// A tool's result.
    Tool,
}

impl MessageRole {
    /// The stored and shown spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
            Self::Tool => "tool",
        }
    }

    /// Reads the stored spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "user" | "human" => Self::User,
            "assistant" | "ai" => Self::Assistant,
            "system" => Self::System,
            "tool" => Self::Tool,
            _ => return None,
        })
    }
}

/// One message of a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Stable id.
    pub id: MessageId,
    /// Where it stands.
    pub thread: ThreadId,
    /// Who said it.
    pub role: MessageRole,
    /// What was said: text or a list of parts.
    pub content: Value,
    /// What was attached.
    pub metadata: Map<String, Value>,
    /// The run that made it, if one did.
    pub run: Option<RunId>,
    /// When it was said.
    pub created_at_ms: i64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
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

impl RunStatus {
    /// The stored and shown spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether it has not come to an end.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// Reads the stored spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "success" => Self::Success,
            "error" => Self::Error,
            "interrupted" => Self::Interrupted,
            _ => return None,
        })
    }
}

/// One answer of an agent, being made or made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Stable id.
    pub id: RunId,
    /// Where it works.
    pub thread: ThreadId,
    /// Where it stands.
    pub status: RunStatus,
    /// Why it failed; a public text.
    pub error: Option<String>,
    /// When it began.
    pub created_at_ms: i64,
    /// When it finished.
    pub finished_at_ms: Option<i64>,
    /// What the surface it came through keeps of the request.
    pub details: Map<String, Value>,
}
