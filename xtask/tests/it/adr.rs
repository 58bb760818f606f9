//! Decision records are numbered without gaps and have the same four parts.

use crate::{files, hold, text};

const PARTS: &[&str] = &["Status", "Context", "Decision", "Consequences"];
/// About a page.
const LIMIT_LINES: usize = 90;

fn broken(path: &str, text: &str) -> Vec<String> {
    let headings: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("## ")).map(str::trim).collect();
    let mut found: Vec<String> = PARTS
        .iter()
        .filter(|part| !headings.contains(part))
        .map(|part| format!("{path}: no `## {part}`"))
        .collect();
    let number = path.rsplit('/').next().and_then(|name| name.split('-').next()).unwrap_or_default();
    if !text.starts_with(&format!("# {number}: ")) {
        found.push(format!("{path}: does not begin with `# {number}: `"));
    }
    if text.lines().count() > LIMIT_LINES {
        found.push(format!("{path}: longer than a page"));
    }
    found
}

#[test]
fn records_have_their_four_parts_and_no_gaps() {
    let records: Vec<String> =
        files().into_iter().filter(|p| p.starts_with("docs/adr/") && p.ends_with(".md")).collect();
    assert!(!records.is_empty(), "there are decision records");
    let mut all: Vec<String> = records.iter().flat_map(|p| broken(p, &text(p).unwrap_or_default())).collect();
    for (at, path) in records.iter().enumerate() {
        let number = format!("docs/adr/{:04}-", at + 1);
        if !path.starts_with(&number) {
            all.push(format!("{path}: expected {number}…"));
        }
    }
    hold(&all, "one page: status, context, decision, consequences; superseded by a new one, never rewritten");
}

#[test]
fn missing_parts_are_found() {
    let whole = "# 0001: a\n\n## Status\n\n## Context\n\n## Decision\n\n## Consequences\n";
    assert!(broken("docs/adr/0001-a.md", whole).is_empty());
    assert_eq!(broken("docs/adr/0002-a.md", whole).len(), 1, "another number");
    assert_eq!(broken("docs/adr/0001-a.md", &whole.replace("## Context", "Context")).len(), 1);
    assert_eq!(broken("docs/adr/0001-a.md", &format!("{whole}{}", "x\n".repeat(90))).len(), 1);
}
