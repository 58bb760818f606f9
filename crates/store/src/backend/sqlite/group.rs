//! Group commit: many transactions, one COMMIT, then all answers.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use doorward_core::ports::{Durability, StoreError};
use rusqlite::Connection;

use super::connection::store_error;
use super::run;
use crate::backend::Step;
use crate::jobs::Job;

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

/// How a group ended; but for the first way it is undone.
enum End {
    /// Committed; what each transaction has to be told.
    Committed(Vec<Result<u64, StoreError>>),
    /// One of the transactions failed.
    Steps(StoreError),
    /// What surrounds the transactions failed: BEGIN or COMMIT.
    Store(StoreError),
}

/// Runs a group and answers all of it; tells `committed` how many transactions a COMMIT carried. `Break` when the
/// connection is beyond use.
///
/// 1. All of them in one go. Conflicts are rare, and a savepoint copies every page that its transaction touches,
///    which costs more than the statements themselves.
/// 2. If one failed: again, each in its savepoint, so that a conflict undoes its own transaction alone.
/// 3. If one failed by more than a conflict (no room, a panic): each by itself, so that it takes nobody along.
///
/// Nobody is answered `Ok` before COMMIT came back; if BEGIN or COMMIT fails, everybody is told
/// [`StoreError::Unavailable`].
pub(super) fn run(
    connection: &Connection,
    group: Vec<Job>,
    sync: &mut Sync,
    committed: &dyn Fn(usize),
) -> ControlFlow<()> {
    let mut end = attempt(connection, &group, sync, |steps| run_steps(connection, steps).map(Ok));
    if matches!(end, End::Steps(_)) && group.len() > 1 && connection.is_autocommit() {
        end = attempt(connection, &group, sync, |steps| in_savepoint(connection, steps));
    }
    let usable = connection.is_autocommit();
    match end {
        End::Committed(outcomes) => {
            committed(group.len());
            for (job, outcome) in group.into_iter().zip(outcomes) {
                job.tell(outcome);
            }
        }
        End::Steps(error) if usable && group.len() == 1 => {
            for (job, error) in group.into_iter().zip([error]) {
                job.tell(Err(error));
            }
        }
        End::Steps(_) if usable => {
            for job in group {
                run(connection, vec![job], sync, committed)?;
            }
        }
        End::Steps(error) | End::Store(error) => {
            tracing::error!(%error, transactions = group.len(), usable, "a group of writes failed");
            for job in group {
                job.tell(Err(StoreError::Unavailable(text(&error))));
            }
        }
    }
    if usable { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// What went wrong, without the words that [`StoreError::Unavailable`] puts before it.
fn text(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(text) | StoreError::Corrupt(text) => text.clone(),
        StoreError::Conflict(_) => "a write could not be undone".to_owned(),
    }
}

/// BEGIN, every transaction by `apply`, COMMIT; undoes all of it if anything fails. The outer error of `apply` is
/// the group's, the inner one the transaction's own.
fn attempt(
    connection: &Connection,
    group: &[Job],
    sync: &mut Sync,
    apply: impl Fn(&[Step]) -> Result<Result<u64, StoreError>, StoreError>,
) -> End {
    let durable = group.iter().any(|job| job.durability == Durability::Durable);
    let in_steps = Cell::new(false);
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        sync.want(connection, durable)?;
        statement(connection, "BEGIN IMMEDIATE")?;
        in_steps.set(true);
        let outcomes = group.iter().map(|job| apply(&job.steps)).collect::<Result<Vec<_>, _>>()?;
        in_steps.set(false);
        statement(connection, "COMMIT")?;
        Ok::<_, StoreError>(outcomes)
    }));
    let error = match attempt {
        Ok(Ok(outcomes)) => return End::Committed(outcomes),
        Ok(Err(error)) => error,
        Err(_) => StoreError::Unavailable("a write panicked".to_owned()),
    };
    // A full disk or a failing one may have undone the group already.
    if !connection.is_autocommit()
        && let Err(rollback) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%rollback, "a group of writes could not be undone");
    }
    if in_steps.get() { End::Steps(error) } else { End::Store(error) }
}

/// One transaction inside its savepoint.
fn in_savepoint(connection: &Connection, steps: &[Step]) -> Result<Result<u64, StoreError>, StoreError> {
    statement(connection, "SAVEPOINT one")?;
    match run_steps(connection, steps) {
        Ok(touched) => {
            statement(connection, "RELEASE one")?;
            Ok(Ok(touched))
        }
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
