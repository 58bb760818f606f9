//! The store: core's ports over any backend.

use std::path::Path;
use std::sync::Arc;

use doorward_core::ports::StoreError;

use crate::backend::{self, Backend, Row, Value};
use crate::migrate::Upgrade;

/// How to open a store. `Options::default()` suits a server; give `now_ms` where a clock is at hand.
#[derive(Debug, Clone)]
pub struct Options {
    /// The moment of opening, noted beside migrations it applies.
    pub now_ms: i64,
    /// What to do with a schema that is behind.
    pub upgrade: Upgrade,
    /// Transactions that may wait for the writer.
    pub queue: usize,
    /// How long a write waits for a place in that queue.
    pub queue_wait_ms: u64,
    /// How long a group of writes waits for another process's.
    pub busy_ms: u64,
    /// Connections for reads of single rows (SQLite).
    pub point_readers: usize,
    /// Threads, each with a connection, for reads of many rows (SQLite).
    pub scan_readers: usize,
    /// Connections for reads (PostgreSQL); one more writes.
    pub connections: usize,
    /// Refuse to grow past this size (SQLite).
    pub max_size_bytes: Option<u64>,
    /// Only look: nothing is made or brought up to date, and writes are refused.
    pub read_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            now_ms: 0,
            upgrade: Upgrade::Apply,
            queue: 1_024,
            queue_wait_ms: 5_000,
            busy_ms: 5_000,
            point_readers: 4,
            scan_readers: 2,
            connections: 8,
            max_size_bytes: None,
            read_only: false,
        }
    }
}

/// Everything durable, in a database. Clones share it; the last one to go finishes queued writes and closes it.
#[derive(Clone)]
pub struct SqlStore {
    pub(crate) backend: Arc<dyn Backend>,
}

impl SqlStore {
    /// Opens the store at `address`: a path, `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`. A file that does not exist is created for its owner
    /// alone, and a schema that is behind is brought up to date, as far as `options` allow.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the schema is newer than this build or was altered, or the file is no store;
    /// [`StoreError::Unavailable`] if it cannot be opened or written.
    pub fn open(address: &str, options: &Options) -> Result<Self, StoreError> {
        Ok(Self { backend: (backend::find(address)?.open)(address, options)? })
    }

    /// As [`SqlStore::open`] for a path that need not be text.
    ///
    /// # Errors
    /// As [`SqlStore::open`]; [`StoreError::Unavailable`] for a path that is not UTF-8.
    pub fn open_path(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let text = path.to_str().ok_or_else(|| {
            StoreError::Unavailable(format!("{}: a store's path has to be UTF-8", path.display()))
        })?;
        Self::open(&format!("sqlite:{text}"), options)
    }

    /// An empty store that is gone with the last clone, for tests and trials.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the directory for temporary files cannot be written.
    pub fn memory() -> Result<Self, StoreError> {
        Self::open("sqlite::memory:", &Options::default())
    }

    /// A store over a backend of one's own.
    #[must_use]
    pub fn over(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The one row of a point query.
    pub(crate) async fn one<T>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        read: fn(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.backend.point(sql, params).await?.first().map(read).transpose()
    }

    /// Every row of a query whose rows an index finds in order, as those of one thread are: a few are read at once.
    pub(crate) async fn in_order<T: Send>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        read: fn(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        match self.backend.few(sql, params).await? {
            Some(rows) => rows.iter().map(read).collect(),
            None => self.list(sql, params, read).await,
        }
    }

    /// Every row of a query that may return many.
    pub(crate) async fn list<T: Send>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        read: fn(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        let mut each = |rows: &backend::Rows| {
            all.reserve(rows.len());
            for row in rows.iter() {
                all.push(read(row)?);
            }
            Ok(())
        };
        self.backend.scan(sql, params, &mut each).await?;
        Ok(all)
    }
}
