//! Letters to people's e-mail addresses. One implementation speaks SMTP (`doorward-outbound`), one keeps them in memory
//! ([`crate::mail::KeptMails`]).

use std::fmt;

use futures_util::future::BoxFuture;

/// A letter. It holds what opens an account, so there is no `Debug`.
pub struct Mail {
    /// The one address it goes to, in its one spelling.
    pub to: String,
    /// The subject: one line.
    pub subject: String,
    /// Plain text; lines end with `\n`.
    pub text: String,
    /// The same as a page, where the operator has written one.
    pub html: Option<String>,
}

/// A letter that was kept instead of sent.
#[derive(Clone)]
pub struct Kept {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Whom it was for.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// Its page.
    pub html: Option<String>,
}

/// Why a letter was not taken. The texts are for operators: they name hosts and what servers answered, never addresses or letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailError {
    /// It will not be taken however often it is tried.
    Refused(String),
    /// It may be taken later.
    Away(String),
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Away(why) => write!(f, "not taken now: {why}"),
        }
    }
}

impl std::error::Error for MailError {}

/// Whoever takes letters.
pub trait Mailer: Send + Sync {
    /// Hands one over; `Ok` when it was taken for delivery.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>>;

    /// Letters that were kept instead of sent, newest first, for a page of this machine; `None` where letters leave.
    fn kept(&self) -> Option<Vec<Kept>> {
        None
    }
}

/// For whoever sends none.
pub struct NoMailer;

impl Mailer for NoMailer {
    fn send<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async { Err(MailError::Refused("no mail server is configured".to_owned())) })
    }
}
