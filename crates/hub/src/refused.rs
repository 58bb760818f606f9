//! Why somebody is not let in.

use doorward_core::error::Error;

/// The kind of reason: what transports that have statuses answer with, and what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// What was said first is not what clients say.
    Protocol,
    /// The credential is no good.
    Credential,
    /// The credential is for another client or workspace.
    Bound,
    /// The name cannot be one.
    Name,
    /// Somebody of that name is there.
    Taken,
    /// There is no such workspace for this caller.
    Missing,
    /// The caller may not be in the workspace.
    Denied,
    /// It could not be found out, or done.
    Failed,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Protocol,
        Self::Credential,
        Self::Bound,
        Self::Name,
        Self::Taken,
        Self::Missing,
        Self::Denied,
        Self::Failed,
    ];

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Credential => "credential",
            Self::Bound => "bound",
            Self::Name => "name",
            Self::Taken => "taken",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Why somebody is not let in, for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Close code (RFC 6455 §7.4.1), as Hypha uses them.
    pub code: u16,
    /// For the client.
    pub message: String,
    /// The kind of reason.
    pub why: Why,
}

impl Refused {
    /// The credential is no good, or could not be looked at.
    #[must_use]
    pub fn authentication(error: &Error) -> Self {
        let why = if error.status() >= 500 { Why::Failed } else { Why::Credential };
        Self { code: 1008, message: format!("Authentication error: {}", error.public_message()), why }
    }

    /// What was said first is not what clients say.
    #[must_use]
    pub fn protocol(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), why: Why::Protocol }
    }

    /// Anything else in the way.
    #[must_use]
    pub fn failed(why: Why, what: impl std::fmt::Display) -> Self {
        Self { code: 1001, message: format!("Failed to establish connection: {what}"), why }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::failed(Why::Failed, error.public_message())
    }
}
