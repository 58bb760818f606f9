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

#[test]
fn links_are_read_outside_code_only() {
    let page = "# One: two\n[a](b.md#c) and [d](e \"title\") but `[f](g)`\n```\n[h](i)\n```\n[j](#one-two)\n";
    assert_eq!(targets(page), ["b.md#c", "e", "#one-two"]);
    assert_eq!(anchors(page), ["one-two"]);
}
