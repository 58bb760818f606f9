//! Whether a session goes on: asked with every request, answered from memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::SessionId;
use crate::identity::model::Session;
use crate::memory::caches::SessionCopy;
use crate::memory::revocations::Key;
use crate::principal::Principal;

/// The store is told of a session's use this often.
const NOTE_EVERY_MS: i64 = 30_000;

/// How old a log-in may be that stands for a password.
const FRESH_MS: i64 = 300_000;

/// Whether a session that was last seen then goes on.
fn goes_on(session: &Session, last_seen_at_ms: i64, now_ms: i64) -> bool {
    session.ended_at_ms.is_none()
        && now_ms < session.expires_at_ms
        && now_ms - last_seen_at_ms < session.idle_limit_ms
}

impl Engine {
    /// Whether a session, or everything of its user since it began, was revoked.
    pub(crate) fn stay_revoked(&self, session: &Session) -> bool {
        let revocations = &self.memory().revocations;
        let owner = Key::of_principal(&Principal::local(&session.user).owner_key());
        revocations.holds(Key::of_session(session.id.as_str()))
            || revocations.cover_since(owner, session.created_at_ms)
    }

    /// Whether a session began so lately that its log-in stands for a password.
    pub(crate) async fn is_fresh(&self, id: &SessionId) -> Result<bool> {
        let begun = self.store().session(id).await?.map(|session| session.created_at_ms);
        Ok(begun.is_some_and(|begun| self.now_ms().saturating_sub(begun) <= FRESH_MS))
    }

    /// A session that goes on, without using it: asking what a token is worth keeps nobody logged in.
    pub(crate) async fn session_unused(&self, id: &SessionId, now_ms: i64) -> Result<Option<Session>> {
        // Before the store is asked: what is dropped from memory meanwhile is in the store by then.
        let seen_at_ms = self.seen_here(id);
        let session = self.store().session(id).await?;
        Ok(session.filter(|session| goes_on(session, session.last_seen_at_ms.max(seen_at_ms), now_ms)))
    }

    /// When this process last saw a session used; that reaches the store later.
    fn seen_here(&self, id: &SessionId) -> i64 {
        let in_memory = self.memory().caches.sessions.get(id);
        in_memory.map_or(i64::MIN, |copy| copy.last_seen_at_ms.load(Ordering::Acquire))
    }

    /// Those of the store's answer that go on, each with when it was last used.
    pub(super) fn going_on(&self, sessions: Vec<Session>, now_ms: i64) -> Vec<Session> {
        let seen = sessions.into_iter().map(|session| {
            let last_seen_at_ms = session.last_seen_at_ms.max(self.seen_here(&session.id));
            Session { last_seen_at_ms, ..session }
        });
        seen.filter(|session| goes_on(session, session.last_seen_at_ms, now_ms)).collect()
    }

    /// Notes that a session is used; false when it may have ended and the store has to be asked.
    pub(crate) fn use_session(&self, copy: &SessionCopy, now_ms: i64) -> bool {
        let session = &copy.session;
        let last_seen = copy.last_seen_at_ms.load(Ordering::Acquire);
        if !goes_on(session, last_seen, now_ms) {
            return false;
        }
        // All threads write it, so none does without need: a millisecond may see many requests.
        if now_ms > last_seen {
            copy.last_seen_at_ms.fetch_max(now_ms, Ordering::AcqRel);
        }
        let noted = copy.noted_at_ms.load(Ordering::Acquire);
        let due = now_ms - noted >= NOTE_EVERY_MS;
        if due
            && copy.noted_at_ms.compare_exchange(noted, now_ms, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            self.journal().session_seen(&session.id, now_ms);
        }
        true
    }

    /// A session that goes on.
    ///
    /// # Errors
    /// `session_ended`.
    pub(crate) async fn live_session(&self, id: &SessionId, now_ms: i64) -> Result<Arc<SessionCopy>> {
        let ended = || Error::new(codes::SESSION_ENDED);
        if let Some(copy) = self.memory().caches.sessions.get(id)
            && self.memory().generations.is_current(copy.stamp)
            && self.use_session(&copy, now_ms)
        {
            return Ok(copy);
        }
        let stamp = self.memory().generations.stamp(id.as_str());
        let session = self.store().session(id).await?.ok_or_else(ended)?;
        let copy = Arc::new(SessionCopy {
            last_seen_at_ms: session.last_seen_at_ms.into(),
            noted_at_ms: session.last_seen_at_ms.into(),
            session,
            stamp,
        });
        if !self.use_session(&copy, now_ms) {
            return Err(ended());
        }
        self.memory().caches.sessions.insert(id.clone(), Arc::clone(&copy));
        Ok(copy)
    }
}
