//! The queue in front of the writing task.

use std::time::Duration;

use deadpool_postgres::Pool;
use doorward_core::ports::{Durability, StoreError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::group;
use crate::backend::Step;
use crate::jobs::{self, Job};
use crate::store::Options;

/// The writing task, begun with the first write in the runtime of whoever writes.
pub(super) struct Writer {
    pool: Pool,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    room: usize,
    wait: Duration,
    busy_ms: u64,
}

impl Writer {
    pub(super) fn new(pool: Pool, options: &Options) -> Self {
        Self {
            pool,
            queue: Mutex::new(None),
            room: options.queue.max(1),
            wait: Duration::from_millis(options.queue_wait_ms),
            busy_ms: options.busy_ms.max(1),
        }
    }

    /// The queue of a task that lives: a runtime that ended took its task along.
    fn queue(&self) -> mpsc::Sender<Job> {
        let mut queue = self.queue.lock();
        match &*queue {
            Some(living) if !living.is_closed() => living.clone(),
            _ => {
                let (sender, waiting) = mpsc::channel(self.room);
                tokio::spawn(work(self.pool.clone(), waiting, self.busy_ms));
                *queue = Some(sender.clone());
                sender
            }
        }
    }

    /// Queues a transaction and waits for its answer. See [`jobs::submit`].
    pub(super) async fn transact(&self, steps: Vec<Step>, durability: Durability) -> Result<u64, StoreError> {
        jobs::submit(&self.queue(), self.wait, steps, durability).await
    }
}

async fn work(pool: Pool, mut waiting: mpsc::Receiver<Job>, busy_ms: u64) {
    while let Some(first) = waiting.recv().await {
        // Those who were answered together come back together: let them reach the queue before it is read.
        tokio::task::yield_now().await;
        let group = jobs::group(first, &mut waiting);
        group::run(&pool, group, busy_ms).await;
    }
}
