//! Errors that satisfy both readers: the document's `detail` and today's `error` and `metadata`.

use doorward_core::clock::with_micros;
use doorward_core::error::{Error, Kind, codes};
use doorward_protocols::http_auth::Challenge;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName};
use serde_json::json;

use super::envelope::metadata;
use crate::http::respond::{About, Answer, Style, header_value, json_answer};

/// The style.
pub(crate) struct Bodies {
    /// Whether a refusal says which check failed, as the document's best practice words it.
    pub(crate) distinct: bool,
}

static X_TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");

/// What the engine notes of a token whose signature does not hold.
const BAD_SIGNATURE: &str = "token_bad_signature";

/// What both readers are told: `error.code` and `detail`.
fn words(error: &Error, distinct: bool) -> (String, &str) {
    if error.handlers_words().is_some() {
        // As today's package calls what a backend raises.
        return ("HTTPException".to_owned(), error.public_message());
    }
    let (code, detail) = match error.code().kind {
        Kind::Unauthenticated if distinct && error.is(codes::CREDENTIALS_MISSING) => {
            ("REVOKED_TOKEN", "Authorization header missing")
        }
        Kind::Unauthenticated if distinct && error.operator_detail() == Some(BAD_SIGNATURE) => {
            ("INVALID_TOKEN", "Invalid token signature")
        }
        Kind::Unauthenticated if error.is(codes::CREDENTIALS_MISSING) => {
            ("REVOKED_TOKEN", "Not authenticated")
        }
        Kind::Unauthenticated if error.is(codes::TOKEN_EXPIRED) || error.is(codes::KEY_EXPIRED) => {
            ("EXPIRED_TOKEN", "Token has expired")
        }
        Kind::Unauthenticated => ("INVALID_TOKEN", "Could not validate credentials"),
        Kind::Forbidden => ("PERMISSION_ERROR", error.public_message()),
        Kind::NotFound => ("RESOURCE_NOT_FOUND", error.public_message()),
        Kind::Limited => ("RATE_LIMIT_EXCEEDED", error.public_message()),
        _ => return (error.code().name.to_ascii_uppercase(), error.public_message()),
    };
    (code.to_owned(), detail)
}

impl Style for Bodies {
    fn error(&self, error: &Error, status: StatusCode, about: About<'_>) -> Answer {
        let (code, detail) = words(error, self.distinct);
        let said = error.handlers_words().map_or_else(|| detail.into(), |words| words.detail.clone());
        json_answer(
            status,
            &json!({
                "detail": said,
                "error": { "code": code, "message": detail, "details": [] },
                "metadata": metadata(about.request_id, about.now_ms, detail),
            }),
        )
    }

    fn challenge(&self, _error: &Error, _about: About<'_>) -> String {
        Challenge::new("Bearer").param("realm", "auth_required").build()
    }

    fn stamp(&self, headers: &mut HeaderMap, about: About<'_>) {
        headers.insert(X_TIMESTAMP.clone(), header_value(&with_micros(about.now_ms)));
    }
}
