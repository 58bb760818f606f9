//! What a message may hold, and what it costs to hold it.

use serde_json::Value;

use super::model::Message;
use crate::error::{Error, Result, codes};

/// Largest content of a message, as JSON.
pub const MAX_CONTENT_BYTES: usize = 256 << 10;
/// Most values in it: parts, and what is in them. A number is two bytes as JSON and sixteen times that in memory.
pub const MAX_CONTENT_VALUES: usize = 4096;

/// About what an object that is not empty takes beside its members: room for eleven of them is made at once.
const OBJECT_BYTES: usize = 11 * (size_of::<String>() + size_of::<Value>());

/// Whether this can be said.
///
/// # Errors
/// `bad_field`.
pub(super) fn check(content: &Value) -> Result<()> {
    let bad = |text: String| Err(Error::new(codes::BAD_FIELD).message(text));
    match content {
        Value::String(text) if text.is_empty() => return bad("content: must not be empty.".to_owned()),
        Value::Array(parts) if parts.is_empty() => return bad("content: must not be empty.".to_owned()),
        Value::Array(parts) if !parts.iter().all(|part| part.is_string() || part.is_object()) => {
            return bad("content: a part is a text or an object.".to_owned());
        }
        Value::String(_) | Value::Array(_) => {}
        _ => return bad("content: is a text or a list of parts.".to_owned()),
    }
    if values(content) > MAX_CONTENT_VALUES {
        return bad(format!("content: may hold {MAX_CONTENT_VALUES} values, parts and what is in them."));
    }
    if json_bytes(content) > MAX_CONTENT_BYTES {
        return bad("content: is too large.".to_owned());
    }
    Ok(())
}

/// About what a message takes: its JSON, and what its values take in memory beside that.
pub(super) fn cost(message: &Message) -> usize {
    let of = |value: &Value| json_bytes(value) + beside(value);
    of(&message.content) + message.metadata.values().map(of).sum::<usize>()
}

fn json_bytes(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

/// How many values there are in one, with itself. What people send is no deeper than 32 levels.
fn values(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(values).sum(),
        Value::Object(members) => members.values().map(values).sum(),
        _ => 0,
    }
}

fn beside(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Array(all) => all.iter().map(beside).sum(),
            Value::Object(members) if !members.is_empty() => {
                OBJECT_BYTES + members.values().map(beside).sum::<usize>()
            }
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_is_text_or_parts_within_bounds_of_bytes_and_of_values() {
        let long = "x".repeat(MAX_CONTENT_BYTES - 2);
        let many = |part: Value, count: usize| Value::Array(vec![part; count]);
        for (name, good) in [
            ("a text", json!("hi")),
            ("as long as may be", json!(long)),
            ("parts", json!(["hi", {"type": "text", "text": "there"}])),
            ("as many as may be", many(json!(""), MAX_CONTENT_VALUES - 1)),
        ] {
            assert!(check(&good).is_ok(), "{name}");
        }
        for (name, bad) in [
            ("no text", json!("")),
            ("no part", json!([])),
            ("an object", json!({"text": "hi"})),
            ("a number", json!(1)),
            ("too long", json!(format!("{long}x"))),
            ("a part that is a number", json!(["hi", 1])),
            ("a part that is a list", json!([["hi"]])),
            ("a part that is null", json!([null])),
            ("too many parts", many(json!(""), MAX_CONTENT_VALUES)),
            ("too much in a part", json!([{"type": "json", "value": vec![1; MAX_CONTENT_VALUES]}])),
            ("small objects without end", many(json!({}), 80_000)),
        ] {
            assert!(check(&bad).is_err_and(|error| error.is(codes::BAD_FIELD)), "{name}");
        }
    }
}
