//! `docs/status.md`: every promise with the test that proves it, or what it waits for.

mod table;

use std::collections::BTreeMap;
use std::fs;

pub use table::{Proof, Row, rows};

use crate::failure::Failure;
use crate::process::say;
use crate::{Command, repo};

pub(crate) const COMMAND: Command = Command {
    name: "status",
    summary: "bring docs/status.md up to date with the promises and count what is proven",
    help: "
Usage: cargo xtask status

Where the list of promises stands beside the project (../shared/promises.md), writes docs/status.md again: kept
proofs stay, new promises come in as `not yet`, changed wording follows. Then counts what is proven per document.

Examples:
  cargo xtask status
  cargo xtask status && git diff docs/status.md
",
    run: status,
};

/// Where the table stands.
pub const PATH: &str = "docs/status.md";

fn status(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::new(format!("status takes no `{unknown}`; see `cargo xtask status --help`")));
    }
    let root = repo::root()?;
    let path = root.join(PATH);
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    if let Some(shared) = repo::shared(&root) {
        text = merged(&fs::read_to_string(shared.join("promises.md"))?, &text)?;
        fs::write(&path, &text)?;
    } else {
        say("LEFT OUT: the list of promises is not beside the project; only counting");
    }
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for row in rows(&text) {
        let letter = row.id.split('-').next().unwrap_or_default().to_owned();
        let count = counts.entry(letter).or_default();
        count.1 += 1;
        if matches!(Proof::read(&row.last), Ok(Proof::Tests(_))) {
            count.0 += 1;
        }
    }
    for (letter, (proven, all)) in counts {
        say(&format!("{letter}: {proven} of {all} proven"));
    }
    Ok(())
}

const PREAMBLE: &str = "# Status

Every promise, and the test that proves it. A row without one says `not yet` and what it waits for. A proof is
`path::test`, several are separated by `<br>`; a test checks that each of them exists and that no promise is
missing, so this page cannot claim what nothing shows. `cargo xtask status` keeps the rows in step with the list.
";

/// The promises' headings and rows with the proofs that `status` already has.
///
/// # Errors
/// A proof for an id that is no promise: it would be lost silently.
fn merged(promises: &str, status: &str) -> Result<String, Failure> {
    let mut proofs: BTreeMap<String, String> = BTreeMap::new();
    for row in rows(status) {
        if proofs.insert(row.id.clone(), row.last).is_some() {
            return Err(Failure::new(format!("{PATH}: {} stands there twice", row.id)));
        }
    }
    let mut text = PREAMBLE.to_owned();
    for line in promises.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let title = title.split(" (wire facts").next().unwrap_or(title);
            text += &format!("\n## {title}\n");
        } else if line.starts_with("### ") {
            text += &format!("\n{line}\n\n| id | promise | proof |\n|---|---|---|\n");
        } else if let Some(row) = rows(line).pop() {
            let proof = proofs.remove(&row.id).unwrap_or_else(|| format!("not yet: {}", waits_for(&row.id)));
            text += &format!("| {} | {} | {proof} |\n", row.id, row.promise);
        }
    }
    match proofs.first_key_value() {
        None => Ok(text),
        Some((id, proof)) => Err(Failure::new(format!("{PATH}: {id} is no promise, but has `{proof}`"))),
    }
}

/// The part of the product that a new promise of this document waits for, until somebody says it better.
fn waits_for(id: &str) -> &'static str {
    match id.split('-').next() {
        Some("A") => "the main job",
        Some("H") => "the hub",
        Some("L") => "the LangGraph surface",
        Some("M") => "the Muxi surface",
        Some("P") => "tool credentials",
        _ => "a part without a name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISES: &str = "# Promises\n\n1. rule | with a bar\n\n## Two (wire facts: `x`)\n\n### First\n\n\
        | id | promise | check |\n|---|---|---|\n| A-001 | opens | curl |\n| A-002 | shuts | curl |\n";

    #[test]
    fn merging_keeps_proofs_adds_new_promises_and_follows_wording() {
        let before = "| A-002 | old words | `xtask/src/lib.rs::it` |\n";
        let text = merged(PROMISES, before).expect("consistent");
        assert!(text.contains("## Two\n\n### First\n\n| id | promise | proof |\n"), "{text}");
        assert!(text.contains("| A-001 | opens | not yet: the main job |\n"), "{text}");
        assert!(text.contains("| A-002 | shuts | `xtask/src/lib.rs::it` |\n"), "{text}");
        assert_eq!(merged(PROMISES, &text).expect("consistent"), text, "merging again changes nothing");
    }

    #[test]
    fn proof_of_an_invented_promise_is_not_lost_silently() {
        let refused = merged(PROMISES, "| A-003 | invented | `x::y` |\n").expect_err("no such promise");
        assert!(refused.to_string().contains("A-003 is no promise"));
        let twice = "| A-001 | a | not yet: x |\n| A-001 | a | not yet: y |\n";
        assert!(merged(PROMISES, twice).expect_err("twice").to_string().contains("twice"));
    }
}
