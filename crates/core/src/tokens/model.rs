//! What is kept about signing keys, refresh families and revocations.

use crate::id::{FamilyId, KeyId, SessionId, UserId};

/// A secret kept sealed under the master key: a signing key, a pepper, the refresh key.
#[derive(Clone)]
pub struct SealedKey {
    /// Random id; for signing keys the `kid`.
    pub id: KeyId,
    /// What it is for, such as `sign:native` or `pepper:api-key`.
    pub purpose: String,
    /// The JOSE algorithm, or `raw`.
    pub algorithm: String,
    /// nonce ‖ ciphertext ‖ tag (AES-256-GCM); bound to id, purpose and algorithm.
    pub sealed: Vec<u8>,
    /// When it was made; the newest of a purpose signs.
    pub created_at_ms: i64,
    /// From when it no longer verifies; absent while it does.
    pub retired_at_ms: Option<i64>,
}

/// A line of refresh tokens, each replacing the one before (RFC 9700 §2.2.2).
///
/// The tokens are derived from (id, counter) and never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Stable id.
    pub id: FamilyId,
    /// The user the tokens act for.
    pub user: UserId,
    /// The session they descend from.
    pub session: SessionId,
    /// The client the family is bound to, as the client named itself; empty if it did not.
    pub client: String,
    /// Scopes of the access tokens; `None` adds no limit.
    pub scope: Option<String>,
    /// The current token's number; earlier ones are spent.
    pub counter: i64,
    /// When the current token was made.
    pub advanced_at_ms: i64,
    /// When the current token stops working if unused.
    pub expires_at_ms: i64,
    /// When the family ends however often it is used.
    pub ends_at_ms: i64,
    /// When it was ended on purpose or by reuse.
    pub ended_at_ms: Option<i64>,
}

/// What a revocation covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One token, by `jti`. RFC 7519 §4.1.7 makes the id unique across issuers.
    Token(String),
    /// Every token of a session.
    Session(String),
    /// Every token of a principal ([`crate::principal::Principal::owner_key`]) issued up to then.
    Principal(String),
    /// Every token that was given something in a workspace of this id, issued up to then: one of that name that is made later is another.
    Workspace(String),
    /// Every token issued up to then.
    All,
}

impl Revoked {
    /// The stored spelling: (kind, subject).
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Token(jti) => ("token", jti),
            Self::Session(id) => ("session", id),
            Self::Principal(key) => ("principal", key),
            Self::Workspace(id) => ("workspace", id),
            Self::All => ("all", ""),
        }
    }

    /// Whether it covers what was issued up to its moment, and nothing later.
    #[must_use]
    pub fn is_up_to_its_moment(&self) -> bool {
        matches!(self, Self::Principal(_) | Self::Workspace(_) | Self::All)
    }

    /// Reads the stored spelling; `None` if the kind is unknown.
    #[must_use]
    pub fn from_parts(kind: &str, subject: &str) -> Option<Self> {
        Some(match kind {
            "token" => Self::Token(subject.to_owned()),
            "session" => Self::Session(subject.to_owned()),
            "principal" => Self::Principal(subject.to_owned()),
            "workspace" => Self::Workspace(subject.to_owned()),
            "all" => Self::All,
            _ => return None,
        })
    }
}

/// A refusal that outlives the credential it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What it covers.
    pub revoked: Revoked,
    /// Tokens issued at or before this moment are refused ([`Revoked::is_up_to_its_moment`]).
    pub at_ms: i64,
    /// From here on every covered token has expired by itself and the row may go.
    pub until_ms: i64,
}
