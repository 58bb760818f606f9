//! The machine's clock.

use std::sync::OnceLock;
use std::time::Instant;

use doorward_core::clock::Clock;
use rustix::time::{ClockId, clock_gettime};

/// The machine's clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// Where the steady clock of this process began.
static START: OnceLock<Instant> = OnceLock::new();

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        // Every request asks: by itself it is no more than two numbers. Before 1970 nothing was issued, and after the year 292 million
        // nothing will be.
        let now = clock_gettime(ClockId::Realtime);
        now.tv_sec.max(0).saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's steady clock")]
    fn steady_ms(&self) -> i64 {
        let start = *START.get_or_init(Instant::now);
        i64::try_from(Instant::now().duration_since(start).as_millis()).unwrap_or(i64::MAX)
    }
}
