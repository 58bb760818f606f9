//! Point reads on the caller's thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::ports::StoreError;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;

use super::run;
use crate::backend::{Rows, Value};

/// What is read on the caller's thread at most: rows, bytes.
const FEW: (usize, usize) = (32, 64 * 1024);

/// A few connections for reads that are over in microseconds.
pub(super) struct Points {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Points {
    /// Takes over at least one connection.
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self { connections: connections.into_iter().map(Mutex::new).collect(), next: AtomicUsize::new(0) }
    }

    /// Runs a query.
    pub(super) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Rows, StoreError> {
        run::query(&self.free(), sql, params)
    }

    /// Runs a query up to a bound; `None` when it has more rows than that.
    pub(super) fn few(&self, sql: &str, params: &[Value<'_>]) -> Result<Option<Rows>, StoreError> {
        run::few(&self.free(), sql, params, FEW)
    }

    /// A free connection, the first one if it can be: its caches are the warmest.
    fn free(&self) -> MutexGuard<'_, Connection> {
        if let Some(free) = self.connections.iter().find_map(Mutex::try_lock) {
            return free;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[turn].lock()
    }
}
