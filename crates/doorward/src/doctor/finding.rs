//! What a check found.

use serde::Serialize;

use super::checks::Check;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or is not safe.
    Problem,
}

impl Level {
    /// As it is shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was found. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Which check found it.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) level: Level,
    /// What it is, in one sentence.
    pub(crate) what: String,
    /// What to do about it; nothing where all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mend: String,
    /// Where to read more: a page of the documentation, with the section.
    pub(crate) page: String,
}

impl Check {
    fn finding(&self, level: Level, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { check: self.name, level, what: what.into(), mend: mend.into(), page: self.page() }
    }

    /// All is well.
    pub(crate) fn ok(&self, what: impl Into<String>) -> Finding {
        self.finding(Level::Ok, what, "")
    }

    /// It works, and somebody should look at it.
    pub(crate) fn warning(&self, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(Level::Warning, what, mend)
    }

    /// It does not work, or is not safe.
    pub(crate) fn problem(&self, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(Level::Problem, what, mend)
    }
}
