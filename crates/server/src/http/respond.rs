//! From a result to an answer: the parts every surface shares, and the native style of errors.

use bytes::Bytes;
use doorward_core::error::Error;
use doorward_protocols::http_auth::Challenge;
use futures_util::FutureExt;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::Serialize;

use super::body::Body;

/// How many headers to make room for in an answer: those of each one, and a few of its own.
pub(crate) const USUAL_HEADERS: usize = 12;

/// An answer on its way out.
pub(crate) type Answer = Response<Body>;

/// What an answer may say about its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// The request's id, as in the log and the audit log.
    pub(crate) request_id: &'a str,
    /// Now, in milliseconds since the epoch.
    pub(crate) now_ms: i64,
    /// The header that brought the credential, where it is one of the surface's own.
    pub(crate) key_header: Option<&'static str>,
    /// The version of the surface's API that the client wants, where it has versions: `X-Supabase-Api-Version`.
    pub(crate) api_version: Option<&'a str>,
}

/// How a surface says what went wrong.
pub(crate) trait Style: Sync {
    /// The body of an error, and headers only this surface sends.
    fn error(&self, error: &Error, status: StatusCode, about: About<'_>) -> Answer;

    /// The challenge of a 401 (RFC 9110 §11.6.1).
    fn challenge(&self, error: &Error, about: About<'_>) -> String;

    /// Headers on every answer of the surface.
    fn stamp(&self, _headers: &mut HeaderMap, _about: About<'_>) {}
}

/// The header that names the request.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A JSON answer.
pub(crate) fn json_answer(status: StatusCode, value: &impl Serialize) -> Answer {
    typed(status, "application/json", value)
}

fn typed(status: StatusCode, media_type: &'static str, value: &impl Serialize) -> Answer {
    // Everything answered is built here from maps with text keys: there is nothing that could fail to serialise.
    let bytes = serde_json::to_vec(value).expect("answers are serialisable");
    let mut answer = Response::new(Body::full(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// 204.
pub(crate) fn no_content() -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Text as a header value; what may not stand in one is left out.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    // Each byte is looked at whatever the others are, so that many are at once.
    if text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte)) {
        return HeaderValue::from_str(text).expect("visible ASCII is a header value");
    }
    let plain: String = text.chars().filter(|c| matches!(c, ' '..='~')).collect();
    HeaderValue::from_str(&plain).expect("visible ASCII is a header value")
}

/// An error as an answer in `style`, with the headers its kind asks for. `status` overrides the kind's own.
pub(crate) fn refusal(style: &dyn Style, error: &Error, status: Option<u16>, about: About<'_>) -> Answer {
    let status =
        StatusCode::from_u16(status.unwrap_or_else(|| error.status())).expect("kinds have valid statuses");
    let mut answer = style.error(error, status, about);
    error_headers(style, error, about, answer.headers_mut());
    answer
}

/// The headers that an error of its kind asks for.
pub(crate) fn error_headers(style: &dyn Style, error: &Error, about: About<'_>, headers: &mut HeaderMap) {
    for (name, value) in error.handlers_words().map(|words| words.headers.as_slice()).unwrap_or_default() {
        append(headers, name, value);
    }
    if error.status() == 401 {
        headers.insert(WWW_AUTHENTICATE, header_value(&style.challenge(error, about)));
    }
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Adds a header that was checked to be one.
pub(crate) fn append(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.append(name, value);
    }
}

/// What browsers let a page do, where that is not nothing: the value of Content-Security-Policy.
#[derive(Clone)]
pub(crate) struct PagePolicy(pub(crate) String);

/// Puts on every answer what every answer has. Nothing here is a page, so nothing may be run, framed or kept.
pub(crate) fn finish(style: &dyn Style, answer: &mut Answer, about: About<'_>) {
    let policy = answer.extensions().get::<PagePolicy>().map(|policy| header_value(&policy.0));
    let headers = answer.headers_mut();
    headers.reserve(USUAL_HEADERS - headers.len().min(USUAL_HEADERS));
    headers.insert(X_REQUEST_ID.clone(), header_value(about.request_id));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        policy.unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    );
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    style.stamp(headers, about);
}

/// An answer as bytes, for a connection that the HTTP library no longer serves.
pub(crate) fn written_out(answer: Answer) -> Bytes {
    let (head, body) = answer.into_parts();
    let collected = body.collect().now_or_never();
    let body = collected.and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// A refusal (RFC 9457). Programs compare `code`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Problem<'a> {
    /// `urn:doorward:error:` and the code.
    r#type: String,
    /// What the code means.
    title: &'a str,
    status: u16,
    /// What is wrong here.
    detail: &'a str,
    code: &'a str,
    /// The request's id, as in the log and the audit log. An application may answer where nothing of ours has seen the request.
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    /// Which of the code's few reasons it is, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// What OAuth calls it (RFC 6749 §5.2), where OAuth clients ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// The detail once more, for OAuth clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'a str>,
}

/// RFC 9457 problems: the native style.
pub(crate) struct Problems;

impl Style for Problems {
    fn error(&self, error: &Error, status: StatusCode, about: About<'_>) -> Answer {
        let code = error.code();
        let problem = Problem {
            r#type: format!("urn:doorward:error:{}", code.name),
            title: code.message,
            status: status.as_u16(),
            detail: error.public_message(),
            code: code.name,
            request_id: about.request_id,
            reason: error.reason(),
            error: error.oauth(),
            error_description: error.oauth().map(|_| error.public_message()),
        };
        typed(status, "application/problem+json", &problem)
    }

    fn challenge(&self, error: &Error, _about: About<'_>) -> String {
        let challenge = Challenge::new("Bearer").param("realm", "doorward");
        match error.code().name {
            // RFC 6750 §3.1: no error code when no credential was offered.
            "credentials_missing" => challenge.build(),
            _ => challenge.param("error", "invalid_token").build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_header_is_left_out() {
        for (text, expected) in [("/a?b=c", "/a?b=c"), ("é\u{85}x", "x"), ("a\tb\r\nc", "abc"), ("", "")] {
            assert_eq!(header_value(text), expected, "{text:?}");
        }
    }
}
