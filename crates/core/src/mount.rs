//! A mount: what a client talks to. A surface, its own authenticator chain and its own rules.

use std::sync::Arc;

use crate::authn::Chain;
use crate::authz::custom::Policy;
use crate::identity::password::PasswordPolicy;
use crate::identity::proofs::EmailRules;
use crate::login::Tenant;
use crate::tokens::TokenProfile;

/// Whether strangers may make accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// Anybody may.
    Open,
    /// Only administrators make accounts.
    Closed,
}

/// What a client talks to. Mounts never share routes or chains.
pub struct Mount {
    /// Its name in configuration, audit log and the ready file.
    pub name: Arc<str>,
    /// The surface it serves, as named in the server's table.
    pub surface: &'static str,
    /// Who is let in, and how.
    pub chain: Chain,
    /// Tokens issued and accepted through it.
    pub tokens: TokenProfile,
    /// Rules for passwords set through it.
    pub passwords: PasswordPolicy,
    /// Whether strangers may make accounts.
    pub sign_up: SignUp,
    /// Whether refusals say which check of a credential failed, where the surface has words for it.
    pub distinct_refusals: bool,
    /// Letters to e-mail addresses; `None` where none are written.
    pub email: Option<EmailRules>,
    /// Sessions begun through it.
    pub sessions: SessionRules,
    /// Handlers that are asked before every act.
    pub policy: Option<Policy>,
    /// The tenant through which people come to its page, in the place of accounts here.
    pub tenant: Option<Arc<Tenant>>,
}

/// How long a stay may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRules {
    /// A session ends when unused for this long.
    pub idle_ms: i64,
    /// A session ends after this long however much it is used.
    pub absolute_ms: i64,
}

impl Default for SessionRules {
    /// 30 days unused, 90 days at most: as long as refresh tokens live.
    fn default() -> Self {
        const DAY_MS: i64 = 86_400_000;
        Self { idle_ms: 30 * DAY_MS, absolute_ms: 90 * DAY_MS }
    }
}
