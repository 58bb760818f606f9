//! What to run, and within which bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::runtimes::{PYTHON, Runtime};

/// A file of handlers and how its processes are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the log calls it, such as `agentflow`.
    pub name: Arc<str>,
    /// What the file runs in.
    pub runtime: &'static Runtime,
    /// The program that runs it.
    pub interpreter: PathBuf,
    /// What the file is written for: the adapter's name, such as `agentflow`.
    pub kind: &'static str,
    /// What to load, as the platform's file writes it, such as `auth.custom:MyAuthBackend`; several where the adapter takes several.
    pub targets: Vec<String>,
    /// Where it works and where modules are looked for: the directory of the platform's file.
    pub directory: PathBuf,
    /// Everything it finds in its environment.
    pub environment: Vec<(String, String)>,
    /// Processes at once.
    pub workers: usize,
    /// Calls that may be under way in one process; more are refused.
    pub queue: usize,
    /// Functions that are no coroutines, at once, in one process.
    pub threads: usize,
    /// Longest time for one call.
    pub within: Duration,
    /// Longest time to load.
    pub start_within: Duration,
    /// Most address space of one process; 0 for no limit.
    pub memory_bytes: u64,
    /// Whether a one-time code that `pyotp` finds right is right once.
    pub one_time_codes: bool,
    /// Whether a changed file is loaded anew.
    pub reload: bool,
    /// Whether the process gets a channel of its own, for frames that are none of ours.
    pub channel: bool,
}

impl Settings {
    /// The defaults around these.
    #[must_use]
    pub fn new(name: &str, kind: &'static str, target: &str, directory: PathBuf) -> Self {
        Self {
            name: name.into(),
            runtime: &PYTHON,
            interpreter: PathBuf::from(PYTHON.program),
            kind,
            targets: vec![target.to_owned()],
            directory,
            environment: Vec::new(),
            workers: 1,
            queue: 256,
            threads: 32,
            within: Duration::from_secs(10),
            start_within: Duration::from_secs(60),
            memory_bytes: 2 << 30,
            one_time_codes: true,
            reload: false,
            channel: false,
        }
    }
}
