//! Schema changes on SQLite.

use std::path::Path;

use doorward_core::ports::StoreError;
use rusqlite::{Connection, OpenFlags};

use super::connection::store_error;
use crate::migrate::{Applied, MIGRATIONS, Migration, Pending, TABLE, Upgrade, all_pending, behind, plan};
use crate::store::Options;

/// Applies what is missing, each migration in a transaction of its own, or refuses.
pub(super) fn bring_up_to_date(connection: &Connection, options: &Options) -> Result<(), StoreError> {
    if options.upgrade == Upgrade::Refuse {
        return is_up_to_date(connection);
    }
    loop {
        // Taking the write lock first makes a second process wait here and then find the work done.
        connection.execute_batch("BEGIN IMMEDIATE").map_err(store_error)?;
        match next(connection, options.now_ms) {
            Ok(true) => connection.execute_batch("COMMIT").map_err(store_error)?,
            Ok(false) => return connection.execute_batch("COMMIT").map_err(store_error),
            Err(error) => {
                if let Err(rollback) = connection.execute_batch("ROLLBACK") {
                    tracing::error!(%rollback, "a failed migration could not be rolled back");
                }
                return Err(error);
            }
        }
    }
}

/// Refuses a file that lacks something.
pub(super) fn is_up_to_date(connection: &Connection) -> Result<(), StoreError> {
    behind(&plan(&applied(connection)?, MIGRATIONS)?)
}

/// Applies the next migration; `false` if there is none.
fn next(connection: &Connection, now_ms: i64) -> Result<bool, StoreError> {
    let applied = applied(connection)?;
    let missing = plan(&applied, MIGRATIONS)?;
    let Some(migration) = missing.first() else { return Ok(false) };
    connection.execute_batch(TABLE).map_err(store_error)?;
    apply(connection, migration, now_ms)?;
    Ok(true)
}

fn apply(connection: &Connection, migration: &Migration, now_ms: i64) -> Result<(), StoreError> {
    connection.execute_batch(migration.sql).map_err(store_error)?;
    connection
        .execute(
            "INSERT INTO migration (version, name, checksum, applied_at_ms) VALUES ($1, $2, $3, $4)",
            (migration.version, migration.name, migration.checksum(), now_ms),
        )
        .map_err(store_error)?;
    Ok(())
}

fn applied(connection: &Connection) -> Result<Vec<Applied>, StoreError> {
    let (ours, tables): (bool, i64) = connection
        .query_row(
            "SELECT COALESCE(MAX(name = 'migration'), 0), COUNT(*) FROM sqlite_master WHERE type = 'table'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(store_error)?;
    match (ours, tables) {
        (true, _) => {}
        (false, 0) => return Ok(Vec::new()),
        // A wrong path must not end as somebody else's database with our tables in it.
        (false, _) => return Err(StoreError::Corrupt("the file is another program's database".into())),
    }
    let mut query = connection
        .prepare("SELECT version, name, checksum FROM migration ORDER BY version")
        .map_err(store_error)?;
    let rows = query
        .query_map([], |row| Ok(Applied { version: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? }))
        .map_err(store_error)?;
    rows.collect::<Result<_, _>>().map_err(store_error)
}

/// What a file still lacks; everything if there is no file. Changes nothing.
pub(crate) fn pending(path: &Path) -> Result<Vec<Pending>, StoreError> {
    if !path.exists() {
        return Ok(all_pending());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(store_error)?;
    Ok(plan(&applied(&connection)?, MIGRATIONS)?.into_iter().map(Pending::from).collect())
}
