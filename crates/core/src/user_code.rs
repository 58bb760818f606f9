//! What the faults and headers of user code mean for whoever is waiting for it: one meaning for everything that asks a handler.

use serde_json::{Value, json};

use crate::authn::Headers;
use crate::error::{Error, codes};
use crate::ports::handlers::{HandlerFault, Refused};

/// What a platform answers when its user code raises something that is no refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// Whoever asks is told to come back: AgentFlow.
    Unavailable,
    /// 500 and nothing else: LangGraph.
    Failed,
}

/// The error for a handler's fault.
pub(crate) fn refusal(fault: HandlerFault, raised: Raised) -> Error {
    match fault {
        HandlerFault::Refused(refused) => {
            let headers = allowed_headers(refused.headers);
            Error::new(codes::HANDLER_REFUSED).spoken(Refused { headers, ..refused })
        }
        HandlerFault::Invalid(what) => Error::new(codes::HANDLER_INVALID).operator(what),
        HandlerFault::Raised(what) => {
            let detail = format!("it raised {what}; the log has the traceback");
            match raised {
                Raised::Unavailable => Error::new(codes::HANDLER_AWAY).operator(detail).retry_after_s(1),
                Raised::Failed => Error::new(codes::HANDLER_FAILED).operator(detail),
            }
        }
        HandlerFault::Away(why) => Error::new(codes::HANDLER_AWAY).operator(why).retry_after_s(1),
    }
}

/// How cookies of ours begin.
const OUR_COOKIES: &str = "__Host-doorward-";

/// Headers as user code is shown them.
pub(crate) fn shown_headers(headers: &dyn Headers) -> Vec<Value> {
    let mut shown = Vec::new();
    headers.each(&mut |name, value| match name {
        "cookie" => shown.extend(without_ours(value).map(|value| json!([name, value]))),
        _ => shown.push(json!([name, value])),
    });
    shown
}

/// A `Cookie` header without the cookies of our own sessions; `None` when nothing is left.
#[must_use]
pub fn without_ours(value: &str) -> Option<String> {
    let others =
        value.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !pair.starts_with(OUR_COOKIES));
    let others = others.collect::<Vec<_>>().join("; ");
    (!others.is_empty()).then_some(others)
}

/// Whether a `Set-Cookie` names a cookie of our own sessions.
#[must_use]
pub fn is_ours(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(OUR_COOKIES.as_bytes())
}

/// Headers of these names are the server's own.
const OURS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "keep-alive",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];
const MOST_HEADERS: usize = 32;
const MOST_BYTES: usize = 4 << 10;

/// The headers that a handler may give an answer.
pub(crate) fn allowed_headers(given: Vec<(String, String)>) -> Vec<(String, String)> {
    let allowed = |(name, value): &(String, String)| {
        let is_token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(is_token)
            && !OURS.contains(&name.as_str())
            && !name.starts_with("access-control-")
            && value.len() <= MOST_BYTES
            && value.bytes().all(|b| (0x20..0x7f).contains(&b))
            && !(name == "set-cookie" && is_ours(value.as_bytes()))
    };
    let lower = given.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    lower.filter(allowed).take(MOST_HEADERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_would_change_the_answer_itself_are_left_out() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let given = vec![
            pair("Set-Cookie", "a=b; Path=/"),
            pair("X-User", "ann"),
            pair("Content-Length", "5"),
            pair("Transfer-Encoding", "chunked"),
            pair("x-split", "a\r\nSet-Cookie: x=y"),
            pair("bad name", "x"),
            pair("set-cookie", "__Host-doorward-session=stolen"),
            pair("Access-Control-Allow-Origin", "*"),
        ];
        assert_eq!(allowed_headers(given), [pair("set-cookie", "a=b; Path=/"), pair("x-user", "ann")]);
        assert_eq!(allowed_headers(vec![pair("x", "y"); 100]).len(), MOST_HEADERS);
    }

    #[test]
    fn our_own_cookies_are_not_shown_to_user_code() {
        assert_eq!(without_ours("a=b; __Host-doorward-session=s; c=d").as_deref(), Some("a=b; c=d"));
        assert_eq!(without_ours("__Host-doorward-session=s"), None);
    }
}
