//! What a search demands of values: LangGraph's store filters (langgraph 1.2, `BaseStore.search`).
//!
//! `{"a": 1}` and `{"a": {"$eq": 1}}` equality, `$ne`, and `$gt`, `$gte`, `$lt`, `$lte` of numbers; objects in part, lists entry by entry;
//! members of one filter all hold.

use serde_json::{Map, Value};

use crate::authz::condition::equal;
use crate::error::{Error, Result, codes};

/// Deepest nesting, and most comparisons of one filter.
const MAX_DEPTH: usize = 8;
const MAX_COMPARISONS: usize = 64;
const OPERATORS: [&str; 6] = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];

/// A filter that was understood.
#[derive(Debug, Default)]
pub struct Wanted(Map<String, Value>);

fn bad(text: impl Into<String>) -> Error {
    Error::new(codes::BAD_FILTER).message(text)
}

impl Wanted {
    /// Reads a filter.
    ///
    /// # Errors
    /// `bad_filter` for an operator that is not known or that compares with no number, and for what is too deep or too long.
    pub fn parse(filter: &Map<String, Value>) -> Result<Self> {
        if let Some(operator) = filter.keys().find(|name| name.starts_with('$')) {
            return Err(unknown(operator));
        }
        let mut comparisons = 0;
        for value in filter.values() {
            check(value, 0, &mut comparisons)?;
        }
        Ok(Self(filter.clone()))
    }

    /// Whether a value is what is wanted.
    #[must_use]
    pub fn matches(&self, value: &Map<String, Value>) -> bool {
        self.0.iter().all(|(name, wanted)| is(value.get(name).unwrap_or(&Value::Null), wanted))
    }
}

fn unknown(operator: &str) -> Error {
    let shown: String = operator.chars().take(64).collect();
    bad(format!("filter: unknown operator {shown:?}; known are {}", OPERATORS.join(", ")))
}

fn check(wanted: &Value, depth: usize, comparisons: &mut usize) -> Result<()> {
    *comparisons += 1;
    if depth > MAX_DEPTH || *comparisons > MAX_COMPARISONS {
        return Err(bad("filter: may nest 8 deep and compare 64 values."));
    }
    match wanted {
        Value::Object(members) if members.keys().any(|name| name.starts_with('$')) => {
            for (operator, value) in members {
                if !OPERATORS.contains(&operator.as_str()) {
                    return Err(unknown(operator));
                }
                if !matches!(operator.as_str(), "$eq" | "$ne") && number(value).is_none() {
                    return Err(bad(format!("filter: {operator} compares numbers.")));
                }
                *comparisons += 1;
            }
            Ok(())
        }
        Value::Object(members) => members.values().try_for_each(|one| check(one, depth + 1, comparisons)),
        Value::Array(entries) => entries.iter().try_for_each(|one| check(one, depth + 1, comparisons)),
        _ => Ok(()),
    }
}

/// A number, or a text that spells one, as the platform reads both sides of a comparison.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| !number.is_nan()),
        _ => None,
    }
}

fn is(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (value, Value::Object(members)) if members.keys().any(|name| name.starts_with('$')) => {
            members.iter().all(|(operator, operand)| compares(value, operator, operand))
        }
        (Value::Object(has), Value::Object(members)) => {
            members.iter().all(|(name, wanted)| is(has.get(name).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(has), Value::Array(wanted)) => {
            has.len() == wanted.len() && has.iter().zip(wanted).all(|(has, wanted)| is(has, wanted))
        }
        (value, wanted) => equal(value, wanted),
    }
}

fn compares(value: &Value, operator: &str, operand: &Value) -> bool {
    match operator {
        "$eq" => equal(value, operand),
        "$ne" => !equal(value, operand),
        _ => match (number(value), number(operand)) {
            (Some(value), Some(operand)) => match operator {
                "$gt" => value > operand,
                "$gte" => value >= operand,
                "$lt" => value < operand,
                "$lte" => value <= operand,
                _ => false,
            },
            // What is no number is neither more nor less; the real server fails there.
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn filters_match_as_the_platform_means_them() {
        let value =
            object(json!({"n": 5, "t": "x", "num": "7", "l": [1, 2], "o": {"a": 1, "b": 2}, "none": null}));
        for (filter, matches) in [
            (json!({}), true),
            (json!({"n": 5}), true),
            (json!({"n": 5.0}), true),
            (json!({"n": "5"}), false),
            (json!({"n": {"$eq": 5}}), true),
            (json!({"n": {"$ne": 5}}), false),
            (json!({"t": {"$ne": 5}}), true),
            (json!({"missing": {"$ne": 5}}), true),
            (json!({"n": {"$gt": 4, "$lt": 6}}), true),
            (json!({"n": {"$gt": 5}}), false),
            (json!({"n": {"$gte": 5, "$lte": 5}}), true),
            (json!({"num": {"$gt": "6.5"}}), true),
            (json!({"t": {"$gt": 1}}), false),
            (json!({"missing": {"$lt": 1}}), false),
            (json!({"l": [1, 2]}), true),
            (json!({"l": [1]}), false),
            (json!({"l": [1, {"$gt": 1}]}), true),
            (json!({"o": {"a": 1}}), true),
            (json!({"o": {"a": {"$gte": 2}}}), false),
            (json!({"n": {"a": 1}}), false),
            (json!({"none": null}), true),
            (json!({"missing": null}), true),
            (json!({"n": 5, "t": "y"}), false),
        ] {
            let wanted = Wanted::parse(&object(filter.clone())).expect("a filter");
            assert_eq!(wanted.matches(&value), matches, "{filter}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_whole() {
        let deep = (0..20).fold(json!(1), |inner, _| json!({"a": inner}));
        let long: Vec<_> = (0..100).collect();
        for filter in [
            json!({"$or": [{"a": 1}, {"b": 1}]}),
            json!({"$eq": 1}),
            json!({"a": {"$in": [1]}}),
            json!({"a": {"$eq": 1, "b": 2}}),
            json!({"a": {"$gt": "x"}}),
            json!({"a": {"$gt": null}}),
            json!({"a": {"$lt": [1]}}),
            json!({"a": deep}),
            json!({"a": long}),
        ] {
            assert!(Wanted::parse(&object(filter.clone())).is_err(), "{filter}");
        }
    }
}
