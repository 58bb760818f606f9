//! What goes wrong in a call, in the words that callers look for: Python's class names.

use doorward_core::error::{Error, Kind};
use doorward_protocols::hypha::value;
use rmpv::Value;

/// A call that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `KeyError`, `FileExistsError`, `PermissionError`, `ValueError`, `TypeError`, `AssertionError`, `TimeoutError`, `RuntimeError`.
    pub class: &'static str,
    /// What happened, for the caller.
    pub message: String,
}

impl Fault {
    /// There is no such thing.
    #[must_use]
    pub fn key(message: impl Into<String>) -> Self {
        Self { class: "KeyError", message: message.into() }
    }

    /// There is one already.
    #[must_use]
    pub fn exists(message: impl Into<String>) -> Self {
        Self { class: "FileExistsError", message: message.into() }
    }

    /// The caller may not.
    #[must_use]
    pub fn permission(message: impl Into<String>) -> Self {
        Self { class: "PermissionError", message: message.into() }
    }

    /// A value is wrong.
    #[must_use]
    pub fn value(message: impl Into<String>) -> Self {
        Self { class: "ValueError", message: message.into() }
    }

    /// An argument is missing, or there are too many.
    #[must_use]
    pub fn argument(message: impl Into<String>) -> Self {
        Self { class: "TypeError", message: message.into() }
    }

    /// What was taken for granted is not so.
    #[must_use]
    pub fn assertion(message: impl Into<String>) -> Self {
        Self { class: "AssertionError", message: message.into() }
    }

    /// It took too long.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self { class: "TimeoutError", message: message.into() }
    }

    /// Anything else.
    #[must_use]
    pub fn other(message: impl Into<String>) -> Self {
        Self { class: "RuntimeError", message: message.into() }
    }

    /// What a start-up file raised is said as its own, where its class is one that callers know.
    pub(crate) fn in_its_own_words(self) -> Self {
        const KNOWN: &[&str] = &[
            "KeyError",
            "PermissionError",
            "ValueError",
            "TypeError",
            "AssertionError",
            "TimeoutError",
            "RuntimeError",
        ];
        let named = self.message.split_once(": ");
        match named.and_then(|(class, rest)| Some((KNOWN.iter().find(|known| **known == class)?, rest))) {
            Some((class, rest)) => Self { class, message: rest.to_owned() },
            None => self,
        }
    }

    /// `Class: message`, as the last line of a traceback.
    #[must_use]
    pub fn line(&self) -> String {
        // Python shows the text of a KeyError in quotes, and callers look for them.
        match self.class {
            "KeyError" => format!("KeyError: '{}'", self.message),
            class => format!("{class}: {}", self.message),
        }
    }

    /// As a value that callers raise.
    pub(crate) fn encoded(&self) -> Value {
        let line = self.line();
        value::map([("_rtype", "error".into()), ("_rvalue", line.clone().into()), ("_rtrace", line.into())])
    }
}

impl From<Error> for Fault {
    /// In the engine's words for the caller; what the operator has to know is in the log.
    fn from(error: Error) -> Self {
        let message = error.public_message().to_owned();
        match error.code().kind {
            Kind::NotFound => Self::key(message),
            Kind::Forbidden | Kind::Unauthenticated => {
                Self::permission(format!("Permission denied: {message}"))
            }
            Kind::Invalid | Kind::Conflict => Self::value(message),
            _ => {
                tracing::warn!(%error, detail = error.operator_detail().unwrap_or_default(), "a call to the hub failed");
                Self::other(message)
            }
        }
    }
}
