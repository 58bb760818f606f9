//! Connections as this store wants them, and what their errors mean.

use std::path::Path;
use std::time::Duration;

use doorward_core::ports::{Conflict, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, ffi};

use crate::store::Options;

/// Statements a connection keeps prepared; above the number of different texts the store uses.
const PREPARED: usize = 192;
/// Pages the writer keeps in memory, at most: the upper levels and the newest leaves of every index.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
/// The same for who looks for single rows, SQLite's own, and for who reads many: those that somebody's threads stand in,
/// so that the next page of them is not read again.
pub(super) const POINT_CACHE_KIB: u32 = 2_000;
pub(super) const SCAN_CACHE_KIB: u32 = 8 * 1024;
/// How long the write-ahead log grows before its pages are moved into the file (32 MiB at the usual 4 KiB). Pages
/// are written once for all commits between, so at SQLite's own 1,000 most of the writing is moving.
const CHECKPOINT_PAGES: u32 = 8_192;
/// What the log is cut to when it starts over.
const LOG_KEPT_BYTES: u32 = 64 * 1024 * 1024;
/// Readers wait only for recovery after a crash; they never wait for the writer.
const READER_BUSY_MS: u64 = 1_000;
/// How often turning on WAL is tried while another process does the same: SQLite does not wait there by itself.
const WAL_ATTEMPTS: u32 = 100;
const WAL_PAUSE_MS: u64 = 20;

fn open(path: &Path, busy_ms: u64, access: OpenFlags) -> Result<Connection, StoreError> {
    // No URI flag: a `?` in a path is a character, not the start of options. No CREATE: `files` creates.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(store_error)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    // Plans by the statement alone: otherwise SQLite prepares anew, at every run, whatever it could plan differently
    // for other values, which is most of what has an ORDER BY.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(store_error)?;
    connection.busy_timeout(Duration::from_millis(busy_ms)).map_err(store_error)?;
    connection
        .execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;")
        .map_err(store_error)?;
    Ok(connection)
}

/// The connection that writes.
pub(super) fn writer(path: &Path, options: &Options, scratch: bool) -> Result<Connection, StoreError> {
    let connection = open(path, options.busy_ms, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    turn_on_wal(&connection)?;
    let synchronous = if scratch { "OFF" } else { "FULL" };
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA journal_size_limit = {LOG_KEPT_BYTES}; \
             PRAGMA cache_size = -{WRITER_CACHE_KIB}; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
        ))
        .map_err(store_error)?;
    if let Some(max_size_bytes) = options.max_size_bytes {
        let page: u64 = connection
            .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
            .map_err(store_error)?
            .unsigned_abs()
            .max(512);
        let pages = i64::try_from(max_size_bytes / page).unwrap_or(i64::MAX).clamp(1, 4_294_967_294);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(store_error)?;
    }
    Ok(connection)
}

/// A connection that reads and cannot write; `cache_kib` is what it keeps in memory, at most.
pub(super) fn reader(path: &Path, cache_kib: u32) -> Result<Connection, StoreError> {
    let connection = open(path, READER_BUSY_MS, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection
        .execute_batch(&format!("PRAGMA query_only = ON; PRAGMA cache_size = -{cache_kib};"))
        .map_err(store_error)?;
    Ok(connection)
}

/// A connection of somebody who only looks: unlike a reader it does not tidy up the write-ahead log when it goes.
pub(crate) fn onlooker(path: &Path) -> Result<Connection, StoreError> {
    open(path, READER_BUSY_MS, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A connection to a file that nobody else has open, for copies and what becomes of them.
pub(crate) fn alone(path: &Path, busy_ms: u64) -> Result<Connection, StoreError> {
    open(path, busy_ms, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn turn_on_wal(connection: &Connection) -> Result<(), StoreError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
            .map_err(store_error)
        {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Err(error @ StoreError::Corrupt(_)) => return Err(error),
            Err(error) if attempt >= WAL_ATTEMPTS => return Err(error),
            Ok(mode) if attempt >= WAL_ATTEMPTS => {
                return Err(StoreError::Unavailable(format!(
                    "the file system under the store cannot do write-ahead logging (mode {mode})"
                )));
            }
            _ => std::thread::sleep(Duration::from_millis(WAL_PAUSE_MS)),
        }
    }
}

/// What an error of SQLite means to the store's callers. Decided by code, never by message.
pub(crate) fn store_error(error: Error) -> StoreError {
    let Some(inner) = error.sqlite_error() else {
        return StoreError::Corrupt(format!("SQLite driver: {error}"));
    };
    match (inner.code, inner.extended_code) {
        (ErrorCode::ConstraintViolation, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => {
            StoreError::Conflict(Conflict::Missing)
        }
        (
            ErrorCode::ConstraintViolation,
            ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE,
        ) => StoreError::Conflict(Conflict::Exists),
        (
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport,
            _,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Corrupt(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_kept_statement_is_prepared_once() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store.db");
        super::super::files::create(&path).expect("the file can be made");
        let connection = writer(&path, &Options::default(), false).expect("it opens");
        connection.execute_batch("CREATE TABLE t (a TEXT, b BIGINT, PRIMARY KEY (a, b))").expect("a table");
        for round in 0..10_i64 {
            let mut kept = connection
                .prepare_cached("SELECT b FROM t WHERE a = $1 ORDER BY b DESC LIMIT 1")
                .expect("a statement");
            let found = kept.query_row((round.to_string(),), |row| row.get::<_, i64>(0));
            assert!(matches!(found, Err(Error::QueryReturnedNoRows)), "round {round}: {found:?}");
            assert_eq!(kept.get_status(StatementStatus::RePrepare), 0, "round {round}");
        }
    }
}
