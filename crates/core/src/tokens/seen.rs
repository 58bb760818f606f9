//! Tokens seen before: the signature is checked once, everything that can change is checked every time.

use std::ops::Deref;
use std::sync::Arc;

use memchr::memrchr;

use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::identity::model::User;
use crate::memory::caches::{SessionCopy, UserCopy};
use crate::memory::fingerprint::Fingerprint;
use crate::memory::generations::Stamp;
use crate::memory::hot::{Hot, Twin};
use crate::memory::revocations::Handles;
use crate::principal::AuthContext;

const TOKENS: usize = 16_384;

/// A token whose signature and fixed claims held.
#[derive(Clone)]
pub struct Seen {
    /// Who it is from.
    pub auth: Arc<AuthContext>,
    /// When it expires, with leeway, in milliseconds; absent where expiry is switched off.
    pub expires_at_ms: Option<i64>,
    /// What can revoke it.
    pub handles: Handles,
    /// What else can: what it was made from, and whom its subject acts for.
    pub beside: Vec<Handles>,
    /// The state of the signing keys it was verified under.
    pub keys: u64,
    /// The user record it was read with, for local users and whoever acts for one.
    pub user: Option<Stamp>,
    /// The session it descends from.
    pub session: Option<Arc<SessionCopy>>,
}

/// Tokens by the fingerprint of their signature, which is all that is secret about them; a cache of secrets must not be searchable by parts
/// of them. What was signed is kept and compared as it stands, several times as quickly as it could be hashed.
pub struct SeenTokens(Hot<Arc<Kept>>);

/// Most bytes of what was signed that are kept, 32 MiB of [`TOKENS`] at worst and 2 MiB in fronts; longer tokens are known by the fingerprint of the whole.
const MAX_SIGNED_BYTES: usize = 2 << 10;

/// A token, by what it is kept under.
#[derive(Clone, Copy)]
pub struct Name<'t> {
    fingerprint: Fingerprint,
    /// What the fingerprint does not cover.
    signed: &'t [u8],
}

impl<'t> Name<'t> {
    /// The name of a token (RFC 7515 §7.1), or of any other text, by all of it.
    pub fn of(token: &'t [u8], engine: &Engine) -> Self {
        match memrchr(b'.', token).map(|dot| (&token[..dot], &token[dot + 1..])) {
            Some((signed, signature)) if (1..=MAX_SIGNED_BYTES).contains(&signed.len()) => {
                Self { fingerprint: engine.fingerprint(signature), signed }
            }
            _ => Self { fingerprint: engine.fingerprint(token), signed: b"" },
        }
    }
}

/// A token that is kept.
pub struct Kept {
    signed: Box<[u8]>,
    seen: Seen,
}

impl Twin for Arc<Kept> {
    fn twin(&self) -> Self {
        let auth = Arc::new(AuthContext::clone(&self.seen.auth));
        Self::new(Kept { signed: self.signed.clone(), seen: Seen { auth, ..self.seen.clone() } })
    }
}

impl Deref for Kept {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl SeenTokens {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Hot::of_most(TOKENS))
    }

    /// Keeps a token.
    pub fn insert(&self, token: Name<'_>, seen: Seen) {
        self.0.insert(token.fingerprint, Arc::new(Kept { signed: token.signed.into(), seen }));
    }

    /// A token seen before, checked against the present: `None` when it has to be looked at anew.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`.
    pub fn get(&self, engine: &Engine, token: Name<'_>, now_ms: i64) -> Result<Option<Arc<Kept>>> {
        let kept = self.0.get(token.fingerprint).filter(|kept| *kept.signed == *token.signed);
        let Some(seen) = kept else { return Ok(None) };
        if seen.expires_at_ms.is_some_and(|at_ms| now_ms >= at_ms) {
            return Err(Error::new(codes::TOKEN_EXPIRED));
        }
        let revocations = &engine.memory().revocations;
        if revocations.cover(&seen.handles) || seen.beside.iter().any(|other| revocations.cover(other)) {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let generations = &engine.memory().generations;
        let current = seen.keys == engine.memory().keys_version()
            && seen.user.is_none_or(|stamp| generations.is_current(stamp))
            && seen
                .session
                .as_deref()
                .is_none_or(|s| generations.is_current(s.stamp) && engine.use_session(s, now_ms));
        Ok(current.then_some(seen))
    }
}

impl Default for SeenTokens {
    fn default() -> Self {
        Self::new()
    }
}

/// What a local user may do at this moment: refuses disabled and deleted ones.
///
/// # Errors
/// `user_disabled`, `token_invalid`.
pub fn usable(user: Option<&Arc<UserCopy>>, now_ms: i64) -> Result<&Arc<UserCopy>> {
    match user {
        None => Err(Error::new(codes::TOKEN_INVALID).operator("the user is gone")),
        Some(copy) => enabled(&copy.user, now_ms).map(|()| copy),
    }
}

/// Refuses a user who is kept out: disabled, or banned.
///
/// # Errors
/// `user_disabled`.
pub fn enabled(user: &User, now_ms: i64) -> Result<()> {
    if user.is_kept_out(now_ms) { Err(Error::new(codes::USER_DISABLED)) } else { Ok(()) }
}
