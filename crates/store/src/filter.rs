//! Core's label filters as SQL conditions.
//!
//! The text is put together from fixed fragments and placeholder numbers alone; every key and value is bound.

use std::borrow::Cow;
use std::fmt::Write;

use doorward_core::authz::filter::Filter;
use doorward_core::ports::StoreError;

use crate::SqlStore;
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
    /// Whether many rows are looked for: labels are then found by their value, not row by row. Of several that all have
    /// to be there the first is ([`SqlStore::rarest_first`]), and the others are looked at in the rows that it finds.
    pub many: bool,
    /// Whether its labels stand in the order of its changes (`label.changed_at_ms`); those of others stand at 0.
    pub in_order: bool,
}

impl Labelled {
    /// The id of the resource that `label.resource` names.
    pub(crate) fn id_of_label(self) -> String {
        format!("substr(label.resource, {})", self.prefix.len() + 1)
    }
}

/// A filter that one label finds the rows for, in the order of their changes, and what they have to be besides.
pub(crate) struct ByLabel<'a> {
    key: &'a str,
    value: &'a str,
    /// What else has to hold.
    pub(crate) rest: Vec<&'a Filter>,
}

impl<'a> ByLabel<'a> {
    /// Appends the condition for the labels themselves.
    pub(crate) fn bearers(&self, on: Labelled, sql: &mut String, params: &mut Vec<Value<'a>>) {
        let bound = (bind(params, self.key), bind(params, self.value));
        bearing(on, "=", bound, sql);
    }
}

/// Takes a filter apart where one value of a label finds what it lets through: not by an owner or by ids, which are found
/// by indexes of their own, and not by an entry of a list, of which a resource may bear several.
pub(crate) fn by_label(filter: &Filter) -> Option<ByLabel<'_>> {
    let mut rest = Vec::new();
    parts_of(filter, &mut rest);
    if rest.iter().any(|part| matches!(part, Filter::Owner(_) | Filter::Named(_) | Filter::Nothing)) {
        return None;
    }
    let first = rest.iter().position(|part| indexed(part).is_some())?;
    let Filter::Eq(key, value) = rest[first] else { return None };
    rest.remove(first);
    Some(ByLabel { key, value, rest })
}

/// Longest key and value that `label_value` holds (migrations 0007, 0015).
const INDEXED: usize = 200;

/// How far labels are counted to find out which is the rarest, and how many of them.
const COUNTED: usize = 1_000;
const COMPARED: usize = 8;

/// Whether a filter lets through one owner's resources alone.
pub(crate) fn is_of_one_owner(filter: &Filter) -> bool {
    match filter {
        Filter::Owner(_) => true,
        Filter::And(parts) => parts.iter().any(|part| matches!(part, Filter::Owner(_))),
        _ => false,
    }
}

/// How an index finds what a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// Their ids are named.
    Id,
    /// Whose they are, or their labels, each alternative by itself.
    OwnerOrLabel,
    /// None does.
    Nothing,
}

pub(crate) fn found_by(filter: &Filter) -> FoundBy {
    let mut parts = Vec::new();
    parts_of(filter, &mut parts);
    if parts.iter().any(|part| matches!(part, Filter::Named(_) | Filter::Nothing)) {
        return FoundBy::Id;
    }
    if parts.iter().any(|part| is_found(part)) { FoundBy::OwnerOrLabel } else { FoundBy::Nothing }
}

fn is_found(filter: &Filter) -> bool {
    match filter {
        Filter::Owner(_) | Filter::Named(_) | Filter::Nothing => true,
        Filter::Everything => false,
        Filter::Eq(..) | Filter::Contains(..) => indexed(filter).is_some(),
        Filter::And(parts) => parts.iter().any(is_found),
        Filter::Or(parts) => parts.iter().all(is_found),
    }
}

/// The parts that all have to hold; a filter that is none of several is one part.
fn parts_of<'a>(filter: &'a Filter, to: &mut Vec<&'a Filter>) {
    match filter {
        Filter::And(parts) => parts.iter().for_each(|part| parts_of(part, to)),
        other => to.push(other),
    }
}

/// Key, value and comparison of `item`, where the index of labels holds them.
fn indexed(filter: &Filter) -> Option<(&str, &str, &'static str)> {
    let (key, value, item) = match filter {
        Filter::Eq(key, value) => (key, value, "="),
        Filter::Contains(key, value) => (key, value, "<>"),
        _ => return None,
    };
    (key.len() <= INDEXED && value.len() <= INDEXED).then_some((key, value, item))
}

impl SqlStore {
    /// The same filter with the label first that the fewest resources bear, where several have to be there: how many bear
    /// which is known to neither database when it plans, and a million that are in one team are not to be gone through
    /// for the ten that are somebody's in it.
    pub(crate) async fn rarest_first<'a>(
        &self,
        filter: &'a Filter,
        on: Labelled,
    ) -> Result<Cow<'a, Filter>, StoreError> {
        let mut parts = Vec::new();
        parts_of(filter, &mut parts);
        // By owner or by id they are few already.
        let few = |part: &&Filter| matches!(part, Filter::Owner(_) | Filter::Named(_) | Filter::Nothing);
        let labels: Vec<(usize, _)> =
            parts.iter().enumerate().filter_map(|(place, part)| Some((place, indexed(part)?))).collect();
        if labels.len() < 2 || parts.iter().any(few) {
            return Ok(Cow::Borrowed(filter));
        }
        let (mut sql, mut params) = (String::new(), Vec::new());
        for (place, (key, value, item)) in labels.iter().take(COMPARED) {
            let word = if sql.is_empty() { "" } else { " UNION ALL " };
            let (key, value) = (bind(&mut params, key), bind(&mut params, value));
            written(write!(sql, "{word}SELECT {place}, COUNT(*) FROM (SELECT 1 FROM label WHERE "));
            bearing(on, item, (key, value), &mut sql);
            // Not past what others bear: this only compares, and finds nothing.
            let its_own = if on.in_order { " AND label.changed_at_ms > 0" } else { "" };
            written(write!(sql, "{its_own} LIMIT {COUNTED}) AS found"));
        }
        let counts = self.backend.point(&sql, &params).await?;
        let counts: Vec<(i64, i64)> =
            counts.iter().map(|row| Ok((row.i64(1)?, row.i64(0)?))).collect::<Result<_, StoreError>>()?;
        // Of equally many the first: what leave demands stands before what is asked for.
        let rarest = counts.into_iter().min().and_then(|(_, place)| usize::try_from(place).ok()).unwrap_or(0);
        let first = parts.remove(rarest);
        Ok(Cow::Owned(Filter::And(std::iter::once(first).chain(parts).cloned().collect())))
    }
}

/// Appends what `label_value` finds the bearers of a label by.
fn bearing(on: Labelled, item: &str, (key, value): (usize, usize), sql: &mut String) {
    written(write!(
        sql,
        "label.key = ${key} AND label.value = ${value} AND label.item {item} '' AND length(label.key) <= {INDEXED} \
         AND length(label.value) <= {INDEXED} AND label.resource LIKE '{}%'",
        on.prefix
    ));
    if !on.in_order {
        sql.push_str(" AND label.changed_at_ms = 0");
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
        Filter::And(_) if on.many => all(filter, on, sql, params),
        Filter::And(parts) => join(parts, " AND ", "1 = 1", on, sql, params),
        Filter::Or(parts) => join(parts, " OR ", "1 = 0", on, sql, params),
    }
}

/// Parts that all have to hold, over many rows: one finds the rows, and the others look at those.
fn all<'a>(filter: &'a Filter, on: Labelled, sql: &mut String, params: &mut Vec<Value<'a>>) {
    let mut parts = Vec::new();
    parts_of(filter, &mut parts);
    let finds = parts.iter().position(|part| matches!(part, Filter::Owner(_) | Filter::Named(_)));
    let finds = finds.or_else(|| parts.iter().position(|part| indexed(part).is_some()));
    for (place, part) in parts.iter().enumerate() {
        sql.push_str(if place > 0 { " AND " } else { "(" });
        // Where no part finds them, each alternative does.
        let many = finds.is_none_or(|finds| finds == place);
        compile(part, Labelled { many, ..on }, sql, params);
    }
    sql.push_str(if parts.is_empty() { "1 = 1" } else { ")" });
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
    let by_value = on.many && key.len() <= INDEXED && value.len() <= INDEXED;
    let (key, value) = (bind(params, key), bind(params, value));
    if by_value {
        written(write!(sql, "{} IN (SELECT {} FROM label WHERE ", on.id, on.id_of_label()));
        bearing(on, item, (key, value), sql);
        sql.push(')');
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

pub(crate) fn written(result: std::fmt::Result) {
    result.expect("writing to a String cannot fail");
}
