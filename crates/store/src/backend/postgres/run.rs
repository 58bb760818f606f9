//! Running one statement: values in by the type that was prepared, rows out, errors told apart by their code.

use std::error::Error as StdError;

use bytes::BytesMut;
use deadpool_postgres::ClientWrapper;
use doorward_core::ports::{Conflict, StoreError};
use futures_util::future::{join, join_all};
use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Error, Row, RowStream, Statement as Prepared};

use super::text::{escaped, unescaped};
use crate::backend::{Expect, Rows, Statement, Value};

/// A value as the prepared statement wants it.
#[derive(Debug)]
struct Param<'v>(&'v Value<'v>);

type Encoded = Result<IsNull, Box<dyn StdError + Sync + Send>>;

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::BigInt(number) if *ty == Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
            Value::BigInt(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Value::BigInt(number) if *ty == Type::INT8 => number.to_sql(ty, out),
            Value::Double(number) if *ty == Type::FLOAT8 => number.to_sql(ty, out),
            Value::Text(text) if <&str as ToSql>::accepts(ty) => (&*escaped(text)).to_sql(ty, out),
            Value::Bytes(bytes) if *ty == Type::BYTEA => (&**bytes).to_sql(ty, out),
            _ => Err(format!("a value does not fit a parameter of type {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.to_sql(ty, out)
    }
}

/// A cell as the server sent it.
struct Raw<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What an error of PostgreSQL means to the store's callers. Decided by code (appendix A of its manual), never by message.
pub(super) fn store_error(error: &Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        return StoreError::Unavailable(format!("PostgreSQL: {}", chain(error)));
    };
    let text = format!("PostgreSQL: {} ({})", told.message(), told.code().code());
    match told.code() {
        code if *code == SqlState::FOREIGN_KEY_VIOLATION => StoreError::Conflict(Conflict::Missing),
        code if *code == SqlState::UNIQUE_VIOLATION => StoreError::Conflict(Conflict::Exists),
        // Syntax, types and constraints of ours, and damage the server found; all else may be over in a moment.
        code if matches!(&code.code()[..2], "22" | "23" | "XX") => StoreError::Corrupt(text),
        code if code.code().starts_with("42") && *code != SqlState::INSUFFICIENT_PRIVILEGE => {
            StoreError::Corrupt(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

/// The library's message says only what was tried; why is in its sources.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn prepared(
    connection: &ClientWrapper,
    sql: &str,
    params: &[Value<'_>],
) -> Result<Prepared, StoreError> {
    let prepared = connection.prepare_cached(sql).await.map_err(|error| store_error(&error))?;
    let wanted = prepared.params().len();
    if wanted == params.len() {
        return Ok(prepared);
    }
    Err(StoreError::Corrupt(format!("a statement has {wanted} placeholders for {} values", params.len())))
}

/// Begins a query; its rows come as the server sends them.
pub(super) async fn stream(
    connection: &ClientWrapper,
    sql: &str,
    params: &[Value<'_>],
) -> Result<RowStream, StoreError> {
    let prepared = prepared(connection, sql, params).await?;
    begun(connection, &prepared, params).await
}

async fn begun(
    connection: &ClientWrapper,
    prepared: &Prepared,
    params: &[Value<'_>],
) -> Result<RowStream, StoreError> {
    connection.query_raw(prepared, params.iter().map(Param)).await.map_err(|error| store_error(&error))
}

/// All rows of a query.
pub(super) async fn query(
    connection: &ClientWrapper,
    sql: &str,
    params: &[Value<'_>],
) -> Result<Rows, StoreError> {
    let prepared = prepared(connection, sql, params).await?;
    rows(connection, &prepared, params).await
}

async fn rows(
    connection: &ClientWrapper,
    prepared: &Prepared,
    params: &[Value<'_>],
) -> Result<Rows, StoreError> {
    let found = begun(connection, prepared, params).await?;
    pin_mut!(found);
    let mut rows = Rows::new(0);
    while let Some(row) = found.try_next().await.map_err(|error| store_error(&error))? {
        if rows.is_empty() {
            rows = Rows::new(row.len());
        }
        push(&mut rows, &row)?;
    }
    Ok(rows)
}

/// Appends a row.
pub(super) fn push(rows: &mut Rows, row: &Row) -> Result<(), StoreError> {
    for (place, column) in row.columns().iter().enumerate() {
        let odd = || StoreError::Corrupt(format!("column {} has the type {}", column.name(), column.type_()));
        let cell = row.try_get::<_, Option<Raw<'_>>>(place).map_err(|error| store_error(&error))?;
        let Some(Raw(bytes)) = cell else {
            rows.push_null();
            continue;
        };
        match *column.type_() {
            Type::INT2 => rows.push_i64(i16::from_be_bytes(bytes.try_into().map_err(|_| odd())?).into()),
            Type::INT4 => rows.push_i64(i32::from_be_bytes(bytes.try_into().map_err(|_| odd())?).into()),
            Type::INT8 => rows.push_i64(i64::from_be_bytes(bytes.try_into().map_err(|_| odd())?)),
            Type::BOOL => rows.push_i64((bytes == [1]).into()),
            Type::FLOAT8 => rows.push_f64(f64::from_be_bytes(bytes.try_into().map_err(|_| odd())?)),
            Type::TEXT | Type::VARCHAR => rows.push_text(&unescaped(bytes)),
            Type::BYTEA => rows.push_bytes(bytes),
            _ => return Err(odd()),
        }
    }
    Ok(())
}

/// Sends statements, and a query behind them, without waiting for each other's answer, and holds each statement to its
/// expectation; returns how many rows each changed, and the query's rows. The first that fails is told: those behind it
/// fail because of it.
pub(super) async fn statements(
    connection: &ClientWrapper,
    statements: &[&Statement],
    query: Option<&Statement>,
) -> Result<(Vec<u64>, Rows), StoreError> {
    let mut ready = Vec::with_capacity(statements.len());
    for statement in statements {
        ready.push(prepared(connection, &statement.sql, &statement.params).await?);
    }
    let asked = match query {
        Some(query) => Some((prepared(connection, &query.sql, &query.params).await?, query)),
        None => None,
    };
    // Prepared before, each is sent when it is first polled: in order.
    let sent = statements.iter().zip(&ready).map(async |(statement, prepared)| {
        let params = statement.params.iter().map(Param);
        let touched = connection.execute_raw(prepared, params).await.map_err(|error| store_error(&error))?;
        match statement.expect {
            Expect::Row(conflict) if touched == 0 => Err(StoreError::Conflict(conflict)),
            _ => Ok(touched),
        }
    });
    let read = async {
        match &asked {
            Some((prepared, query)) => rows(connection, prepared, &query.params).await,
            None => Ok(Rows::default()),
        }
    };
    let (done, found) = join(join_all(sent), read).await;
    Ok((done.into_iter().collect::<Result<_, _>>()?, found?))
}
