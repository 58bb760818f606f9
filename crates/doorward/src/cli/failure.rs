//! Why a command failed: one sentence what, one what to do.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use doorward_core::error::{Error, codes};
use doorward_store::file::FileError;
use serde_json::{Value, json};

use crate::config::{Problem, Problems};

/// Why a command failed. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub what: String,
    /// What to do about it; empty when `what` says so itself.
    pub mend: String,
    /// What kind of failure it is, for programs: a code of `docs/reference/errors.md`, or one of the command line's own:
    /// `refused`, `usage`, `config_invalid`, `io`.
    pub code: &'static str,
    /// The single faults, where there are several.
    pub problems: Vec<Problem>,
    /// 1: failed or refused. 2: asked wrongly.
    pub exit_code: u8,
}

impl Failure {
    /// It was tried and failed, or was refused.
    pub fn refused(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new("refused", what.into(), mend.into(), 1)
    }

    /// It was asked wrongly.
    pub fn usage(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new("usage", what.into(), mend.into(), 2)
    }

    /// The answer said it all; only the exit code is left to say, 1.
    pub(crate) fn silent() -> Self {
        Self::new("refused", String::new(), String::new(), 1)
    }

    fn new(code: &'static str, what: String, mend: String, exit_code: u8) -> Self {
        Self { what, mend, code, problems: Vec::new(), exit_code }
    }

    /// Tells the operator, or in `json` the program that asked, on standard error: standard output holds answers alone.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if self.what.is_empty() {
            return ExitCode::from(self.exit_code);
        }
        let text = if json { self.to_json().to_string() } else { format!("error: {self}") };
        // With standard error closed there is nobody left to tell; the exit code still says it.
        let _ = writeln!(std::io::stderr(), "{text}");
        ExitCode::from(self.exit_code)
    }

    /// `{"error": {"code", "message", "mend", "problems": [{"key", "origin", "message", "mend"}]}}`; the last two where
    /// there is something to say.
    fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code });
        if self.problems.is_empty() {
            error["message"] = json!(self.what);
        } else {
            error["message"] = json!("the configuration cannot be used");
            error["problems"] = self.problems.iter().map(problem_to_json).collect();
        }
        if !self.mend.is_empty() {
            error["mend"] = json!(self.mend);
        }
        json!({ "error": error })
    }
}

fn problem_to_json(problem: &Problem) -> Value {
    json!({
        "key": (!problem.key.is_empty()).then_some(&problem.key),
        "origin": problem.origin.as_ref().map(ToString::to_string),
        "message": problem.what,
        "mend": problem.mend,
    })
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
        let what = problems.to_string();
        Self { problems: problems.0, ..Self::new("config_invalid", what, String::new(), 1) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let detail = error.operator_detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let source =
            std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        let mend =
            if error.is(codes::INTERNAL) { "report it, with what was asked" } else { error.code().advice };
        let code = error.code().name;
        Self::new(code, format!("{}{detail}{source} [{code}]", error.public_message()), mend.to_owned(), 1)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let mend = match &error {
            FileError::Exists(_) => "name a file that is not there yet",
            FileError::InUse(_) => "stop the server, and whatever else works on the store",
            FileError::Foreign { .. } => {
                "name a backup that `doorward backup` of this version or an older one made"
            }
            FileError::Damaged { .. } => "take another backup: this one cannot be trusted",
            FileError::Io { .. } => "look at the disk, the permissions and the path",
            FileError::Store(_) => "look at the store, the disk and the permissions",
        };
        Self::refused(error.to_string(), mend)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let mend = "look at the disk, the permissions and the open file limit";
        Self::new("io", error.to_string(), mend.to_owned(), 1)
    }
}
