//! What is wrong with a configuration: everything at once, each with the way to mend it.

use std::fmt;

use super::origin::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `server.listen`; empty when no single key is to blame.
    pub key: String,
    /// Where the value stands; `None` when nothing stands anywhere.
    pub origin: Option<Origin>,
    /// What is wrong, in one sentence. Never the value of a secret.
    pub what: String,
    /// What to do, in one sentence.
    pub mend: String,
}

impl Problem {
    /// A problem of the setup as a whole.
    pub fn general(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { key: String::new(), origin: None, what: what.into(), mend: mend.into() }
    }

    /// A problem with one key.
    pub fn of(key: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { key: key.into(), origin: None, what: what.into(), mend: mend.into() }
    }

    /// Says where the value stands.
    #[must_use]
    pub fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}", self.key)?;
            if let Some(origin) = &self.origin {
                write!(f, " ({origin})")?;
            }
            f.write_str(": ")?;
        } else if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}\n  mend: {}", self.what, self.mend)
    }
}

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `Ok` when there is nothing to report.
    ///
    /// # Errors
    /// The problems, if there are any.
    pub fn none_of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
