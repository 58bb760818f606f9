//! Group commit: many transactions, one COMMIT, then all answers.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Pool};
use doorward_core::ports::{Durability, StoreError};
use futures_util::FutureExt;

use super::connect::Connection;
use super::run::{self, store_error};
use crate::backend::{Rows, Statement, Step};
use crate::jobs::Job;

/// The advisory lock that every writer on the database holds while it writes: "doorward" in ASCII.
pub(super) const LOCK: i64 = 0x646f_6f72_7761_7264;
/// How long a group may take in all, its wait for other processes included.
const PATIENCE: Duration = Duration::from_secs(60);
/// Statements sent without waiting for each other's answer.
const IN_FLIGHT: usize = 16;

/// How a group ended; but for the first way nothing of it remains, as far as anybody can know.
enum End {
    /// Committed; what each transaction has to be told.
    Committed(Vec<Result<u64, StoreError>>),
    /// One of the transactions failed, and the connection goes on.
    Steps,
    /// Nothing was sent: the connection had ended while it lay idle.
    NotBegun,
    /// What surrounds the transactions failed, or the connection, or patience.
    Store(StoreError),
}

/// Runs a group and answers all of it.
///
/// 1. All of them in one go, because conflicts are rare and savepoints cost two statements each.
/// 2. If one failed: again, each in its savepoint, so that a failure undoes its own transaction alone.
///
/// Nobody is answered `Ok` before COMMIT came back. When COMMIT itself fails nobody knows whether it was done, and
/// everybody is told [`StoreError::Unavailable`].
pub(super) async fn run(pool: &Pool, group: Vec<Job>, busy_ms: u64) {
    let mut end = attempt(pool, &group, busy_ms, group.len() == 1).await;
    if matches!(end, End::NotBegun) {
        end = attempt(pool, &group, busy_ms, group.len() == 1).await;
    }
    if matches!(end, End::Steps) {
        end = attempt(pool, &group, busy_ms, true).await;
    }
    let error = match end {
        End::Committed(outcomes) => {
            for (job, outcome) in group.into_iter().zip(outcomes) {
                job.tell(outcome);
            }
            return;
        }
        End::Store(error) => error,
        End::Steps | End::NotBegun => {
            StoreError::Unavailable("the connection to PostgreSQL was lost".to_owned())
        }
    };
    tracing::error!(%error, transactions = group.len(), "a group of writes failed");
    let text = match error {
        StoreError::Unavailable(text) | StoreError::Corrupt(text) => text,
        StoreError::Conflict(_) => "a write could not be undone".to_owned(),
    };
    for job in group {
        job.tell(Err(StoreError::Unavailable(text.clone())));
    }
}

async fn attempt(pool: &Pool, group: &[Job], busy_ms: u64, savepoints: bool) -> End {
    let connection = match Connection::of(pool).await {
        Ok(connection) => connection,
        Err(error) => return End::Store(error),
    };
    let work = AssertUnwindSafe(transaction(&connection, group, busy_ms, savepoints)).catch_unwind();
    let end = match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(end)) => end,
        Ok(Err(_)) => End::Store(StoreError::Unavailable("a write panicked".to_owned())),
        Err(_) => End::Store(StoreError::Unavailable("PostgreSQL takes too long to write".to_owned())),
    };
    match end {
        End::Committed(_) => {}
        End::Steps if connection.batch_execute("ROLLBACK").await.is_ok() => {}
        _ => connection.discard(),
    }
    end
}

async fn transaction(connection: &ClientWrapper, group: &[Job], busy_ms: u64, savepoints: bool) -> End {
    let durable = group.iter().any(|job| job.durability == Durability::Durable);
    // Said either way: the server's own setting may be weaker than what is promised here.
    let sync = if durable { "on" } else { "off" };
    // Each statement sees what was committed before it began, and after the lock nobody else commits.
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = {sync}; SET LOCAL lock_timeout = {busy_ms}; \
         SELECT pg_advisory_xact_lock({LOCK})"
    );
    match connection.batch_execute(&begin).await {
        Ok(()) => {}
        Err(error) if error.as_db_error().is_none() => return End::NotBegun,
        Err(error) => return End::Store(store_error(&error)),
    }
    let outcomes = if savepoints {
        let mut outcomes = Vec::with_capacity(group.len());
        for job in group {
            match in_savepoint(connection, &job.steps).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => return End::Store(error),
            }
        }
        outcomes
    } else {
        let work: Vec<&[Step]> = group.iter().map(|job| &*job.steps).collect();
        match steps(connection, &work).await {
            Ok(touched) => touched.into_iter().map(Ok).collect(),
            Err(error) if connection.is_closed() => return End::Store(error),
            Err(_) => return End::Steps,
        }
    };
    match connection.batch_execute("COMMIT").await {
        Ok(()) => End::Committed(outcomes),
        Err(error) => End::Store(store_error(&error)),
    }
}

/// One transaction inside its savepoint. The outer error is the group's, the inner one its own.
async fn in_savepoint(
    connection: &ClientWrapper,
    work: &[Step],
) -> Result<Result<u64, StoreError>, StoreError> {
    let say = async |sql: &str| connection.batch_execute(sql).await.map_err(|error| store_error(&error));
    say("SAVEPOINT one").await?;
    match steps(connection, &[work]).await {
        Ok(touched) => {
            say("RELEASE one").await?;
            Ok(Ok(touched.iter().sum()))
        }
        Err(error) => {
            say("ROLLBACK TO one; RELEASE one").await?;
            Ok(Err(error))
        }
    }
}

/// Statements that are still to be sent, each with the number of its transaction.
#[derive(Default)]
struct Waiting<'s>(Vec<(usize, Cow<'s, Statement>)>);

impl Waiting<'_> {
    /// Sends them, and `query` behind the last of them. Adds up how many rows each transaction changed.
    async fn send(
        &mut self,
        connection: &ClientWrapper,
        query: Option<&Statement>,
        touched: &mut [u64],
    ) -> Result<Rows, StoreError> {
        let waiting = std::mem::take(&mut self.0);
        let mut rest = waiting.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(IN_FLIGHT));
            let statements: Vec<&Statement> = now.iter().map(|(_, statement)| &**statement).collect();
            let query = query.filter(|_| later.is_empty());
            let (counts, rows) = run::statements(connection, &statements, query).await?;
            for ((transaction, _), count) in now.iter().zip(counts) {
                touched[*transaction] += count;
            }
            if later.is_empty() {
                return Ok(rows);
            }
            rest = later;
        }
    }
}

/// Runs transactions one behind the other; returns how many rows each changed. What one of them derives from a query is
/// sent together with what the next begins with, so that there is one wait for each query.
async fn steps(connection: &ClientWrapper, transactions: &[&[Step]]) -> Result<Vec<u64>, StoreError> {
    let mut touched = vec![0; transactions.len()];
    let mut waiting = Waiting::default();
    for (number, steps) in transactions.iter().enumerate() {
        for step in *steps {
            match step {
                Step::Run(statement) => waiting.0.push((number, Cow::Borrowed(statement))),
                Step::Read { query, derive } => {
                    let rows = waiting.send(connection, Some(query), &mut touched).await?;
                    waiting.0.extend(derive(&rows)?.into_iter().map(|derived| (number, Cow::Owned(derived))));
                }
            }
        }
    }
    waiting.send(connection, None, &mut touched).await?;
    Ok(touched)
}
