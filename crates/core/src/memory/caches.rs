//! Copies of users, sessions and API keys. Bounded; each is checked against its generation when used.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

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

/// An API key as read under a stamp, with who calls with it.
#[derive(Clone)]
pub struct ApiKeyCopy {
    /// The record.
    pub key: ApiKey,
    /// When it was current.
    pub stamp: Stamp,
    /// When the copy of its owner was, that the caller was worked out from.
    pub owner: Stamp,
    /// Its owner, as revocations name it.
    pub principal: Key,
    /// The newest use that the store was told of: one for all twins, written once a minute.
    pub noted_at_ms: Arc<AtomicI64>,
    /// Who calls with it.
    pub auth: Arc<AuthContext>,
}

impl Twin for Arc<ApiKeyCopy> {
    fn twin(&self) -> Self {
        let auth = Arc::new(AuthContext::clone(&self.auth));
        Self::new(ApiKeyCopy { auth, ..ApiKeyCopy::clone(self) })
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
