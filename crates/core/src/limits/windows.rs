//! Counters that one process keeps for itself.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use super::failures::{FailureRule, Failures};
use super::used::Used;
use crate::ports::shared::{Hit, Shared, Soon};

const SHARDS: usize = 16;
const PER_SHARD: usize = 8_192;

#[derive(Clone, Copy)]
struct Window {
    ends_at_ms: i64,
    used: u32,
}

/// The counters, at most 131,072 of them. Names are kept as hashes under a key of this process.
pub struct Windows {
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<u64, Window>>]>,
    failures: Failures,
    used: Used,
}

impl Windows {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            failures: Failures::new(),
            used: Used::default(),
        }
    }

    fn count(&self, key: &str, limit: u32, window_ms: i64, now_ms: i64) -> Hit {
        let name = self.hasher.hash_one(key);
        let mut shard = self.shards[usize::try_from(name % SHARDS as u64).unwrap_or(0)].lock();
        if shard.len() >= PER_SHARD && !shard.contains_key(&name) {
            // Of a few, the window that ends first makes room: a flood must not make each count cost a scan.
            let oldest = shard.iter().take(8).min_by_key(|(_, window)| window.ends_at_ms);
            let oldest = oldest.map(|(name, _)| *name);
            oldest.and_then(|name| shard.remove(&name));
        }
        let fresh = Window { ends_at_ms: now_ms.saturating_add(window_ms), used: 0 };
        let window = shard.entry(name).or_insert(fresh);
        // A clock that was set back must not lock anybody out for longer than a window.
        if window.ends_at_ms <= now_ms || window.ends_at_ms > fresh.ends_at_ms {
            *window = fresh;
        }
        let exceeded = window.used >= limit;
        if !exceeded {
            window.used += 1;
        }
        Hit { used: window.used, exceeded, ends_at_ms: window.ends_at_ms }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared for Windows {
    fn hit<'a>(&'a self, key: &'a str, limit: u32, window_ms: i64, now_ms: i64) -> Soon<'a, Hit> {
        Soon::Now(self.count(key, limit, window_ms, now_ms))
    }

    fn first<'a>(&'a self, name: &'a str, hold_ms: i64, steady_ms: i64) -> Soon<'a, Option<bool>> {
        Soon::Now(self.used.first(name, hold_ms, steady_ms))
    }

    fn fail<'a>(&'a self, key: &'a str, rule: &'a FailureRule, now_ms: i64) -> Soon<'a, Option<u32>> {
        Soon::Now(self.failures.record(key, rule, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_up_to_its_limit_and_then_begins_anew() {
        let windows = Windows::new();
        let exceeded = |key: &str, now_ms| windows.count(key, 2, 10_000, now_ms).exceeded;
        assert_eq!([exceeded("a", 0), exceeded("a", 1), exceeded("a", 2)], [false, false, true]);
        assert!(!exceeded("b", 2), "another name");
        assert!(exceeded("a", 9_999), "the window lasts");
        assert!(!exceeded("a", 10_000), "a new window");
        assert!(!exceeded("a", -50_000), "a clock set back");
    }

    #[test]
    fn memory_stays_bounded() {
        let windows = Windows::new();
        for n in 0..(SHARDS * PER_SHARD * 2) {
            windows.count(&n.to_string(), 1, 1_000, 0);
        }
        assert!(windows.shards.iter().all(|shard| shard.lock().len() <= PER_SHARD));
    }
}
