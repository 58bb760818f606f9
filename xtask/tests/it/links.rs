//! Links between the project's pages lead somewhere.

use std::fs;

use crate::{files, hold, root, text};

/// The targets of `[text](target)` outside code.
fn targets(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // Every second piece stands between backticks.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let mut rest = prose.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            found.push(rest[..end].split(' ').next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The anchors of a page: each heading in lower case, spaces as `-`, punctuation dropped.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    for path in files().iter().filter(|p| p.ends_with(".md")) {
        let page = text(path).unwrap_or_default();
        let dir = root().join(path).parent().expect("a file has a directory").to_path_buf();
        for target in targets(&page) {
            if ["http://", "https://", "mailto:"].iter().any(|outside| target.starts_with(outside)) {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let there = if file.is_empty() { root().join(path) } else { dir.join(file) };
            if !there.exists() {
                broken.push(format!("{path}: {target}: nothing there"));
            } else if !anchor.is_empty()
                && !anchors(&fs::read_to_string(&there).unwrap_or_default()).iter().any(|a| a == anchor)
            {
                broken.push(format!("{path}: {target}: no such heading"));
            }
        }
    }
    hold(&broken, "follow what the link meant, or remove it");
}

/// Pages that readers are led to: all of `docs/` and of the examples, and those at the root.
fn is_published(path: &str) -> bool {
    let place = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    path.ends_with(".md")
        && path != SUMMARY
        && (place.is_empty()
            || place == "docs"
            || place.starts_with("docs/")
            || place.starts_with("examples"))
}

const SUMMARY: &str = "docs/SUMMARY.md";

/// The pages that the summary lists, from the root.
fn listed(summary: &str) -> Vec<String> {
    let from_root = |target: String| match target.strip_prefix("../") {
        Some(outside) => outside.to_owned(),
        None => format!("docs/{target}"),
    };
    targets(summary).into_iter().filter(|target| !target.is_empty()).map(from_root).collect()
}

#[test]
fn every_page_is_in_the_summary_of_the_site_once_and_every_line_of_it_is_a_page() {
    let listed = listed(&text(SUMMARY).expect("text"));
    let published: Vec<String> = files().into_iter().filter(|path| is_published(path)).collect();
    let absent =
        published.iter().filter(|path| !listed.contains(path)).map(|path| format!("{path}: not listed"));
    let strange =
        listed.iter().filter(|path| !published.contains(path)).map(|path| format!("{path}: no page"));
    let twice = listed.iter().enumerate().filter(|(at, path)| listed[..*at].contains(path));
    let twice = twice.map(|(_, path)| format!("{path}: listed twice"));
    let broken: Vec<String> = absent.chain(strange).chain(twice).collect();
    hold(&broken, "say in docs/SUMMARY.md where readers find it");
}

#[test]
fn the_summary_names_pages_from_where_it_is() {
    assert_eq!(listed("[a](../A.md)\n- [b]()\n  - [c](in/c.md)\n"), ["A.md", "docs/in/c.md"]);
    let cases = [
        ("A.md", true),
        ("docs/in/c.md", true),
        ("examples/x/README.md", true),
        (SUMMARY, false),
        ("fuzz/README.md", false),
    ];
    for (path, expected) in cases {
        assert_eq!(is_published(path), expected, "{path}");
    }
}

#[test]
fn links_are_read_outside_code_only() {
    let page = "# One: two\n[a](b.md#c) and [d](e \"title\") but `[f](g)`\n```\n[h](i)\n```\n[j](#one-two)\n";
    assert_eq!(targets(page), ["b.md#c", "e", "#one-two"]);
    assert_eq!(anchors(page), ["one-two"]);
}
