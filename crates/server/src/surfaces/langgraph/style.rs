//! Errors as the platform says them: `{"detail": text}`, and 422 for what does not fit its schema.

use doorward_core::error::{Error, codes};
use doorward_protocols::http_auth::Challenge;
use http::StatusCode;
use serde_json::{Value, json};

use crate::http::respond::{About, Answer, Style, json_answer};

/// The style.
pub(crate) struct Details {
    /// Whether a missing credential is 403, as the platform's earlier versions had it, and not 401.
    pub(crate) missing_is_forbidden: bool,
}

impl Style for Details {
    fn error(&self, error: &Error, status: StatusCode, _about: About<'_>) -> Answer {
        let missing = error.is(codes::CREDENTIALS_MISSING);
        let status = match error.code().name {
            "bad_field" | "bad_json" | "bad_filter" => StatusCode::UNPROCESSABLE_ENTITY,
            _ if missing && self.missing_is_forbidden => StatusCode::FORBIDDEN,
            _ => status,
        };
        let detail = match error.handlers_words() {
            Some(words) => words.detail.clone(),
            None if error.is(codes::NO_ROUTE) => "Not Found".into(),
            None if error.is(codes::METHOD_NOT_ALLOWED) => "Method Not Allowed".into(),
            None => Value::from(error.public_message()),
        };
        json_answer(status, &json!({ "detail": detail }))
    }

    fn challenge(&self, _error: &Error, _about: About<'_>) -> String {
        Challenge::new("Bearer").param("realm", "langgraph").build()
    }
}
