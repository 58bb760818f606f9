//! The embedded agent server, and who owns what an upstream keeps.

pub mod assistants;
pub mod changing;
pub mod content;
pub mod context;
pub mod crons;
pub mod document;
pub mod feed;
pub mod items;
pub mod model;
pub mod ownership;
pub mod runner;
pub mod runs;
pub mod search;
pub mod threads;
pub mod turns;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::id::RunId;

/// Most runs of a process that were asked to wait for a while before they begin, and most of one principal's.
const MAX_LATER: usize = 1024;
const MAX_LATER_OF_ONE: usize = 16;

/// Who has how many runs that wait for a while.
type Waiting = Arc<Mutex<HashMap<String, usize>>>;

/// A place among the runs that wait for a while.
struct Later {
    waiting: Waiting,
    owner: String,
}

impl Drop for Later {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        if let Some(count) = waiting.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.owner);
            }
        }
    }
}

/// What this process knows of the runs it carries.
#[derive(Default)]
pub struct Agents {
    /// What they said so far.
    pub feeds: feed::Feeds,
    turns: turns::Turns,
    later: Waiting,
    readers: context::Readers,
    /// One after the other, who first looks at something that is kept elsewhere and then changes it.
    pub changing: changing::Changing,
    rolled_back: Mutex<HashSet<RunId>>,
}

impl Agents {
    /// A place among those that wait for a while.
    fn later(&self, owner: String) -> Option<Later> {
        let mut waiting = self.later.lock();
        let all: usize = waiting.values().sum();
        let own = waiting.get(&owner).copied().unwrap_or(0);
        if all >= MAX_LATER || own >= MAX_LATER_OF_ONE {
            return None;
        }
        waiting.insert(owner.clone(), own + 1);
        drop(waiting);
        Some(Later { waiting: Arc::clone(&self.later), owner })
    }

    /// A run that is stopped is to be forgotten too.
    pub(crate) fn rolled_back(&self, run: &RunId) {
        // One of another process is stopped by nobody here, and would stay in the set.
        if self.feeds.follow(run).is_some() {
            self.rolled_back.lock().insert(run.clone());
        }
    }

    fn is_rolled_back(&self, run: &RunId) -> bool {
        self.rolled_back.lock().remove(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_every_place_among_those_that_wait() {
        let agents = Agents::default();
        let held: Vec<_> = std::iter::from_fn(|| agents.later("ann".to_owned())).collect();
        assert_eq!(held.len(), MAX_LATER_OF_ONE);
        assert!(agents.later("bob".to_owned()).is_some());
        drop(held);
        assert!(agents.later("ann".to_owned()).is_some() && agents.later.lock().is_empty());
    }
}
