//! When a cron is due: five fields, as in a crontab, on the clock of a place.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{Error, Result, codes};

/// Longest schedule, and longest name of a time zone, in bytes.
const MAX_SCHEDULE_BYTES: usize = 128;
const MAX_ZONE_BYTES: usize = 64;
/// Words that stand for five fields.
const WORDS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"];

/// A schedule that is due at some time.
pub(super) struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// Refuses a schedule in the platform's words.
fn refused(text: &str) -> Error {
    let shown: String = text.chars().take(64).collect();
    Error::new(codes::BAD_FIELD).message(format!(
        "Invalid cron schedule: '{shown}'. Reason: Invalid cron schedule. Ensure the schedule uses the standard cron format (minute hour \
         day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 minutes."
    ))
}

fn zone(name: Option<&str>) -> Result<TimeZone> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    let found = if name.len() <= MAX_ZONE_BYTES { TimeZone::get(name).ok() } else { None };
    found.ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        let text =
            format!("Invalid timezone: '{shown}'. Use IANA timezone format (e.g. 'America/New_York').");
        Error::new(codes::BAD_FIELD).message(text)
    })
}

impl Schedule {
    /// Reads a schedule for a time zone of the IANA's, UTC if there is none. There is no field for seconds, so that nothing is due more
    /// than once a minute.
    ///
    /// # Errors
    /// `bad_field`, in langgraph-api 0.16.7's words where it has some; also for one that is never due, such as 31 February.
    pub(super) fn read(text: &str, zone_name: Option<&str>, now_ms: i64) -> Result<Self> {
        let known = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "*/,-#@".contains(c);
        let short = text.len() <= MAX_SCHEDULE_BYTES && text.chars().all(known);
        if !short || (text.split_ascii_whitespace().count() != 5 && !WORDS.contains(&text)) {
            return Err(refused(text));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| refused(text).operator(error.to_string()))?;
        let schedule = Self { cron, zone: zone(zone_name)? };
        if schedule.next_ms(now_ms).is_none() {
            return Err(Error::new(codes::BAD_FIELD).message("schedule: it is never due."));
        }
        Ok(schedule)
    }

    /// The next time after a moment at which it is due, in milliseconds since the epoch. Times that a zone's clock leaves out are due when
    /// it goes on.
    #[must_use]
    pub(super) fn next_ms(&self, after_ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(next.timestamp().as_millisecond()).filter(|next_ms| *next_ms > after_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a moment").as_millisecond()
    }

    fn next(schedule: &str, zone: Option<&str>, after: &str) -> String {
        let schedule = Schedule::read(schedule, zone, ms(after)).expect("a schedule");
        Timestamp::from_millisecond(schedule.next_ms(ms(after)).expect("due")).expect("a moment").to_string()
    }

    #[test]
    fn a_schedule_is_due_on_the_clock_of_its_place() {
        for (schedule, zone, after, expected) in [
            ("*/5 * * * *", None, "2026-11-29T04:25:46Z", "2026-11-29T04:30:00Z"),
            ("*/5 * * * *", None, "2026-11-29T04:30:00Z", "2026-11-29T04:35:00Z"),
            ("0 9 * * *", Some("Europe/Berlin"), "2026-11-29T04:25:46Z", "2026-11-29T08:00:00Z"),
            ("0 9 * * *", Some("Europe/Berlin"), "2026-07-01T04:00:00Z", "2026-07-01T07:00:00Z"),
            // Half past two is left out on that night.
            ("30 2 * * *", Some("Europe/Berlin"), "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            // The first of a month, or a Monday.
            ("0 0 1 * MON", None, "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("0 0 * * 7", None, "2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"),
            ("0 0 29 2 *", None, "2026-11-29T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@daily", None, "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, zone, after), expected, "{schedule} {zone:?} {after}");
        }
    }

    #[test]
    fn what_is_no_schedule_of_five_fields_is_refused_and_so_is_what_is_never_due() {
        let long = format!("{} * * * *", "1,".repeat(5_000));
        for wrong in [
            "",
            " ",
            "x",
            "* * * *",
            "* * * * * *",
            "* * * * * * *",
            "61 * * * *",
            "* 24 * * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "-1 * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "0 0 31 2 *",
            "0 0 30 2 *",
            "0 0 31 4,6,9,11 *",
            "@reboot",
            "@daily * * * *",
            "0 0 * * *; rm",
            "0\u{0} 0 * * *",
            "٠ * * * *",
            &long,
        ] {
            let refused =
                Schedule::read(wrong, None, 0).err().unwrap_or_else(|| panic!("{wrong:?} was taken"));
            assert!(refused.is(codes::BAD_FIELD) && refused.public_message().len() < 300, "{wrong:?}");
        }
        for wrong in ["Mars/Olympus", "", "../../etc/passwd", "x".repeat(5_000).as_str()] {
            assert!(Schedule::read("0 0 * * *", Some(wrong), 0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_beyond_the_calendar_are_never_due() {
        let schedule = Schedule::read("0 0 * * *", None, 0).expect("a schedule");
        assert_eq!((schedule.next_ms(i64::MAX), schedule.next_ms(i64::MIN)), (None, None));
    }
}
