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

    /// Milliseconds from any start that never go back, whatever is done to the clock: for how old knowledge is.
    fn steady_ms(&self) -> i64 {
        self.now_ms()
    }

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

/// A moment in UTC, RFC 3339, to the second.
#[must_use]
pub fn rfc3339(at_ms: i64) -> String {
    let seconds = at_ms.div_euclid(1000);
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date of the proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The milliseconds of a moment as RFC 3339 and databases write it: `2026-11-25T00:44:43.53+01:00`, `2026-11-25 00:44:43+00`, or ending
/// in `Z`. Without a zone it is UTC. `None` for anything else, and for years outside of 1900 to 9999.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let digits = |part: &str, width: usize| {
        (part.len() == width && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i64>().ok())?
    };
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.split('-');
    let (year, month) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?);
    let day = digits(parts.next()?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1900..=9999).contains(&year) || !(1..=longest).contains(&day) {
        return None;
    }
    let (time, zone_s) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => match rest.rfind(['+', '-']) {
            Some(at) => {
                let (hours, minutes) = rest[at + 1..].split_once(':').unwrap_or((&rest[at + 1..], "00"));
                let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
                let ahead_s =
                    if hours < 24 && minutes < 60 { hours * 3600 + minutes * 60 } else { return None };
                (&rest[..at], if rest.as_bytes()[at] == b'-' { -ahead_s } else { ahead_s })
            }
            None => (rest, 0),
        },
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let mut parts = clock.split(':').map(|part| digits(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // The way back from `rfc3339`: years begin in March.
    let years = year - i64::from(month <= 2);
    let (era, year_of_era) = (years.div_euclid(400), years.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - zone_s) * 1000 + millis)
}

/// A moment in UTC with microseconds and without a zone, as Python's servers write it: `2026-11-25T00:44:43.532000`.
#[must_use]
pub fn with_micros(at_ms: i64) -> String {
    let second = rfc3339(at_ms);
    format!("{}.{:03}000", second.trim_end_matches('Z'), at_ms.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_utc_and_exact() {
        for (at_ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (253_402_300_799_000, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(at_ms), expected);
            let seconds = at_ms.div_euclid(1000) * 1000;
            assert_eq!(from_rfc3339(expected), Some(seconds), "{expected}");
        }
    }

    #[test]
    fn moments_are_read_as_others_write_them() {
        for text in [
            "2023-05-01T10:00:00.25Z",
            "2023-05-01 10:00:00.25+00",
            "2023-05-01T12:30:00.250123+02:30",
            "2023-05-01 04:00:00.250-06",
            "2023-05-01T10:00:00.25",
        ] {
            assert_eq!(from_rfc3339(text), Some(1_682_935_200_250), "{text}");
        }
        for bad in [
            "",
            "infinity",
            "2023-05-01",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-05-00T00:00:00Z",
            "2023-05-01T24:00:00Z",
            "2023-05-01T10:00Z",
            "2023-05-01T10:00:00.Z",
            "2023-05-01T10:00:00+2",
            "2023-05-01T10:00:00+99",
            "10000-05-01T10:00:00Z",
            "0001-05-01T10:00:00Z",
            "2023-5-1T10:00:00Z",
            "2023-05-01T10:00:00é",
            "２０２３-05-01T10:00:00Z",
        ] {
            assert_eq!(from_rfc3339(bad), None, "{bad}");
        }
    }
}
