//! The time that stands before a line of the log: RFC 3339, in UTC, to the microsecond.

use std::cell::Cell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Bytes of a time to the second, without its zone.
const TO_THE_SECOND: usize = "2026-11-29T12:48:27".len();

thread_local! {
    /// The last second that was spelled, and how: a busy server has thousands of lines in each.
    static SECOND: Cell<(u64, [u8; TO_THE_SECOND])> = const { Cell::new((u64::MAX, [0; TO_THE_SECOND])) };
}

/// Spells the time of now.
pub(super) struct Stamp;

impl FormatTime for Stamp {
    #[expect(clippy::disallowed_methods, reason = "when a line was made, which nothing depends on")]
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        spell(since.as_secs(), since.subsec_micros(), out)
    }
}

fn spell(second: u64, mut micros: u32, out: &mut impl fmt::Write) -> fmt::Result {
    let (known, mut spelled) = SECOND.get();
    if known != second {
        let at = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
        let text = at.ok_or(fmt::Error)?.to_string();
        spelled.copy_from_slice(text.as_bytes().get(..TO_THE_SECOND).ok_or(fmt::Error)?);
        SECOND.set((second, spelled));
    }
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    text[..TO_THE_SECOND].copy_from_slice(&spelled);
    for digit in text[TO_THE_SECOND + 1..].iter_mut().rev().skip(1) {
        *digit = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
    out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_spelled_as_it_is_read_whichever_came_before() {
        for (second, micros, expected) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (1_796_000_000, 7, "2026-11-30T00:53:20.000007Z"),
            (1_796_000_000, 999_999, "2026-11-30T00:53:20.999999Z"),
            (1_796_000_001, 120_000, "2026-11-30T00:53:21.120000Z"),
            (1_796_000_000, 7, "2026-11-30T00:53:20.000007Z"),
        ] {
            let mut text = String::new();
            spell(second, micros, &mut text).expect("spelled");
            assert_eq!(text, expected);
            let read: Timestamp = text.parse().expect("RFC 3339");
            assert_eq!(read.as_microsecond(), i64::try_from(second * 1_000_000).unwrap() + i64::from(micros));
        }
    }
}
