//! What the server says about itself, to anybody.

use doorward_core::error::Result;
use http::StatusCode;
use serde_json::json;

use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// The version of the platform's API that is spoken here.
const VERSION: &str = "0.16.7";

/// `GET /ok`
pub(super) async fn ok(_: Request) -> Result<Answer> {
    Ok(json_answer(StatusCode::OK, &json!({ "ok": true })))
}

/// `GET /info`
pub(super) async fn info(_: Request) -> Result<Answer> {
    let flags = json!({ "assistants": true, "crons": true, "langsmith": false });
    Ok(json_answer(StatusCode::OK, &json!({ "version": VERSION, "flags": flags })))
}
