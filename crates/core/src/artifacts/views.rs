//! How often artifacts are looked at: counted in memory, and written down for many at once.
//!
//! A look costs no write of its own. What was counted since the last batch is lost with the process, and is shown until then.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::ports::store::Write;

/// How long a count waits, and how many wait.
const AFTER_MS: i64 = 10_000;
const MOST: usize = 1_000;

/// What was counted and is not written down.
#[derive(Default)]
pub(crate) struct Views(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    since_ms: i64,
    counts: HashMap<String, i64>,
}

impl Views {
    /// Counts one look; the answer is how many wait for this artifact, and what is to be written now, if it is time.
    pub(super) fn count(&self, id: &str, now_ms: i64) -> (i64, Vec<Write>) {
        let mut waiting = self.0.lock();
        if waiting.counts.is_empty() {
            waiting.since_ms = now_ms;
        }
        let count = waiting.counts.entry(id.to_owned()).or_insert(0);
        *count += 1;
        let count = *count;
        // A clock that was set back must not keep counts for ever.
        let due = (now_ms - waiting.since_ms).abs() >= AFTER_MS || waiting.counts.len() >= MOST;
        let writes = if due { std::mem::take(&mut waiting.counts) } else { HashMap::new() };
        let writes = writes.into_iter().map(|(id, views)| Write::CountViews { id, views });
        (count, writes.collect())
    }

    /// How many looks at this one wait.
    pub(super) fn waiting(&self, id: &str) -> i64 {
        self.0.lock().counts.get(id).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_written_for_many_at_once() {
        let views = Views::default();
        for look in 1..=99 {
            let (count, writes) = views.count("a", 1_000 + look);
            assert!(count == look && writes.is_empty(), "{look}");
        }
        assert_eq!(views.waiting("a"), 99);
        let (count, writes) = views.count("a", 1_001 + AFTER_MS);
        assert!(matches!(&writes[..], [Write::CountViews { id, views: 100 }] if id == "a"), "{count}");
        assert_eq!(views.waiting("a"), 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let views = Views::default();
        let written: usize = (0..MOST * 3).map(|n| views.count(&n.to_string(), 1).1.len()).sum();
        assert_eq!(written, MOST * 3);
    }
}
