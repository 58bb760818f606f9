//! What clients of the embedded agent server keep beside threads: items of its store, assistants, crons.
//!
//! They are kept alike, so that there is one way to find, filter, bound and change them.

use serde_json::{Map, Value};

use crate::authz::condition::Condition;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::operation::Grant;
use crate::ports::documents::{DocumentQuery, Place};
use crate::ports::store::ThreadOrder;

/// How many rows are read at once.
const PART: u32 = 100;
/// Most rows that are looked at for one search.
const MAX_ROWS: u32 = 20_000;
/// What filters see of an item's value: so many members, lists of so many entries, texts of so many bytes.
const SEEN_MEMBERS: usize = 64;
const SEEN_ENTRIES: usize = 32;
const SEEN_BYTES: usize = 1_024;
/// The member of an item's body that is its value.
pub(super) const VALUE: &str = "value";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An item of the store.
    Item,
    /// An assistant.
    Assistant,
    /// A run that begins by the clock.
    Cron,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Item, Self::Assistant, Self::Cron];

    /// The stored spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Assistant => "assistant",
            Self::Cron => "cron",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// One of them. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Stable id, of which there is one in a store.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The mount it was made through; mounts never see each other's.
    pub mount: String,
    /// Who made it ([`crate::principal::Principal::owner_key`]).
    pub owner: String,
    /// Where it stands: labels, each with a `.` behind.
    pub place: String,
    /// What it is called there.
    pub name: String,
    /// Tells it apart from others of its name ([`sharing`]).
    pub sharing: String,
    /// What handlers and clients attached.
    pub metadata: Map<String, Value>,
    /// What it holds.
    pub body: Map<String, Value>,
    /// Counts its changes, from 1.
    pub revision: i64,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// When an item ends, or a cron runs next.
    pub due_at_ms: Option<i64>,
}

impl Document {
    /// What filters see of it. Of an item that is also the beginning of its value, over which stands whatever handlers wrote: a client
    /// cannot say that it is another's.
    #[must_use]
    pub fn seen(&self) -> Map<String, Value> {
        if self.kind != Kind::Item {
            return self.metadata.clone();
        }
        let members =
            self.value().into_iter().flatten().filter(|(name, value)| name.len() <= 256 && is_seen(value));
        let mut seen: Map<String, Value> =
            members.take(SEEN_MEMBERS).map(|(name, value)| (name.clone(), value.clone())).collect();
        seen.extend(self.metadata.clone());
        seen
    }

    /// The value of an item.
    pub(super) fn value(&self) -> Option<&Map<String, Value>> {
        self.body.get(VALUE).and_then(Value::as_object)
    }

    /// The first label of its place.
    #[must_use]
    pub fn root(&self) -> &str {
        root(&self.place)
    }

    /// Whether it is an item that has ended.
    #[must_use]
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.kind == Kind::Item && self.due_at_ms.is_some_and(|due| due <= now_ms)
    }
}

/// The first label of a place.
#[must_use]
pub fn root(place: &str) -> &str {
    place.split('.').next().unwrap_or_default()
}

fn is_seen(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= SEEN_BYTES,
        Value::Array(entries) => {
            entries.len() <= SEEN_ENTRIES && entries.iter().all(|one| !one.is_array() && is_seen(one))
        }
        Value::Object(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Which documents of one name are the same one to a caller: everybody's, those of one condition, or the caller's own.
///
/// # Errors
/// `not_found` for callers who may have none of their own.
pub(super) fn sharing(grant: &Grant) -> Result<String> {
    use aws_lc_rs::digest::{SHA256, digest};

    use crate::authz::filter::Filter;
    let own = grant.auth().principal.owner_key();
    let of = match grant.condition() {
        // It only has to be spelled alike for alike conditions.
        Some(condition) => format!("like {}", spelled(condition)),
        None if *grant.filter() == Filter::Everything => return Ok(String::new()),
        None => {
            grant.must_reach("", &own)?;
            format!("own {own}")
        }
    };
    Ok(digest(&SHA256, of.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn spelled(condition: &Condition) -> String {
    match condition {
        Condition::Eq(name, value) => {
            Value::from(vec![Value::from("eq"), name.as_str().into(), value.clone()]).to_string()
        }
        Condition::Contains(name, values) => {
            Value::from(vec![Value::from("contains"), name.as_str().into(), values.clone().into()])
                .to_string()
        }
        Condition::All(parts) => format!("all({})", parts.iter().map(spelled).collect::<Vec<_>>().join(",")),
        Condition::Any(parts) => format!("any({})", parts.iter().map(spelled).collect::<Vec<_>>().join(",")),
    }
}

/// Whether a grant reaches a document that a query with its filter has found.
pub(super) fn reached(grant: &Grant, found: &Document) -> bool {
    // Most grants ask for nothing that the query has not answered.
    grant.condition().is_none() || grant.matches(&found.seen())
}

/// The document with this id, if the grant reaches it.
///
/// # Errors
/// `not_found`, also for somebody else's.
pub(super) async fn visible(engine: &Engine, grant: &Grant, kind: Kind, id: &str) -> Result<Document> {
    let hidden = || Error::new(codes::NOT_FOUND);
    if id.len() > crate::id::MAX_ID_BYTES {
        return Err(hidden());
    }
    let found = engine.store().document(&grant.mount().name, kind, id, grant.filter()).await?;
    found.filter(|one| reached(grant, one) && !one.is_over(engine.now_ms())).ok_or_else(hidden)
}

/// What is looked for among documents.
pub(super) struct Looked {
    pub(super) place: Option<Place>,
    pub(super) name: Option<String>,
    pub(super) by: ThreadOrder,
    pub(super) ascending: bool,
}

/// Hands over each document of a kind that the grant reaches, in order, until no more are wanted.
///
/// # Errors
/// `bad_filter` for a search that would have to look at too much.
pub(super) async fn each(
    engine: &Engine,
    grant: &Grant,
    kind: Kind,
    looked: Looked,
    mut wanted: impl FnMut(Document) -> bool,
) -> Result<()> {
    let mut query = DocumentQuery {
        place: looked.place,
        name: looked.name,
        by: looked.by,
        ascending: looked.ascending,
        offset: 0,
        limit: PART,
    };
    while query.offset < MAX_ROWS {
        let part = engine.store().documents(&grant.mount().name, kind, grant.filter(), &query).await?;
        let rows = part.len();
        for document in part {
            if reached(grant, &document) && !wanted(document) {
                return Ok(());
            }
        }
        if rows < PART as usize {
            return Ok(());
        }
        query.offset += PART;
    }
    let text = "This search looks at too many things; ask for fewer.";
    Err(Error::new(codes::BAD_FILTER).message(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: Value, metadata: Value) -> Document {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        Document {
            id: "itm_a".into(),
            kind: Kind::Item,
            mount: "m".into(),
            owner: "local|a".into(),
            place: "a.b.".into(),
            name: "k".into(),
            sharing: String::new(),
            metadata: object(metadata),
            body: object(json!({ "value": value })),
            revision: 1,
            created_at_ms: 0,
            updated_at_ms: 0,
            due_at_ms: None,
        }
    }

    #[test]
    fn what_handlers_wrote_stands_over_what_the_client_says() {
        let forged = item(json!({"owner": "bob", "n": 1}), json!({"owner": "ann"}));
        assert_eq!(Value::Object(forged.seen()), json!({"owner": "ann", "n": 1}));
        assert_eq!(forged.root(), "a");
    }

    #[test]
    fn filters_see_a_bounded_part_of_a_value() {
        let long: Vec<_> = (0..33).collect();
        let value = json!({
            "text": "x".repeat(1_025), "list": long, "deep": {"a": 1}, "nested": [[1]],
            "short": ["a", 1, null], "none": null, "ok": "x",
        });
        let seen = item(value, json!({})).seen();
        assert_eq!(Value::Object(seen), json!({"short": ["a", 1, null], "none": null, "ok": "x"}));
        let many: Map<String, Value> = (0..100).map(|n| (format!("m{n}"), n.into())).collect();
        assert_eq!(item(Value::Object(many), json!({})).seen().len(), SEEN_MEMBERS);
    }

    #[test]
    fn an_item_ends_when_it_is_due_and_a_cron_does_not() {
        let mut one = Document { due_at_ms: Some(5), ..item(json!({}), json!({})) };
        assert!(!one.is_over(4) && one.is_over(5));
        one.kind = Kind::Cron;
        assert!(!one.is_over(5));
    }
}
