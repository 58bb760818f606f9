//! `[store]`: where durable state is kept.

use std::path::PathBuf;

use super::section::{Key, Section};

/// Where durable state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file. It and its directory are made for their owner alone.
    pub path: PathBuf,
}

pub(super) const KEYS: &[Key] = &[Key::new(
    "path",
    "\"doorward-data/doorward.db\"",
    "The SQLite file. Its directory must be closed to other users of the machine.",
)];

impl Store {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let path = section.path("path");
        section.finish();
        Some(Self { path: path? })
    }
}
