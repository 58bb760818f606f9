//! Places that clients share: one network holds so many of them at once and no more, so that nobody keeps all others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::failures::network_of;

/// Who holds how many.
#[derive(Clone, Default)]
pub struct Shares(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A place that is held.
pub struct Share {
    shares: Shares,
    network: IpAddr,
}

impl Shares {
    /// A place for a client, unless its network holds `most` already. Clients without a known address are one network.
    #[must_use]
    pub fn take(&self, from: Option<IpAddr>, most: u32) -> Option<Share> {
        let network = network_of(from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let mut held = self.0.lock();
        let count = held.entry(network).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Share { shares: self.clone(), network })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.0.lock();
        if let Some(count) = held.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_share_and_others_theirs() {
        let shares = Shares::default();
        let at = |text: &str| Some(text.parse().expect("an address"));
        let first = shares.take(at("192.0.2.1"), 2);
        let second = shares.take(at("192.0.2.1"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(shares.take(at("192.0.2.1"), 2).is_none());
        assert!(shares.take(at("192.0.2.2"), 2).is_some(), "another's");
        drop(first);
        assert!(shares.take(at("192.0.2.1"), 2).is_some());
        drop(second);
        assert!(shares.0.lock().is_empty(), "nothing is kept of whoever holds nothing");
    }
}
