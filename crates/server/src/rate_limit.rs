//! So many requests in so much time, by address or altogether: the `rate_limit` block of `agentflow.json`; and what is told
//! to clients of this and of the operator's own limits.
//!
//! This counts every request, good or bad, and is the operator's wish; failed credentials are counted by the engine
//! whatever stands here.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::limits::failures::network_of;
use doorward_core::limits::rules::{Standing, count};
use doorward_core::ports::Shared;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::http::respond::header_value;

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

/// The limit of a mount.
pub(crate) struct RateLimiter {
    limit: RateLimit,
    name: Arc<str>,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit, mount: &str) -> Self {
        Self { limit, name: format!("mount {mount}").into() }
    }

    /// Counts a request; `None` when its path is not counted.
    pub(crate) async fn count(
        &self,
        shared: &dyn Shared,
        path: &str,
        address: IpAddr,
        now_ms: i64,
    ) -> Option<Standing> {
        if self.limit.exclude_paths.iter().any(|excluded| excluded == path) {
            return None;
        }
        let key = match self.limit.by {
            CountBy::Address => format!("{}|{}", self.name, network_of(address)),
            CountBy::Everything => self.name.to_string(),
        };
        let size = (self.limit.requests, self.limit.window_s.max(1));
        Some(count(shared, &self.name, &key, size, now_ms).await)
    }
}

/// What a client is told of its limits.
#[derive(Default)]
pub(crate) struct Standings {
    /// By the mount's own block, as its platform tells it.
    pub(crate) mount: Option<Standing>,
    /// By the operator's limits: the one that will be reached first.
    pub(crate) rules: Option<Standing>,
}

impl Standings {
    /// The limit that was exceeded.
    pub(crate) fn exceeded(&self) -> Option<&Standing> {
        [&self.mount, &self.rules].into_iter().flatten().find(|standing| standing.exceeded)
    }

    /// Tells the client: `X-RateLimit-*` as AgentFlow does it, `RateLimit-*` as draft-ietf-httpapi-ratelimit-headers-07 does.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        if let Some(standing) = &self.mount {
            for (name, value) in [
                ("x-ratelimit-limit", HeaderValue::from(standing.limit)),
                ("x-ratelimit-remaining", HeaderValue::from(standing.remaining)),
                ("x-ratelimit-reset", HeaderValue::from(standing.reset_at_s)),
                ("x-ratelimit-reset-after", HeaderValue::from(standing.reset_after_s)),
            ] {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(standing) = &self.rules {
            let policy = format!("{};w={}", standing.limit, standing.window_s);
            for (name, value) in [
                ("ratelimit-limit", HeaderValue::from(standing.limit)),
                ("ratelimit-remaining", HeaderValue::from(standing.remaining)),
                ("ratelimit-reset", HeaderValue::from(standing.reset_after_s)),
                ("ratelimit-policy", header_value(&policy)),
            ] {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}
