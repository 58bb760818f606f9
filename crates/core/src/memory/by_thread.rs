//! What all threads would write to with every request, once for each of them: to hand a line of memory from core to core takes longer than
//! most of what a request needs.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::available_parallelism;

/// Most seats there are, a bit each of a word that says which are taken; threads beyond them share.
const MOST: usize = u64::BITS as usize;

/// On lines of memory of its own. Two of them are fetched at once, so it is two.
#[repr(align(128))]
struct Apart<T>(T);

/// One of something for each thread, as far as there are seats: a thread finds the same one each time, and may find another's.
pub struct ByThread<T>(Box<[Apart<T>]>);

impl<T> ByThread<T> {
    /// Makes them; each is told how many there are before it.
    #[must_use]
    pub fn of(make: impl FnMut(usize) -> T) -> Self {
        Self((0..seats()).map(make).map(Apart).collect())
    }

    /// This thread's.
    #[must_use]
    pub fn here(&self) -> &T {
        // There are a power of two: a division takes longer than all else here.
        &self.0[seat() & (self.0.len() - 1)].0
    }
}

/// Something that is read only, whose copies are counted by the thread that makes them. As [`Arc`], for what is copied with every request.
pub struct Shared<T>(Box<[Arc<Seat<T>>]>);

/// A copy. It is on lines of its own, and so is the count of who has it.
#[repr(align(128))]
pub struct Seat<T> {
    value: T,
    /// All of them, where whoever copies a copy finds its own.
    all: OnceLock<Arc<[Weak<Self>]>>,
}

impl<T: Clone> Shared<T> {
    /// Takes it in, once for each seat.
    #[must_use]
    pub fn new(value: &T) -> Self {
        let seat = |_| Arc::new(Seat { value: value.clone(), all: OnceLock::new() });
        let seats: Box<[_]> = (0..seats()).map(seat).collect();
        let all: Arc<[_]> = seats.iter().map(Arc::downgrade).collect();
        for seat in &seats {
            // Nobody else has seen it yet.
            let _ = seat.all.set(Arc::clone(&all));
        }
        Self(seats)
    }

    /// This thread's, as it stands there.
    #[must_use]
    pub fn this(&self) -> &Arc<Seat<T>> {
        &self.0[seat() & (self.0.len() - 1)]
    }

    /// A copy of this thread's.
    #[must_use]
    pub fn here(&self) -> Arc<Seat<T>> {
        Arc::clone(self.this())
    }
}

impl<T> Seat<T> {
    /// A copy of this thread's, whoever made this one; of this one where nobody has all of them any more.
    #[must_use]
    pub fn here(self: &Arc<Self>) -> Arc<Self> {
        let ours = self.all.get().and_then(|all| all[seat() & (all.len() - 1)].upgrade());
        ours.unwrap_or_else(|| Arc::clone(self))
    }
}

impl<T> Deref for Seat<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Some two for a core, a power of two of them: not every thread has much to do, and two that do should not meet.
fn seats() -> usize {
    available_parallelism().map_or(1, |cores| (2 * cores.get()).next_power_of_two().min(MOST))
}

/// Where this thread sits, as long as it is there.
fn seat() -> usize {
    thread_local! {
        static TAKEN: Taken = Taken::lowest();
    }
    // A thread that is ending has given it back.
    TAKEN.try_with(|taken| taken.0).unwrap_or(0)
}

/// A seat that is taken.
struct Taken(usize);

static SEATS: AtomicU64 = AtomicU64::new(0);

impl Taken {
    /// The lowest that is free, so that few threads meet at few seats, however many there were before them.
    fn lowest() -> Self {
        static MORE: AtomicUsize = AtomicUsize::new(MOST);
        let take = |taken: u64| (taken != u64::MAX).then(|| taken | (taken + 1));
        match SEATS.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(before) => Self(before.trailing_ones() as usize),
            Err(_) => Self(MORE.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.0 < MOST {
            SEATS.fetch_and(!(1 << self.0), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere<T: Send>(found: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(found).join().expect("it ends"))
    }

    #[test]
    fn a_thread_finds_its_own_again_and_another_thread_another() {
        let counts = ByThread::of(|_| AtomicUsize::new(0));
        let counted = || counts.here().fetch_add(1, Ordering::Relaxed);
        assert_eq!((counted(), counted()), (0, 1));
        assert!(elsewhere(seat) != seat() && seat() == seat());
    }

    #[test]
    fn a_seat_is_given_back_with_its_thread() {
        // For a moment tests beside this one may have them all; if none came back, all but the first few would find none.
        let found_none = (0..16 * MOST).filter(|_| elsewhere(seat) >= MOST).count();
        assert!(found_none < 8 * MOST, "{found_none}");
    }

    #[test]
    fn each_thread_has_a_seat_of_its_own_while_it_is_there_whether_there_are_as_many_or_not() {
        let (all, together) = (2 * MOST, std::sync::Barrier::new(2 * MOST));
        let taken: std::collections::HashSet<_> = std::thread::scope(|scope| {
            let sit = || {
                let mine = seat();
                together.wait();
                mine
            };
            let threads: Vec<_> = (0..all).map(|_| scope.spawn(sit)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        assert_eq!(taken.len(), all);
    }

    #[test]
    fn a_copy_lives_as_long_as_somebody_has_it() {
        let inner = Arc::new(7);
        let shared = Shared::new(&inner);
        let copy = shared.here();
        drop(shared);
        let copies = [copy.here(), elsewhere(|| copy.here())];
        drop(copy);
        assert_eq!((copies.map(|copy| ***copy), Arc::strong_count(&inner)), ([7, 7], 1), "all are gone");
    }

    #[test]
    fn a_copy_is_of_the_thread_that_makes_it_whatever_it_was_copied_from() {
        let shared = Shared::new(&7);
        let there = elsewhere(|| shared.here());
        assert!(Arc::ptr_eq(&there.here(), shared.this()));
        assert!(elsewhere(|| Arc::ptr_eq(&there.here().here(), shared.this())));
    }

    #[test]
    fn neighbours_are_on_lines_of_their_own() {
        let many = ByThread::of(|before| before);
        let at: Vec<_> = many.0.iter().map(|one| std::ptr::from_ref(one).addr()).collect();
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 128));
        assert!(many.0.iter().enumerate().all(|(at, one)| at == one.0));
    }
}
