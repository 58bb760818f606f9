//! How policy tests went, for people and for the programs that run them.

use clap::ValueEnum;
use serde_json::json;

use super::{Fault, Outcome, Suite};

/// How to say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Pretty,
    /// One object
    Json,
    /// The Test Anything Protocol, version 14
    Tap,
    /// JUnit's XML, as most CI servers read it
    Junit,
}

/// The report, with a line end.
pub(crate) fn render(suites: &[Suite], format: Format) -> String {
    match format {
        Format::Pretty => pretty(suites),
        Format::Json => format!("{:#}\n", as_json(suites)),
        Format::Tap => tap(suites),
        Format::Junit => junit(suites),
    }
}

fn counts(suites: &[Suite]) -> (usize, usize) {
    let failed = all(suites).filter(|(_, outcome)| outcome.fault.is_some()).count();
    (all(suites).count() - failed, failed)
}

fn all(suites: &[Suite]) -> impl Iterator<Item = (&Suite, &Outcome)> {
    suites.iter().flat_map(|suite| suite.results.iter().map(move |outcome| (suite, outcome)))
}

/// Control characters of a file's texts are shown, not obeyed.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn pretty(suites: &[Suite]) -> String {
    let mut out = String::new();
    for (_, outcome) in all(suites) {
        let Some(Fault { expected, got, why }) = &outcome.fault else { continue };
        out.push_str(&format!("FAILED  {}  ({})\n", plain(&outcome.name), outcome.place));
        out.push_str(&format!("  expected: {}\n  got:      {}\n", plain(expected), plain(got)));
        for (at, step) in why.iter().enumerate() {
            out.push_str(&format!("  {}. {}\n", at + 1, plain(step)));
        }
    }
    let (passed, failed) = counts(suites);
    out.push_str(&format!("{passed} passed, {failed} failed\n"));
    out
}

fn as_json(suites: &[Suite]) -> serde_json::Value {
    let (passed, failed) = counts(suites);
    let cases = all(suites).map(|(suite, outcome)| {
        let mut case = json!({
            "file": suite.file.display().to_string(), "name": outcome.name, "at": outcome.place,
            "passed": outcome.fault.is_none(),
        });
        if let Some(Fault { expected, got, why }) = &outcome.fault {
            case["expected"] = json!(expected);
            case["got"] = json!(got);
            case["why"] = json!(why);
        }
        case
    });
    json!({ "passed": passed, "failed": failed, "cases": cases.collect::<Vec<_>>() })
}

fn tap(suites: &[Suite]) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", all(suites).count());
    for (at, (_, outcome)) in all(suites).enumerate() {
        let name = plain(&outcome.name).replace('\\', "\\\\").replace('#', "\\#");
        let ok = if outcome.fault.is_none() { "ok" } else { "not ok" };
        out.push_str(&format!("{ok} {} - {name}\n", at + 1));
        if let Some(Fault { expected, got, why }) = &outcome.fault {
            // A JSON text is a YAML one too.
            let said = |text: &str| json!(text).to_string();
            out.push_str(&format!("  ---\n  at: {}\n", said(&outcome.place)));
            out.push_str(&format!("  expected: {}\n  got: {}\n  why:\n", said(expected), said(got)));
            for step in why {
                out.push_str(&format!("    - {}\n", said(step)));
            }
            out.push_str("  ...\n");
        }
    }
    out
}

fn junit(suites: &[Suite]) -> String {
    let (_, failed) = counts(suites);
    let total = all(suites).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites tests=\"{total}\" failures=\"{failed}\">\n"));
    for suite in suites {
        let name = escaped(&suite.file.display().to_string());
        let failed = suite.results.iter().filter(|outcome| outcome.fault.is_some()).count();
        let total = suite.results.len();
        out.push_str(&format!("  <testsuite name=\"{name}\" tests=\"{total}\" failures=\"{failed}\">\n"));
        for outcome in &suite.results {
            out.push_str(&format!("    <testcase classname=\"{name}\" name=\"{}\"", escaped(&outcome.name)));
            match &outcome.fault {
                None => out.push_str("/>\n"),
                Some(Fault { expected, got, why }) => {
                    let message = escaped(&format!("expected {expected}; got {got}"));
                    let text = escaped(&format!("{}\n{}", outcome.place, why.join("\n")));
                    out.push_str(&format!(
                        ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n"
                    ));
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text of an XML document; what no such document may hold is shown as unreadable.
fn escaped(text: &str) -> String {
    let held = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    let text: String = text.chars().map(|c| if held(c) { c } else { '\u{fffd}' }).collect();
    // The five that mean something in XML mean it in HTML.
    doorward_protocols::html::escaped(&text)
}
