//! The envelope of today's answers, and the platform's way of writing time.

use doorward_core::agents::model::{Message, Thread};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// A moment as the platform writes it: UTC without a zone, such as `2026-11-25T00:44:43.532000`.
pub(super) fn timestamp(at_ms: i64) -> String {
    let (days, ms_of_day) = (at_ms.div_euclid(86_400_000), at_ms.rem_euclid(86_400_000));
    // Days to a date in the proleptic Gregorian calendar, in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (s, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}000", s / 3600, s / 60 % 60, s % 60)
}

/// The `metadata` member.
pub(super) fn metadata(request_id: &str, now_ms: i64, message: &str) -> Value {
    json!({ "request_id": request_id, "timestamp": timestamp(now_ms), "message": message })
}

fn metadata_of(request: &Request) -> Value {
    metadata(&request.id, request.engine.now_ms(), "OK")
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
        "updated_at": timestamp(thread.updated_at_ms),
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
            assert_eq!(timestamp(at_ms), expected);
        }
    }
}
