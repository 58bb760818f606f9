//! What went wrong in a call, as HTTP says it: by Python's class names, and for what a service raised by its words.

use doorward_hub::Fault;
use http::StatusCode;
use serde_json::json;

use crate::http::respond::{Answer, json_answer};

/// The status that a class of errors, or the words of one, stand for.
pub(super) fn status(fault: &Fault) -> StatusCode {
    let words = |text: &str| fault.message.contains(text);
    match fault.class {
        "KeyError" => StatusCode::NOT_FOUND,
        "FileExistsError" => StatusCode::CONFLICT,
        "PermissionError" => StatusCode::FORBIDDEN,
        "TypeError" | "ValueError" | "AssertionError" => StatusCode::BAD_REQUEST,
        "TimeoutError" => StatusCode::GATEWAY_TIMEOUT,
        "RemoteException" if words("PermissionError") || words("Permission denied") => StatusCode::FORBIDDEN,
        "RemoteException" if words("KeyError") || words("not found") => StatusCode::NOT_FOUND,
        "RemoteException" if words("TypeError") || words("ValueError") || words("AssertionError") => {
            StatusCode::BAD_REQUEST
        }
        "RemoteException" if words("TimeoutError") => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer.
pub(super) fn answer(fault: &Fault) -> Answer {
    json_answer(status(fault), &json!({ "success": false, "detail": fault.line() }))
}
