//! Calls of ours that are not answered yet: found by their session, by the address that answers come to, and by who was called. Each of
//! them is asked for with every frame for an address that nobody is at, so none is looked for among all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::caller::Incoming;

/// What comes back for a call.
pub(crate) struct Pending {
    /// The only one who may answer.
    pub(crate) target: Arc<str>,
    /// Where answers go to.
    pub(crate) address: Arc<str>,
    pub(crate) sender: mpsc::Sender<Incoming>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Calls {
    by_session: HashMap<String, Pending>,
    /// How many there are at an address.
    at: HashMap<Arc<str>, usize>,
    of_target: HashMap<Arc<str>, HashSet<String>>,
}

impl Calls {
    pub(crate) fn insert(&mut self, session: String, pending: Pending) {
        *self.at.entry(Arc::clone(&pending.address)).or_default() += 1;
        self.of_target.entry(Arc::clone(&pending.target)).or_default().insert(session.clone());
        self.by_session.insert(session, pending);
    }

    pub(crate) fn remove(&mut self, session: &str) {
        let Some(pending) = self.by_session.remove(session) else { return };
        if let Some(sessions) = self.of_target.get_mut(&pending.target) {
            sessions.remove(session);
            if sessions.is_empty() {
                self.of_target.remove(&pending.target);
            }
        }
        if let Some(count) = self.at.get_mut(&pending.address) {
            *count -= 1;
            if *count == 0 {
                self.at.remove(&pending.address);
            }
        }
    }

    pub(crate) fn get(&self, session: &str) -> Option<&Pending> {
        self.by_session.get(session)
    }

    /// Whether an answer is waited for at this address.
    pub(crate) fn any_at(&self, address: &str) -> bool {
        self.at.contains_key(address)
    }

    /// Forgets all calls of somebody who left: whoever waits for an answer hears that none comes.
    pub(crate) fn abandon(&mut self, target: &str) {
        for session in self.of_target.get(target).cloned().unwrap_or_default() {
            self.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_each_of_their_names_and_leave_nothing_behind() {
        let mut calls = Calls::default();
        let pending = |target: &str, address: &str| Pending {
            target: target.into(),
            address: address.into(),
            sender: mpsc::channel(1).0,
        };
        calls.insert("1".into(), pending("w/a", "w/me"));
        calls.insert("2".into(), pending("w/a", "w/you"));
        calls.insert("3".into(), pending("w/b", "w/me"));
        assert!(calls.any_at("w/me") && calls.any_at("w/you") && !calls.any_at("w/a"));
        calls.abandon("w/a");
        assert!(calls.get("1").is_none() && calls.get("2").is_none() && calls.get("3").is_some());
        assert!(calls.any_at("w/me") && !calls.any_at("w/you"));
        calls.remove("3");
        calls.remove("3");
        assert!(!calls.any_at("w/me"));
        assert!(calls.by_session.is_empty() && calls.at.is_empty() && calls.of_target.is_empty());
    }
}
