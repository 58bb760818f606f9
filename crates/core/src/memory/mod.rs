//! What a process knows without asking the store, and how it learns that something changed.
//!
//! ```text
//! commit ─► changes(seq) in the store ─ feed ─► Memory::apply ─► revocation set · generations · caches · live
//! ```
//! Everything here is a copy. A copy is used only while its [`generations::Stamp`] is current; whoever changes the
//! original announces it in the same transaction, and the feed moves the generation on in every process.

pub mod by_thread;
pub mod caches;
pub mod feed;
pub mod fingerprint;
pub mod generations;
pub mod hot;
pub mod revocations;

use std::sync::atomic::{AtomicU64, Ordering};

use self::caches::Caches;
use self::generations::Generations;
use self::revocations::{Key, Revocations};
use crate::live::Live;
use crate::ports::store::Change;

/// Everything a process remembers.
pub struct Memory {
    /// What was revoked and would otherwise still be valid.
    pub revocations: Revocations,
    /// Which copies of users, sessions and keys are current.
    pub generations: Generations,
    /// The copies.
    pub caches: Caches,
    /// Streams to close when their credential ends.
    pub live: Live,
    keys_changed: AtomicU64,
}

impl Memory {
    /// An empty memory.
    #[must_use]
    pub fn new() -> Self {
        Self {
            revocations: Revocations::new(),
            generations: Generations::new(),
            caches: Caches::new(),
            live: Live::new(),
            keys_changed: AtomicU64::new(0),
        }
    }

    /// Takes one piece of news in. Doing so twice changes nothing more.
    pub fn apply(&self, change: &Change) {
        match change {
            Change::User(id) => self.generations.bump(id.as_str()),
            Change::Session(id) => self.generations.bump(id.as_str()),
            Change::ApiKey(mac) => self.generations.bump(mac),
            Change::Keys => {
                self.keys_changed.fetch_add(1, Ordering::AcqRel);
                self.generations.bump_all();
            }
            Change::Revocation(revocation) => {
                let key = self.revocations.insert(&revocation.revoked, revocation.at_ms, revocation.until_ms);
                self.live.end(key);
            }
            Change::Stop { run, .. } => {
                self.live.end(Key::of_run(run));
            }
        }
    }

    /// Grows whenever signing keys changed.
    #[must_use]
    pub fn keys_version(&self) -> u64 {
        self.keys_changed.load(Ordering::Acquire)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
