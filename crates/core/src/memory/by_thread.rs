//! What all threads would write to with every request, once for each of them: to hand a line of memory from core to core takes longer than
//! most of what a request needs.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// Most seats there are; threads beyond them share.
const MOST: usize = 64;

/// On lines of memory of its own. Two of them are fetched at once, so it is two.
#[derive(Debug, Clone, Default)]
#[repr(align(128))]
pub struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

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
        &self.0[seat() & (self.0.len() - 1)]
    }
}

/// Something that is read only, whose copies are counted by the thread that makes them. As [`Arc`], for what is copied with every request.
pub struct Shared<T>(ByThread<Arc<Apart<T>>>);

impl<T: Clone> Shared<T> {
    /// Takes it in, once for each seat.
    #[must_use]
    pub fn new(value: &T) -> Self {
        Self(ByThread::of(|_| Arc::new(Apart(value.clone()))))
    }

    /// This thread's, to be copied.
    #[must_use]
    pub fn here(&self) -> &Arc<Apart<T>> {
        self.0.here()
    }
}

/// Twice as many as cores, since not every thread has much to do: two that do should not meet.
fn seats() -> usize {
    available_parallelism().map_or(1, |cores| (2 * cores.get()).next_power_of_two().min(MOST))
}

/// Where this thread sits: threads are counted as they come.
fn seat() -> usize {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SEAT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SEAT.get().unwrap_or_else(|| {
        let next = TAKEN.fetch_add(1, Ordering::Relaxed);
        SEAT.set(Some(next));
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_finds_its_own_again_and_another_thread_another() {
        let counts = ByThread::of(|_| AtomicUsize::new(0));
        let counted = || counts.here().fetch_add(1, Ordering::Relaxed);
        let elsewhere = || std::thread::scope(|scope| scope.spawn(seat).join().expect("it ends"));
        assert_eq!((counted(), counted()), (0, 1));
        let [first, second] = [elsewhere(), elsewhere()];
        assert!(first != second && first != seat() && seat() == seat());
    }

    #[test]
    fn a_copy_lives_as_long_as_somebody_has_it() {
        let inner = Arc::new(7);
        let shared = Shared::new(&inner);
        let copy = Arc::clone(shared.here());
        drop(shared);
        assert_eq!((***copy, Arc::strong_count(&inner)), (7, 2));
    }

    #[test]
    fn neighbours_are_on_lines_of_their_own() {
        let many = ByThread::of(|before| before);
        let at: Vec<_> = many.0.iter().map(|one| std::ptr::from_ref(one).addr()).collect();
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 128));
        assert!(many.0.iter().enumerate().all(|(at, one)| at == **one));
    }
}
