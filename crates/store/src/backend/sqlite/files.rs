//! Where a store's file is, and who may read it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::ports::StoreError;

/// The path an address names; `None` for a store that does not outlive the process.
pub(super) fn location(address: &str) -> Option<PathBuf> {
    let path = address.strip_prefix("sqlite:").unwrap_or(address);
    let path = path.strip_prefix("//").unwrap_or(path);
    (path != ":memory:").then(|| PathBuf::from(path))
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

fn directories() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Makes sure the directory of a file exists: a new one is for its owner alone.
pub(crate) fn create_directory_of(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            directories().recursive(true).create(parent).map_err(|error| failed(parent, &error))
        }
        _ => Ok(()),
    }
}

/// Makes sure the file exists: a new one is for its owner alone, and so are the directories made for it.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    create_directory_of(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Numbers scratch directories of this process; nothing else depends on it.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A private directory that goes when the value goes.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in the system's directory for temporary files.
    pub(super) fn create() -> Result<Self, StoreError> {
        let parent = std::env::temp_dir();
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("doorward-{}-{n}", std::process::id()));
            match directories().create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left behind by an earlier process of the same id; not ours to remove.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, &error)),
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a temporary store was left behind");
        }
    }
}
