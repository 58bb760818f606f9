//! One line of the audit log.

use serde::{Deserialize, Serialize};

use crate::id::RequestId;

/// How an operation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is about to be tried (written before an act that leaves the store).
    Begun,
    /// It was done.
    Done,
    /// It was refused.
    Denied,
    /// It was tried and failed.
    Failed,
    /// It was noticed; the act it is about has a line of its own.
    Noted,
}

impl Outcome {
    /// The stored and shown spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Noted => "noted",
        }
    }

    /// Reads the stored spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "begun" => Self::Begun,
            "done" => Self::Done,
            "denied" => Self::Denied,
            "failed" => Self::Failed,
            "noted" => Self::Noted,
            _ => return None,
        })
    }
}

/// What happened, to what, by whom, from where. Never holds a credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The request it belongs to.
    pub request: RequestId,
    /// The mount it came through.
    pub mount: String,
    /// `resource:action`.
    pub action: String,
    /// The resource's id, where there is one.
    pub resource: Option<String>,
    /// Who acted ([`crate::principal::Principal::owner_key`]).
    pub principal: String,
    /// The authentication method.
    pub method: String,
    /// The credential's public handle.
    pub credential: Option<String>,
    /// How it went.
    pub outcome: Outcome,
    /// Why: an error code, or the rule that decided.
    pub reason: Option<String>,
    /// Network address of the client.
    pub address: Option<String>,
    /// How many equal events this line stands for (repeated denials are folded).
    pub count: i64,
}

/// A line as it stands in the store: numbered, and chained to the one before it on the same node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRecord {
    /// The node that wrote it.
    pub node: String,
    /// Its number on that node, from 1, without gaps.
    pub seq: i64,
    /// The line.
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// SHA-256 over the previous hash and this line, in hex ([`super::chain`]).
    pub hash: String,
}
