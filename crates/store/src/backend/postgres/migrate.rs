//! Schema changes on PostgreSQL.

use doorward_core::ports::StoreError;
use tokio_postgres::Client;

use super::address::Address;
use super::connect::with_one;
use super::group::LOCK;
use super::run::store_error;
use crate::migrate::{Applied, MIGRATIONS, Pending, TABLE, Upgrade, behind, plan};
use crate::store::Options;

/// Applies what is missing, all of it in one transaction, or refuses.
pub(super) fn bring_up_to_date(address: &Address, options: &Options) -> Result<(), StoreError> {
    with_one(address, |client| async move {
        suits(&client).await?;
        if options.upgrade == Upgrade::Refuse {
            return behind(&plan(&applied(&client).await?, MIGRATIONS)?);
        }
        if plan(&applied(&client).await?, MIGRATIONS)?.is_empty() {
            return Ok(());
        }
        // A second process waits for the lock and then finds the work done.
        batch(&client, &format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {TABLE}")).await?;
        for migration in plan(&applied(&client).await?, MIGRATIONS)? {
            batch(&client, migration.sql).await?;
            let sql =
                "INSERT INTO migration (version, name, checksum, applied_at_ms) VALUES ($1, $2, $3, $4)";
            let checksum = migration.checksum();
            let noted =
                client.execute(sql, &[&migration.version, &migration.name, &checksum, &options.now_ms]).await;
            noted.map_err(|error| store_error(&error))?;
        }
        batch(&client, "COMMIT").await
    })
}

/// What would be applied; changes nothing.
pub(super) fn pending(address: &Address) -> Result<Vec<Pending>, StoreError> {
    with_one(address, |client| async move {
        suits(&client).await?;
        Ok(plan(&applied(&client).await?, MIGRATIONS)?.into_iter().map(Pending::from).collect())
    })
}

/// Every text of ours is UTF-8, and a server that says otherwise would change it on the way.
async fn suits(client: &Client) -> Result<(), StoreError> {
    let row = client.query_one("SELECT current_setting('server_encoding')", &[]).await;
    let encoding: String = row.and_then(|row| row.try_get(0)).map_err(|error| store_error(&error))?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "the database is encoded in {encoding}; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )))
}

async fn applied(client: &Client) -> Result<Vec<Applied>, StoreError> {
    let failed = |error: tokio_postgres::Error| store_error(&error);
    let there = client.query_one("SELECT to_regclass('migration') IS NOT NULL", &[]).await.map_err(failed)?;
    if !there.try_get::<_, bool>(0).map_err(failed)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, name, checksum FROM migration ORDER BY version";
    let rows = client.query(sql, &[]).await.map_err(failed)?;
    let read = |row: &tokio_postgres::Row| {
        Ok(Applied { version: row.try_get(0)?, name: row.try_get(1)?, checksum: row.try_get(2)? })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
}

async fn batch(client: &Client, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(sql).await.map_err(|error| store_error(&error))
}
