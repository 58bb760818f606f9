//! What is counted of a hub. Counting is an addition to a number; nothing waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::hub::Hub;
use crate::refused::Why;

/// The numbers that only grow.
#[derive(Default)]
pub(crate) struct Counters {
    routed: AtomicU64,
    let_go: Arc<AtomicU64>,
    refused: [AtomicU64; Why::ALL.len()],
}

impl Counters {
    /// A frame of a client's was read.
    pub(crate) fn routed(&self) {
        self.routed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts clients that did not read.
    pub(crate) fn let_go(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.let_go)
    }
}

/// How a hub stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Clients that are connected.
    pub clients: usize,
    /// Workspaces that are in memory.
    pub workspaces: usize,
    /// Services that clients offer.
    pub services: usize,
    /// Programs that wait for a person to let them in.
    pub logins: usize,
    /// What is taken of the room for messages that wait.
    pub waiting_bytes: usize,
    /// Messages that clients have sent.
    pub routed: u64,
    /// Clients that were let go because they did not read.
    pub let_go: u64,
    /// Clients that were not let in, by the kind of reason.
    pub refused: [(Why, u64); Why::ALL.len()],
}

impl Hub {
    /// Counts somebody who was not let in. Transports say so, once for each.
    pub fn count_refused(&self, why: Why) {
        self.0.counts.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How it stands.
    #[must_use]
    pub fn counts(&self) -> Counts {
        // Whoever watches asks every few seconds: a good time to give back what nobody goes on with.
        self.forget_old_parts();
        let (mut clients, mut services) = (0, 0);
        let rooms: Vec<_> = self.0.rooms.read().values().cloned().collect();
        for room in &rooms {
            clients += room.peers.read().len();
            services += room.services.read().len();
        }
        let counters = &self.0.counts;
        Counts {
            clients,
            workspaces: rooms.len(),
            services,
            logins: self.waiting_logins(),
            waiting_bytes: self.0.space.used(),
            routed: counters.routed.load(Ordering::Relaxed),
            let_go: counters.let_go.load(Ordering::Relaxed),
            refused: Why::ALL.map(|why| (why, counters.refused[why as usize].load(Ordering::Relaxed))),
        }
    }
}
