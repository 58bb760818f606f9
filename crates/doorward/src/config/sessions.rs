//! `[sessions]`: how long a person stays logged in.

use super::section::{Key, Section};

/// How long a person stays logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// A session ends when unused for this long.
    pub idle_s: i64,
    /// It ends after this long however much it is used.
    pub absolute_s: i64,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("idle_s", "2592000", "Seconds after which an unused session ends (30 days)."),
    Key::new("absolute_s", "7776000", "Seconds after which any session ends (90 days)."),
];

impl Sessions {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let idle_s = section.integer("idle_s", 1..=315_360_000);
        let absolute_s = section.integer("absolute_s", 1..=315_360_000);
        section.finish();
        Some(Self { idle_s: idle_s?, absolute_s: absolute_s? })
    }
}
