//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use doorward_core::clock::Clock;

/// The machine's clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock; all else is handed it"
    )]
    fn now_ms(&self) -> i64 {
        // Before 1970 nothing was issued, and after the year 292 million nothing will be.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
