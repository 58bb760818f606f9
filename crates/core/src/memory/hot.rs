//! What is known of credentials, with those that a thread asks for most kept by the thread: one key that a whole fleet calls with is then no
//! line of memory that cores hand to each other.
//!
//! ```text
//! get ─► this thread's front ─ not there ─► the table ─ asked for twice in a row ─► a twin in the front
//! insert ─► the table, and no front's twin of before counts any more
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::by_thread::ByThread;
use super::fingerprint::{ByFingerprint, Fingerprint};

/// Places of a front; a credential has one of them.
const PLACES: usize = 16;

/// What can be had once more.
pub trait Twin: Clone {
    /// The same, sharing nothing that is written to when it is used, not even a count of who has it.
    #[must_use]
    fn twin(&self) -> Self;
}

/// A table of credentials with fronts before it.
pub struct Hot<V> {
    table: ByFingerprint<V>,
    fronts: ByThread<Mutex<[Place<V>; PLACES]>>,
    /// How often something was put into the table that has this place in fronts.
    put: [AtomicU64; PLACES],
}

struct Place<V> {
    held: Option<Held<V>>,
    /// What was asked for last and was not there.
    missed: Option<Fingerprint>,
}

struct Held<V> {
    credential: Fingerprint,
    /// Of how much that was put it is.
    put: u64,
    known: V,
}

impl<V: Twin> Hot<V> {
    /// A table of so many at most.
    #[must_use]
    pub fn of_most(most: usize) -> Self {
        let front = || std::array::from_fn(|_| Place { held: None, missed: None });
        Self {
            table: ByFingerprint::of_most(most),
            fronts: ByThread::of(|_| Mutex::new(front())),
            put: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// What is known of one.
    #[must_use]
    pub fn get(&self, credential: Fingerprint) -> Option<V> {
        // Another thread has it where there are more of them than seats.
        let Some(mut front) = self.fronts.here().try_lock() else { return self.table.get(credential) };
        let at = credential.place(PLACES);
        // Before the table is read: what is put meanwhile makes a twin of it old from birth.
        let put = self.put[at].load(Ordering::Acquire);
        let place = &mut front[at];
        if let Some(held) = &place.held
            && held.credential == credential
            && held.put == put
        {
            place.missed = None;
            return Some(held.known.clone());
        }
        let known = self.table.get(credential)?;
        // What one asks for between two askings for another does not drive it out.
        if place.missed.replace(credential) == Some(credential) {
            place.held = Some(Held { credential, put, known: known.twin() });
        }
        Some(known)
    }

    /// Keeps what is known of one.
    pub fn insert(&self, credential: Fingerprint, known: V) {
        self.table.insert(credential, known);
        self.put[credential.place(PLACES)].fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory::fingerprint::Fingerprints;
    use crate::random::SeededRandom;

    impl Twin for Arc<u32> {
        fn twin(&self) -> Self {
            Self::new(**self)
        }
    }

    fn names() -> Fingerprints {
        Fingerprints::new(&SeededRandom::new(1))
    }

    #[test]
    fn what_is_asked_for_twice_in_a_row_is_kept_by_the_thread() {
        let (hot, a, first) = (Hot::of_most(8), names().of("a"), Arc::new(1));
        assert!(hot.get(a).is_none());
        hot.insert(a, Arc::clone(&first));
        let shared = |got: Option<Arc<u32>>| Arc::ptr_eq(&got.expect("it is there"), &first);
        assert!(shared(hot.get(a)) && shared(hot.get(a)), "the one of all");
        assert!(!shared(hot.get(a)), "a twin");
        assert!(
            std::thread::scope(|scope| {
                let there = scope.spawn(|| shared(hot.get(a)));
                there.join().expect("it ends")
            }),
            "another thread has none yet"
        );
    }

    #[test]
    fn what_was_put_anew_is_what_every_thread_gets() {
        let (hot, a) = (Hot::of_most(8), names().of("a"));
        for round in 0..5 {
            hot.insert(a, Arc::new(round));
            for _ in 0..4 {
                assert_eq!(hot.get(a).as_deref(), Some(&round));
            }
        }
    }

    #[test]
    fn neighbours_in_a_place_are_told_apart_and_drive_nobody_out() {
        let (hot, names) = (Hot::of_most(64), names());
        let a = names.of("a");
        let near = |text: &String| names.of(text).place(PLACES) == a.place(PLACES);
        let text = (0..).map(|n| format!("b{n}")).find(near).expect("one of sixteen");
        let b = names.of(&text);
        hot.insert(a, Arc::new(1));
        hot.insert(b, Arc::new(2));
        let got = |of| hot.get(of).expect("it is there");
        let _ = (got(a), got(a));
        let kept = got(a);
        for _ in 0..4 {
            assert_eq!((*got(b), *got(a)), (2, 1));
            assert!(Arc::ptr_eq(&got(a), &kept), "it stayed");
        }
    }
}
