//! Which resources an allowed action reaches: a condition over a resource's labels.
//!
//! Labels are what filters must see of a resource beside its owner: its metadata one level deep. A filter is part
//! of a permit; services apply it in the query, so that what it hides is as absent as what does not exist.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What clients call a resource's owner in a filter ([`crate::principal::Principal::owner_key`]).
const OWNER: &str = "owner";

/// Deepest nesting of `$and`/`$or`.
const MAX_DEPTH: usize = 8;
/// Most conditions in one filter.
const MAX_CONDITIONS: usize = 64;

/// A label's value: a single text or a list of texts. Numbers and booleans are kept in their JSON spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// One value.
    One(String),
    /// Several values (`$contains` looks inside).
    Many(Vec<String>),
}

/// A resource's labels.
pub type Labels = BTreeMap<String, Label>;

/// A condition over labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Lets everything through.
    Everything,
    /// Lets nothing through.
    Nothing,
    /// The resource is this owner's ([`crate::principal::Principal::owner_key`]), whatever its metadata says.
    Owner(String),
    /// The label is one value and equals this.
    Eq(String, String),
    /// The label is a list and holds this.
    Contains(String, String),
    /// The resource's id is one of these. Policies say so; clients cannot ([`Filter::parse`] has no word for it).
    Named(Vec<String>),
    /// All hold.
    And(Vec<Filter>),
    /// At least one holds.
    Or(Vec<Filter>),
}

/// Why a filter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// An operator that is not `$eq`, `$contains`, `$and` or `$or`.
    #[error("unknown filter operator {0:?}; known are $eq, $contains, $and, $or")]
    UnknownOperator(String),
    /// Something that is not a filter.
    #[error("a filter is an object of label: value or label: {{operator: value}}; {0}")]
    Shape(&'static str),
    /// Too deep or too many conditions.
    #[error("a filter may nest 8 deep and hold 64 conditions")]
    TooLarge,
}

impl Filter {
    /// Only what this owner owns.
    #[must_use]
    pub fn owned_by(owner: &str) -> Self {
        Self::Owner(owner.into())
    }

    /// Reads the JSON form: `{"owner": "x"}`, `{"tags": {"$contains": "a"}}`, `{"$or": [{...}, {...}]}`.
    ///
    /// # Errors
    /// Unknown operators and other shapes are refused, never matched or ignored.
    pub fn parse(value: &Value) -> Result<Self, FilterError> {
        let mut conditions = 0;
        parse(value, 0, &mut conditions)
    }

    /// Whether the resource with this id, owner and labels is let through.
    #[must_use]
    pub fn matches(&self, id: &str, owner: &str, labels: &Labels) -> bool {
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Owner(wanted) => owner == wanted,
            Self::Eq(key, wanted) => matches!(labels.get(key), Some(Label::One(v)) if v == wanted),
            Self::Contains(key, wanted) => {
                matches!(labels.get(key), Some(Label::Many(v)) if v.contains(wanted))
            }
            Self::Named(ids) => ids.iter().any(|one| one == id),
            Self::And(all) => all.iter().all(|f| f.matches(id, owner, labels)),
            Self::Or(any) => any.iter().any(|f| f.matches(id, owner, labels)),
        }
    }

    /// The JSON form that [`Filter::parse`] reads, for people to look at and to compare. Single resources, for which clients have no word,
    /// stand as `{"id": {"$in": [...]}}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let all = |filters: &[Self]| filters.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::Everything => json!({}),
            Self::Nothing => json!({ "$or": [] }),
            Self::Owner(owner) => json!({ OWNER: owner }),
            Self::Eq(label, value) => json!({ label: value }),
            Self::Contains(label, value) => json!({ label: { "$contains": value } }),
            Self::Named(ids) => json!({ "id": { "$in": ids } }),
            Self::And(filters) => json!({ "$and": all(filters) }),
            Self::Or(filters) => json!({ "$or": all(filters) }),
        }
    }

    /// Both this filter and `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => Self::Nothing,
            (Self::Everything, f) | (f, Self::Everything) => f,
            (Self::And(mut a), Self::And(b)) => {
                a.extend(b);
                Self::And(a)
            }
            (a, b) => Self::And(vec![a, b]),
        }
    }
}

fn parse(value: &Value, depth: usize, conditions: &mut usize) -> Result<Filter, FilterError> {
    if depth > MAX_DEPTH {
        return Err(FilterError::TooLarge);
    }
    let Value::Object(members) = value else { return Err(FilterError::Shape("this is not an object")) };
    let mut all = Vec::with_capacity(members.len());
    for (key, value) in members {
        *conditions += 1;
        if *conditions > MAX_CONDITIONS {
            return Err(FilterError::TooLarge);
        }
        all.push(match (key.as_str(), value) {
            ("$and", Value::Array(parts)) => Filter::And(parse_all(parts, depth, conditions)?),
            ("$or", Value::Array(parts)) if parts.is_empty() => Filter::Nothing,
            ("$or", Value::Array(parts)) => Filter::Or(parse_all(parts, depth, conditions)?),
            ("$and" | "$or", _) => return Err(FilterError::Shape("$and and $or take a list")),
            (operator, _) if operator.starts_with('$') => {
                return Err(FilterError::UnknownOperator(operator.to_owned()));
            }
            (label, Value::Object(operators)) => parse_operators(label, operators)?,
            (label, scalar) => equals(label, text(scalar)?),
        });
    }
    Ok(match all.len() {
        0 => Filter::Everything,
        1 => all.swap_remove(0),
        _ => Filter::And(all),
    })
}

fn parse_all(parts: &[Value], depth: usize, conditions: &mut usize) -> Result<Vec<Filter>, FilterError> {
    parts.iter().map(|part| parse(part, depth + 1, conditions)).collect()
}

fn parse_operators(label: &str, operators: &serde_json::Map<String, Value>) -> Result<Filter, FilterError> {
    let mut all = Vec::with_capacity(operators.len());
    for (operator, value) in operators {
        all.push(match (operator.as_str(), value) {
            ("$eq", value) => equals(label, text(value)?),
            // An owner is one value, and `$contains` looks into lists alone.
            ("$contains", _) if label == OWNER => Filter::Nothing,
            // A list asks for every one of its items, as LangGraph's stores read it.
            ("$contains", Value::Array(items)) => Filter::And(
                items
                    .iter()
                    .map(|item| Ok(Filter::Contains(label.to_owned(), text(item)?)))
                    .collect::<Result<_, FilterError>>()?,
            ),
            ("$contains", value) => Filter::Contains(label.to_owned(), text(value)?),
            _ => return Err(FilterError::UnknownOperator(operator.clone())),
        });
    }
    match all.len() {
        0 => Err(FilterError::Shape("an empty operator object says nothing")),
        1 => Ok(all.swap_remove(0)),
        _ => Ok(Filter::And(all)),
    }
}

fn equals(label: &str, value: String) -> Filter {
    if label == OWNER { Filter::Owner(value) } else { Filter::Eq(label.to_owned(), value) }
}

fn text(value: &Value) -> Result<String, FilterError> {
    scalar(value).ok_or(FilterError::Shape("a compared value is a text, number or boolean"))
}

/// The label spelling of a scalar; `None` for null, lists and objects.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The labels of a resource: its metadata one level deep.
#[must_use]
pub fn labels_of(metadata: &serde_json::Map<String, Value>) -> Labels {
    let mut labels = Labels::new();
    for (key, value) in metadata {
        let label = match value {
            Value::Array(items) => Some(Label::Many(items.iter().filter_map(scalar).collect())),
            scalar_value => scalar(scalar_value).map(Label::One),
        };
        if let Some(label) = label {
            labels.insert(key.clone(), label);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let metadata =
            json!({"team": "red", "size": 3, "tags": ["a", "b"], "owner": "forged", "deep": {"x": 1}});
        labels_of(metadata.as_object().expect("an object"))
    }

    #[test]
    fn metadata_cannot_forge_the_owner() {
        assert!(Filter::owned_by("local|me").matches("t", "local|me", &labels()));
        assert!(!Filter::owned_by("forged").matches("t", "local|me", &labels()));
    }

    #[test]
    fn operators_match_as_written() {
        for (name, filter, expected) in [
            ("plain equality", json!({"team": "red"}), true),
            ("$eq", json!({"team": {"$eq": "blue"}}), false),
            ("number by spelling", json!({"size": 3}), true),
            ("$contains one", json!({"tags": {"$contains": "a"}}), true),
            ("$contains all", json!({"tags": {"$contains": ["a", "c"]}}), false),
            ("equality never looks inside a list", json!({"tags": "a"}), false),
            ("$contains never matches a single value", json!({"team": {"$contains": "red"}}), false),
            ("$or", json!({"$or": [{"team": "blue"}, {"size": 3}]}), true),
            ("$and", json!({"$and": [{"team": "red"}, {"size": 4}]}), false),
            ("members of one object all hold", json!({"team": "red", "size": 4}), false),
            ("absent label", json!({"nothing": "x"}), false),
            ("empty $or reaches nothing", json!({"$or": []}), false),
            ("empty filter reaches everything", json!({}), true),
        ] {
            assert_eq!(
                Filter::parse(&filter).expect(name).matches("t", "local|me", &labels()),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_filter_is_written_as_it_is_read() {
        for text in [
            json!({}),
            json!({"owner": "local|me"}),
            json!({"team": "red"}),
            json!({"tags": {"$contains": "a"}}),
            json!({"$or": []}),
            json!({"$and": [{"team": "red"}, {"$or": [{"size": "3"}, {"owner": "x"}]}]}),
        ] {
            assert_eq!(Filter::parse(&text).expect("a filter").to_json(), text);
        }
        let named = Filter::Or(vec![Filter::owned_by("me"), Filter::Named(vec!["t".to_owned()])]);
        assert_eq!(named.to_json(), json!({"$or": [{"owner": "me"}, {"id": {"$in": ["t"]}}]}));
    }

    #[test]
    fn unknown_operators_and_shapes_are_refused() {
        let deep = (0..20).fold(json!({"a": "b"}), |inner, _| json!({"$and": [inner]}));
        for (name, filter) in [
            ("unknown operator", json!({"a": {"$ne": "b"}})),
            ("unknown top-level operator", json!({"$not": []})),
            ("null", json!({"a": null})),
            ("list as value", json!({"a": ["b"]})),
            ("object as compared value", json!({"a": {"$eq": {}}})),
            ("no operator", json!({"a": {}})),
            ("not an object", json!("x")),
            ("$or of a non-list", json!({"$or": {}})),
            ("too deep", deep),
        ] {
            assert!(Filter::parse(&filter).is_err(), "{name}");
        }
    }
}
