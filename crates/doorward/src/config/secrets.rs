//! `[secrets]`: the one secret everything else is sealed under.

use std::path::PathBuf;

use doorward_core::secret::SecretText;

use super::section::{Key, Section};

/// The secrets an operator provides.
pub struct Secrets {
    /// The master key as it was given; `None` when it was not.
    pub master_key: Option<SecretText>,
    /// The file it came from, if it came from one.
    pub master_key_file: Option<PathBuf>,
}

pub(super) const KEYS: &[Key] = &[
    Key::secret(
        "master_key",
        "\"${DOORWARD_MASTER_KEY}\"",
        "32 random bytes in hex or base64, under which keys at rest are sealed. Make one: openssl rand -hex 32",
    ),
    Key::optional(
        "master_key_file",
        "\"/etc/doorward/master.key\"",
        "A file that holds the master key instead. Mode 0600, and not in the store's directory.",
    ),
];

impl Secrets {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let from_file = section.is_given("master_key_file");
        let master_key = if section.is_given("master_key") || from_file {
            section.secret("master_key", "master_key_file")
        } else {
            None
        };
        let master_key_file = from_file.then(|| section.path("master_key_file")).flatten();
        section.finish();
        Some(Self { master_key, master_key_file })
    }
}
