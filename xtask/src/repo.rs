//! The project's tree: where it begins, and the files that belong to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Directories that hold what was built or installed, never what was written.
const NOT_OURS: &[&str] = &[
    ".git",
    "target",
    ".venvs",
    ".tools",
    "node_modules",
    "__pycache__",
    ".doorward",
    ".pytest_cache",
    "proptest-regressions",
];

/// The directory that holds the workspace's `Cargo.toml`.
///
/// # Errors
/// The current directory is outside the project.
pub fn root() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .find(|dir| dir.join("xtask/Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| Failure::new("not inside the project: change to its directory first"))
}

/// The facts that the project was built from, which stand beside it where it is developed; a clone has none.
#[must_use]
pub fn shared(root: &Path) -> Option<PathBuf> {
    let shared = root.parent()?.join("shared");
    shared.join("promises.md").is_file().then_some(shared)
}

/// Whether the run is one of continuous integration (`CI=true`), where nothing may be left out.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Every file of the project, relative to `root` with `/` between names, sorted.
///
/// # Errors
/// A directory that cannot be read.
pub fn files(root: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(|e| Failure::new(format!("{}: {e}", dir.display())))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let inside = path.strip_prefix(root).expect("walked from the root");
                found.push(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}
