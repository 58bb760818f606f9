//! Why a command failed: one sentence what, one what to do.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use doorward_core::error::{Error, codes};

use crate::config::Problems;

/// Why a command failed. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub what: String,
    /// What to do about it; empty when `what` says so itself.
    pub mend: String,
    /// 1: failed or refused. 2: asked wrongly.
    pub exit_code: u8,
}

impl Failure {
    /// It was tried and failed, or was refused.
    pub fn refused(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into(), exit_code: 1 }
    }

    /// It was asked wrongly.
    pub fn usage(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into(), exit_code: 2 }
    }

    /// Tells the operator, on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        // With standard error closed there is nobody left to tell; the exit code still says it.
        let _ = writeln!(std::io::stderr(), "error: {self}");
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "\n  mend: {}", self.mend) }
    }
}

impl std::error::Error for Failure {}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::refused(problems.to_string(), "")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let detail = error.operator_detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let source =
            std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        let mend =
            if error.is(codes::INTERNAL) { "report it, with what was asked" } else { error.code().advice };
        Self::refused(format!("{}{detail}{source} [{}]", error.public_message(), error.code().name), mend)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::refused(error.to_string(), "look at the disk, the permissions and the open file limit")
    }
}
