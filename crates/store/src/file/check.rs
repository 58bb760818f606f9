//! Whether a file holds together.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use doorward_core::ports::StoreError;
use rusqlite::{Connection, ErrorCode};

use crate::backend::sqlite::connection::{onlooker, store_error};

/// Most faults that are told of one file.
const FAULTS: usize = 10;

/// What a look at a whole file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// It holds together.
    Whole,
    /// It does not; the first faults, as SQLite says them.
    Damaged(Vec<String>),
    /// There was not enough time to look at all of it; what was looked at holds together.
    Unfinished,
}

/// Looks at every page of the SQLite file at `path`, for at most `patience`. A server may have it open: it is not held up.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be opened, [`StoreError::Corrupt`] if it is no file of SQLite's.
pub fn integrity(path: &Path, patience: Duration) -> Result<Integrity, StoreError> {
    faults(&onlooker(path)?, Some(patience))
}

/// As [`integrity`], on a connection; without `patience` to the end.
pub(super) fn faults(connection: &Connection, patience: Option<Duration>) -> Result<Integrity, StoreError> {
    let handle = connection.get_interrupt_handle();
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        if let Some(patience) = patience {
            scope.spawn(move || {
                if waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    handle.interrupt();
                }
            });
        }
        let found = look(connection);
        // Nobody waits where there is no limit.
        let _ = done.send(());
        found
    })
}

fn look(connection: &Connection) -> Result<Integrity, StoreError> {
    let sql = format!("PRAGMA quick_check({FAULTS})");
    let rows = connection.prepare(&sql).and_then(|mut query| {
        let rows = query.query_map([], |row| row.get::<_, String>(0))?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    match rows {
        Ok(rows) if rows == ["ok"] => Ok(Integrity::Whole),
        Ok(rows) => Ok(Integrity::Damaged(rows)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(Integrity::Unfinished)
        }
        // Pages that are needed to look at the others.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(Integrity::Damaged(vec![error.to_string()]))
        }
        Err(error) => Err(store_error(error)),
    }
}
