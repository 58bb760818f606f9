//! Copies of users, sessions and API keys. Bounded; each is checked against its generation when used.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use arc_swap::ArcSwapOption;
use quick_cache::sync::Cache;

use super::generations::Stamp;
use super::hot::{Hot, Twin};
use super::revocations::Key;
use crate::id::{SessionId, UserId};
use crate::identity::model::{ApiKey, Session, User};
use crate::principal::AuthContext;

const USERS: usize = 16_384;
const SESSIONS: usize = 16_384;
const API_KEYS: usize = 16_384;

/// A user as read under a stamp.
pub struct UserCopy {
    /// The record.
    pub user: User,
    /// When it was current.
    pub stamp: Stamp,
}

/// A session as read under a stamp, and when this process last saw it used.
pub struct SessionCopy {
    /// The record.
    pub session: Session,
    /// When it was current.
    pub stamp: Stamp,
    /// When it was last used, as far as this process knows.
    pub last_seen_at_ms: AtomicI64,
    /// The newest use that the store was told of.
    pub noted_at_ms: AtomicI64,
}

/// An API key as read under a stamp.
pub struct ApiKeyCopy {
    /// The record.
    pub key: ApiKey,
    /// When it was current.
    pub stamp: Stamp,
    /// Its owner, as revocations name it.
    pub principal: Key,
    /// The newest use that the store was told of.
    pub noted_at_ms: Arc<AtomicI64>,
    /// Who calls with it, once that was worked out.
    pub caller: ArcSwapOption<KeyCaller>,
}

/// Who calls with a key, as worked out from a copy of its owner.
pub struct KeyCaller {
    /// The caller.
    pub auth: Arc<AuthContext>,
    /// When the owner's copy was current.
    pub owner: Stamp,
}

impl Twin for Arc<ApiKeyCopy> {
    fn twin(&self) -> Self {
        let caller = self.caller.load().as_deref().map(|KeyCaller { auth, owner }| {
            Arc::new(KeyCaller { auth: Arc::new(AuthContext::clone(auth)), owner: *owner })
        });
        Self::new(ApiKeyCopy {
            key: self.key.clone(),
            stamp: self.stamp,
            principal: self.principal,
            noted_at_ms: Arc::clone(&self.noted_at_ms),
            caller: ArcSwapOption::new(caller),
        })
    }
}

/// The copies.
pub struct Caches {
    /// By id.
    pub users: Cache<UserId, Arc<UserCopy>>,
    /// By id.
    pub sessions: Cache<SessionId, Arc<SessionCopy>>,
    /// By what names them in this process.
    pub api_keys: Hot<Arc<ApiKeyCopy>>,
}

impl Caches {
    /// Empty caches.
    #[must_use]
    pub fn new() -> Self {
        Self { users: Cache::new(USERS), sessions: Cache::new(SESSIONS), api_keys: Hot::of_most(API_KEYS) }
    }
}

impl Default for Caches {
    fn default() -> Self {
        Self::new()
    }
}
