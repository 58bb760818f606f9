//! The machine's clock.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use doorward_core::clock::Clock;

/// The machine's clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// Where the steady clock of this process began.
static START: OnceLock<Instant> = OnceLock::new();

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock; all else is handed it"
    )]
    fn now_ms(&self) -> i64 {
        // By the C library, though the kernel's own way is quicker by a hundredth of a microsecond: it is where tests give a process a false
        // clock. Before 1970 nothing was issued, and after the year 292 million nothing will be.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            seconds.saturating_mul(1000).saturating_add(since.subsec_millis().into())
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's steady clock")]
    fn steady_ms(&self) -> i64 {
        let start = *START.get_or_init(Instant::now);
        i64::try_from(Instant::now().duration_since(start).as_millis()).unwrap_or(i64::MAX)
    }
}
