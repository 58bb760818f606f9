//! Why a command failed, in words for the person who ran it.

use std::fmt;

/// A failure: the whole text is for a person; an empty one means that everything was already said.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that says what happened and what to do.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failure whose reason the command has printed itself.
    #[must_use]
    pub fn said() -> Self {
        Self(String::new())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
