//! Requests to addresses that somebody else has a say in: key sets, webhooks, metadata. One implementation, with one
//! egress policy (`doorward-outbound`).

use std::fmt;

use futures_util::future::BoxFuture;

/// A request to make. Redirects are never followed, cookies never kept.
pub struct Ask {
    /// The absolute URL, without a user or password in it.
    pub url: String,
    /// A media type and a body to POST; absent for GET.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// More headers. Their values may be secrets, so there is no `Debug`.
    pub headers: Vec<(&'static str, String)>,
}

impl Ask {
    /// A GET.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), body: None, headers: Vec::new() }
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post_json(url: impl Into<String>, body: Vec<u8>) -> Self {
        Self { url: url.into(), body: Some(("application/json", body)), headers: Vec::new() }
    }
}

/// An answer, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, 200 to 599.
    pub status: u16,
    /// The body, at most 1 MiB, not compressed.
    pub body: Vec<u8>,
    /// How long it may be kept, by `Cache-Control: max-age`, in seconds; 0 for `no-store` and `no-cache`.
    pub max_age_s: Option<i64>,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<i64>,
}

impl Reply {
    /// Whether it is a success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer. The texts are for operators: they name hosts, never paths or headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboundError {
    /// The egress policy does not let it out: asking again is no use.
    Refused(String),
    /// It could not be reached, or broke off.
    Unreachable(String),
    /// It took longer than 5 seconds.
    TimedOut,
    /// The answer is larger than 1 MiB, compressed, or no HTTP.
    Unusable(String),
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "not let out: {why}"),
            Self::Unreachable(why) => write!(f, "not reached: {why}"),
            Self::TimedOut => f.write_str("no whole answer within 5 seconds"),
            Self::Unusable(why) => write!(f, "unusable answer: {why}"),
        }
    }
}

impl std::error::Error for OutboundError {}

/// The way out.
pub trait Outbound: Send + Sync {
    /// Makes a request and reads the whole answer.
    fn send(&self, ask: Ask) -> BoxFuture<'_, Result<Reply, OutboundError>>;

    /// Whether the policy could let such a URL out, without asking anybody: for configuration, and for where browsers are sent. What comes
    /// back is the URL in its one spelling (WHATWG URL): ASCII, and without a fragment.
    ///
    /// # Errors
    /// [`OutboundError::Refused`] with what is wrong.
    fn check(&self, url: &str) -> Result<String, OutboundError>;
}

/// A way out that leads nowhere, for whoever needs none.
pub struct NoWayOut;

impl Outbound for NoWayOut {
    fn send(&self, _: Ask) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        Box::pin(async { Err(OutboundError::Refused("there is no way out".to_owned())) })
    }

    fn check(&self, url: &str) -> Result<String, OutboundError> {
        Ok(url.to_owned())
    }
}
