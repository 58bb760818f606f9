//! Moments and spans of time, as people write them.

/// A moment in UTC, RFC 3339, to the second.
pub(crate) fn moment(at_ms: i64) -> String {
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

/// A moment that may be absent.
pub(crate) fn moment_or(at_ms: Option<i64>, absent: &str) -> String {
    at_ms.map_or_else(|| absent.to_owned(), moment)
}

/// A span such as `90d`, `12h`, `30m`, `45s` or a bare number of seconds.
pub(crate) fn span_s(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no span of time; write it like 90d, 12h, 30m or 45s");
    let (digits, unit_s) = match text.chars().last() {
        Some('d') => (&text[..text.len() - 1], 86_400),
        Some('h') => (&text[..text.len() - 1], 3_600),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('s') => (&text[..text.len() - 1], 1),
        _ => (text, 1),
    };
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    if number == 0 { Err(wrong()) } else { Ok(i64::from(number) * unit_s) }
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
            assert_eq!(moment(at_ms), expected);
        }
    }

    #[test]
    fn spans_have_a_unit_or_are_seconds() {
        for (text, expected) in [("90d", 7_776_000), ("12h", 43_200), ("30m", 1_800), ("45s", 45), ("60", 60)]
        {
            assert_eq!(span_s(text), Ok(expected));
        }
        for bad in ["", "0", "0d", "-1", "d", "1.5h", "1w", "99999999999d", "é"] {
            assert!(span_s(bad).is_err(), "{bad}");
        }
    }
}
