//! A store that is a file, as a file: looked at, copied while it is in use, and put back.
//!
//! ```text
//! back_up:  store ─ one moment of it ─► draft ─ checked, on disk ─► copy          never over another file
//! restore:  copy ─► Draft beside the store ─ checked, changed by its caller ─► put ─► store
//! ```
//! A draft that is not finished is removed with its value. Nothing that is in use is ever moved.

mod back_up;
mod check;
mod restore;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use doorward_core::ports::StoreError;
use thiserror::Error;

pub use back_up::back_up;
pub use check::{Integrity, integrity};
pub use restore::{Backup, Draft};

/// What stands beside a file of SQLite's and belongs to it. One that is left behind would be applied to whatever file has that
/// name next.
const COMPANIONS: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Why a file could not be copied or put back.
#[derive(Debug, Error)]
pub enum FileError {
    /// There is something of that name.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A process has the store open.
    #[error("{} is in use: a server or a command has it open", .0.display())]
    InUse(PathBuf),
    /// The file holds no store that this build can use.
    #[error("{} cannot be used: {why}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, or lacks.
        why: String,
    },
    /// The file is damaged.
    #[error("{} is damaged: {first}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found first.
        first: String,
    },
    /// Reading or writing failed.
    #[error("{}: {error}", .path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store's own refusal.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FileError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_path_buf(), error }
    }
}

/// `path` with more text at the end of its name.
fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory of a file, also of one that is named without.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file for its owner alone.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes sure that names in the directory of `path` stay as they are when the machine stops.
fn sync_directory_of(path: &Path) -> Result<(), FileError> {
    let parent = directory_of(path);
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(FileError::io(parent))
}

/// Removes a file of SQLite's and what belongs to it, as far as they are there.
fn discard(path: &Path) {
    for suffix in COMPANIONS.into_iter().chain([""]) {
        let path = named(path, suffix);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a draft was left behind");
        }
    }
}
