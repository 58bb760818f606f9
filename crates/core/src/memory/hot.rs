//! What is known of credentials, with those that a thread asks for most kept by the thread: one key that a whole fleet calls with is then no
//! line of memory that cores hand to each other.
//!
//! ```text
//! get ─► this thread's front ─ not there ─► the table ─► a twin in the front, where its place is free or long not asked for
//! insert ─► the table, and no front's twin of before counts any more
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::by_thread::ByThread;
use super::fingerprint::{ByFingerprint, Fingerprint};

/// Places of a front; a credential has one of them.
const PLACES: usize = 16;

/// How often others are asked for, between two askings for whoever holds a place, before one of them has it.
const PATIENCE: u8 = 8;

/// What can be had once more.
pub trait Twin: Clone {
    /// The same, sharing nothing that is written to with every use, not even a count of who has it.
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
    /// How often others were asked for since it was.
    others: u8,
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
        let front = || std::array::from_fn(|_| Place { held: None, others: 0 });
        Self {
            table: ByFingerprint::of_most(most),
            fronts: ByThread::of(|_| Mutex::new(front())),
            put: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// What is known of one.
    #[must_use]
    pub fn get(&self, credential: Fingerprint) -> Option<V> {
        // Another thread has it where two share a seat.
        let Some(mut front) = self.fronts.here().try_lock() else { return self.table.get(credential) };
        let at = credential.place(PLACES);
        // Before the table is read: what is put meanwhile makes a twin of it old from birth.
        let put = self.put[at].load(Ordering::Acquire);
        let place = &mut front[at];
        let held = place.held.as_ref().filter(|held| held.put == put);
        if let Some(held) = held.filter(|held| held.credential == credential) {
            place.others = 0;
            return Some(held.known.clone());
        }
        let is_free = held.is_none();
        let known = self.table.get(credential)?;
        place.others += 1;
        if is_free || place.others == PATIENCE {
            *place = Place { held: Some(Held { credential, put, known: known.twin() }), others: 0 };
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

    /// Whether what is found is the one of all threads.
    fn is_shared(hot: &Hot<Arc<u32>>, credential: Fingerprint, first: &Arc<u32>) -> bool {
        Arc::ptr_eq(&hot.get(credential).expect("it is there"), first)
    }

    #[test]
    fn what_a_thread_asks_for_again_is_its_own() {
        let (hot, a, first) = (Hot::of_most(8), names().of(b"a"), Arc::new(1));
        assert!(hot.get(a).is_none());
        hot.insert(a, Arc::clone(&first));
        assert!(is_shared(&hot, a, &first), "the one of all");
        let own = hot.get(a).expect("it is there");
        assert!(!Arc::ptr_eq(&own, &first) && Arc::ptr_eq(&own, &hot.get(a).expect("it is there")), "a twin");
    }

    #[test]
    fn what_was_put_anew_is_what_every_thread_gets_at_once() {
        let (hot, a) = (Hot::of_most(8), names().of(b"a"));
        let at = AtomicU64::new(0);
        hot.insert(a, Arc::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let before = at.load(Ordering::Acquire);
                        let found = u64::from(*hot.get(a).expect("it is there"));
                        let after = at.load(Ordering::Acquire);
                        // What is being put may be found before it is said to be there.
                        assert!((before..=after + 1).contains(&found), "{found} of {before} to {after}");
                        if after == 2_000 {
                            break;
                        }
                    }
                });
            }
            for next in 1..=2_000_u32 {
                hot.insert(a, Arc::new(next));
                at.store(next.into(), Ordering::Release);
            }
        });
        assert_eq!(hot.get(a).as_deref(), Some(&2_000));
    }

    #[test]
    fn neighbours_in_a_place_are_told_apart_and_drive_nobody_out() {
        let (hot, names) = (Hot::of_most(64), names());
        let a = names.of(b"a");
        let near = |text: &String| names.of(text.as_bytes()).place(PLACES) == a.place(PLACES);
        let text = (0..).map(|n| format!("b{n}")).find(near).expect("one of sixteen");
        let b = names.of(text.as_bytes());
        let (first, second) = (Arc::new(1), Arc::new(2));
        hot.insert(a, Arc::clone(&first));
        hot.insert(b, Arc::clone(&second));
        assert!(is_shared(&hot, a, &first) && !is_shared(&hot, a, &first), "it took the place");
        for _ in 0..4 {
            assert!((1..PATIENCE).all(|_| is_shared(&hot, b, &second)), "it is another's");
            assert!(!is_shared(&hot, a, &first), "it stays");
        }
        assert!((0..PATIENCE).all(|_| is_shared(&hot, b, &second)), "the last of these takes it");
        assert!(!is_shared(&hot, b, &second) && is_shared(&hot, a, &first), "the other has it");
    }
}
