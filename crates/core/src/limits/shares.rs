//! Places that clients share: one network, or one account, holds so many of them at once and no more, so that nobody keeps all others out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::failures::network_of;
use crate::principal::AuthContext;

/// Who holds how many.
pub struct Shares<K: Eq + Hash = IpAddr>(Arc<Mutex<HashMap<K, u32>>>);

impl<K: Eq + Hash> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Default for Shares<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// A place that is held.
pub struct Share<K: Eq + Hash = IpAddr> {
    shares: Shares<K>,
    holder: K,
}

/// Whose work is counted together: an account's, however it comes; without an account, that of one network.
#[must_use]
pub fn account_or_network(auth: &AuthContext, from: Option<IpAddr>) -> String {
    match auth.is_anonymous() {
        true => network_or_none(from).to_string(),
        false => auth.principal.owner_key(),
    }
}

/// Clients without a known address are one network.
fn network_or_none(from: Option<IpAddr>) -> IpAddr {
    network_of(from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// A place for somebody, unless they hold `most` already.
    #[must_use]
    pub fn hold(&self, holder: K, most: u32) -> Option<Share<K>> {
        let mut held = self.0.lock();
        let count = held.get(&holder).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        held.insert(holder.clone(), count + 1);
        drop(held);
        Some(Share { shares: self.clone(), holder })
    }
}

impl Shares {
    /// A place for a client, unless its network holds `most` already. Clients without a known address are one network.
    #[must_use]
    pub fn take(&self, from: Option<IpAddr>, most: u32) -> Option<Share> {
        self.hold(network_or_none(from), most)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.0.lock();
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{Principal, PrincipalKind};

    #[test]
    fn an_account_is_one_wherever_it_comes_from_and_nobody_is_a_network() {
        let at = |text: &str| Some(text.parse().expect("an address"));
        let nobody = AuthContext::anonymous(Vec::new());
        let ann = Principal { kind: PrincipalKind::User, authority: "local".into(), subject: "ann".into() };
        let ann = AuthContext { principal: ann, ..nobody.clone() };
        assert_eq!(account_or_network(&ann, at("192.0.2.1")), account_or_network(&ann, None));
        let here = account_or_network(&nobody, at("2001:db8::1"));
        assert_eq!(account_or_network(&nobody, at("2001:db8::2")), here);
        assert_ne!(account_or_network(&nobody, at("2001:db8:1::1")), here);
    }

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
