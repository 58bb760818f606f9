//! Counting tests from what the runners print.

use std::fmt;

/// How many tests went how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Counts `number` under the word a runner uses; words about anything else (`filtered out`) count nothing.
    fn count(&mut self, number: u64, word: &str) -> bool {
        match word {
            "passed" | "xpassed" => self.passed += number,
            "failed" | "error" | "errors" => self.failed += number,
            "skipped" | "ignored" | "xfailed" => self.skipped += number,
            _ => return false,
        }
        true
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The counts of a line `test result: ok. 3 passed; 0 failed; 1 ignored; …`; nothing for any other line.
pub(crate) fn of_cargo_line(line: &str) -> Tally {
    let mut tally = Tally::default();
    let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
        return tally;
    };
    for part in counts.split(';') {
        if let Some((number, word)) = part.trim().split_once(' ')
            && let Ok(number) = number.parse()
        {
            tally.count(number, word);
        }
    }
    tally
}

/// The counts of pytest's closing line, `== 2 failed, 10 passed in 1.20s ==` (bare with `-q`).
pub(crate) fn of_pytest_line(line: &str) -> Option<Tally> {
    let (counts, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let seconds = time.split(' ').next()?.strip_suffix('s')?;
    seconds.parse::<f64>().ok()?;
    let mut tally = Tally::default();
    let mut any = false;
    for part in counts.split(", ") {
        let (number, word) = part.split_once(' ')?;
        any |= tally.count(number.parse().ok()?, word);
    }
    any.then_some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn cargo_result_lines_are_counted_and_others_are_not() {
        let cases = [
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.01s",
                tally(3, 0, 1),
            ),
            (
                "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
                tally(2, 4, 0),
            ),
            ("test names::test_result ... ok", tally(0, 0, 0)),
            ("running 3 tests", tally(0, 0, 0)),
        ];
        for (line, expected) in cases {
            assert_eq!(of_cargo_line(line), expected, "{line}");
        }
    }

    #[test]
    fn pytest_closing_lines_are_counted_and_others_are_not() {
        let cases = [
            ("=== 2 failed, 10 passed, 1 skipped, 3 deselected in 1.20s ===", Some(tally(10, 2, 1))),
            ("1 passed in 0.01s", Some(tally(1, 0, 0))),
            ("===== 1 passed, 2 errors in 63.00s (0:01:03) =====", Some(tally(1, 2, 0))),
            ("===== 3 passed, 1 warning in 2.5s =====", Some(tally(3, 0, 0))),
            ("===== no tests ran in 0.01s =====", None),
            ("tests/compat/test_x.py::test_y PASSED in 0.1s", None),
            ("collected 12 items", None),
        ];
        for (line, expected) in cases {
            assert_eq!(of_pytest_line(line), expected, "{line}");
        }
    }

    #[test]
    fn skipped_is_named_only_when_there_is_any() {
        assert_eq!(tally(5, 0, 0).to_string(), "5 passed, 0 failed");
        assert_eq!(tally(5, 1, 2).to_string(), "5 passed, 1 failed, 2 skipped");
    }
}
