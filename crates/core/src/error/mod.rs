//! One error type for the whole engine, grouped by what the caller can do.
//!
//! Four texts are kept apart: the stable *code* (programs), the *public message* (people; never internals), the
//! *operator detail* (logs only) and the *source chain*. [`codes`] is the one table; surfaces translate at their edge.

pub mod codes;

use std::error::Error as StdError;
use std::fmt;

pub use codes::Code;

use serde_json::Value;

use crate::ports::handlers::Refused;
use crate::ports::{Conflict, StoreError};

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fix the request.
    Invalid,
    /// Authenticate, or authenticate better.
    Unauthenticated,
    /// Nothing: this is not allowed.
    Forbidden,
    /// Nothing: it is not there, or not visible.
    NotFound,
    /// Look again: the state is not what the request assumed.
    Conflict,
    /// Send less.
    TooLarge,
    /// Send another media type.
    Unsupported,
    /// Use another method on this path.
    Method,
    /// Wait, then retry.
    Limited,
    /// Retry later; something we need is away.
    Unavailable,
    /// What stands behind us answered badly.
    Upstream,
    /// Report it; it is our fault.
    Internal,
}

impl Kind {
    /// The HTTP status of this kind (RFC 9110 §15).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unsupported => 415,
            Self::Limited => 429,
            Self::Internal => 500,
            Self::Upstream => 502,
            Self::Unavailable => 503,
        }
    }
}

/// A refusal or failure, ready to be shown to each of its audiences.
///
/// Two words, because everything that may fail carries the room for it: what is said beyond the code is elsewhere.
pub struct Error {
    code: &'static Code,
    more: Option<Box<More>>,
}

const _: () = assert!(size_of::<Error>() == 2 * size_of::<usize>());

#[derive(Default)]
struct More {
    message: Option<String>,
    operator: Option<String>,
    rule: Option<&'static str>,
    reason: Option<&'static str>,
    oauth: Option<&'static str>,
    retry_after_s: Option<u32>,
    spoken: Option<Refused>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with the code's own message.
    #[must_use]
    pub fn new(code: &'static Code) -> Self {
        Self { code, more: None }
    }

    fn add(mut self, what: impl FnOnce(&mut More)) -> Self {
        what(self.more.get_or_insert_default());
        self
    }

    fn said<'e, T>(&'e self, what: impl FnOnce(&'e More) -> Option<T>) -> Option<T> {
        self.more.as_deref().and_then(what)
    }

    /// Says it more precisely to the caller. Must not hold secrets or internals.
    #[must_use]
    pub fn message(self, text: impl Into<String>) -> Self {
        self.add(|more| more.message = Some(text.into()))
    }

    /// Tells the operator more; goes to the log only.
    #[must_use]
    pub fn operator(self, text: impl Into<String>) -> Self {
        self.add(|more| more.operator = Some(text.into()))
    }

    /// By which rule of the decision it was refused; goes to the audit log.
    #[must_use]
    pub fn by_rule(self, rule: &'static str) -> Self {
        self.add(|more| more.rule = Some(rule))
    }

    /// Which of a code's few reasons it is, for surfaces that name them.
    #[must_use]
    pub fn because(self, reason: &'static str) -> Self {
        self.add(|more| more.reason = Some(reason))
    }

    /// Which of a code's few reasons it is, if it has some.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.said(|more| more.reason)
    }

    /// What the audit log says of it: the rule, or else the code, with the detail where that comes from a provider and was cleaned.
    #[must_use]
    pub(crate) fn audited(&self) -> String {
        match (self.rule(), self.operator_detail()) {
            (Some(rule), _) => rule.to_owned(),
            (None, Some(detail)) if self.code == codes::PROVIDER_REFUSED => {
                format!("{}: {detail}", self.code.name)
            }
            (None, _) => self.code.name.to_owned(),
        }
    }

    /// In a handler's own words: its status, its detail, its headers, which have to be checked.
    #[must_use]
    pub fn spoken(self, refused: Refused) -> Self {
        self.add(|more| {
            more.message = Some(match &refused.detail {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            more.spoken = Some(refused);
        })
    }

    /// What a handler said, if it was one.
    #[must_use]
    pub fn handlers_words(&self) -> Option<&Refused> {
        self.said(|more| more.spoken.as_ref())
    }

    /// The HTTP status: a handler's own, or that of the code's kind.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.handlers_words().map_or(self.code.kind.status(), |refused| refused.status)
    }

    /// When a retry may help, in seconds from now.
    #[must_use]
    pub fn retry_after_s(self, seconds: u32) -> Self {
        self.add(|more| more.retry_after_s = Some(seconds))
    }

    /// What caused it; goes to the log only.
    #[must_use]
    pub fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.add(|more| more.source = Some(Box::new(source)))
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static Code {
        self.code
    }

    /// Whether this is that error.
    #[must_use]
    pub fn is(&self, code: &'static Code) -> bool {
        self.code.name == code.name
    }

    /// What to tell the caller.
    #[must_use]
    pub fn public_message(&self) -> &str {
        self.said(|more| more.message.as_deref()).unwrap_or(self.code.message)
    }

    /// What to tell the operator, if there is more to say.
    #[must_use]
    pub fn operator_detail(&self) -> Option<&str> {
        self.said(|more| more.operator.as_deref())
    }

    /// What OAuth calls it (RFC 6749 §5.2), where an OAuth client asked.
    #[must_use]
    pub fn as_oauth(self, name: &'static str) -> Self {
        self.add(|more| more.oauth = Some(name))
    }

    /// What OAuth calls it, if an OAuth client asked.
    #[must_use]
    pub fn oauth(&self) -> Option<&'static str> {
        self.said(|more| more.oauth)
    }

    /// The rule that refused it, if one of the decision's did.
    #[must_use]
    pub fn rule(&self) -> Option<&'static str> {
        self.said(|more| more.rule)
    }

    /// When a retry may help, in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.said(|more| more.retry_after_s)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name, self.public_message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.code.name)
            .field("message", &self.public_message())
            .field("operator", &self.operator_detail())
            .field("source", &self.source())
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.said(|more| more.source.as_deref()).map(|source| source as _)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(conflict) => Self::new(match conflict {
                Conflict::EmailTaken => codes::EMAIL_TAKEN,
                Conflict::UsernameTaken => codes::USERNAME_TAKEN,
                Conflict::PhoneTaken => codes::PHONE_TAKEN,
                Conflict::LastHolder => codes::LAST_ADMIN,
                Conflict::LastWayIn => codes::LAST_WAY_IN,
                Conflict::CodeSpent => codes::CODE_SPENT,
                Conflict::TooMany => codes::TOO_MANY_WORKSPACES,
                Conflict::Missing | Conflict::Owned => codes::NOT_FOUND,
                Conflict::Stale | Conflict::Exists => codes::CONFLICT,
            }),
            StoreError::Unavailable(_) => {
                Self::new(codes::STORE_UNAVAILABLE).retry_after_s(1).caused_by(error)
            }
            StoreError::Corrupt(_) => Self::new(codes::INTERNAL).caused_by(error),
        }
    }
}
