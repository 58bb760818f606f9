//! Runs of threads.

use doorward_core::agents::model::{Run, RunStatus};
use doorward_core::id::{RunId, ThreadId};
use doorward_core::ports::store::Page;
use doorward_core::ports::{Conflict, StoreError};

use super::json;
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, thread, status, error, created_at_ms, finished_at_ms, details FROM run ", $rest)
    };
}

/// A thread that is gone breaks the reference, which is the conflict `Missing`.
pub(super) fn insert(run: Run) -> Result<Step, StoreError> {
    let details = json(&run.details)?;
    Ok(Step::row(
        "INSERT INTO run (id, thread, status, error, created_at_ms, finished_at_ms, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        owned![
            &run.id,
            &run.thread,
            run.status.as_str(),
            run.error,
            run.created_at_ms,
            run.finished_at_ms,
            details,
        ],
        Conflict::Exists,
    ))
}

pub(super) fn begin(id: &RunId) -> Step {
    Step::row(
        "UPDATE run SET status = 'running' WHERE id = $1 AND status = 'pending'",
        owned![id],
        Conflict::Missing,
    )
}

pub(super) fn delete(id: &RunId, with_messages: bool, to: &mut Vec<Step>) {
    if with_messages {
        to.push(Step::any(
            "DELETE FROM message WHERE thread IN (SELECT thread FROM run WHERE id = $1) AND run = $1",
            owned![id],
        ));
    }
    to.push(Step::row("DELETE FROM run WHERE id = $1", owned![id], Conflict::Missing));
}

pub(super) fn finish(id: &RunId, status: RunStatus, error: Option<String>, at_ms: i64) -> Step {
    Step::row(
        "UPDATE run SET status = $2, error = $3, finished_at_ms = $4 WHERE id = $1 \
         AND status IN ('pending', 'running')",
        owned![id, status.as_str(), error, at_ms],
        Conflict::Missing,
    )
}

pub(super) fn interrupt_all(at_ms: i64) -> Step {
    Step::any(
        "UPDATE run SET status = 'interrupted', finished_at_ms = $1 WHERE status IN ('pending', 'running')",
        owned![at_ms],
    )
}

fn read(row: Row<'_>) -> Result<Run, StoreError> {
    Ok(Run {
        id: row.text(0)?.into(),
        thread: row.text(1)?.into(),
        status: RunStatus::parse(row.text(2)?)
            .ok_or_else(|| StoreError::Corrupt("a run has an unknown status".into()))?,
        error: row.maybe_string(3)?,
        created_at_ms: row.i64(4)?,
        finished_at_ms: row.maybe_i64(5)?,
        details: row.json(6)?,
    })
}

pub(super) async fn page(store: &SqlStore, thread: &ThreadId, page: Page) -> Result<Vec<Run>, StoreError> {
    let (thread, limit) = (Value::from(thread), Value::from(page.limit));
    match page.after.as_deref() {
        Some(after) => {
            let sql = select!("WHERE thread = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
            store.in_order(sql, &[thread, after.into(), limit], read).await
        }
        None => {
            store
                .in_order(select!("WHERE thread = $1 ORDER BY id DESC LIMIT $2"), &[thread, limit], read)
                .await
        }
    }
}

pub(super) async fn one(store: &SqlStore, thread: &ThreadId, id: &RunId) -> Result<Option<Run>, StoreError> {
    store.one(select!("WHERE id = $1 AND thread = $2"), &[id.into(), thread.into()], read).await
}

/// How many threads one statement asks about: few texts, so that each is prepared once.
const ASKED: [usize; 3] = [1, 16, 128];

pub(super) async fn newest(store: &SqlStore, threads: &[ThreadId]) -> Result<Vec<Run>, StoreError> {
    let mut found = Vec::with_capacity(threads.len());
    for some in threads.chunks(ASKED[ASKED.len() - 1]) {
        let size = ASKED.into_iter().find(|size| some.len() <= *size).unwrap_or(some.len());
        // One walk of the index for each: joined to what it finds, PostgreSQL would rather read a small table whole.
        let one = |place: usize| {
            format!(
                "SELECT * FROM (SELECT id, thread, status, error, created_at_ms, finished_at_ms, '{{}}' AS details \
                 FROM run WHERE thread = ${place} ORDER BY id DESC LIMIT 1) AS newest"
            )
        };
        let sql = (1..=size).map(one).collect::<Vec<_>>().join(" UNION ALL ");
        // Nobody stands in the places that are left.
        let mut params: Vec<Value<'_>> = some.iter().map(Value::from).collect();
        params.resize(size, Value::from(""));
        found.extend(store.list(&sql, &params, read).await?);
    }
    Ok(found)
}
