//! Whether others on the machine can read a store.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file or directory that lets others in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionProblem {
    /// What lets others in.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// What they should be.
    pub wanted: u32,
}

impl fmt::Display for PermissionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{path} is open to other users of this machine (mode {mode:o}); run: chmod {wanted:o} '{path}'",
            path = self.path.display(),
            mode = self.mode,
            wanted = self.wanted,
        )
    }
}

impl std::error::Error for PermissionProblem {}

/// Checks that the store at `address` (a path or `sqlite:` address) is its owner's alone: the file and its
/// write-ahead log closed to group and others, the directory closed to others. What does not exist is no problem.
///
/// # Errors
/// The first [`PermissionProblem`]; its text says what to run.
pub fn permissions(address: &str) -> Result<(), PermissionProblem> {
    let Some(file) = crate::backend::path_of(address) else { return Ok(()) };
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    closed(&directory, 0o007, 0o700)?;
    closed(&file, 0o077, 0o600)?;
    for suffix in ["-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        closed(Path::new(&name), 0o077, 0o600)?;
    }
    Ok(())
}

#[cfg(unix)]
fn closed(path: &Path, forbidden: u32, wanted: u32) -> Result<(), PermissionProblem> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & forbidden != 0 => Err(PermissionProblem {
            path: path.to_path_buf(),
            mode: metadata.permissions().mode() & 0o7777,
            wanted,
        }),
        // What cannot be looked at cannot be opened either; opening says so.
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn closed(_path: &Path, _forbidden: u32, _wanted: u32) -> Result<(), PermissionProblem> {
    Ok(())
}
