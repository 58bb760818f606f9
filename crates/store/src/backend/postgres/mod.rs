//! PostgreSQL: a pool for reads, one writer with group commit, one lock for all writers on the database.
//!
//! ```text
//! point, scan ─► a connection of the read pool
//! transact    ─ bounded queue ─► writer: BEGIN, the lock, all of the group, COMMIT ─► every answer of the group
//! ```
//!
//! The lock makes writers of several processes take turns, so that the feed of changes and the audit chains have no
//! gaps that fill later (`docs/adr/0010-one-writer-on-postgresql.md`). Readers never wait for it.

mod address;
mod connect;
mod group;
mod migrate;
mod run;
mod text;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use doorward_core::ports::{Durability, StoreError, StoreFuture};
use futures_util::{StreamExt, pin_mut};

use self::address::Address;
use self::connect::{Connection, Purpose};
use self::writer::Writer;
use super::{Answer, Backend, EachRows, Opened, Rows, Step, Value};
use crate::migrate::{Pending, Upgrade};
use crate::store::Options;

pub(super) use address::name;

/// Rows and bytes of one piece of a scan.
const PIECE: (usize, usize) = (256, 256 << 10);
/// How long a row may let itself be waited for.
const WAIT: Duration = Duration::from_secs(30);

/// An open PostgreSQL database.
pub(super) struct Postgres {
    reads: Pool,
    writer: Writer,
}

/// Opens what `address` names (`postgres://user:password@host/database`).
pub(super) fn open(address: &str, options: &Options) -> Opened {
    let address = Address::parse(address)?;
    let upgrade = if options.read_only { Upgrade::Refuse } else { options.upgrade };
    migrate::bring_up_to_date(&address, &Options { upgrade, ..options.clone() })?;
    let reads = connect::pool(&address, options.connections, Purpose::Reads)?;
    // The database itself refuses what only looks and yet writes.
    let purpose = if options.read_only { Purpose::Reads } else { Purpose::Writes };
    let writer = Writer::new(connect::pool(&address, 1, purpose)?, options);
    Ok(Arc::new(Postgres { reads, writer }))
}

/// What opening would still apply.
pub(super) fn pending(address: &str) -> Result<Vec<Pending>, StoreError> {
    migrate::pending(&Address::parse(address)?)
}

impl Postgres {
    async fn read(&self, sql: &str, params: &[Value<'_>]) -> Result<Rows, StoreError> {
        let connection = Connection::of(&self.reads).await?;
        match tokio::time::timeout(WAIT, run::query(&connection, sql, params)).await {
            // The server went away while the connection lay idle. A read can be asked again.
            Ok(Err(StoreError::Unavailable(_))) if connection.is_closed() => {
                let connection = Connection::of(&self.reads).await?;
                run::query(&connection, sql, params).await
            }
            Ok(other) => other,
            Err(_) => Err(given_up(connection)),
        }
    }

    async fn pieces(&self, sql: &str, params: &[Value<'_>], each: EachRows<'_>) -> Result<(), StoreError> {
        let connection = Connection::of(&self.reads).await?;
        let found = run::stream(&connection, sql, params).await?;
        pin_mut!(found);
        let mut rows = Rows::new(0);
        let mut count = 0;
        loop {
            let row = match tokio::time::timeout(WAIT, found.next()).await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(_) => return Err(given_up(connection)),
            };
            let row = row.map_err(|error| run::store_error(&error))?;
            if count == 0 {
                rows = Rows::new(row.len());
            }
            run::push(&mut rows, &row)?;
            count += 1;
            if count == PIECE.0 || rows.size_bytes() >= PIECE.1 {
                count = 0;
                each(&rows)?;
            }
        }
        if count > 0 { each(&rows) } else { Ok(()) }
    }
}

/// A connection that did not answer is closed: its next user would wait for what this one no longer wants.
fn given_up(connection: Connection) -> StoreError {
    connection.discard();
    StoreError::Unavailable("PostgreSQL takes too long to answer".to_owned())
}

impl Backend for Postgres {
    fn point<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>]) -> Answer<'a, Rows> {
        Answer::Later(Box::pin(self.read(sql, params)))
    }

    fn scan<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>], each: EachRows<'a>) -> StoreFuture<'a, ()> {
        Box::pin(self.pieces(sql, params, each))
    }

    fn transact(&self, steps: Vec<Step>, durability: Durability) -> StoreFuture<'_, u64> {
        Box::pin(self.writer.transact(steps, durability))
    }
}
