//! So many requests in so much time, by address or altogether: the `rate_limit` block of `agentflow.json`.
//!
//! This counts every request, good or bad, and is the operator's wish; failed credentials are counted by the engine
//! whatever stands here.

use std::collections::HashMap;
use std::net::IpAddr;

use doorward_core::limits::failures::network_of;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountBy {
    /// Each client address has its own count (an IPv6 /64 is one address).
    Address,
    /// All requests share one count.
    Everything,
}

/// How many requests are allowed.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Requests in one window.
    pub requests: u32,
    /// Length of a window in seconds.
    pub window_s: u32,
    /// Whose requests are counted together.
    pub by: CountBy,
    /// Paths within the mount that are not counted.
    pub exclude_paths: Vec<String>,
}

/// Most addresses that are told apart; beyond it, strangers share one count.
const MAX_ADDRESSES: usize = 100_000;

#[derive(Debug, Clone, Copy)]
struct Window {
    ends_at_ms: i64,
    used: u32,
}

/// The counts of a mount, in this process.
pub(crate) struct RateLimiter {
    limit: RateLimit,
    windows: Mutex<HashMap<Option<IpAddr>, Window>>,
}

/// What is left for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    limit: u32,
    remaining: u32,
    reset_at_s: i64,
    reset_after_s: u32,
    /// Whether this request was one too many.
    pub(crate) exceeded: bool,
}

impl Standing {
    /// When the next window begins, in seconds from now.
    pub(crate) fn reset_after_s(&self) -> u32 {
        self.reset_after_s
    }

    /// Tells the client.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("x-ratelimit-limit", HeaderValue::from(self.limit)),
            ("x-ratelimit-remaining", HeaderValue::from(self.remaining)),
            ("x-ratelimit-reset", HeaderValue::from(self.reset_at_s)),
            ("x-ratelimit-reset-after", HeaderValue::from(self.reset_after_s)),
        ] {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, windows: Mutex::default() }
    }

    /// Counts a request; `None` when its path is not counted.
    pub(crate) fn count(&self, path: &str, address: IpAddr, now_ms: i64) -> Option<Standing> {
        if self.limit.exclude_paths.iter().any(|excluded| excluded == path) {
            return None;
        }
        let window_ms = i64::from(self.limit.window_s.max(1)) * 1000;
        let mut windows = self.windows.lock();
        let mut key = (self.limit.by == CountBy::Address).then(|| network_of(address));
        if windows.len() >= MAX_ADDRESSES && !windows.contains_key(&key) {
            windows.retain(|_, window| window.ends_at_ms > now_ms);
            if windows.len() >= MAX_ADDRESSES {
                key = None;
            }
        }
        let window = windows.entry(key).or_insert(Window { ends_at_ms: now_ms + window_ms, used: 0 });
        // A clock that was set back must not lock anybody out for longer than a window.
        if window.ends_at_ms <= now_ms || window.ends_at_ms > now_ms + window_ms {
            *window = Window { ends_at_ms: now_ms + window_ms, used: 0 };
        }
        let exceeded = window.used >= self.limit.requests;
        if !exceeded {
            window.used += 1;
        }
        let left_ms = window.ends_at_ms - now_ms;
        Some(Standing {
            limit: self.limit.requests,
            remaining: self.limit.requests - window.used,
            reset_at_s: window.ends_at_ms.div_euclid(1000)
                + i64::from(window.ends_at_ms.rem_euclid(1000) > 0),
            reset_after_s: u32::try_from((left_ms + 999) / 1000).unwrap_or(1).max(1),
            exceeded,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(by: CountBy) -> RateLimiter {
        RateLimiter::new(RateLimit { requests: 2, window_s: 10, by, exclude_paths: vec!["/ping".into()] })
    }

    fn used_up(limiter: &RateLimiter, address: &str, now_ms: i64) -> bool {
        limiter.count("/x", address.parse().unwrap(), now_ms).unwrap().exceeded
    }

    #[test]
    fn each_address_has_its_window() {
        let limiter = limiter(CountBy::Address);
        let seen: Vec<bool> = (0..3).map(|_| used_up(&limiter, "192.0.2.1", 1_000)).collect();
        assert_eq!(seen, [false, false, true]);
        assert!(!used_up(&limiter, "192.0.2.2", 1_000), "another address");
        assert!(used_up(&limiter, "192.0.2.1", 10_999), "the window lasts");
        assert!(!used_up(&limiter, "192.0.2.1", 11_000), "a new window");
    }

    #[test]
    fn one_count_for_all_and_none_for_excluded_paths() {
        let limiter = limiter(CountBy::Everything);
        for (address, exceeded) in [("192.0.2.1", false), ("192.0.2.2", false), ("192.0.2.3", true)] {
            assert_eq!(used_up(&limiter, address, 1_000), exceeded, "{address}");
        }
        assert_eq!(limiter.count("/ping", "192.0.2.1".parse().unwrap(), 1_000), None);
    }

    #[test]
    fn the_standing_says_when_to_come_back() {
        let limiter = limiter(CountBy::Address);
        let standing = limiter.count("/x", "192.0.2.1".parse().unwrap(), 1_500).unwrap();
        assert_eq!((standing.remaining, standing.reset_after_s(), standing.reset_at_s), (1, 10, 12));
    }
}
