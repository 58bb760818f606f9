//! The queue in front of the writing thread.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use doorward_core::ports::{Durability, StoreError};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::group::{self, Job};
use crate::backend::Step;
use crate::store::Options;

/// Most transactions in one group, and most of their steps: what bounds how long the first one waits.
const GROUP_JOBS: usize = 256;
const GROUP_STEPS: usize = 2_048;

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
        let (queue, jobs) = mpsc::channel(options.queue.max(1));
        let written = Arc::new(Written::default());
        let counted = Arc::clone(&written);
        let thread = std::thread::Builder::new()
            .name("store-write".into())
            .spawn(move || work(&connection, jobs, scratch, &counted))
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

    /// Queues a transaction and waits for its answer. Dropping the future does not take the transaction back.
    pub(super) async fn transact(&self, steps: Vec<Step>, durability: Durability) -> Result<u64, StoreError> {
        let closed = || StoreError::Unavailable("the store is closing".into());
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        let job = Job { steps, durability, answer };
        match queue.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(closed()),
            Err(mpsc::error::TrySendError::Full(job)) => {
                match tokio::time::timeout(self.wait, queue.send(job)).await {
                    Ok(sent) => sent.map_err(|_| closed())?,
                    Err(_) => return Err(StoreError::Unavailable("too many writes are waiting".into())),
                }
            }
        }
        // A dropped answer means the thread panicked under this group, and its transaction was rolled back.
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the write was interrupted".into())))
    }
}

fn work(connection: &Connection, mut jobs: mpsc::Receiver<Job>, scratch: bool, written: &Written) {
    let mut sync = group::Sync::new(scratch);
    while let Some(first) = jobs.blocking_recv() {
        // Those who were answered together come back together: let them reach the queue before it is read.
        std::thread::yield_now();
        let mut steps = first.steps.len();
        let mut group = vec![first];
        while group.len() < GROUP_JOBS && steps < GROUP_STEPS {
            let Ok(job) = jobs.try_recv() else { break };
            steps += job.steps.len();
            group.push(job);
        }
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
