//! `[passwords]`: what a password must be, and what checking one may cost.

use super::section::{Key, Section};

/// What a password must be, and what checking one may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passwords {
    /// The shortest acceptable password, in characters.
    pub min_chars: usize,
    /// Least strength, 0 to 4.
    pub min_strength: u8,
    /// Argon2id memory per check, in KiB.
    pub memory_kib: u32,
    /// Argon2id passes.
    pub passes: u32,
    /// Argon2id lanes.
    pub lanes: u32,
    /// Checks that run at once; each takes `memory_kib`.
    pub workers: usize,
    /// Checks that may wait; beyond that 429 is answered.
    pub queue: usize,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("min_chars", "8", "The shortest acceptable password, in characters; at least 8."),
    Key::new(
        "min_strength",
        "2",
        "The least strength of a new password, as zxcvbn counts: 0 takes anything, 4 only what 10^10 guesses miss.",
    ),
    Key::new("memory_kib", "47104", "Argon2id memory per check, in KiB; at least 19456."),
    Key::new("passes", "1", "Argon2id passes; at least 2 below 46 MiB."),
    Key::new("lanes", "1", "Argon2id lanes."),
    Key::new("workers", "2", "Checks that run at once."),
    Key::new("queue", "256", "Checks that may wait; more are answered 429."),
];

impl Passwords {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let min_chars = section.integer("min_chars", 8..=128);
        let min_strength = section.integer("min_strength", 0..=4);
        let memory_kib = section.integer("memory_kib", 19_456..=1_048_576);
        let passes = section.integer("passes", 1..=16);
        let lanes = section.integer("lanes", 1..=16);
        let workers = section.integer("workers", 1..=64);
        let queue = section.integer("queue", 1..=65_536);
        // OWASP's equivalent settings: m=46 MiB t=1, or m=19 MiB t=2.
        if let (Some(memory), Some(1)) = (memory_kib, passes)
            && memory < 47_104
        {
            section.refuse("passes", "one pass is too few for so little memory", "give passes = 2");
        }
        section.finish();
        Some(Self {
            min_chars: usize::try_from(min_chars?).ok()?,
            min_strength: u8::try_from(min_strength?).ok()?,
            memory_kib: u32::try_from(memory_kib?).ok()?,
            passes: u32::try_from(passes?).ok()?,
            lanes: u32::try_from(lanes?).ok()?,
            workers: usize::try_from(workers?).ok()?,
            queue: usize::try_from(queue?).ok()?,
        })
    }
}
