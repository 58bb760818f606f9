//! Where a setting's value came from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value came from, in order of precedence: a later variant wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// The configuration file.
    File {
        /// As the operator named it.
        path: Arc<Path>,
        /// Counted from 1.
        line: usize,
        /// Whether the file names a variable that holds the value, or a part of it.
        variable: bool,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, as it is typed.
    Flag(&'static str),
}

impl Origin {
    /// Higher wins.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }

    /// Whether the value arrived as bare text that has to be read as what it stands for.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Environment(_) | Self::Flag(_))
    }

    /// A path as it is meant: relative to the file that names it, or else to the working directory.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        match self {
            Self::File { path: file, .. } => {
                file.parent().map_or_else(|| path.into(), |directory| directory.join(path))
            }
            _ => path.into(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
