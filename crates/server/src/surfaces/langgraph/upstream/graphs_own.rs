//! Which graphs' own assistants the server has shown lately: a run need not look at them again.
//!
//! Sound because nobody makes such an assistant but the server: its id follows from the name of a graph that the mount's settings name,
//! and [`GraphsOwn::reserves`] keeps such ids from whoever makes assistants, in every process with the same settings. The server starts
//! with them, and what it calls its own stays so: its word for that is taken out of what clients send.

use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

use super::super::ids;

/// How long, in milliseconds: whoever changes assistants round the gateway is seen within that time.
const REMEMBERED_MS: i64 = 60_000;

/// The assistants of the graphs that the settings name, and until when each is known to be there.
pub(crate) struct GraphsOwn(Vec<(Uuid, AtomicI64)>);

impl GraphsOwn {
    /// Of the graphs with these names; none has been seen.
    pub(crate) fn of(names: &[String]) -> Self {
        Self(names.iter().map(|name| (ids::assistant_of(name), AtomicI64::new(i64::MIN))).collect())
    }

    fn until(&self, id: Uuid) -> Option<&AtomicI64> {
        self.0.iter().find(|(own, _)| *own == id).map(|(_, until)| until)
    }

    /// Whether nobody but the server makes an assistant with this id.
    pub(super) fn reserves(&self, id: Uuid) -> bool {
        self.until(id).is_some()
    }

    /// Whether the server has shown lately that this one is a graph's own.
    pub(super) fn is_known(&self, id: Uuid, now_ms: i64) -> bool {
        self.until(id).is_some_and(|until| now_ms < until.load(Ordering::Acquire))
    }

    /// The server has shown so now. Of one that is not reserved nothing is kept.
    pub(super) fn learn(&self, id: Uuid, now_ms: i64) {
        if let Some(until) = self.until(id) {
            until.store(now_ms.saturating_add(REMEMBERED_MS), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_for_a_minute_and_only_of_graphs_that_are_named() {
        let own = GraphsOwn::of(&["agent".to_owned(), "other".to_owned()]);
        let (agent, stranger) = (ids::assistant_of("agent"), ids::assistant_of("stranger"));
        assert!(own.reserves(agent) && !own.reserves(stranger));
        assert!(!own.is_known(agent, 0));
        for id in [agent, stranger] {
            own.learn(id, 1_000);
        }
        assert!(own.is_known(agent, 1_000) && own.is_known(agent, 60_999) && !own.is_known(agent, 61_000));
        assert!(!own.is_known(stranger, 1_000) && !own.is_known(ids::assistant_of("other"), 1_000));
    }
}
