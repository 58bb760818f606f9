//! Whether it is worth asking an agent server at all.
//!
//! ```text
//! closed ─ 5 in a row unreachable ─► open for 5 s ─► one is let through ─ reached ─► closed
//!                                      ▲                    └─ unreachable ─┐
//!                                      └────────────────────────────────────┘
//! ```
//! An agent server that hangs would otherwise hold every caller for as long as patience lasts. Only what was not reached
//! counts: an answer of any status is a sign of life.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// Failures in a row that open it.
const LIMIT: u32 = 5;
/// How long it stays open, in milliseconds.
const OPEN_MS: i64 = 5_000;

/// The breaker of one upstream.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    /// Until when nobody asks; 0 while closed.
    open_until_ms: AtomicI64,
}

impl Breaker {
    /// Whether to ask; if not, in how many seconds to come back. Of those who ask after the pause one goes first.
    pub(super) fn admit(&self, now_ms: i64) -> Result<(), u32> {
        let until_ms = self.open_until_ms.load(Ordering::Acquire);
        if until_ms == 0 {
            return Ok(());
        }
        let left_ms = until_ms - now_ms;
        // A clock that was set back must not keep it open for longer than the pause.
        if (1..=OPEN_MS).contains(&left_ms) {
            return Err(u32::try_from((left_ms + 999) / 1000).unwrap_or(1));
        }
        let again = self.open_until_ms.compare_exchange(
            until_ms,
            now_ms + OPEN_MS,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        again.map(drop).map_err(|_| 1)
    }

    /// It answered.
    pub(super) fn reached(&self) {
        if self.failures.swap(0, Ordering::AcqRel) >= LIMIT {
            self.open_until_ms.store(0, Ordering::Release);
        }
    }

    /// It could not be reached, or did not begin an answer in time; whether that opened the breaker.
    pub(super) fn missed(&self, now_ms: i64) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if failures >= LIMIT {
            self.open_until_ms.store(now_ms + OPEN_MS, Ordering::Release);
        }
        failures == LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        let opened: Vec<bool> = (0..5).map(|_| breaker.missed(1_000)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
        breaker
    }

    #[test]
    fn five_misses_in_a_row_open_it_and_one_answer_between_does_not() {
        let breaker = Breaker::default();
        for round in 0..20 {
            assert!(!breaker.missed(round));
            breaker.reached();
        }
        assert_eq!(breaker.admit(20), Ok(()));
        let breaker = opened();
        assert_eq!([breaker.admit(1_000), breaker.admit(5_999)], [Err(5), Err(1)]);
    }

    #[test]
    fn after_the_pause_one_asks_and_its_answer_closes_it() {
        let breaker = opened();
        assert_eq!([breaker.admit(6_000), breaker.admit(6_000)], [Ok(()), Err(5)]);
        assert!(!breaker.missed(6_100), "it was open already");
        assert!(breaker.admit(11_000).is_err() && breaker.admit(11_100).is_ok());
        breaker.reached();
        assert_eq!([breaker.admit(11_101), breaker.admit(11_102)], [Ok(()), Ok(())]);
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        assert_eq!(opened().admit(-100_000), Ok(()));
    }
}
