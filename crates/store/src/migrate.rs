//! Schema changes: numbered SQL files, embedded, applied in order and never edited.

use aws_lc_rs::digest::{SHA256, digest};
use doorward_core::ports::StoreError;

use crate::backend;
use crate::store::Options;

/// One file of `migrations/`.
#[derive(Debug)]
pub struct Migration {
    /// Its number, from 1 without gaps.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// Every migration of this build, in order.
pub static MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "identity", sql: include_str!("../migrations/0001_identity.sql") },
    Migration { version: 2, name: "tokens", sql: include_str!("../migrations/0002_tokens.sql") },
    Migration { version: 3, name: "agents", sql: include_str!("../migrations/0003_agents.sql") },
    Migration { version: 4, name: "audit", sql: include_str!("../migrations/0004_audit.sql") },
    Migration { version: 5, name: "deliveries", sql: include_str!("../migrations/0005_deliveries.sql") },
    Migration { version: 6, name: "identities", sql: include_str!("../migrations/0006_identities.sql") },
    Migration { version: 7, name: "langgraph", sql: include_str!("../migrations/0007_langgraph.sql") },
    Migration { version: 8, name: "emails", sql: include_str!("../migrations/0008_emails.sql") },
    Migration { version: 9, name: "workspaces", sql: include_str!("../migrations/0009_workspaces.sql") },
    Migration { version: 10, name: "artifacts", sql: include_str!("../migrations/0010_artifacts.sql") },
    Migration { version: 11, name: "accounts", sql: include_str!("../migrations/0011_accounts.sql") },
    Migration { version: 12, name: "stand_ins", sql: include_str!("../migrations/0012_stand_ins.sql") },
    Migration { version: 13, name: "documents", sql: include_str!("../migrations/0013_documents.sql") },
    Migration { version: 14, name: "thread_order", sql: include_str!("../migrations/0014_thread_order.sql") },
    Migration { version: 15, name: "label_order", sql: include_str!("../migrations/0015_label_order.sql") },
];

/// Where a store notes what was applied to it.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS migration (
    version       BIGINT PRIMARY KEY,
    name          TEXT NOT NULL,
    checksum      TEXT NOT NULL,
    applied_at_ms BIGINT NOT NULL
)";

impl Migration {
    /// SHA-256 of the text in hex; line ends are taken as `\n` whatever the checkout made of them.
    #[must_use]
    pub fn checksum(&self) -> String {
        let text: Vec<u8> = self.sql.bytes().filter(|b| *b != b'\r').collect();
        digest(&SHA256, &text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What to do with a schema that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// Create the store if there is none, and apply what is missing.
    #[default]
    Apply,
    /// Refuse to open.
    Refuse,
}

/// A migration that a store has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
}

impl From<&Migration> for Pending {
    fn from(migration: &Migration) -> Self {
        Self { version: migration.version, name: migration.name }
    }
}

/// A migration that a store has seen.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) checksum: String,
}

/// What is missing, in order.
///
/// # Errors
/// [`StoreError::Corrupt`] if the store is newer than this build, or what was applied is not what this build has.
pub(crate) fn plan<'m>(
    applied: &[Applied],
    known: &'m [Migration],
) -> Result<Vec<&'m Migration>, StoreError> {
    for (place, row) in applied.iter().enumerate() {
        let Some(migration) = known.get(place) else {
            return Err(StoreError::Corrupt(format!(
                "its schema is version {}, newer than the {} this build knows; use a newer doorward",
                applied.last().map_or(0, |row| row.version),
                known.len()
            )));
        };
        if row.version != migration.version || row.checksum != migration.checksum() {
            return Err(StoreError::Corrupt(format!(
                "migration {} {} was applied with another text than this build's {} {}",
                row.version, row.name, migration.version, migration.name
            )));
        }
    }
    Ok(known[applied.len()..].iter().collect())
}

/// Refuses a store that lacks something.
///
/// # Errors
/// [`StoreError::Corrupt`] that names the first.
pub(crate) fn behind(lacking: &[&Migration]) -> Result<(), StoreError> {
    lacking.first().map_or(Ok(()), |first| {
        Err(StoreError::Corrupt(format!(
            "the schema is behind: migration {} {} has not been applied; run `doorward migrate`",
            first.version, first.name
        )))
    })
}

/// All of them: what a store that does not exist lacks.
pub(crate) fn all_pending() -> Vec<Pending> {
    MIGRATIONS.iter().map(Pending::from).collect()
}

/// What opening the store at `address` would still apply. Creates and changes nothing.
///
/// # Errors
/// As opening: [`StoreError::Corrupt`] for a newer or altered schema, [`StoreError::Unavailable`] if unreadable.
pub fn pending(address: &str) -> Result<Vec<Pending>, StoreError> {
    (backend::find(address)?.pending)(address)
}

/// What to call the store at `address` in messages: its file, or its database and host; never its password.
#[must_use]
pub fn name(address: &str) -> String {
    backend::find(address).map_or_else(|_| "of an unknown kind".to_owned(), |row| (row.name)(address))
}

/// Creates the store at `address` if there is none, applies what it lacks, and returns what that was.
///
/// # Errors
/// As [`pending`].
pub fn migrate(address: &str, options: &Options) -> Result<Vec<Pending>, StoreError> {
    let lacking = pending(address)?;
    (backend::find(address)?.open)(address, &Options { upgrade: Upgrade::Apply, ..options.clone() })?;
    Ok(lacking)
}
