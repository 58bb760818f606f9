//! What an authorization handler demands of a resource's metadata (langgraph-api 0.16.7, `@auth.on`).
//!
//! ```text
//! {"owner": "ann"} ─ parse ─► Condition ─┬─ prefilter ─► Filter     goes into the query: lets through all that may match
//!                                        └─ matches ───► exact      asked of each thing that is found
//! ```
//! The platform lets everything through where it does not know an operator; here such a condition is refused whole.

use serde_json::{Map, Value};

use super::filter::{Filter, scalar};

/// Deepest nesting of `$and`/`$or`, as the platform has it.
const MAX_DEPTH: usize = 2;
/// Most comparisons in one condition.
const MAX_COMPARISONS: usize = 64;

/// A condition over metadata. Values are compared as JSON: `5` is not `"5"`, and a list equals a list alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The member is there and equals this.
    Eq(String, Value),
    /// The member is a list and holds each of these.
    Contains(String, Vec<Value>),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
}

/// Why a condition cannot be enforced; for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Something else than an object.
    #[error("a filter is an object of member: value")]
    Shape,
    /// An operator that is not `$eq`, `$contains`, `$or` or `$and`, or in the wrong place.
    #[error(
        "the filter has the operator {0:?}; known are $eq and $contains within a member, $or and $and beside members"
    )]
    UnknownOperator(String),
    /// A member compared with an object that is no operator, which says nothing.
    #[error("the filter compares {0:?} with an object; write {{\"$eq\": …}} or {{\"$contains\": …}}")]
    PlainObject(String),
    /// `$or` or `$and` without two filters to choose from.
    #[error("{0} takes a list of at least two filters, none of them empty")]
    TooFew(String),
    /// Deeper than the platform takes.
    #[error("the filter has too many nested operators, or more than 64 comparisons")]
    TooLarge,
}

impl Condition {
    /// Reads what a handler returned; `None` for `{}`, which demands nothing.
    ///
    /// # Errors
    /// Everything that is not exactly understood.
    pub fn parse(filter: &Value) -> Result<Option<Self>, ConditionError> {
        let mut comparisons = 0;
        parse(filter, 0, &mut comparisons)
    }

    /// Whether this metadata is what is demanded.
    #[must_use]
    pub fn matches(&self, metadata: &Map<String, Value>) -> bool {
        match self {
            Self::Eq(member, wanted) => metadata.get(member).is_some_and(|value| equal(value, wanted)),
            Self::Contains(member, wanted) => match metadata.get(member) {
                Some(Value::Array(items)) => {
                    wanted.iter().all(|one| items.iter().any(|item| equal(item, one)))
                }
                _ => false,
            },
            Self::All(all) => all.iter().all(|one| one.matches(metadata)),
            Self::Any(any) => any.iter().any(|one| one.matches(metadata)),
        }
    }

    /// The part of it that labels can answer: lets through everything that matches, and sometimes more.
    #[must_use]
    pub fn prefilter(&self) -> Filter {
        match self {
            Self::Eq(member, wanted) => {
                spelled_once(wanted).map_or(Filter::Everything, |text| Filter::Eq(member.clone(), text))
            }
            Self::Contains(member, wanted) => {
                let items = wanted.iter().filter_map(spelled_once);
                items.fold(Filter::Everything, |all, item| all.and(Filter::Contains(member.clone(), item)))
            }
            Self::All(all) => all.iter().fold(Filter::Everything, |found, one| found.and(one.prefilter())),
            Self::Any(any) => {
                let parts: Vec<_> = any.iter().map(Self::prefilter).collect();
                if parts.contains(&Filter::Everything) { Filter::Everything } else { Filter::Or(parts) }
            }
        }
    }

    /// Whether labels answer all of it: [`Condition::prefilter`] then lets through exactly what matches.
    #[must_use]
    pub fn is_of_labels(&self) -> bool {
        match self {
            Self::Eq(_, wanted) => is_told_apart(wanted),
            // Of none of its entries a label tells that it is a list.
            Self::Contains(_, wanted) => !wanted.is_empty() && wanted.iter().all(is_told_apart),
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_of_labels),
        }
    }

    /// The members that must equal a value, whatever else is demanded: what servers that know equality alone can be asked for.
    #[must_use]
    pub fn equalities(&self) -> Vec<(&str, &Value)> {
        match self {
            Self::Eq(member, wanted) => vec![(member, wanted)],
            Self::All(all) => all.iter().flat_map(Self::equalities).collect(),
            Self::Contains(..) | Self::Any(_) => Vec::new(),
        }
    }

    /// Whether [`Condition::equalities`] is all it demands.
    #[must_use]
    pub fn is_equalities(&self) -> bool {
        match self {
            Self::Eq(..) => true,
            Self::All(all) => all.iter().all(Self::is_equalities),
            Self::Contains(..) | Self::Any(_) => false,
        }
    }
}

/// The label of a value that every equal value has too; a number can be spelled in several ways.
fn spelled_once(value: &Value) -> Option<String> {
    if value.is_number() { None } else { scalar(value) }
}

/// Whether nothing else has this value's label: a text that does not read as a number or `true`, whose labels are spelled like texts.
fn is_told_apart(value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    !matches!(serde_json::from_str(text), Ok(Value::Number(_) | Value::Bool(_)))
}

/// Equality of JSON; numbers are equal by their value, as in Python (`1` and `1.0`).
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// A whole number and a decimal that is spelled otherwise. Two whole numbers were compared exactly already.
fn same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()
}

fn parse(filter: &Value, depth: usize, comparisons: &mut usize) -> Result<Option<Condition>, ConditionError> {
    let Value::Object(members) = filter else { return Err(ConditionError::Shape) };
    let mut all = Vec::with_capacity(members.len());
    for (name, value) in members {
        *comparisons += 1;
        if *comparisons > MAX_COMPARISONS {
            return Err(ConditionError::TooLarge);
        }
        all.push(match name.as_str() {
            "$or" => Condition::Any(parts(name, value, depth, comparisons)?),
            "$and" => Condition::All(parts(name, value, depth, comparisons)?),
            operator if operator.starts_with('$') => {
                return Err(ConditionError::UnknownOperator(shortened(operator)));
            }
            member => compared(member, value, comparisons)?,
        });
    }
    Ok(match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Condition::All(all)),
    })
}

fn parts(
    operator: &str,
    given: &Value,
    depth: usize,
    comparisons: &mut usize,
) -> Result<Vec<Condition>, ConditionError> {
    if depth >= MAX_DEPTH {
        return Err(ConditionError::TooLarge);
    }
    let too_few = || ConditionError::TooFew(operator.to_owned());
    let Value::Array(filters) = given else { return Err(too_few()) };
    if filters.len() < 2 {
        return Err(too_few());
    }
    // An empty one of several would let everything through.
    filters.iter().map(|one| parse(one, depth + 1, comparisons)?.ok_or_else(too_few)).collect()
}

fn compared(member: &str, value: &Value, comparisons: &mut usize) -> Result<Condition, ConditionError> {
    let Value::Object(operators) = value else {
        return Ok(Condition::Eq(member.to_owned(), value.clone()));
    };
    let (Some((operator, wanted)), 1) = (operators.iter().next(), operators.len()) else {
        return Err(ConditionError::PlainObject(shortened(member)));
    };
    match (operator.as_str(), wanted) {
        ("$eq", wanted) => Ok(Condition::Eq(member.to_owned(), wanted.clone())),
        ("$contains", Value::Array(items)) => {
            *comparisons += items.len();
            if *comparisons > MAX_COMPARISONS {
                return Err(ConditionError::TooLarge);
            }
            Ok(Condition::Contains(member.to_owned(), items.clone()))
        }
        ("$contains", wanted) => Ok(Condition::Contains(member.to_owned(), vec![wanted.clone()])),
        (operator, _) if operator.starts_with('$') => {
            Err(ConditionError::UnknownOperator(shortened(operator)))
        }
        _ => Err(ConditionError::PlainObject(shortened(member))),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::authz::filter::labels_of;

    fn metadata() -> Map<String, Value> {
        let value = json!({
            "owner": "ann", "size": 5, "half": 0.5, "flag": true, "none": null,
            "tags": ["a", "b", 3], "deep": {"x": 1},
        });
        value.as_object().cloned().unwrap()
    }

    /// Filters with what they make of [`metadata`], as the real server answers them where it does (§2.4 of the protocol notes).
    fn table() -> Vec<(Value, bool)> {
        vec![
            (json!({"owner": "ann"}), true),
            (json!({"owner": "bob"}), false),
            (json!({"owner": {"$eq": "ann"}}), true),
            (json!({"owner": {"$eq": "bob"}}), false),
            (json!({"size": 5}), true),
            (json!({"size": 5.0}), true),
            (json!({"size": "5"}), false),
            (json!({"size": 6}), false),
            (json!({"half": 0.5}), true),
            (json!({"flag": true}), true),
            (json!({"flag": "true"}), false),
            (json!({"flag": 1}), false),
            (json!({"none": null}), true),
            (json!({"missing": null}), false),
            (json!({"missing": "x"}), false),
            (json!({"tags": ["a", "b", 3]}), true),
            (json!({"tags": ["b", "a", 3]}), false),
            (json!({"tags": "a"}), false),
            (json!({"tags": {"$contains": "a"}}), true),
            (json!({"tags": {"$contains": "c"}}), false),
            (json!({"tags": {"$contains": 3}}), true),
            (json!({"tags": {"$contains": "3"}}), false),
            (json!({"tags": {"$contains": ["a", 3]}}), true),
            (json!({"tags": {"$contains": ["a", "c"]}}), false),
            (json!({"owner": {"$contains": "ann"}}), false),
            (json!({"deep": {"$eq": {"x": 1}}}), true),
            (json!({"deep": {"$eq": {"x": 2}}}), false),
            (json!({"owner": "ann", "size": 5}), true),
            (json!({"owner": "ann", "size": 6}), false),
            (json!({"$or": [{"owner": "bob"}, {"size": 5}]}), true),
            (json!({"$or": [{"owner": "bob"}, {"size": 6}]}), false),
            (json!({"$and": [{"owner": "ann"}, {"size": 5}]}), true),
            (json!({"$and": [{"owner": "ann"}, {"size": 6}]}), false),
            (json!({"owner": "ann", "$or": [{"size": 6}, {"flag": true}]}), true),
            (json!({"$or": [{"owner": "bob"}, {"$and": [{"size": 5}, {"flag": true}]}]}), true),
        ]
    }

    #[test]
    fn filters_match_as_the_platform_means_them() {
        for (filter, expected) in table() {
            let condition = Condition::parse(&filter).expect("a filter").expect("a condition");
            assert_eq!(condition.matches(&metadata()), expected, "{filter}");
        }
        assert_eq!(Condition::parse(&json!({})), Ok(None));
    }

    #[test]
    fn a_prefilter_never_hides_what_matches() {
        let labels = labels_of(&metadata());
        for (filter, expected) in table() {
            let condition = Condition::parse(&filter).expect("a filter").expect("a condition");
            let found = condition.prefilter().matches("t", "o", &labels);
            assert!(found || !expected, "{filter}");
        }
        let narrow = Condition::parse(&json!({"owner": "bob", "tags": {"$contains": "a"}})).unwrap().unwrap();
        assert!(!narrow.prefilter().matches("t", "o", &labels), "and hides what labels can tell");
    }

    #[test]
    fn what_labels_answer_needs_no_second_look() {
        let value = json!({"owner": "ann", "size": 5, "flag": true, "five": "5", "yes": "true", "tags": ["a", 3, "5"], "list": []});
        let things = [metadata(), value.as_object().cloned().unwrap(), Map::new()];
        let more = [
            (json!({"five": "5"}), false),
            (json!({"five": "5x"}), true),
            (json!({"yes": "true"}), false),
            (json!({"size": 5}), false),
            (json!({"none": null}), false),
            (json!({"owner": "ann"}), true),
            (json!({"owner": "null"}), true),
            (json!({"list": {"$contains": []}}), false),
            (json!({"tags": {"$contains": ["a", "b"]}}), true),
            (json!({"tags": {"$contains": ["a", 3]}}), false),
            (json!({"$or": [{"owner": "ann"}, {"tags": {"$contains": "a"}}]}), true),
            (json!({"$or": [{"owner": "ann"}, {"size": 5}]}), false),
        ];
        for (filter, expected) in &more {
            let condition = Condition::parse(filter).expect("a filter").expect("a condition");
            assert_eq!(condition.is_of_labels(), *expected, "{filter}");
        }
        for filter in more.into_iter().chain(table()).map(|(filter, _)| filter) {
            let condition = Condition::parse(&filter).expect("a filter").expect("a condition");
            for thing in things.iter().filter(|_| condition.is_of_labels()) {
                let by_labels = condition.prefilter().matches("t", "o", &labels_of(thing));
                assert_eq!(by_labels, condition.matches(thing), "{filter} of {thing:?}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_whole() {
        let deep = json!({"$or": [{"$and": [{"$or": [{"a": 1}, {"b": 2}]}, {"c": 3}]}, {"d": 4}]});
        let long: Vec<_> = (0..100).collect();
        for filter in [
            json!("x"),
            json!([]),
            json!({"a": {"$gt": 1}}),
            json!({"a": {"$not": {"$eq": 1}}}),
            json!({"$not": {"a": 1}}),
            json!({"$nor": [{"a": 1}, {"b": 1}]}),
            json!({"a": {"q": 2}}),
            json!({"a": {}}),
            json!({"a": {"$eq": 1, "$contains": 2}}),
            json!({"$or": []}),
            json!({"$or": [{"a": 1}]}),
            json!({"$or": [{"a": 1}, {}]}),
            json!({"$and": {"a": 1}}),
            json!({"$or": [{"a": 1}, "x"]}),
            json!({"a": {"$contains": long}}),
            deep,
        ] {
            assert!(Condition::parse(&filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn equalities_are_what_must_hold_in_any_case() {
        let of = |filter: Value| Condition::parse(&filter).unwrap().unwrap();
        let both = of(json!({"owner": "ann", "$and": [{"size": 5}, {"flag": true}]}));
        assert!(both.is_equalities());
        assert_eq!(both.equalities().len(), 3);
        let open = of(json!({"owner": "ann", "$or": [{"size": 5}, {"flag": true}]}));
        assert!(!open.is_equalities());
        assert_eq!(open.equalities(), [("owner", &json!("ann"))]);
    }
}
