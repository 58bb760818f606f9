//! Errors as Hypha sends them: `{"detail": ...}` for who somebody is, `{"success": false, "detail": ...}` for everything else.

use doorward_core::error::{Error, codes};
use doorward_protocols::http_auth::Challenge;
use http::StatusCode;
use serde_json::json;

use crate::http::respond::{About, Answer, Style, json_answer};

/// The style.
pub(crate) struct Details;

impl Style for Details {
    fn error(&self, error: &Error, status: StatusCode, about: About<'_>) -> Answer {
        let text = match error {
            _ if error.is(codes::RATE_LIMITED) || error.is(codes::TOO_MANY_FAILURES) => {
                "Rate limit exceeded. Please slow down."
            }
            _ => error.public_message(),
        };
        let mut body = json!({ "detail": text });
        if !matches!(status.as_u16(), 401 | 429) {
            body["success"] = false.into();
        }
        if status.is_server_error() {
            body["request_id"] = about.request_id.into();
        }
        json_answer(status, &body)
    }

    fn challenge(&self, _: &Error, _: About<'_>) -> String {
        Challenge::new("Bearer").build()
    }
}
