//! `[agents]`: the embedded agent server.

use doorward_core::agents::runner;

use super::section::{Key, Section};

/// The embedded agent server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    /// What answers, as named in core's table.
    pub runner: &'static str,
}

pub(super) const KEYS: &[Key] = &[Key::new(
    "runner",
    "\"echo\"",
    "What answers: echo says again what it was told; config says what an agent learns of its caller.",
)];

impl Agents {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let known: Vec<_> = runner::BUILTIN.iter().map(|row| (row.name, row.name)).collect();
        let runner = section.word("runner", &known);
        section.finish();
        Some(Self { runner: runner? })
    }
}
