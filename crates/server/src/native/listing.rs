//! Pages of lists: `?limit=` and `?after=`, answered with `next` while there may be more.

use doorward_core::error::Result;
use doorward_core::ports::store::Page;
use http::StatusCode;
use serde_json::{Map, Value};

use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, json_answer};

/// Items on a page unless the query says otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// Most items on a page.
const MAX_LIMIT: u32 = 200;

/// The page a query asks for.
///
/// # Errors
/// `bad_field` for a limit that is no number.
pub(super) fn page(query: &Pairs) -> Result<Page> {
    let limit = query.number("limit")?.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    Ok(Page { after: query.text("after").map(str::to_owned), limit })
}

/// A page as an answer. Items are objects with an `id`.
pub(super) fn answer(name: &str, items: Vec<Value>, limit: u32) -> Answer {
    let next = match items.last() {
        Some(last) if items.len() >= limit as usize => last.get("id").cloned().unwrap_or_default(),
        _ => Value::Null,
    };
    let mut members = Map::new();
    members.insert(name.to_owned(), Value::Array(items));
    members.insert("next".to_owned(), next);
    json_answer(StatusCode::OK, &members)
}
