//! Failed attempts per client address, and per name that somebody tries to log in by, behind [`crate::ports::Shared`].
//!
//! The credential is always looked at first; only a *further failure* is answered "too many attempts". A stranger
//! therefore cannot lock anybody out, and a guesser learns nothing but to wait, twice as long each time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use doorward_protocols::encoding::base64url_encode;
use parking_lot::Mutex;

const SHARDS: usize = 16;
const PER_SHARD: usize = 4_096;

/// How many failures, in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRule {
    /// Failures that are answered plainly before "too many attempts".
    pub allowed: u32,
    /// Length of the window that begins with the first failure.
    pub window_ms: i64,
    /// A window in which more failed is followed by one twice as long, up to this; after a quiet one it is as before.
    pub longest_ms: i64,
}

impl Default for FailureRule {
    /// 10 in a minute; an hour at most.
    fn default() -> Self {
        Self { allowed: 10, window_ms: 60_000, longest_ms: 3_600_000 }
    }
}

/// How many failures of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRules {
    /// Of any kind, by one address.
    pub of_address: FailureRule,
    /// Log-ins by one name, from wherever they come.
    pub of_login: FailureRule,
}

impl Default for FailureRules {
    /// For an address as a rule has it by itself; for a name 5 in five minutes, as Hypha's document has it.
    fn default() -> Self {
        let of_address = FailureRule::default();
        Self { of_address, of_login: FailureRule { allowed: 5, window_ms: 300_000, ..of_address } }
    }
}

#[derive(Clone, Copy)]
struct Window {
    count: u32,
    ends_at_ms: i64,
    length_ms: i64,
}

impl Window {
    fn beginning(now_ms: i64, length_ms: i64) -> Self {
        Self { count: 0, ends_at_ms: now_ms.saturating_add(length_ms), length_ms }
    }

    /// The window after this one, which is over.
    fn next(self, rule: &FailureRule, now_ms: i64) -> Self {
        let goes_on = self.count > rule.allowed && now_ms - self.ends_at_ms < self.length_ms;
        let longest_ms = rule.longest_ms.max(rule.window_ms);
        let length_ms =
            if goes_on { self.length_ms.saturating_mul(2).min(longest_ms) } else { rule.window_ms };
        Self::beginning(now_ms, length_ms)
    }
}

/// The counters that one process keeps, at most 65,536 of them. Names are kept as hashes under a key of this process.
pub(crate) struct Failures {
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<u64, Window>>]>,
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 host has to itself.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
    }
}

/// The name under which failures of an address are counted. Callers without a known address share one counter.
#[must_use]
pub fn counter_of(address: Option<IpAddr>) -> String {
    format!("failures {}", network_of(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
}

/// A name that was tried, as it is counted: what people type into the wrong field must not be kept anywhere.
pub(crate) fn login_name(folded: &str) -> String {
    base64url_encode(&digest(&SHA256, folded.as_bytes()).as_ref()[..16])
}

/// The counter of log-ins that failed by a name, whether somebody has it or not: nobody learns which by counting.
pub(crate) fn counter_of_login(folded: &str) -> String {
    format!("log-ins {}", login_name(folded))
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// See [`crate::ports::Shared::fail`].
    pub(crate) fn record(&self, key: &str, rule: &FailureRule, now_ms: i64) -> Option<u32> {
        let name = self.hasher.hash_one(key);
        let mut shard = self.shards[usize::try_from(name % SHARDS as u64).unwrap_or(0)].lock();
        if shard.len() >= PER_SHARD && !shard.contains_key(&name) {
            // Of a few, the window that ends first makes room: a flood must not make each failure cost a scan.
            let oldest =
                shard.iter().take(8).min_by_key(|(_, window)| window.ends_at_ms).map(|(key, _)| *key);
            oldest.and_then(|key| shard.remove(&key));
        }
        let window = shard.entry(name).or_insert_with(|| Window::beginning(now_ms, rule.window_ms));
        // A clock that was set back must not make anybody wait for longer than a window.
        if window.ends_at_ms.saturating_sub(now_ms) > window.length_ms {
            *window = Window { count: window.count, ..Window::beginning(now_ms, window.length_ms) };
        }
        if window.ends_at_ms <= now_ms {
            *window = window.next(rule, now_ms);
        }
        window.count = window.count.saturating_add(1);
        (window.count > rule.allowed)
            .then(|| u32::try_from((window.ends_at_ms - now_ms + 999) / 1000).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        counter_of(Some(text.parse().expect("an address")))
    }

    /// Counters under one rule.
    struct Ruled(Failures, FailureRule);

    impl Ruled {
        fn record(&self, key: impl AsRef<str>, now_ms: i64) -> Option<u32> {
            self.0.record(key.as_ref(), &self.1, now_ms)
        }
    }

    #[test]
    fn the_failure_after_those_allowed_is_told_to_wait_until_the_window_ends() {
        let failures = Ruled(Failures::new(), FailureRule { allowed: 2, ..FailureRule::default() });
        let here = address("192.0.2.1");
        assert_eq!(failures.record(&here, 0), None);
        assert_eq!(failures.record(&here, 1_000), None);
        assert_eq!(failures.record(&here, 2_000), Some(58));
        assert_eq!(failures.record(address("192.0.2.2"), 2_000), None, "another address");
        assert_eq!(failures.record(&here, 60_000), None, "a new window");
    }

    #[test]
    fn whoever_goes_on_waits_twice_as_long_each_time_and_a_quiet_window_forgives() {
        let failures =
            Ruled(Failures::new(), FailureRule { allowed: 1, window_ms: 1_000, longest_ms: 3_000 });
        let here = address("192.0.2.1");
        let mut now_ms = 0;
        let mut wait = |pause_ms: i64| {
            now_ms += pause_ms;
            assert_eq!(failures.record(&here, now_ms), None, "the first of a window is answered plainly");
            let seconds = failures.record(&here, now_ms).expect("the second has to wait");
            now_ms += i64::from(seconds) * 1000;
            seconds
        };
        assert_eq!([wait(0), wait(0), wait(0), wait(0)], [1, 2, 3, 3]);
        assert_eq!(wait(3_000), 1, "a window without failures");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait_for_longer_than_a_window() {
        let failures =
            Ruled(Failures::new(), FailureRule { allowed: 1, window_ms: 60_000, longest_ms: 60_000 });
        let here = address("192.0.2.1");
        assert_eq!(failures.record(&here, 7_200_000), None);
        assert_eq!(failures.record(&here, 0), Some(60));
        assert_eq!(failures.record(&here, 60_000), None);
    }

    #[test]
    fn one_ipv6_network_and_mapped_ipv4_count_as_one_client() {
        let failures =
            Ruled(Failures::new(), FailureRule { allowed: 1, window_ms: 1_000, longest_ms: 1_000 });
        assert_eq!(failures.record(address("2001:db8::1"), 0), None);
        assert!(failures.record(address("2001:db8::2:1"), 0).is_some());
        assert_eq!(failures.record(address("192.0.2.9"), 0), None);
        assert!(failures.record(address("::ffff:192.0.2.9"), 0).is_some());
    }

    #[test]
    fn memory_stays_bounded_under_many_addresses() {
        let failures = Ruled(Failures::new(), FailureRule::default());
        for n in 0..(SHARDS * PER_SHARD * 2) as u32 {
            failures.record(counter_of(Some(IpAddr::V4(Ipv4Addr::from(n)))), 0);
        }
        assert!(failures.0.shards.iter().all(|shard| shard.lock().len() <= PER_SHARD));
    }
}
