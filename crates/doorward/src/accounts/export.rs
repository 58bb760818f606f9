//! `doorward user export`: every account as a line of JSON, as `doorward user import` takes it.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::clock::Clock as _;
use serde_json::json;

use super::formats::users;
use crate::cli::{Failure, Inside, Output, StoreOptions, Surroundings, inside, new_file};
use crate::clock::SystemClock;

/// What to export, and where to.
pub(crate) struct Export {
    /// A file that is not there yet; standard output if absent.
    pub(crate) file: Option<PathBuf>,
    /// Whether the hashes of passwords go out, too.
    pub(crate) with_hashes: bool,
}

/// Exports. Hashes are written to no terminal: its scroll-back and its logs outlive it.
pub(crate) fn export(
    wanted: &Export,
    store: &StoreOptions,
    output: Output,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    if wanted.with_hashes && wanted.file.is_none() && io::stdout().is_terminal() {
        return Err(Failure::usage(
            "the hashes of passwords are not for a terminal",
            "name a file with --output, or pipe them to a program that encrypts",
        ));
    }
    let mut out: Box<dyn Write> = match &wanted.file {
        Some(path) => Box::new(new_file(path)?),
        None => Box::new(io::BufWriter::new(io::stdout())),
    };
    let now_ms = SystemClock.now_ms();
    let (accounts, left_out, written) = inside(store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<user::Export>(Target::any())?;
        let (mut accounts, mut left_out, mut written) = (0_u64, 0_u64, Ok(()));
        let each = |account: doorward_core::identity::transfer::Outgoing| {
            // Strangers, what is left of deleted accounts, and who is known by a number alone: an import takes none of them.
            if account.user.email.is_none() && account.user.username.is_none() {
                left_out += 1;
                return true;
            }
            written = line(&mut out, &users::write(&account, now_ms));
            accounts += u64::from(written.is_ok());
            written.is_ok()
        };
        inside.assembled.engine.users().export(permit, wanted.with_hashes, each).await?;
        Ok((accounts, left_out, written.and_then(|()| out.flush())))
    })?;
    match (written, &wanted.file) {
        // `doorward user export | head` ends early on purpose.
        (Err(error), None) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        (Err(error), _) => Err(error.into()),
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(path)) => {
            let hashes = if wanted.with_hashes { "with" } else { "without" };
            output.answer(
                &json!({ "accounts": accounts, "left_out": left_out, "file": path, "hashes": wanted.with_hashes }),
                || {
                    format!(
                        "{accounts} accounts written to {}, {hashes} the hashes of their passwords.",
                        path.display()
                    )
                },
            )
        }
    }
}

fn line(out: &mut dyn Write, account: &serde_json::Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, account)?;
    out.write_all(b"\n")
}
