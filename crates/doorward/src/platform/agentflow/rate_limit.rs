//! The `rate_limit` block (package ≥ 0.3.2).

use doorward_protocols::path;
use serde_json::Value;

use super::Reading;

/// How many requests are let in. Counted per address or together, never per user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a window.
    pub requests: u32,
    /// The window.
    pub window_s: u32,
    /// What is counted together.
    pub by: RateLimitBy,
    /// Paths that are neither counted nor refused.
    pub exclude_paths: Vec<String>,
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitBy {
    /// Requests of one address.
    Address,
    /// All requests.
    Global,
}

pub(super) const KNOWN: &[&str] = &[
    "enabled",
    "backend",
    "requests",
    "window",
    "by",
    "trusted_proxy_headers",
    "exclude_paths",
    "redis",
    "fail_open",
    "path",
];
/// The package's own defaults.
const REQUESTS: u32 = 100;
const WINDOW_S: u32 = 60;
/// A day: what a window in memory can sensibly be.
const MOST: u64 = 1_000_000_000;
const LONGEST_S: u64 = 86_400;

pub(super) fn read(given: Option<&Value>, reading: &mut Reading<'_>) -> Option<RateLimit> {
    let block = match given {
        None | Some(Value::Null) => return None,
        Some(Value::Object(block)) => block,
        Some(_) => {
            reading.refuse("rate_limit", "it is not an object", "write {\"requests\": 100, \"window\": 60}");
            return None;
        }
    };
    match block.get("enabled") {
        None | Some(Value::Bool(true)) => {}
        Some(Value::Bool(false) | Value::Null) => return None,
        Some(_) => reading.refuse("rate_limit.enabled", "it is not true or false", "write true or false"),
    }
    for name in block.keys().filter(|name| !KNOWN.contains(&name.as_str())) {
        reading.warn(format_args!("the key rate_limit.{name} is not known and has no effect"));
    }
    backend(block.get("backend"), reading);
    if block.get("trusted_proxy_headers") == Some(&Value::Bool(true)) {
        reading
            .warn("rate_limit.trusted_proxy_headers has no effect; server.trusted_proxies names the proxies");
    }
    let requests = number("requests", block.get("requests"), REQUESTS, MOST, reading);
    let window_s = number("window", block.get("window"), WINDOW_S, LONGEST_S, reading);
    let by = by(block.get("by"), reading);
    let exclude_paths = exclude_paths(block.get("exclude_paths"), reading);
    Some(RateLimit { requests: requests?, window_s: window_s?, by: by?, exclude_paths: exclude_paths? })
}

fn backend(given: Option<&Value>, reading: &mut Reading<'_>) {
    match given.map(|value| (value, value.as_str())) {
        None | Some((Value::Null, _)) | Some((_, Some("memory"))) => {}
        Some((_, Some("redis"))) => {
            reading.warn("rate_limit.backend is redis, but requests are counted in each process by itself");
        }
        Some((_, Some("custom"))) => reading.refuse(
            "rate_limit.backend",
            "a custom backend needs handlers, which this version does not have",
            "use \"memory\"",
        ),
        Some(_) => reading.refuse("rate_limit.backend", "it is not known", "use \"memory\" or \"redis\""),
    }
}

fn number(
    name: &str,
    given: Option<&Value>,
    default: u32,
    most: u64,
    reading: &mut Reading<'_>,
) -> Option<u32> {
    let Some(value) = given else { return Some(default) };
    let number = value.as_u64().filter(|number| (1..=most).contains(number));
    if number.is_none() {
        reading.refuse(
            &format!("rate_limit.{name}"),
            "it is not a number that makes sense",
            format!("give a whole number from 1 to {most}"),
        );
    }
    u32::try_from(number?).ok()
}

fn by(given: Option<&Value>, reading: &mut Reading<'_>) -> Option<RateLimitBy> {
    match given.map(|value| (value, value.as_str())) {
        None | Some((Value::Null, _)) | Some((_, Some("ip"))) => Some(RateLimitBy::Address),
        Some((_, Some("global"))) => Some(RateLimitBy::Global),
        Some(_) => {
            reading.refuse("rate_limit.by", "it is not known", "use \"ip\" or \"global\"");
            None
        }
    }
}

fn exclude_paths(given: Option<&Value>, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let items = match given {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => &[Value::Null],
    };
    let paths: Option<Vec<String>> = items
        .iter()
        .map(|item| item.as_str().filter(|text| path::canonical(text.as_bytes()).is_ok()).map(str::to_owned))
        .collect();
    if paths.is_none() {
        reading.refuse(
            "rate_limit.exclude_paths",
            "it is not a list of plain paths",
            "write it like [\"/ping\", \"/docs\"]",
        );
    }
    paths
}
