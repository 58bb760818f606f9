//! The queue in front of the writing thread.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use doorward_core::ports::{Durability, StoreError};
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::group;
use crate::backend::Step;
use crate::jobs::{self, Job};
use crate::store::Options;

/// What the writing thread has done since it started.
#[derive(Debug, Default)]
pub(super) struct Written {
    transactions: AtomicU64,
    groups: AtomicU64,
}

impl Written {
    /// Transactions that reached the database, each counted once, and COMMITs that carried them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.transactions.load(Ordering::Relaxed), self.groups.load(Ordering::Relaxed))
    }
}

/// The writing thread.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    wait: Duration,
    written: Arc<Written>,
}

impl Writer {
    /// Starts the thread. `scratch` stores are never synced: they do not outlive the process.
    pub(super) fn start(
        connection: Connection,
        options: &Options,
        scratch: bool,
    ) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(options.queue.max(1));
        let written = Arc::new(Written::default());
        let counted = Arc::clone(&written);
        let thread = std::thread::Builder::new()
            .name("store-write".into())
            .spawn(move || work(&connection, waiting, scratch, &counted))
            .map_err(|error| StoreError::Unavailable(format!("no thread for writing: {error}")))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            wait: Duration::from_millis(options.queue_wait_ms),
            written,
        })
    }

    /// What the thread has done so far.
    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// Queues a transaction and waits for its answer. See [`jobs::submit`].
    pub(super) async fn transact(&self, steps: Vec<Step>, durability: Durability) -> Result<u64, StoreError> {
        let closed = || StoreError::Unavailable("the store is closing".into());
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        jobs::submit(queue, self.wait, steps, durability).await
    }
}

fn work(connection: &Connection, mut waiting: mpsc::Receiver<Job>, scratch: bool, written: &Written) {
    let mut sync = group::Sync::new(scratch);
    while let Some(first) = waiting.blocking_recv() {
        // Those who were answered together come back together: let them reach the queue before it is read.
        std::thread::yield_now();
        let group = jobs::group(first, &mut waiting);
        let committed = |transactions: usize| {
            written.transactions.fetch_add(transactions as u64, Ordering::Relaxed);
            written.groups.fetch_add(1, Ordering::Relaxed);
        };
        if group::run(connection, group, &mut sync, &committed) == ControlFlow::Break(()) {
            return;
        }
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the store's last checkpoint was left to the next start");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writing thread of the store ended by a panic");
        }
    }
}
