//! Who somebody was found to be by asking, kept for a moment and never past a revocation: one room for all who ask.

use std::sync::Arc;

use doorward_protocols::jose::Compact;
use doorward_protocols::json::{self, Limits};
use serde_json::{Map, Value};

use super::Outcome;
use crate::engine::Engine;
use crate::error::{Error, codes};
use crate::memory::fingerprint::{ByFingerprint, Fingerprint};
use crate::memory::revocations::Handles;
use crate::principal::AuthContext;

/// Longest time an answer may be kept.
pub const LONGEST_MS: i64 = 60_000;
/// Answers that are kept.
const ANSWERS: usize = 4_096;
/// Largest claims that are looked into.
const CLAIMS: Limits = Limits { max_bytes: 16 << 10, max_depth: 16 };

/// What was found out.
pub(super) struct Known {
    /// Who it is.
    pub(super) auth: Arc<AuthContext>,
    /// What it can be revoked by.
    pub(super) handles: Vec<Handles>,
    /// When the credential itself runs out.
    pub(super) expires_at_ms: Option<i64>,
    /// Until when it is kept, on the steady clock.
    pub(super) until_ms: i64,
}

impl Known {
    /// What can change is looked at every time.
    pub(super) fn judge(&self, engine: &Engine) -> Outcome {
        if self.expires_at_ms.is_some_and(|at_ms| engine.now_ms() >= at_ms) {
            return Outcome::Rejected(Error::new(codes::TOKEN_EXPIRED));
        }
        if self.handles.iter().any(|handles| engine.memory().revocations.cover(handles)) {
            return Outcome::Rejected(Error::new(codes::TOKEN_REVOKED));
        }
        Outcome::Accepted(Arc::clone(&self.auth))
    }
}

/// What was found out a moment ago, by the fingerprint of the credential.
pub(super) struct Remembered(ByFingerprint<Arc<Known>>);

impl Remembered {
    pub(super) fn new() -> Self {
        Self(ByFingerprint::of_most(ANSWERS))
    }

    /// What is still known of a credential, as it stands now.
    pub(super) fn get(&self, credential: Fingerprint, engine: &Engine) -> Option<Outcome> {
        let known = self.0.get(credential).filter(|known| engine.clock().steady_ms() < known.until_ms)?;
        Some(known.judge(engine))
    }

    pub(super) fn insert(&self, credential: Fingerprint, known: Arc<Known>) {
        self.0.insert(credential, known);
    }
}

/// The claims of a JWT, as they stand there. Nothing is verified: only of use once somebody has said that the token is good.
pub(super) fn inside(token: &str) -> Option<Map<String, Value>> {
    let payload = Compact::split(token.as_bytes()).ok()?.payload_bytes().ok()?;
    match json::parse(&payload, CLAIMS) {
        Ok(Value::Object(claims)) => Some(claims),
        _ => None,
    }
}
