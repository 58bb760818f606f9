//! How much of a thing one client may hold, such as connections, so that nobody holds it all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::limits::failures::network_of;
use parking_lot::Mutex;

use super::origin::Network;

/// The part that one client may hold.
const PART: usize = 4;

/// What each client holds: an IPv4 address, or the /64 of an IPv6 host.
pub(crate) struct Shares {
    most: usize,
    /// Many clients come through these.
    exempt: Arc<[Network]>,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// What a client holds of it; dropped when it is given back.
pub(crate) struct Share {
    shares: Arc<Shares>,
    network: Option<IpAddr>,
    count: usize,
}

impl Share {
    /// Holds what `other`, of the same client, holds as well.
    pub(crate) fn merge(&mut self, mut other: Self) {
        debug_assert_eq!(self.network, other.network);
        self.count += std::mem::take(&mut other.count);
    }
}

impl Shares {
    /// Shares of something of which there is `all`. Peers in `exempt` may hold any number.
    pub(crate) fn new(all: usize, exempt: Arc<[Network]>) -> Self {
        Self { most: (all / PART).max(1), exempt, held: Mutex::default() }
    }

    /// One more for this peer; `None` when it holds its share already.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Share> {
        if self.exempt.iter().any(|network| network.contains(peer)) {
            return Some(Share { shares: Arc::clone(self), network: None, count: 1 });
        }
        let network = network_of(peer);
        let mut held = self.held.lock();
        let count = held.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { shares: Arc::clone(self), network: Some(network), count: 1 })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut held = self.shares.held.lock();
        if let Some(count) = held.get_mut(&network) {
            *count -= self.count;
            if *count == 0 {
                held.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_holds_its_share_and_no_more() {
        let exempt: Arc<[Network]> = Arc::new(["10.0.0.0/8".parse().unwrap()]);
        let cases = [
            ("one address", ["192.0.2.1"; 3], [true, true, false]),
            (
                "mapped is the same address",
                ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"],
                [true, true, false],
            ),
            ("one /64", ["2001:db8::1", "2001:db8::2", "2001:db8::3"], [true, true, false]),
            ("other networks", ["2001:db8::1", "2001:db8:0:1::1", "192.0.2.1"], [true; 3]),
            ("exempt", ["10.1.2.3"; 3], [true; 3]),
        ];
        for (name, peers, taken) in cases {
            let shares = Arc::new(Shares::new(8, Arc::clone(&exempt)));
            let held: Vec<_> = peers.iter().map(|peer| shares.take(peer.parse().unwrap())).collect();
            assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), taken, "{name}");
            drop(held);
            assert!(shares.held.lock().is_empty(), "{name}: what ended is not counted");
        }
    }
}
