//! Group commit: many transactions, one COMMIT, then all answers.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use doorward_core::ports::{Durability, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection::store_error;
use super::run;
use crate::backend::Step;

/// A queued transaction.
pub(super) struct Job {
    pub(super) steps: Vec<Step>,
    pub(super) durability: Durability,
    pub(super) answer: oneshot::Sender<Result<u64, StoreError>>,
}

/// How COMMIT treats the disk, changed only when it has to be.
pub(super) struct Sync {
    full: bool,
    never: bool,
}

impl Sync {
    /// As a writing connection starts: full, or never for a store that does not outlive the process.
    pub(super) fn new(never: bool) -> Self {
        Self { full: true, never }
    }

    fn want(&mut self, connection: &Connection, full: bool) -> Result<(), StoreError> {
        if self.never || self.full == full {
            return Ok(());
        }
        let text = if full { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
        connection.execute_batch(text).map_err(store_error)?;
        self.full = full;
        Ok(())
    }
}

/// Runs a group and answers all of it; tells `committed` how many transactions a COMMIT carried. `Break` when the
/// connection is beyond use.
///
/// Nobody is answered `Ok` before COMMIT came back. If a transaction fails by more than a conflict (no room, a
/// panic), the group is undone and each runs by itself, so that one cannot take others with it. If BEGIN or COMMIT
/// fails, everybody is told [`StoreError::Unavailable`].
pub(super) fn run(
    connection: &Connection,
    group: Vec<Job>,
    sync: &mut Sync,
    committed: &dyn Fn(usize),
) -> ControlFlow<()> {
    let durable = group.iter().any(|job| job.durability == Durability::Durable);
    // Whether the failure, if there is one, lies in the transactions and not in what surrounds them.
    let in_steps = Cell::new(false);
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        sync.want(connection, durable)?;
        statement(connection, "BEGIN IMMEDIATE")?;
        in_steps.set(true);
        let outcomes = group.iter().map(|job| one(connection, &job.steps)).collect::<Result<Vec<_>, _>>()?;
        in_steps.set(false);
        statement(connection, "COMMIT")?;
        Ok::<_, StoreError>(outcomes)
    }));
    let failure = match attempt {
        Ok(Ok(outcomes)) => {
            committed(group.len());
            for (job, outcome) in group.into_iter().zip(outcomes) {
                // A caller that stopped waiting does not take its write back.
                let _ = job.answer.send(outcome);
            }
            return ControlFlow::Continue(());
        }
        Ok(Err(StoreError::Unavailable(text) | StoreError::Corrupt(text))) => text,
        Ok(Err(StoreError::Conflict(conflict))) => format!("a conflict outside a transaction: {conflict:?}"),
        Err(_) => "a write panicked".to_owned(),
    };
    let usable = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
    if usable && in_steps.get() && group.len() > 1 {
        for job in group {
            run(connection, vec![job], sync, committed)?;
        }
        return ControlFlow::Continue(());
    }
    tracing::error!(%failure, transactions = group.len(), usable, "a group of writes failed");
    for job in group {
        let _ = job.answer.send(Err(StoreError::Unavailable(failure.clone())));
    }
    if usable { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// One transaction inside its savepoint. The outer error is the group's, the inner one this transaction's own.
fn one(connection: &Connection, steps: &[Step]) -> Result<Result<u64, StoreError>, StoreError> {
    statement(connection, "SAVEPOINT one")?;
    match run_steps(connection, steps) {
        Ok(touched) => {
            statement(connection, "RELEASE one")?;
            Ok(Ok(touched))
        }
        // A full disk or a failing one may have undone the whole group already.
        Err(error @ StoreError::Unavailable(_)) => Err(error),
        Err(error) if connection.is_autocommit() => Err(error),
        Err(error) => {
            statement(connection, "ROLLBACK TO one")?;
            statement(connection, "RELEASE one")?;
            Ok(Err(error))
        }
    }
}

fn run_steps(connection: &Connection, steps: &[Step]) -> Result<u64, StoreError> {
    let mut touched = 0;
    for step in steps {
        match step {
            Step::Run(statement) => touched += run::statement(connection, statement)?,
            Step::Read { query, derive } => {
                let rows = run::query(connection, &query.sql, &query.params)?;
                for statement in derive(&rows)? {
                    touched += run::statement(connection, &statement)?;
                }
            }
        }
    }
    Ok(touched)
}

fn statement(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    let mut prepared = connection.prepare_cached(sql).map_err(store_error)?;
    prepared.raw_execute().map(drop).map_err(store_error)
}
