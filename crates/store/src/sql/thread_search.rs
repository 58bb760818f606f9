//! Finding threads in an order of choice.
//!
//! ```text
//! filter ─┬─ a label that an index holds, by change ─► label_value in that order ─► each one's thread ─┐
//!         └─ anything else ─────────────────────────► threads, sorted ───────────────────────────────┴─► ids ─► rows, or heads
//! ```
//! Ids are found first, so that what is left out is never read whole.

use std::fmt::Write;

use doorward_core::agents::model::{RunStatus, Thread};
use doorward_core::ports::StoreError;
use doorward_core::ports::store::{ThreadHead, ThreadOrder, ThreadPlace, ThreadQuery};

use super::threads::{THREAD, columns, many, read};
use crate::SqlStore;
use crate::backend::{Row, Value};
use crate::filter::{self, FoundBy, Labelled, by_label, written};

pub(super) async fn threads(store: &SqlStore, query: &ThreadQuery<'_>) -> Result<Vec<Thread>, StoreError> {
    let filter = store.rarest_first(query.filter, THREAD).await?;
    let query = ThreadQuery { filter: &filter, ..*query };
    let (ids, params) = ids(&query);
    let sort = order(&query, [column(&query), "thread.id"]);
    let sql = format!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM ({ids}) AS found CROSS JOIN thread WHERE thread.id = found.id ORDER BY {sort}"
        ),
        ids = ids,
        sort = sort
    );
    store.list(&sql, &params, read).await
}

pub(super) async fn heads(
    store: &SqlStore,
    query: &ThreadQuery<'_>,
    with_newest: bool,
) -> Result<Vec<ThreadHead>, StoreError> {
    let filter = store.rarest_first(query.filter, THREAD).await?;
    let query = ThreadQuery { filter: &filter, ..*query };
    let (ids, params) = ids(&query);
    let newest = if with_newest {
        "(SELECT run.status FROM run WHERE run.thread = found.id ORDER BY run.id DESC LIMIT 1)"
    } else {
        "NULL"
    };
    let sort = order(&query, [if column(&query).is_empty() { "" } else { "found.at_ms" }, "found.id"]);
    let sql = format!("SELECT found.id, found.at_ms, {newest} FROM ({ids}) AS found ORDER BY {sort}");
    store.list(&sql, &params, head).await
}

fn head(row: Row<'_>) -> Result<ThreadHead, StoreError> {
    let newest = row.maybe_string(2)?.map(|status| {
        RunStatus::parse(&status).ok_or_else(|| StoreError::Corrupt("a run has an unknown status".into()))
    });
    let place = ThreadPlace { id: row.text(0)?.into(), at_ms: row.i64(1)? };
    Ok(ThreadHead { place, newest: newest.transpose()? })
}

/// The query for the ids of the threads, as `id`, and what they are sorted by, as `at_ms`.
fn ids<'a>(query: &ThreadQuery<'a>) -> (String, Vec<Value<'a>>) {
    let mut params = vec![Value::from(query.mount), Value::from(query.limit), Value::from(query.offset)];
    let mut sql = String::new();
    let label = (query.sort.by == ThreadOrder::UpdatedAt).then(|| by_label(query.filter)).flatten();
    let sorted_by = match label {
        Some(label) => {
            sql.push_str(
                "SELECT thread.id AS id, label.changed_at_ms AS at_ms FROM label CROSS JOIN thread WHERE ",
            );
            // An index walk in order: where the join begins is not the planner's to choose on SQLite.
            label.bearers(THREAD, &mut sql, &mut params);
            written(write!(sql, " AND thread.id = {} AND thread.mount = $1", THREAD.id_of_label()));
            for part in &label.rest {
                sql.push_str(" AND ");
                filter::compile(part, THREAD, &mut sql, &mut params);
            }
            ["label.changed_at_ms", "label.resource"]
        }
        None => {
            let column = column(query);
            let at_ms = if column.is_empty() { "0" } else { column };
            // A mount has the more threads the less its index helps; written like this none is looked for by it alone.
            let (mount, owner) = match filter::found_by(query.filter) {
                FoundBy::Id => ("thread.mount || ''", "thread.owner || ''"),
                FoundBy::OwnerOrLabel => ("thread.mount || ''", "thread.mount = $1 AND thread.owner"),
                FoundBy::Nothing => ("thread.mount", "thread.owner"),
            };
            written(write!(
                sql,
                "SELECT thread.id AS id, {at_ms} AS at_ms FROM thread WHERE {mount} = $1 AND "
            ));
            filter::compile(query.filter, Labelled { owner, ..many(query.filter) }, &mut sql, &mut params);
            [column, "thread.id"]
        }
    };
    if let Some(after) = query.after {
        let beyond = if query.sort.ascending { '>' } else { '<' };
        params.push(Value::from(&after.id));
        let id = if sorted_by[1] == "thread.id" {
            format!("${}", params.len())
        } else {
            format!("'{}' || ${}", THREAD.prefix, params.len())
        };
        match sorted_by[0] {
            "" => written(write!(sql, " AND {} {beyond} {id}", sorted_by[1])),
            first => {
                params.push(Value::from(after.at_ms));
                let at_ms = params.len();
                written(write!(sql, " AND ({first}, {}) {beyond} (${at_ms}, {id})", sorted_by[1]));
            }
        }
    }
    written(write!(sql, " ORDER BY {} LIMIT $2 OFFSET $3", order(query, sorted_by)));
    (sql, params)
}

/// Fixed fragments; the id makes the order whole.
fn column(query: &ThreadQuery<'_>) -> &'static str {
    match query.sort.by {
        ThreadOrder::Id => "",
        ThreadOrder::CreatedAt => "thread.created_at_ms",
        ThreadOrder::UpdatedAt => "thread.updated_at_ms",
    }
}

fn order(query: &ThreadQuery<'_>, by: [&str; 2]) -> String {
    let direction = if query.sort.ascending { "ASC" } else { "DESC" };
    let by = by.iter().filter(|column| !column.is_empty());
    by.map(|column| format!("{column} {direction}")).collect::<Vec<_>>().join(", ")
}
