//! `doorward backup`: a copy of the store, while a server uses it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::backup;
use doorward_store::file;
use serde_json::json;

use crate::assemble::lacking;
use crate::cli::{Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside_of};
use crate::stepping_down::owner_of;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Backup>("backup");

/// Copy the store into one file, while servers go on using it
///
/// The copy holds everything that was acknowledged when it began. It is checked, and on the disk, before it gets its name, and
/// never takes the place of another file. The master key is not in it: keep that apart, because whoever has both has
/// everything, and the copy without it has no signing keys, API keys or sessions. With PostgreSQL use pg_dump.
#[derive(Parser)]
#[command(
    name = "backup",
    after_help = "\
Examples:
  doorward backup --output /var/backups/doorward/today.db
  doorward backup --output today.db --config /etc/doorward/doorward.toml --json"
)]
struct Backup {
    /// The new file, for its owner alone
    #[arg(long = "output", value_name = "FILE")]
    output_file: PathBuf,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

impl Run for Backup {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let setup = self.store.setup(surroundings)?;
        let Some(path) = setup.config.store.file().map(Path::to_path_buf) else {
            return Err(Failure::refused(
                format!(
                    "the store is the database {}, which is not copied as a file",
                    setup.config.store.name()
                ),
                "use pg_dump, as docs/backup.md says",
            ));
        };
        self.be_whoever_writes(&path)?;
        // Opening a store brings it up to date, which is no business of a backup: one of before an upgrade is the most wanted.
        let is_current = lacking(&setup.config)? == 0;
        let size_bytes = if is_current {
            inside_of(&setup, async |inside: &Inside| self.noted(inside, &path).await)?
        } else {
            self.copy(&path)?
        };
        let shown = json!({
            "file": self.output_file,
            "size_bytes": size_bytes,
            "holds_master_key": false,
            "is_in_audit_log": is_current,
        });
        self.output.answer(&shown, || {
            let mut told = format!("Wrote {} ({size_bytes} bytes) and checked it.", self.output_file.display());
            if !is_current {
                told.push_str("\nThe store is of an older version and was left so: its audit log does not know of the copy.");
            }
            told.push_str("\nThe master key is not in it: keep that apart.");
            told
        })
    }
}

impl Backup {
    /// Root is the store's user before it writes where that one can change names, and nobody else's.
    fn be_whoever_writes(&self, store: &Path) -> Result<(), Failure> {
        let Some(owner) = owner_of(&self.output_file)? else { return Ok(()) };
        if !owner_of(store)?.is_some_and(|stores| stores.is(owner)) {
            return Err(Failure::refused(
                format!(
                    "{} is neither where the store's user writes nor root's alone",
                    self.output_file.display()
                ),
                "name a file in a directory of the store's user, such as /var/backups/doorward, or of root",
            ));
        }
        owner.become_it()
    }

    /// Everything leaves the store by this, so it says so before and after.
    async fn noted(&self, inside: &Inside, path: &Path) -> Result<u64, Failure> {
        let permit = inside.permit::<backup::Make>(Target::any())?;
        permit.begun().await?;
        let done = self.copy(path);
        let (outcome, reason) = match &done {
            Ok(_) => (Outcome::Done, None),
            Err(_) => (Outcome::Failed, Some("not copied".to_owned())),
        };
        permit.into_grant().finish(outcome, reason).await;
        done
    }

    fn copy(&self, path: &Path) -> Result<u64, Failure> {
        let mut progress = Progress::new(!self.output.json);
        let done = file::back_up(path, &self.output_file, &mut |done, all| progress.tell(done, all));
        progress.end();
        Ok(done?)
    }
}

/// How far it is, where somebody looks on.
struct Progress {
    shown: Option<u64>,
    to_somebody: bool,
}

impl Progress {
    fn new(wanted: bool) -> Self {
        Self { shown: None, to_somebody: wanted && std::io::stderr().is_terminal() }
    }

    fn tell(&mut self, done: u64, all: u64) {
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        if self.to_somebody && self.shown != Some(percent) {
            self.shown = Some(percent);
            // Whoever stopped looking misses nothing.
            let _ = write!(std::io::stderr(), "\r{percent:3} %");
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}
