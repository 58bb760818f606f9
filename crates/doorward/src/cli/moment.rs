//! Moments and spans of time, as people write them.

pub(crate) use doorward_core::clock::rfc3339 as moment;

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
