//! `doorward restore`: a backup in the place of the store.

use std::path::{Path, PathBuf};

use clap::Parser;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::backup;
use doorward_core::id::KeyId;
use doorward_store::file::{Backup, Draft, FileError};
use serde_json::json;

use crate::cli::{Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside_of};
use crate::config::Store;
use crate::stepping_down::owner_of;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Restore>("restore");

/// Put a backup in the place of the store, while no server runs
///
/// Everything is tried before anything is touched: that the file is whole, that its schema is one of this version's, that
/// the master key of the configuration opens it. Then it takes the store's place in one step.
///
/// What was revoked after the backup is not known to it. So every session, token, refresh token and API key of the backup
/// ends, and a new key signs: people log in again, programs need new keys. Accounts, roles and passwords are as they were.
#[derive(Parser)]
#[command(
    name = "restore",
    after_help = "\
Examples:
  doorward restore /var/backups/doorward/today.db --config /etc/doorward/doorward.toml
  doorward restore today.db --replace
  doorward restore today.db --replace --keep-sessions"
)]
struct Restore {
    /// What `doorward backup` wrote; it stays as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take the place of a store that is there; that one is kept beside it under another name
    #[arg(long)]
    replace: bool,
    /// Keep sessions, tokens, API keys and signing keys as they were, also those that were ended since
    #[arg(long)]
    keep_sessions: bool,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

impl Run for Restore {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let mut setup = self.store.setup_anew(surroundings)?;
        let Some(path) = setup.config.store.file().map(Path::to_path_buf) else {
            return Err(Failure::refused(
                format!("the store is the database {}, which is no file", setup.config.store.name()),
                "use pg_restore, as docs/backup.md says",
            ));
        };
        if path.exists() && !self.replace {
            return Err(occupied(&path));
        }
        let draft = self.draft(&path)?;
        setup.config.store = Store::at(draft.path());
        let signs = inside_of(&setup, async |inside: &Inside| self.settle(inside).await)?;
        let kept = draft.put(self.replace).map_err(|error| match error {
            FileError::Exists(path) => occupied(&path),
            other => other.into(),
        })?;
        let shown = json!({
            "store": path,
            "kept": kept,
            "sessions_ended": !self.keep_sessions,
            "signing_key": signs,
        });
        self.output.answer(&shown, || {
            let mut told = format!("Restored {} from {}.", path.display(), self.file.display());
            told.push_str(if self.keep_sessions {
                "\nSessions, tokens and keys are as they were then; what was ended since is valid again."
            } else {
                "\nEvery session, token and API key of the backup has ended: people log in again, programs need new keys."
            });
            if let Some(kept) = &kept {
                told.push_str(&format!(
                    "\nWhat was there is kept as {}; remove it when nobody needs it any more.",
                    kept.display()
                ));
            }
            told
        })
    }
}

impl Restore {
    /// Root is the store's user from here on. The backup may be root's alone: then it is opened before.
    fn draft(&self, store: &Path) -> Result<Draft, Failure> {
        let Some(owner) = owner_of(store)? else { return Ok(Draft::of(&self.file, store)?) };
        let opened = if owner.reaches(&self.file) { None } else { Some(Backup::open(&self.file)?) };
        owner.become_it()?;
        let backup = match opened {
            Some(backup) => backup,
            None => Backup::open(&self.file)?,
        };
        Ok(Draft::from(backup, store)?)
    }

    /// Opening it proved the master key. What is done here is done to the draft.
    async fn settle(&self, inside: &Inside) -> Result<Option<KeyId>, Failure> {
        let permit = inside.permit::<backup::Restore>(Target::any())?;
        let tokens = inside.assembled.engine.tokens();
        if self.keep_sessions {
            tokens.go_on(permit).await?;
            return Ok(None);
        }
        // Keys that are files are the operator's, and no backup holds them.
        Ok(tokens.begin_anew(permit, inside.ring().ok()).await?)
    }
}

fn occupied(path: &Path) -> Failure {
    Failure::refused(
        format!("there is a store at {}, or something left of one", path.display()),
        "say --replace to put the backup in its place; what is there is kept under another name",
    )
}
