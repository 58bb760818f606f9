//! The queue in front of the writing task.

use std::time::Duration;

use deadpool_postgres::Pool;
use doorward_core::ports::{Durability, StoreError};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::group::{self, Job};
use crate::backend::Step;
use crate::store::Options;

/// Most transactions in one group, and most of their steps: what bounds how long the first one waits.
const GROUP_JOBS: usize = 256;
const GROUP_STEPS: usize = 2_048;

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
                let (sender, jobs) = mpsc::channel(self.room);
                tokio::spawn(work(self.pool.clone(), jobs, self.busy_ms));
                *queue = Some(sender.clone());
                sender
            }
        }
    }

    /// Queues a transaction and waits for its answer. Dropping the future does not take the transaction back.
    pub(super) async fn transact(&self, steps: Vec<Step>, durability: Durability) -> Result<u64, StoreError> {
        let queue = self.queue();
        let (answer, answered) = oneshot::channel();
        let job = Job { steps, durability, answer };
        match tokio::time::timeout(self.wait, queue.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(StoreError::Unavailable("the store is closing".into())),
            Err(_) => return Err(StoreError::Unavailable("too many writes are waiting".into())),
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the write was interrupted".into())))
    }
}

async fn work(pool: Pool, mut jobs: mpsc::Receiver<Job>, busy_ms: u64) {
    while let Some(first) = jobs.recv().await {
        // Those who were answered together come back together: let them reach the queue before it is read.
        tokio::task::yield_now().await;
        let mut steps = first.steps.len();
        let mut group = vec![first];
        while group.len() < GROUP_JOBS && steps < GROUP_STEPS {
            let Ok(job) = jobs.try_recv() else { break };
            steps += job.steps.len();
            group.push(job);
        }
        group::run(&pool, group, busy_ms).await;
    }
}
