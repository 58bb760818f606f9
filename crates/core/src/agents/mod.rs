//! The embedded agent server, and who owns what an upstream keeps.

pub mod feed;
pub mod model;
pub mod ownership;
pub mod runner;
pub mod runs;
pub mod search;
pub mod threads;
pub mod turns;
mod work;

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::id::RunId;

/// Most runs of a process that were asked to wait for a while before they begin.
const MAX_LATER: usize = 1024;

/// What this process knows of the runs it carries.
pub struct Agents {
    /// What they said so far.
    pub feeds: feed::Feeds,
    turns: turns::Turns,
    later: Arc<Semaphore>,
    rolled_back: Mutex<HashSet<RunId>>,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            feeds: feed::Feeds::default(),
            turns: turns::Turns::default(),
            later: Arc::new(Semaphore::new(MAX_LATER)),
            rolled_back: Mutex::default(),
        }
    }
}

impl Agents {
    /// A place among those that wait for a while.
    fn later(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.later).try_acquire_owned().ok()
    }

    /// A run that is stopped is to be forgotten too.
    fn rolled_back(&self, run: &RunId) {
        // One of another process is stopped by nobody here, and would stay in the set.
        if self.feeds.follow(run).is_some() {
            self.rolled_back.lock().insert(run.clone());
        }
    }

    fn is_rolled_back(&self, run: &RunId) -> bool {
        self.rolled_back.lock().remove(run)
    }
}
