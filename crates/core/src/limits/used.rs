//! Names that were used and may not be used again for a while.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

/// Most names that are held at once: one that is still held is never given up for another.
const MOST: usize = 65_536;
/// Longest name.
const MAX_NAME: usize = 128;

/// The names that are held.
#[derive(Default)]
pub(super) struct Used(Mutex<Held>);

#[derive(Default)]
struct Held {
    until_ms: HashMap<Box<str>, i64>,
    /// The same, by when they are let go.
    next: BTreeSet<(i64, Box<str>)>,
}

impl Used {
    /// Whether a name is not held, which it is from then on. `None` when there is no room to remember it.
    pub(super) fn first(&self, name: &str, hold_ms: i64, now_ms: i64) -> Option<bool> {
        if name.len() > MAX_NAME {
            return None;
        }
        let mut held = self.0.lock();
        let Held { until_ms, next } = &mut *held;
        while next.first().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            let (_, over) = next.pop_first().expect("it was looked at");
            until_ms.remove(&over);
        }
        if until_ms.contains_key(name) {
            return Some(false);
        }
        if until_ms.len() >= MOST {
            tracing::warn!(held = MOST, "no more names that are good once can be held; they are refused");
            return None;
        }
        let over_ms = now_ms.saturating_add(hold_ms.max(1));
        until_ms.insert(name.into(), over_ms);
        next.insert((over_ms, name.into()));
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_first_once_until_its_time_is_over() {
        let used = Used::default();
        assert_eq!(used.first("a", 10, 0), Some(true));
        assert_eq!(
            [used.first("a", 10, 0), used.first("a", 10, 9)],
            [Some(false); 2],
            "asking does not prolong it"
        );
        assert_eq!(used.first("b", 10, 9), Some(true), "another");
        assert_eq!(used.first("a", 10, 10), Some(true), "its time is over");
    }

    #[test]
    fn without_room_nothing_is_first_and_nothing_is_forgotten() {
        let used = Used::default();
        for n in 0..MOST {
            assert_eq!(used.first(&n.to_string(), 1_000, 0), Some(true));
        }
        assert_eq!(used.first("one more", 1_000, 0), None);
        assert_eq!(used.first("0", 1_000, 999), Some(false));
        assert_eq!(used.first("one more", 1_000, 1_000), Some(true), "once there is room");
        assert_eq!(used.first(&"x".repeat(MAX_NAME + 1), 1, 2_000), None);
    }

    #[test]
    fn of_many_at_once_one_is_first() {
        let used = Used::default();
        let firsts = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| used.first("a", 10, 0) == Some(true))).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).filter(|first| *first).count()
        });
        assert_eq!(firsts, 1);
    }
}
