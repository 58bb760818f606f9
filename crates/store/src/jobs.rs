//! Transactions on their way to whatever writes them: queued one by one, taken in groups.

use std::time::Duration;

use doorward_core::ports::{Durability, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::backend::Step;

/// Most transactions in one group, and most of their steps: what bounds how long the first one waits.
const GROUP_JOBS: usize = 256;
const GROUP_STEPS: usize = 2_048;

/// A queued transaction.
pub(crate) struct Job {
    pub(crate) steps: Vec<Step>,
    pub(crate) durability: Durability,
    answer: oneshot::Sender<Result<u64, StoreError>>,
}

impl Job {
    /// Answers. A caller that stopped waiting does not take its write back.
    pub(crate) fn tell(self, outcome: Result<u64, StoreError>) {
        let _ = self.answer.send(outcome);
    }
}

/// Queues a transaction and waits for its answer; for a place in the queue no longer than `wait`. Dropping the future does
/// not take the transaction back.
pub(crate) async fn submit(
    queue: &mpsc::Sender<Job>,
    wait: Duration,
    steps: Vec<Step>,
    durability: Durability,
) -> Result<u64, StoreError> {
    let closed = || StoreError::Unavailable("the store is closing".into());
    let (answer, answered) = oneshot::channel();
    match queue.try_send(Job { steps, durability, answer }) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Closed(_)) => return Err(closed()),
        Err(mpsc::error::TrySendError::Full(job)) => {
            match tokio::time::timeout(wait, queue.send(job)).await {
                Ok(sent) => sent.map_err(|_| closed())?,
                Err(_) => return Err(StoreError::Unavailable("too many writes are waiting".into())),
            }
        }
    }
    // A dropped answer means that writing panicked under this group, and its transaction was rolled back.
    answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the write was interrupted".into())))
}

/// The first transaction, and those that wait behind it.
pub(crate) fn group(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut steps = first.steps.len();
    let mut group = vec![first];
    while group.len() < GROUP_JOBS && steps < GROUP_STEPS {
        let Ok(job) = jobs.try_recv() else { break };
        steps += job.steps.len();
        group.push(job);
    }
    group
}
