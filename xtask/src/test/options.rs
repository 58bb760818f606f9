//! The arguments of `cargo xtask test`.

use crate::failure::Failure;

/// A part of the tests that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Rust,
    Compat,
}

/// What to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Only this part; both when absent.
    pub(crate) only: Option<Part>,
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let refuse = |why: String| Err(Failure::new(format!("{why}; see `cargo xtask test --help`")));
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--only" => match rest.next().map(String::as_str) {
                    Some("rust") => options.only = Some(Part::Rust),
                    Some("compat") => options.only = Some(Part::Compat),
                    other => return refuse(format!("--only takes rust or compat, not {other:?}")),
                },
                flag if flag.starts_with('-') => return refuse(format!("no option `{flag}`")),
                name if options.filter.is_none() => options.filter = Some(name.to_owned()),
                second => return refuse(format!("one filter at a time, `{second}` is the second")),
            }
        }
        Ok(options)
    }

    pub(crate) fn includes(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn parts_and_filter_are_read() {
        let both = parse("").expect("nothing is fine");
        assert!(both.includes(Part::Rust) && both.includes(Part::Compat));
        let one = parse("--only compat gateway").expect("well formed");
        assert!(!one.includes(Part::Rust) && one.includes(Part::Compat));
        assert_eq!(one.filter.as_deref(), Some("gateway"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["--only", "--only python", "--fast", "one two"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
