//! One run of a thread after the other, where a surface has it so (LangGraph's `multitask_strategy`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

use crate::id::ThreadId;

/// Most runs that wait for one thread.
pub const MAX_WAITING: usize = 32;

/// How a run gets along with those that are unfinished in its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It goes on beside them.
    Beside,
    /// It waits.
    Queue,
    /// It is refused.
    Reject,
    /// It stops them, then goes on.
    Interrupt,
    /// It stops and forgets them with what they said, then goes on.
    Rollback,
}

/// The turns of this process's threads.
#[derive(Default)]
pub struct Turns(Arc<Mutex<HashMap<ThreadId, Arc<Queue<()>>>>>);

/// A place in a thread's queue; dropping it lets the next one in.
pub struct Place {
    turns: Arc<Mutex<HashMap<ThreadId, Arc<Queue<()>>>>>,
    thread: ThreadId,
    queue: Arc<Queue<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// A place in a thread's queue, or nothing if too many wait there.
    pub(super) fn place(&self, thread: &ThreadId) -> Option<Place> {
        let mut turns = self.0.lock();
        let queue = turns.entry(thread.clone()).or_default();
        if Arc::strong_count(queue) > MAX_WAITING {
            return None;
        }
        let queue = Arc::clone(queue);
        Some(Place { turns: Arc::clone(&self.0), thread: thread.clone(), queue, held: None })
    }
}

impl Place {
    /// Takes the turn if it is nobody's.
    pub(super) fn take_now(&mut self) -> bool {
        if self.held.is_none() {
            self.held = Arc::clone(&self.queue).try_lock_owned().ok();
        }
        self.held.is_some()
    }

    /// Takes the turn when it comes, in the order of asking.
    pub(super) async fn take(&mut self) {
        if self.held.is_none() {
            self.held = Some(Arc::clone(&self.queue).lock_owned().await);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held = None;
        let mut turns = self.turns.lock();
        // The table's and ours: nobody else stands there.
        if Arc::strong_count(&self.queue) == 2 {
            turns.remove(&self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_come_one_after_the_other_and_leave_nothing_behind() {
        let turns = Turns::default();
        let thread = ThreadId::from("t");
        let mut first = turns.place(&thread).expect("room");
        let mut second = turns.place(&thread).expect("room");
        assert!(first.take_now() && !second.take_now());
        let other = turns.place(&ThreadId::from("u")).map(|mut place| place.take_now());
        assert_eq!(other, Some(true), "another thread's turn is its own");
        let waiting = tokio::spawn(async move {
            second.take().await;
            second
        });
        drop(first);
        drop(waiting.await.expect("its turn came"));
        assert!(turns.0.lock().is_empty());
    }

    #[test]
    fn only_so_many_wait() {
        let turns = Turns::default();
        let thread = ThreadId::from("t");
        let all: Vec<_> = std::iter::from_fn(|| turns.place(&thread)).take(100).collect();
        assert_eq!(all.len(), MAX_WAITING);
        drop(all);
        assert!(turns.place(&thread).is_some());
    }
}
