//! The envelope of today's answers, and the platform's way of writing time.

use doorward_core::agents::model::{Message, Thread};
use doorward_core::clock::with_micros;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// The `metadata` member.
pub(super) fn metadata(request_id: &str, now_ms: i64, message: &str) -> Value {
    json!({ "request_id": request_id, "timestamp": with_micros(now_ms), "message": message })
}

fn metadata_of(request: &Request) -> Value {
    metadata(request.id.as_str(), request.engine.now_ms(), "OK")
}

/// Today's form: the answer inside `data`.
pub(super) fn enveloped(request: &Request, data: impl Into<Value>) -> Answer {
    json_answer(StatusCode::OK, &json!({ "data": data.into(), "metadata": metadata_of(request) }))
}

/// The document's form: the answer's members at the top level.
pub(super) fn topmost(request: &Request, mut members: Map<String, Value>) -> Answer {
    members.insert("metadata".to_owned(), metadata_of(request));
    json_answer(StatusCode::OK, &members)
}

/// A thread as the platform shows it.
pub(super) fn thread(thread: &Thread) -> Map<String, Value> {
    let owner = thread.owner.rsplit_once('|').map_or("", |(_, subject)| subject);
    let view = json!({
        "thread_id": thread.id,
        "thread_name": thread.name,
        "user_id": owner,
        "metadata": thread.metadata,
        "updated_at": with_micros(thread.updated_at_ms),
        "run_id": null,
    });
    match view {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A message as the platform shows it.
pub(super) fn message(message: &Message) -> Value {
    said(
        message.id.as_str(),
        message.role.as_str(),
        &message.content,
        false,
        message.created_at_ms,
        &message.metadata,
    )
}

/// A piece of an answer that is being made.
pub(super) fn delta(id: &str, text: &str, at_ms: i64) -> Value {
    said(id, "assistant", &Value::from(text), true, at_ms, &Map::new())
}

fn said(
    id: &str,
    role: &str,
    content: &Value,
    delta: bool,
    at_ms: i64,
    attached: &Map<String, Value>,
) -> Value {
    let blocks = match content {
        Value::String(text) => json!([{ "type": "text", "text": text, "annotations": [] }]),
        parts => parts.clone(),
    };
    json!({
        "message_id": id,
        "role": role,
        "content": blocks,
        "delta": delta,
        "tools_calls": null,
        "reasoning": null,
        // The platform counts seconds here.
        "timestamp": at_ms as f64 / 1000.0,
        "metadata": attached,
        "usages": null,
        "raw": null,
        "parsed_content": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_platform_writes_them() {
        for (at_ms, expected) in [
            (0, "1970-01-01T00:00:00.000000"),
            (951_782_400_000, "2000-02-29T00:00:00.000000"),
            (1_795_567_483_532, "2026-11-25T00:44:43.532000"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999000"),
            (-1, "1969-12-31T23:59:59.999000"),
        ] {
            assert_eq!(with_micros(at_ms), expected);
        }
    }
}
