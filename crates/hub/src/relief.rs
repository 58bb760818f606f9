//! What is given up when the room for what waits is full ([`crate::space`]).
//!
//! Messages that came in parts and took too long go first. Then it is one network's turn: that whose share is full, or that which holds most
//! where all the room is taken. Of its clients the message in parts that began first goes, and without one whoever reads least. Nobody of
//! another network loses anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Fault;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::route::no_room;
use crate::space::{Full, Share};

/// More than what waits for a client that reads.
const MUCH: usize = 1 << 20;
/// As much counts as much of those who hold most of all the room.
const SOME: usize = 64 << 10;
/// How often room is looked for, for parts of messages.
const NOT_BEFORE: Duration = Duration::from_millis(100);

impl Hub {
    /// Why something goes nowhere that was to go to this client; there is room for it a moment later.
    pub(crate) fn no_room_for(&self, there: &Peer, full: Full) -> Fault {
        self.make_room(full, there.outbox.share());
        no_room()
    }

    /// Looks whether there was room for a client's last part. Its own network's is left to those who are in it: whoever began something there
    /// goes on.
    pub(crate) fn looked_after(&self, peer: &Peer) {
        let Some(full) = peer.chunks.lock().take_full() else { return };
        {
            // Everybody is looked at, which must not be had by whoever sends parts that have no room.
            let mut looked = self.0.looked_for_room.lock();
            if looked.is_some_and(|at| at.elapsed() < NOT_BEFORE) {
                return;
            }
            *looked = Some(Instant::now());
        }
        match full {
            Full::Share => {
                self.forget_old_parts();
            }
            Full::All => self.make_room(Full::All, peer.outbox.share()),
        }
    }

    fn everybody(&self) -> Vec<Arc<Peer>> {
        let rooms: Vec<_> = self.0.rooms.read().values().cloned().collect();
        rooms.iter().flat_map(|room| room.peers.read().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Forgets messages that came in parts and took too long, whoever sends them. The answer is whether that gave any room back.
    pub(crate) fn forget_old_parts(&self) -> bool {
        let before = self.0.space.used();
        for peer in self.everybody() {
            peer.chunks.lock().forget_old();
        }
        self.0.space.used() < before
    }

    /// There is no room, and nobody gave any back for as long as a sender waits.
    fn make_room(&self, full: Full, own: &Arc<Share>) {
        if self.forget_old_parts() {
            return;
        }
        let share = match full {
            Full::Share => Some(Arc::clone(own)),
            Full::All => self.0.space.largest(),
        };
        let Some(share) = share else { return };
        let mut peers = self.everybody();
        peers.retain(|peer| Arc::ptr_eq(peer.outbox.share(), &share));
        let oldest = peers.iter().filter_map(|peer| Some((peer.chunks.lock().oldest()?, peer)));
        if let Some((since, peer)) = oldest.min_by_key(|(since, _)| *since) {
            peer.chunks.lock().forget_of(since);
            return;
        }
        let much = if full == Full::All { SOME } else { MUCH };
        let slowest = peers.iter().max_by_key(|peer| peer.outbox.bytes());
        if let Some(slowest) = slowest.filter(|peer| peer.outbox.bytes() >= much) {
            slowest.outbox.let_go();
        }
    }
}
