//! Time is a parameter.
//!
//! The composition root supplies the system clock; tests supply [`ManualClock`]. Direct use of the standard
//! library's clocks is a lint error (`clippy.toml`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where "now" comes from.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Whole seconds since the Unix epoch, rounded down: the unit of JWT times.
    fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

/// A clock that never gives the same moment twice, for ids whose order matters more than their time.
///
/// It runs ahead of the clock it follows while more than one moment a millisecond is asked for.
pub struct OrderedClock {
    clock: Arc<dyn Clock>,
    last_ms: AtomicI64,
}

impl OrderedClock {
    /// Follows `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last_ms: AtomicI64::new(i64::MIN) }
    }
}

impl Clock for OrderedClock {
    fn now_ms(&self) -> i64 {
        let now_ms = self.clock.now_ms();
        let next = |last: i64| now_ms.max(last.saturating_add(1));
        match self.last_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last))) {
            Ok(last) | Err(last) => next(last),
        }
    }
}

/// A clock that moves only when told to. For tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at `now_ms`.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Moves forward by `ms` milliseconds (backward if negative).
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves forward by `s` seconds.
    pub fn advance_s(&self, s: i64) {
        self.advance_ms(s * 1000);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
