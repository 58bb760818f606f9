//! `[log]`: what is written to standard error.

use super::section::{Key, Section};

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// The least important level that is written, or a list of `target=level`.
    pub level: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Pretty,
    /// A JSON object a line.
    Json,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("format", "\"pretty\"", "pretty for people, json for programs."),
    Key::new(
        "level",
        "\"info\"",
        "error, warn, info, debug or trace; also by part: info,doorward_store=debug.",
    ),
];

impl Log {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let format = section.word("format", &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]);
        let level = section.text("level");
        if let Some(text) = &level
            && !text.split(',').all(is_directive)
        {
            let mend = "give error, warn, info, debug, trace or off; by part: info,doorward_store=debug";
            section.refuse("level", format!("{text:?} names no level"), mend);
        }
        section.finish();
        Some(Self { format: format?, level: level? })
    }
}

/// A level, or a part of the program and its level. The filter's own parser takes any single word for a part.
fn is_directive(text: &str) -> bool {
    let level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    match text.trim().split_once('=') {
        Some((part, word)) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
            !part.is_empty() && part.bytes().all(plain) && level(word)
        }
        None => level(text.trim()),
    }
}
