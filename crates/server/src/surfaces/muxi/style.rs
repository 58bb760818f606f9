//! Errors as the document's framework sends them: `{"detail": ...}`.

use doorward_core::error::{Error, Kind, codes};
use doorward_protocols::http_auth::Challenge;
use http::StatusCode;
use serde_json::json;

use super::fields::{Flaw, unprocessable};
use crate::http::respond::{About, Answer, Style, json_answer};

/// Today's Muxi sends its keys here; the document sends them in `X-API-Key`.
pub(crate) const KEY_HEADERS: &[&str] = &[CLIENT_KEY, ADMIN_KEY];
const CLIENT_KEY: &str = "x-muxi-client-key";
const ADMIN_KEY: &str = "x-muxi-admin-key";

/// The style.
pub(crate) struct Details;

fn is_of_key(error: &Error) -> bool {
    [codes::KEY_INVALID, codes::KEY_EXPIRED, codes::KEY_REVOKED].iter().any(|code| error.is(code))
}

/// The fixed text of a refusal.
fn detail(error: &Error) -> &str {
    match error.code().kind {
        Kind::Unauthenticated if error.is(codes::CREDENTIALS_MISSING) => "Not authenticated",
        Kind::Unauthenticated if error.is(codes::BAD_CREDENTIALS) => "Incorrect username or password",
        Kind::Unauthenticated if is_of_key(error) => "Invalid API key",
        Kind::Unauthenticated if error.is(codes::REFRESH_INVALID) || error.is(codes::REFRESH_REUSED) => {
            "Invalid refresh token"
        }
        Kind::Unauthenticated => "Invalid token",
        Kind::Limited if error.is(codes::TOO_MANY_FAILURES) => "Too many login attempts",
        _ => error.public_message(),
    }
}

impl Style for Details {
    fn error(&self, error: &Error, status: StatusCode, about: About<'_>) -> Answer {
        if error.is(codes::WEAK_PASSWORD) {
            let flaw = Flaw::new("body", "password", error.public_message(), error.code().name);
            return unprocessable(&[flaw.because(error.reason())]);
        }
        if [codes::BAD_FIELD, codes::BAD_JSON, codes::UNSUPPORTED_MEDIA].iter().any(|code| error.is(code)) {
            return unprocessable(&[Flaw::whole("body", error.public_message(), error.code().name)]);
        }
        let mut body = json!({ "detail": detail(error) });
        if error.code().kind == Kind::Internal {
            body["code"] = error.code().name.into();
            body["request_id"] = about.request_id.into();
        }
        json_answer(status, &body)
    }

    fn challenge(&self, error: &Error, about: About<'_>) -> String {
        let today =
            |realm, header| Challenge::new("ApiKey").param("realm", realm).param("header", header).build();
        match about.key_header {
            Some(CLIENT_KEY) => today("client", "X-Muxi-Client-Key"),
            Some(ADMIN_KEY) => today("admin", "X-Muxi-Admin-Key"),
            _ if is_of_key(error) => Challenge::new("API-Key").build(),
            _ => Challenge::new("Bearer").build(),
        }
    }
}
