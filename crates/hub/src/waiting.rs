//! Keys of log-ins that wait for a person: bounded altogether and for each address, at a cost that does not grow with how many wait.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use doorward_core::limits::failures::network_of;

use crate::login::Pending;

/// Most keys that wait, of everybody and of one address.
const MOST: usize = 50_000;
const MOST_OF_ONE: usize = 200;

/// Keys that wait.
#[derive(Default)]
pub(crate) struct Waiting {
    by_key: HashMap<String, Pending>,
    of_one: HashMap<Option<IpAddr>, usize>,
    /// All of them, the oldest first, and some that do not wait any more.
    oldest: VecDeque<String>,
}

/// There is no room for another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Waiting {
    /// Has another wait; those whose time is over do not any more.
    pub(crate) fn begin(&mut self, key: String, pending: Pending, now_ms: i64) -> Result<(), Full> {
        while let Some(key) = self.oldest.front() {
            match self.by_key.get(key) {
                Some(pending) if pending.is_good(now_ms) => break,
                Some(_) => {
                    let key = key.clone();
                    self.remove(&key);
                }
                None => {}
            }
            self.oldest.pop_front();
        }
        let by = pending.by.map(network_of);
        let of_one = self.of_one.get(&by).copied().unwrap_or_default();
        if self.by_key.len() >= MOST || of_one >= MOST_OF_ONE {
            return Err(Full);
        }
        self.of_one.insert(by, of_one + 1);
        self.oldest.push_back(key.clone());
        self.by_key.insert(key, pending);
        Ok(())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Pending> {
        self.by_key.values()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Pending> {
        self.by_key.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Pending> {
        self.by_key.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Pending> {
        let pending = self.by_key.remove(key)?;
        let by = pending.by.map(network_of);
        if let Some(of_one) = self.of_one.get_mut(&by) {
            *of_one -= 1;
            if *of_one == 0 {
                self.of_one.remove(&by);
            }
        }
        Some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(of: u8, since_ms: i64) -> Pending {
        Pending::new(since_ms, Some([192, 0, 2, of].into()), None, 60)
    }

    #[test]
    fn one_address_has_its_share_and_gets_it_back_with_time_or_use() {
        let mut waiting = Waiting::default();
        for n in 0..MOST_OF_ONE {
            assert_eq!(waiting.begin(n.to_string(), pending(1, 0), 0), Ok(()));
        }
        assert_eq!(waiting.begin("more".into(), pending(1, 0), 0), Err(Full));
        assert_eq!(waiting.begin("other".into(), pending(2, 1000), 1000), Ok(()));
        assert!(waiting.remove("7").is_some() && waiting.remove("7").is_none());
        assert_eq!(waiting.begin("more".into(), pending(1, 1000), 1000), Ok(()));
        assert_eq!(waiting.begin("one more".into(), pending(1, 1000), 1000), Err(Full));
        assert_eq!(waiting.begin("later".into(), pending(1, 180_500), 180_500), Ok(()));
        assert_eq!((waiting.by_key.len(), waiting.oldest.len(), waiting.of_one.len()), (3, 3, 2));
        assert!(waiting.get("0").is_none() && waiting.get("other").is_some());
    }
}
