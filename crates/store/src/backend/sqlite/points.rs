//! Point reads on the caller's thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::ports::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;

use super::run;
use crate::backend::{Rows, Value};

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

    /// Runs a query on a free connection, the first one if it can be: its caches are the warmest.
    pub(super) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Rows, StoreError> {
        if let Some(free) = self.connections.iter().find_map(Mutex::try_lock) {
            return run::query(&free, sql, params);
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        run::query(&self.connections[turn].lock(), sql, params)
    }
}
