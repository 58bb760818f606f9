//! Core's label filters as SQL conditions.
//!
//! The text is put together from fixed fragments and placeholder numbers alone; every key and value is bound.

use std::fmt::Write;

use doorward_core::authz::filter::Filter;

use crate::backend::Value;

/// How a resource type is kept: what a condition needs to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Labelled {
    /// The column of the owner, such as `thread.owner`: an index walk instead of a label look-up.
    pub owner: &'static str,
    /// What stands before the id in `label.resource`, such as `thread:`.
    pub prefix: &'static str,
    /// The column of the id, such as `thread.id`.
    pub id: &'static str,
    /// Whether many rows are looked for: labels are then found by their value, not row by row.
    pub many: bool,
}

/// Longest key and value that `label_value` holds (migration 0007).
const INDEXED: usize = 200;

/// Whether a filter lets through one owner's resources alone.
pub(crate) fn is_of_one_owner(filter: &Filter) -> bool {
    match filter {
        Filter::Owner(_) => true,
        Filter::And(parts) => parts.iter().any(|part| matches!(part, Filter::Owner(_))),
        _ => false,
    }
}

/// Appends the condition for `filter` to `sql` and its values to `params`.
///
/// True for exactly the rows whose labels [`Filter::matches`].
pub fn compile<'a>(filter: &'a Filter, on: Labelled, sql: &mut String, params: &mut Vec<Value<'a>>) {
    match filter {
        Filter::Everything => sql.push_str("1 = 1"),
        Filter::Nothing => sql.push_str("1 = 0"),
        Filter::Owner(owner) => {
            let n = bind(params, owner);
            written(write!(sql, "{} = ${n}", on.owner));
        }
        Filter::Eq(key, value) => label(on, "=", key, value, sql, params),
        Filter::Contains(key, value) => label(on, "<>", key, value, sql, params),
        Filter::Named(ids) if ids.is_empty() => sql.push_str("1 = 0"),
        Filter::Named(ids) => {
            written(write!(sql, "{} IN (", on.id));
            for (place, id) in ids.iter().enumerate() {
                let n = bind(params, id);
                written(write!(sql, "{}${n}", if place > 0 { ", " } else { "" }));
            }
            sql.push(')');
        }
        Filter::And(parts) => join(parts, " AND ", "1 = 1", on, sql, params),
        Filter::Or(parts) => join(parts, " OR ", "1 = 0", on, sql, params),
    }
}

fn bind<'a>(params: &mut Vec<Value<'a>>, value: &'a str) -> usize {
    params.push(Value::from(value));
    params.len()
}

/// `item` is '' for a single value and a place for an entry of a list.
fn label<'a>(
    on: Labelled,
    item: &'static str,
    key: &'a str,
    value: &'a str,
    sql: &mut String,
    params: &mut Vec<Value<'a>>,
) {
    let indexed = on.many && key.len() <= INDEXED && value.len() <= INDEXED;
    let (key, value) = (bind(params, key), bind(params, value));
    if indexed {
        written(write!(
            sql,
            "{} IN (SELECT substr(label.resource, {}) FROM label WHERE label.key = ${key} \
             AND label.value = ${value} AND label.item {item} '' AND length(label.key) <= {INDEXED} \
             AND length(label.value) <= {INDEXED} AND label.resource LIKE '{}%')",
            on.id,
            on.prefix.len() + 1,
            on.prefix
        ));
        return;
    }
    written(write!(
        sql,
        "EXISTS (SELECT 1 FROM label WHERE label.resource = '{}' || {} AND label.key = ${key} \
         AND label.item {item} '' AND label.value = ${value})",
        on.prefix, on.id
    ));
}

fn join<'a>(
    parts: &'a [Filter],
    word: &'static str,
    empty: &'static str,
    on: Labelled,
    sql: &mut String,
    params: &mut Vec<Value<'a>>,
) {
    if parts.is_empty() {
        sql.push_str(empty);
        return;
    }
    sql.push('(');
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            sql.push_str(word);
        }
        compile(part, on, sql, params);
    }
    sql.push(')');
}

fn written(result: std::fmt::Result) {
    result.expect("writing to a String cannot fail");
}
