//! The one room for what waits in a hub: messages on their way to clients, and parts of messages that are not whole. Each client has a
//! bound of its own besides; this one holds however many clients there are, and one network has half of it at most.
//!
//! It is counted in pieces, so that small messages on their way to a client that reads never come here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use doorward_core::limits::failures::network_of;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The part that one network may hold.
const PART: usize = 2;

/// The room.
pub(crate) struct Space {
    most: usize,
    used: AtomicUsize,
    shares: Mutex<HashMap<IpAddr, Weak<Share>>>,
    /// Told whenever something was given back.
    freed: Notify,
}

/// What the clients of one network hold of it.
pub(crate) struct Share {
    space: Arc<Space>,
    network: IpAddr,
    used: AtomicUsize,
}

/// Which bound was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// That of the network's own share.
    Share,
    /// That of all the room.
    All,
}

/// Bytes that are held; given back when it is dropped.
pub(crate) struct Held {
    share: Arc<Share>,
    bytes: usize,
}

impl Space {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: AtomicUsize::new(0), shares: Mutex::default(), freed: Notify::new() })
    }

    /// The share of a client's network. Clients without a known address are one network.
    pub(crate) fn share(self: &Arc<Self>, address: Option<IpAddr>) -> Arc<Share> {
        let network = network_of(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(&network).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Share { space: Arc::clone(self), network, used: AtomicUsize::new(0) });
        shares.insert(network, Arc::downgrade(&share));
        share
    }

    /// The share of the network that holds most.
    pub(crate) fn largest(&self) -> Option<Arc<Share>> {
        let shares: Vec<_> = self.shares.lock().values().filter_map(Weak::upgrade).collect();
        shares.into_iter().max_by_key(|share| share.used.load(Ordering::Relaxed))
    }

    /// Bytes that are held altogether.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

fn add(to: &AtomicUsize, bytes: usize, most: usize) -> bool {
    let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= most);
    to.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).is_ok()
}

impl Share {
    /// Takes so many bytes.
    ///
    /// # Errors
    /// Which bound leaves no room for them.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Full> {
        let Space { most, used, .. } = &*self.space;
        if !add(&self.used, bytes, most / PART) {
            return Err(Full::Share);
        }
        if add(used, bytes, *most) {
            return Ok(());
        }
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        Err(Full::All)
    }

    /// Gives so many back of those that were taken.
    pub(crate) fn give(&self, bytes: usize) {
        if bytes > 0 {
            self.space.used.fetch_sub(bytes, Ordering::AcqRel);
            self.used.fetch_sub(bytes, Ordering::AcqRel);
            self.space.freed.notify_waiters();
        }
    }

    /// As [`Share::take`], for as long as the answer is kept.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held, Full> {
        self.take(bytes).map(|()| Held { share: Arc::clone(self), bytes })
    }

    /// Told when something was given back.
    pub(crate) fn freed(&self) -> &Notify {
        &self.space.freed
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.space.shares.lock();
        // Somebody of the same network may have come since.
        if shares.get(&self.network).is_some_and(|share| share.strong_count() == 0) {
            shares.remove(&self.network);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn one_network_has_half_and_all_of_them_what_there_is() {
        let space = Space::new(100);
        let (one, same, other) =
            (space.share(at("192.0.2.1")), space.share(at("192.0.2.1")), space.share(at("192.0.2.2")));
        let held = one.hold(30).expect("room");
        assert_eq!((same.take(20), same.take(1)), (Ok(()), Err(Full::Share)), "half is one network's");
        let third = space.share(at("192.0.2.3"));
        assert_eq!((other.take(50), third.take(1)), (Ok(()), Err(Full::All)), "and all is all");
        drop(held);
        assert!(space.largest().is_some_and(|largest| Arc::ptr_eq(&largest, &other)));
        assert_eq!(third.take(30), Ok(()), "what was given back is another's");
        assert_eq!(one.take(1), Err(Full::All), "there is no more than there is");
        same.give(20);
        other.give(50);
        assert_eq!(space.used(), 30);
    }

    #[test]
    fn nothing_is_kept_of_networks_that_hold_nothing() {
        let space = Space::new(100);
        let one = space.share(at("2001:db8::1"));
        let same = space.share(at("2001:db8::2"));
        assert!(Arc::ptr_eq(&one, &same), "a host has a /64");
        drop(one);
        assert_eq!(space.shares.lock().len(), 1);
        drop(same);
        assert!(space.shares.lock().is_empty());
    }
}
