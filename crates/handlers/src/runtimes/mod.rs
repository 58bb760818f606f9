//! What user code runs in: one row for each interpreter, and our side of its process, which is sent over its socket so that nothing of it
//! lies on a disk.

mod node;
mod python;

use std::process::Command;

use serde_json::{Map, Value, json};

use crate::settings::Settings;

/// How a process gets its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// Others than its first come with the first byte of that.
    HandedOver,
    /// It has one: what it asks, it asks there.
    One,
}

/// What user code runs in.
#[derive(Debug)]
pub struct Runtime {
    /// What people call it.
    pub name: &'static str,
    /// The member of its first frame that holds its version.
    pub key: &'static str,
    /// What is started unless something else is configured.
    pub program: &'static str,
    /// How the names of its files end; the first row takes what no other does.
    pub endings: &'static [&'static str],
    pub(crate) sockets: Sockets,
    pub(crate) modules: &'static [(&'static str, &'static str)],
    /// What is started, with its socket as standard input; or why it cannot be.
    pub(crate) plan: fn(&Settings) -> Result<Command, String>,
    /// Calls that never end before the process is given up.
    pub(crate) most_stuck: fn(&Settings) -> usize,
    /// What such calls hold.
    pub(crate) held: &'static str,
}

/// Python.
pub use python::RUNTIME as PYTHON;

/// Every interpreter; where there is a choice, the first.
static BUILTIN: &[&Runtime] = &[&python::RUNTIME, &node::RUNTIME];

impl Runtime {
    /// The one for a file, by the ending of its name.
    #[must_use]
    pub fn of_file(name: &str) -> &'static Self {
        let ends = |runtime: &&&Self| runtime.endings.iter().any(|ending| name.ends_with(ending));
        BUILTIN.iter().find(ends).copied().unwrap_or(&PYTHON)
    }

    /// The first frame.
    pub(crate) fn begin(&self, settings: &Settings) -> Value {
        let modules: Map<String, Value> =
            self.modules.iter().map(|(name, source)| ((*name).to_owned(), (*source).into())).collect();
        json!({
            "doorward": 1,
            "modules": modules,
            "kind": settings.kind,
            "targets": settings.targets,
            "channel": settings.channel,
            "directory": settings.directory,
            "threads": settings.threads,
            "memory_bytes": settings.memory_bytes,
            "one_time_codes": settings.one_time_codes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_runs_in_what_its_ending_says() {
        for (file, key) in [
            ("./auth.py", "python"),
            ("security.auth", "python"),
            ("./auth.mjs", "node"),
            ("src/auth.ts", "node"),
            ("auth.cts", "node"),
            ("auth.jsx.py", "python"),
        ] {
            assert_eq!(Runtime::of_file(file).key, key, "{file}");
        }
    }
}
