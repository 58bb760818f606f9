//! `agentflow.json` and its `.env`, as the AgentFlow API server reads them (package 0.1.7 to 0.6.1).
//!
//! ```text
//! agentflow.json ─┬─ auth ─────────┐
//!                 ├─ env ─► .env ──┴─► Auth::Open | Auth::Jwt { keys, issuer, audience }
//!                 └─ rate_limit ─────► RateLimit
//! ```
//! What concerns the graph alone (`agent`, `checkpointer`, …) is the agent server's business and is passed over.
//! What would change who may do what and cannot be honoured here stops the start; the rest is warned about.

mod auth;
mod rate_limit;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use auth::{Auth, Jwt};
pub use rate_limit::{RateLimit, RateLimitBy};

use super::dotenv::{self, Dotenv};
use super::{Environment, Platform, read_object};
use crate::config::{Problem, Problems};

/// Keys of any release that say nothing about who may do what.
const GRAPH_KEYS: &[&str] = &[
    "agent",
    "graphs",
    "env",
    "checkpointer",
    "store",
    "injectq",
    "thread_name_generator",
    "redis",
    "websocket",
    "remote_tools",
    "observability",
    "multimodal",
    "evals",
    "a2a",
    "ag_ui",
    "realtime",
    "name",
    "version",
    "$schema",
];

/// Keys that say who may do what.
const DOOR_KEYS: &[&str] = &["auth", "authorization", "rate_limit"];

/// Every key that is known, those within `rate_limit` and an `auth` that is an object behind a dot.
#[cfg(test)]
pub(crate) fn known_keys() -> Vec<String> {
    let within = |outer: &'static str, keys: &'static [&'static str]| {
        keys.iter().map(move |key| format!("{outer}.{key}"))
    };
    let top = GRAPH_KEYS.iter().chain(DOOR_KEYS).map(ToString::to_string);
    top.chain(within("rate_limit", rate_limit::KNOWN)).chain(within("auth", auth::KEYS)).collect()
}

/// Reads the file at `path` and the `.env` it names.
///
/// # Errors
/// Everything that is wrong, in the package's own sentences where it has one. Never holds a secret.
pub fn read(path: &Path, environment: Environment<'_>) -> Result<Platform, Problems> {
    let content = read_object(path, EXAMPLE).map_err(|problem| Problems(vec![problem]))?;
    let mut reading = Reading { path, problems: Vec::new(), warnings: Vec::new() };
    reading.unknown_keys(&content);
    reading.authorization(content.get("authorization"));
    let variables = reading.variables(content.get("env"));
    let auth = auth::read(content.get("auth"), &variables, environment, &mut reading);
    let rate_limit = rate_limit::read(content.get("rate_limit"), &mut reading);
    match auth {
        Some(auth) if reading.problems.is_empty() => {
            Ok(Platform { auth, rate_limit, graphs: Vec::new(), model: None, warnings: reading.warnings })
        }
        _ => Err(Problems(reading.problems)),
    }
}

const EXAMPLE: &str = "write it like {\"agent\": \"graph.react:app\", \"auth\": \"jwt\", \"env\": \".env\"}";

/// What gathers while the file is read.
struct Reading<'r> {
    path: &'r Path,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    fn refuse(&mut self, key: &str, what: impl Into<String>, mend: impl Into<String>) {
        let key = format!("{} of {}", key, self.path.display());
        self.problems.push(Problem::of(key, what, mend));
    }

    fn warn(&mut self, text: impl std::fmt::Display) {
        self.warnings.push(format!("{}: {text}", self.path.display()));
    }

    fn unknown_keys(&mut self, content: &Map<String, Value>) {
        for name in content.keys() {
            if ![GRAPH_KEYS, DOOR_KEYS].concat().contains(&name.as_str()) {
                self.warn(format_args!("the key {name:?} is not known and has no effect"));
            }
        }
    }

    /// Threads always belong to whoever made them here, which is `ownership` and stricter than the others. A
    /// policy of the operator's own would be silently unenforced, so it stops the start.
    fn authorization(&mut self, given: Option<&Value>) {
        match given {
            None | Some(Value::Null) => {}
            Some(Value::String(word)) if word == "ownership" || word.is_empty() => {}
            Some(Value::String(word)) if matches!(word.as_str(), "allow_all" | "default" | "none") => {
                self.warn(format_args!(
                    "authorization is {word:?}, but Doorward shows threads to their owners alone"
                ));
            }
            Some(Value::String(_)) => self.refuse(
                "authorization",
                "a custom authorization backend needs handlers, which this version does not have",
                "use \"ownership\", or describe roles under [roles] of doorward.toml",
            ),
            Some(_) => self.refuse(
                "authorization",
                "roles and scopes of agentflow.json are not enforced by this version",
                "use \"ownership\", and describe roles under [roles] of doorward.toml",
            ),
        }
    }

    /// The `.env` beside the file, or where the process runs, as the package's users have both.
    fn variables(&mut self, given: Option<&Value>) -> Dotenv {
        let name = match given {
            None | Some(Value::Null) => return Dotenv::default(),
            Some(Value::String(name)) if name.is_empty() => return Dotenv::default(),
            Some(Value::String(name)) => name,
            Some(_) => {
                self.refuse("env", "it is not a path", "write \"env\": \".env\"");
                return Dotenv::default();
            }
        };
        let beside = self.path.parent().map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
        let file = if beside.exists() { beside } else { PathBuf::from(name) };
        match fs::read_to_string(&file) {
            Ok(text) if text.len() > dotenv::MAX_BYTES => {
                self.refuse("env", format!("{} is larger than 1 MiB", file.display()), "name the right file");
                Dotenv::default()
            }
            Ok(text) => {
                let found = Dotenv::parse(&text);
                for line in &found.bad_lines {
                    self.warn(format_args!("{}:{line} could not be understood", file.display()));
                }
                found
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.warn(format_args!(
                    "env names {name:?}, which is not there; the environment alone counts"
                ));
                Dotenv::default()
            }
            Err(error) => {
                self.refuse("env", format!("{}: {error}", file.display()), "make it readable UTF-8 text");
                Dotenv::default()
            }
        }
    }
}

#[cfg(test)]
mod tests;
