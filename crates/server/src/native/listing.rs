//! Pages of lists: `?limit=` and `?after=`, answered with `next` while there may be more.

use std::borrow::Cow;

use doorward_core::error::Result;
use doorward_core::ports::store::Page;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::http::pairs::Pairs;
use crate::openapi::{Parameter, Values};

/// Items on a page unless the query says otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// Most items on a page.
const MAX_LIMIT: u32 = 200;

/// How many items a page has.
pub(super) const LIMIT: Parameter = Parameter::query(
    "limit",
    Values::Whole(0, u32::MAX as i64),
    "How many at most: 50 unless this says otherwise, 200 where it says more.",
);
/// Which page it is.
pub(super) const AFTER: Parameter = Parameter::query("after", Values::Text, "The `next` of the page before.");
/// The parameters of a list.
pub(super) const PAGE: &[Parameter] = &[LIMIT, AFTER];

/// What a list is of.
pub(super) trait Item: Serialize + JsonSchema {
    /// The member of the answer with the items.
    const NAME: &'static str;

    /// By which the next page is asked for.
    fn id(&self) -> &str;
}

/// A page of a list.
pub(super) struct Listed<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T: Item> Listed<T> {
    /// A page that could hold so many items.
    pub(super) fn new(items: impl Iterator<Item = T>, limit: u32) -> Self {
        let items: Vec<T> = items.collect();
        let next = items.last().filter(|_| items.len() >= limit as usize).map(|last| last.id().to_owned());
        Self { items, next }
    }
}

impl<T: Item> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry(T::NAME, &self.items)?;
        members.serialize_entry("next", &self.next)?;
        members.end()
    }
}

impl<T: Item> JsonSchema for Listed<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}List", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A page of a list.",
            "type": "object",
            "properties": {
                T::NAME: { "type": "array", "items": generator.subschema_for::<T>() },
                "next": { "type": ["string", "null"], "description": "What to send as `after` for the next page, while there may be one." },
            },
            "required": [T::NAME, "next"],
        })
    }
}

/// The page a query asks for.
///
/// # Errors
/// `bad_field` for a limit that is no number.
pub(super) fn page(query: &Pairs) -> Result<Page> {
    let limit = query.number("limit")?.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    Ok(Page { after: query.text("after").map(str::to_owned), limit })
}
