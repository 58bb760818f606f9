//! Running one statement.

use doorward_core::ports::StoreError;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement as Prepared};

use super::connection::store_error;
use crate::backend::{Expect, Rows, Statement, Value};

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::BigInt(number) => ValueRef::Integer(*number),
            Value::Double(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Binds by the number in the placeholder's name: SQLite itself counts `$n` by first appearance.
fn bind(prepared: &mut Prepared<'_>, params: &[Value<'_>]) -> Result<(), StoreError> {
    let count = prepared.parameter_count();
    if count != params.len() {
        return Err(StoreError::Corrupt(format!(
            "a statement has {count} placeholders for {} values",
            params.len()
        )));
    }
    for place in 1..=count {
        let value = prepared
            .parameter_name(place)
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| params.get(number.checked_sub(1)?))
            .ok_or_else(|| StoreError::Corrupt("a statement has a placeholder without a value".into()))?;
        prepared.raw_bind_parameter(place, value).map_err(store_error)?;
    }
    Ok(())
}

fn push(rows: &mut Rows, row: &rusqlite::Row<'_>, columns: usize) -> Result<(), StoreError> {
    for column in 0..columns {
        match row.get_ref(column).map_err(store_error)? {
            ValueRef::Null => rows.push_null(),
            ValueRef::Integer(number) => rows.push_i64(number),
            ValueRef::Real(number) => rows.push_f64(number),
            ValueRef::Text(text) => rows.push_text(text),
            ValueRef::Blob(bytes) => rows.push_bytes(bytes),
        }
    }
    Ok(())
}

/// All rows of a query.
pub(super) fn query(connection: &Connection, sql: &str, params: &[Value<'_>]) -> Result<Rows, StoreError> {
    let mut prepared = connection.prepare_cached(sql).map_err(store_error)?;
    bind(&mut prepared, params)?;
    let columns = prepared.column_count();
    let mut rows = Rows::new(columns);
    let mut found = prepared.raw_query();
    while let Some(row) = found.next().map_err(store_error)? {
        push(&mut rows, row, columns)?;
    }
    Ok(rows)
}

/// All rows of a query; `None` when there are more than `rows_max` or than about `bytes_max` bytes of them.
pub(super) fn few(
    connection: &Connection,
    sql: &str,
    params: &[Value<'_>],
    limits: (usize, usize),
) -> Result<Option<Rows>, StoreError> {
    let (mut all, mut whole) = (None, true);
    pieces(connection, sql, params, limits, |rows| {
        whole = all.replace(rows).is_none();
        whole
    })?;
    let rows = all.unwrap_or_default();
    Ok((whole && rows.len() < limits.0 && rows.size_bytes() < limits.1).then_some(rows))
}

/// Rows of a query in pieces of at most `rows_max` rows and about `bytes_max` bytes. Stops early when `piece`
/// says `false`.
pub(super) fn pieces(
    connection: &Connection,
    sql: &str,
    params: &[Value<'_>],
    (rows_max, bytes_max): (usize, usize),
    mut piece: impl FnMut(Rows) -> bool,
) -> Result<(), StoreError> {
    let mut prepared = connection.prepare_cached(sql).map_err(store_error)?;
    bind(&mut prepared, params)?;
    let columns = prepared.column_count();
    let mut rows = Rows::new(columns);
    let mut count = 0;
    let mut found = prepared.raw_query();
    while let Some(row) = found.next().map_err(store_error)? {
        push(&mut rows, row, columns)?;
        count += 1;
        if count == rows_max || rows.size_bytes() >= bytes_max {
            count = 0;
            if !piece(std::mem::replace(&mut rows, Rows::new(columns))) {
                return Ok(());
            }
        }
    }
    if !rows.is_empty() {
        piece(rows);
    }
    Ok(())
}

/// Runs a statement and holds it to its expectation; returns how many rows changed or came back.
pub(super) fn statement(connection: &Connection, statement: &Statement) -> Result<u64, StoreError> {
    let mut prepared = connection.prepare_cached(&statement.sql).map_err(store_error)?;
    bind(&mut prepared, &statement.params)?;
    let touched = if prepared.column_count() == 0 {
        prepared.raw_execute().map_err(store_error)? as u64
    } else {
        let mut found = prepared.raw_query();
        let mut count = 0;
        while found.next().map_err(store_error)?.is_some() {
            count += 1;
        }
        count
    };
    match statement.expect {
        Expect::Row(conflict) if touched == 0 => Err(StoreError::Conflict(conflict)),
        _ => Ok(touched),
    }
}
