//! How the engine fares, for whoever watches over it.

use crate::engine::Engine;
use crate::error::Result;

/// What can be told at a glance, without asking the store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vitals {
    /// Passwords that wait to be hashed.
    pub hashing_waiting: u32,
    /// Passwords that are being hashed.
    pub hashing_busy: u32,
    /// Passwords that were hashed, compared or judged so far: as many for an account that there is not as for one that there is.
    pub hashings: u64,
    /// Time since the store's news were last heard, in seconds; 0 where nothing follows them.
    pub news_age_s: f64,
    /// Streams and sockets that a revocation would end.
    pub watched: u32,
    /// Audit lines whose details were given up for want of room.
    pub audit_lost: u64,
}

impl Engine {
    /// Whether what is known of revocations is fresh enough to let anybody in by.
    ///
    /// # Errors
    /// `revocations_unknown` when the store has not answered for too long.
    pub fn news_are_fresh(&self) -> Result<()> {
        self.feed().fresh(self.clock())
    }

    /// How it fares at this moment.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        let (hashing_waiting, hashing_busy) = self.hashing().load();
        Vitals {
            hashing_waiting,
            hashing_busy,
            hashings: self.hashing().turns(),
            news_age_s: self.feed().age_s(self.clock().steady_ms()),
            watched: self.memory().live.count(),
            audit_lost: self.journal().lost(),
        }
    }
}
