//! `[limits]`: how many failed attempts an address has.

use super::section::{Key, Section};

/// How many failed attempts an address has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Failures after which further failures are answered 429.
    pub failures: u32,
    /// The time in which they are counted.
    pub window_s: u32,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("failures", "10", "Failed attempts of one address after which it is answered 429."),
    Key::new("window_s", "60", "Seconds in which they are counted. A valid credential is never refused."),
];

impl Limits {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let failures = section.integer("failures", 1..=1_000_000);
        let window_s = section.integer("window_s", 1..=86_400);
        section.finish();
        Some(Self { failures: u32::try_from(failures?).ok()?, window_s: u32::try_from(window_s?).ok()? })
    }
}
