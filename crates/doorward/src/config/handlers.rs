//! `[handlers]`: user code that is asked, in processes of its own.

use std::path::PathBuf;
use std::time::Duration;

use super::section::{Key, Section};

/// How processes of user code are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handlers {
    /// Python; `None` looks for one.
    pub python: Option<PathBuf>,
    /// Node, for handlers in JavaScript and TypeScript; `None` looks for one.
    pub node: Option<PathBuf>,
    /// Variables of the server's environment that they find in their own.
    pub pass_environment: Vec<String>,
    /// Processes for each file.
    pub workers: usize,
    /// Longest time for one call.
    pub within: Duration,
    /// Longest time to load a file.
    pub start_within: Duration,
    /// Calls under way in one process.
    pub queue: usize,
    /// Functions that are no coroutines, at once, in one process.
    pub threads: usize,
    /// Most address space of one process; 0 for no limit.
    pub memory_bytes: u64,
    /// Whether a one-time code that `pyotp` finds right is right once.
    pub one_time_codes: bool,
    /// How long it is remembered who somebody is, in milliseconds; 0 for not at all.
    pub remember_ms: i64,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "python",
        "\"/srv/agents/.venv/bin/python\"",
        "Python, 3.9 or newer. Default: VIRTUAL_ENV's, that of .venv or venv beside the platform's file, or python3.",
    ),
    Key::optional(
        "node",
        "\"/usr/local/bin/node\"",
        "Node, 20 or newer, for handlers in JavaScript and TypeScript. Default: node on PATH.",
    ),
    Key::new(
        "pass_environment",
        "[]",
        "Variables of the server's environment that handlers find in their own, beside PATH, HOME and LANG. The platform's file wins.",
    ),
    Key::new("workers", "1", "Processes for each file of handlers, 1 to 64."),
    Key::new("timeout_ms", "10000", "Longest time for one call, in milliseconds; then the answer is 503."),
    Key::new("start_timeout_s", "60", "Longest time to load a file, in seconds."),
    Key::new("queue", "256", "Calls under way in one process; the next is answered 503."),
    Key::new("threads", "32", "Functions that are no coroutines, at once, in one process."),
    Key::new(
        "memory_mb",
        "2048",
        "Most address space of one process, in MB; 0 for no limit. For Node, most memory.",
    ),
    Key::new(
        "one_time_codes",
        "true",
        "Whether a code that pyotp's TOTP finds right in a handler is right once: a second time it is not. Without an answer of this server's the call fails.",
    ),
    Key::new(
        "remember_s",
        "0",
        "How long, in seconds up to 60, it is remembered whom LangGraph's authenticate let in. Only for handlers in Python that ask for authorization and nothing else; never past a revocation here or the token's exp.",
    ),
];

impl Handlers {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let given = section.is_given("python");
        let python = section.path("python");
        let node_given = section.is_given("node");
        let node = section.path("node");
        let pass_environment = section.variables("pass_environment");
        let workers = section.integer("workers", 1..=64);
        let timeout_ms = section.integer("timeout_ms", 10..=600_000);
        let start_timeout_s = section.integer("start_timeout_s", 1..=600);
        let queue = section.integer("queue", 1..=100_000);
        let threads = section.integer("threads", 1..=1_000);
        let memory_mb = section.integer("memory_mb", 0..=1_000_000);
        let one_time_codes = section.boolean("one_time_codes");
        let remember_s = section.integer("remember_s", 0..=60);
        section.finish();
        if given && python.is_none() || node_given && node.is_none() {
            return None;
        }
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let size = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
        Some(Self {
            python,
            node,
            pass_environment: pass_environment?,
            workers: size(workers)?,
            within: Duration::from_millis(number(timeout_ms)?),
            start_within: Duration::from_secs(number(start_timeout_s)?),
            queue: size(queue)?,
            threads: size(threads)?,
            memory_bytes: number(memory_mb)? << 20,
            one_time_codes: one_time_codes?,
            remember_ms: remember_s? * 1000,
        })
    }
}
