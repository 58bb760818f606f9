//! Errors as GoTrue sends them, in both of its formats.
//!
//! The newer one, `{code, message}`, is for requests that say `X-Supabase-Api-Version: 2024-01-01` or later, and names the version it
//! is in; without it clients read `error_code` of the older one.

use std::borrow::Cow;

use doorward_core::error::{Code, Error, Kind, codes};
use doorward_core::identity::password;
use doorward_protocols::http_auth::Challenge;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::http::respond::{About, Answer, Style, header_value, json_answer};

/// The version that changed the format.
const NEWER: &str = "2024-01-01";
static API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");
static ERROR_CODE: HeaderName = HeaderName::from_static("x-sb-error-code");

/// What pages of other origins send.
pub(crate) const SENT_HEADERS: &[&str] = &["apikey", "x-client-info", "x-supabase-api-version"];
/// What they may read.
pub(crate) const EXPOSED_HEADERS: &[&str] = &[
    "x-sb-error-code",
    "x-supabase-api-version",
    "sb-auth-user-id",
    "sb-auth-session-id",
    "sb-auth-refresh-token-reuse",
    "link",
    "x-total-count",
];

/// The style.
pub(crate) struct GoTrue;

/// What GoTrue calls an error.
pub(super) struct Fault<'e> {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: Cow<'e, str>,
}

impl Fault<'static> {
    /// One that no error of the engine stands for.
    pub(super) fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message: message.into() }
    }

    /// One from a table.
    pub(super) fn of((status, code, message): (u16, &'static str, &'static str)) -> Self {
        Self::new(status, code, message)
    }

    /// The answer.
    pub(super) fn answer(&self, about: About<'_>) -> Answer {
        answer(self, Value::Null, about)
    }
}

/// What whoever comes with a number is told: nobody here calls one.
pub(super) const NO_PHONES: (u16, &str, &str) = (400, "phone_provider_disabled", "Phone logins are disabled");

/// What an error of the engine is called, as this surface says it wherever nothing else is said.
pub(super) fn fault(error: &Error) -> Fault<'_> {
    let own = |status, code| Fault { status, code, message: error.public_message().into() };
    let said = |status, code, message: &'static str| Fault { status, code, message: message.into() };
    let is = |code: &'static Code| error.is(code);
    match error.code().kind {
        _ if is(codes::PROJECT_KEY_MISSING) => own(401, "no_api_key"),
        _ if is(codes::PROJECT_KEY_INVALID) => own(401, "invalid_api_key"),
        _ if is(codes::CREDENTIALS_MISSING) => {
            said(401, "no_authorization", "This endpoint requires a valid Bearer token")
        }
        _ if is(codes::TOKEN_REVOKED) || is(codes::SESSION_ENDED) => {
            said(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        }
        _ if is(codes::TOKEN_EXPIRED) => said(
            403,
            "bad_jwt",
            "invalid JWT: unable to parse or verify signature, token has invalid claims: token is expired",
        ),
        _ if is(codes::TOKEN_INVALID) => {
            said(403, "bad_jwt", "invalid JWT: unable to parse or verify signature")
        }
        _ if is(codes::USER_DISABLED) => said(403, "user_banned", "User is banned"),
        _ if is(codes::BAD_CREDENTIALS) => said(400, "invalid_credentials", "Invalid login credentials"),
        _ if is(codes::EMAIL_NOT_CONFIRMED) => said(400, "email_not_confirmed", "Email not confirmed"),
        _ if is(codes::REFRESH_INVALID) || is(codes::NOT_REFRESH) => {
            said(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        }
        _ if is(codes::REFRESH_REUSED) => {
            said(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        }
        _ if is(codes::CODE_SPENT) => said(403, "otp_expired", "Token has expired or is invalid"),
        _ if is(codes::FLOW_UNKNOWN) => own(404, "flow_state_not_found"),
        _ if is(codes::FLOW_EXPIRED) => own(422, "flow_state_expired"),
        _ if is(codes::VERIFIER_WRONG) => own(400, "bad_code_verifier"),
        _ if is(codes::WEAK_PASSWORD) => own(422, "weak_password"),
        _ if is(codes::SAME_PASSWORD) => {
            said(422, "same_password", "New password should be different from the old password.")
        }
        _ if is(codes::LOGIN_TOO_OLD) => {
            said(400, "reauthentication_needed", "Password update requires reauthentication")
        }
        _ if is(codes::EMAIL_TAKEN) || is(codes::USERNAME_TAKEN) => {
            said(422, "email_exists", "A user with this email address has already been registered")
        }
        _ if is(codes::PHONE_TAKEN) => {
            said(422, "phone_exists", "A user with this phone number has already been registered")
        }
        _ if is(codes::NAMELESS) => own(422, "validation_failed"),
        _ if is(codes::ANONYMOUS_CLOSED) => own(422, "anonymous_provider_disabled"),
        _ if is(codes::BEYOND_KEY) => own(403, "not_admin"),
        _ if is(codes::SIGN_UP_CLOSED) => {
            said(422, "signup_disabled", "Signups not allowed for this instance")
        }
        _ if is(codes::MAIL_TOO_SOON) => own(429, "over_email_send_rate_limit"),
        _ if is(codes::BAD_JSON) || is(codes::UNSUPPORTED_MEDIA) => own(400, "bad_json"),
        Kind::Limited => said(429, "over_request_rate_limit", "Request rate limit reached"),
        Kind::Invalid => own(400, "validation_failed"),
        Kind::Conflict => own(409, "conflict"),
        Kind::Internal => said(
            500,
            "unexpected_failure",
            "Unexpected failure, please check server logs for more information",
        ),
        _ => own(error.status(), error.code().name),
    }
}

fn is_newer(about: About<'_>) -> bool {
    about.api_version.is_some_and(|version| {
        let digits = |b: &u8| b.is_ascii_digit() || *b == b'-';
        version.len() == NEWER.len() && version.as_bytes().iter().all(digits) && version >= NEWER
    })
}

fn answer(fault: &Fault<'_>, more: Value, about: About<'_>) -> Answer {
    let mut body = if is_newer(about) {
        json!({ "code": fault.code, "message": fault.message })
    } else {
        json!({ "code": fault.status, "error_code": fault.code, "msg": fault.message })
    };
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    let status = StatusCode::from_u16(fault.status).expect("GoTrue's statuses are statuses");
    let mut answer = json_answer(status, &body);
    answer.headers_mut().insert(ERROR_CODE.clone(), header_value(fault.code));
    answer
}

/// A reason of ours in GoTrue's words.
fn weakness(reason: &str) -> &'static str {
    match reason {
        password::TOO_SHORT | password::TOO_LONG => "length",
        password::GUESSABLE => "characters",
        _ => "pwned",
    }
}

impl Style for GoTrue {
    fn error(&self, error: &Error, status: StatusCode, about: About<'_>) -> Answer {
        let mut fault = fault(error);
        // What the HTTP layer decides by itself, such as 431, keeps its status.
        if status.as_u16() != error.status() {
            fault.status = status.as_u16();
        }
        let more = match error.code().kind {
            Kind::Internal => json!({ "error_id": about.request_id }),
            _ if error.is(codes::WEAK_PASSWORD) => {
                json!({ "weak_password": { "reasons": Vec::from_iter(error.reason().map(weakness)) } })
            }
            _ => Value::Null,
        };
        answer(&fault, more, about)
    }

    fn challenge(&self, _error: &Error, _about: About<'_>) -> String {
        Challenge::new("Bearer").build()
    }

    fn stamp(&self, headers: &mut HeaderMap, about: About<'_>) {
        if is_newer(about) {
            headers.insert(API_VERSION.clone(), HeaderValue::from_static(NEWER));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(api_version: Option<&str>) -> About<'_> {
        About { request_id: "req_1", now_ms: 0, key_header: None, api_version }
    }

    #[test]
    fn the_newer_format_is_for_whoever_asks_for_it() {
        for (version, newer) in [
            (None, false),
            (Some("2023-12-31"), false),
            (Some("2024-01-01"), true),
            (Some("2025-06-01"), true),
            (Some("9999"), false),
            (Some("zzzz-zz-zz"), false),
        ] {
            assert_eq!(is_newer(about(version)), newer, "{version:?}");
            let mut headers = HeaderMap::new();
            GoTrue.stamp(&mut headers, about(version));
            assert_eq!(headers.contains_key(&API_VERSION), newer, "{version:?}");
        }
    }

    #[test]
    fn every_error_of_the_engine_has_a_name_and_a_status_of_an_error() {
        for code in codes::ALL {
            let error = Error::new(code);
            let fault = fault(&error);
            assert!((400..600).contains(&fault.status), "{}", code.name);
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit();
            assert!(fault.code.bytes().all(plain), "{}", code.name);
        }
    }
}
