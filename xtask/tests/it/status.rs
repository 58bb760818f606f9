//! `docs/status.md` lists every promise once, and every proof it names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;

use xtask::repo;
use xtask::status::{PATH, Proof, rows};

use crate::{hold, root};

/// Ids that one side has and the other lacks, and ids that stand in the status more than once.
fn differences(promises: &str, status: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows(status) {
        *counts.entry(row.id).or_default() += 1;
    }
    let promised: BTreeSet<String> = rows(promises).into_iter().map(|row| row.id).collect();
    let listed: BTreeSet<String> = counts.keys().cloned().collect();
    let absent = promised.difference(&listed).map(|id| format!("{id}: promised, but not listed"));
    let invented = listed.difference(&promised).map(|id| format!("{id}: listed, but nobody promised it"));
    let twice = counts.iter().filter(|(_, n)| **n > 1).map(|(id, n)| format!("{id}: listed {n} times"));
    absent.chain(invented).chain(twice).collect()
}

/// Why a test of this name in this text proves nothing; `None` when it is a test that runs.
fn no_proof(path: &str, text: &str, name: &str) -> Option<String> {
    if path.ends_with(".rs") { no_rust_test(text, name) } else { no_python_test(text, name) }
}

fn no_rust_test(text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = |line: &&str| {
        let rest = line.strip_prefix("pub ").unwrap_or(line);
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        rest.strip_prefix("fn ").and_then(|r| r.strip_prefix(name)).is_some_and(|r| r.starts_with(['(', '<']))
    };
    let Some(at) = lines.iter().position(declared) else { return Some(format!("no `fn {name}`")) };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let attributes: Vec<&&str> = above.collect();
    if attributes.iter().any(|line| line.starts_with("#[ignore")) {
        return Some(format!("`{name}` is ignored"));
    }
    let is_test = attributes.iter().any(|a| **a == "#[test]" || a.starts_with("#[tokio::test"));
    (!is_test).then(|| format!("`{name}` is no test"))
}

fn no_python_test(text: &str, name: &str) -> Option<String> {
    let name = name.split('[').next().unwrap_or(name);
    let (class, function) = name.rsplit_once("::").map_or((None, name), |(class, f)| (Some(class), f));
    if !function.starts_with("test_") {
        return Some(format!("`{function}` is no test: pytest collects `test_…`"));
    }
    if class.is_some_and(|c| !text.lines().any(|l| l.starts_with(&format!("class {c}")))) {
        return Some(format!("no class {}", class.unwrap_or_default()));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = |line: &&str| {
        let rest = line.strip_prefix("async ").unwrap_or(line);
        rest.strip_prefix("def ").and_then(|r| r.strip_prefix(function)).is_some_and(|r| r.starts_with('('))
    };
    let Some(at) = lines.iter().position(declared) else { return Some(format!("no `def {function}`")) };
    let above: Vec<&&str> = lines[..at].iter().rev().take_while(|line| !line.is_empty()).collect();
    let never = ["@pytest.mark.skip(", "@pytest.mark.xfail"];
    let left_out = above.iter().any(|l| **l == "@pytest.mark.skip" || never.iter().any(|n| l.starts_with(n)));
    left_out.then(|| format!("`{function}` is skipped or expected to fail"))
}

fn unproven(status: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for row in rows(status) {
        match Proof::read(&row.last) {
            Err(why) => broken.push(format!("{}: {why}", row.id)),
            Ok(Proof::NotYet(_)) => {}
            Ok(Proof::Tests(tests)) => {
                for (path, name) in tests {
                    let why = match fs::read_to_string(root().join(&path)) {
                        Ok(text) => no_proof(&path, &text, &name),
                        Err(_) => Some("no such file".to_owned()),
                    };
                    broken.extend(why.map(|why| format!("{}: {path}: {why}", row.id)));
                }
            }
        }
    }
    broken
}

fn status() -> String {
    fs::read_to_string(root().join(PATH)).expect("docs/status.md is there")
}

#[test]
fn every_promise_is_listed_exactly_once() {
    let Some(shared) = repo::shared(&root()) else {
        assert!(
            !repo::in_ci(),
            "the list of promises must be beside the project in CI (../shared/promises.md)"
        );
        // Past the capture of the test harness, so that it is seen although the test passes.
        let said = "LEFT OUT: status against promises: ../shared/promises.md absent";
        writeln!(std::io::stderr(), "{said}").expect("stderr is open");
        return;
    };
    let promises = fs::read_to_string(shared.join("promises.md")).expect("seen just before");
    assert!(rows(&promises).len() > 400, "the list of promises was read");
    hold(
        &differences(&promises, &status()),
        "run `cargo xtask status`; an id without a promise is a mistake",
    );
}

#[test]
fn every_proof_names_a_test_that_exists_and_runs() {
    let text = status();
    assert!(rows(&text).len() > 400, "the table was read");
    hold(
        &unproven(&text),
        "name the test that shows it (`path::test`), or say `not yet: ` and what it waits for",
    );
}

#[test]
fn missing_invented_and_repeated_ids_are_found() {
    let row = |id: &str| format!("| {id} | x | y |\n");
    let promises = [row("A-001"), row("A-002")].concat();
    assert!(differences(&promises, &promises).is_empty());
    let status = [row("A-001"), row("A-001"), row("H-001")].concat();
    let expected =
        ["A-002: promised, but not listed", "H-001: listed, but nobody promised it", "A-001: listed 2 times"];
    assert_eq!(differences(&promises, &status), expected);
}

#[test]
fn proof_is_a_test_that_runs() {
    let rust = "#[test]\nfn real() {}\n#[tokio::test]\n/// why\nasync fn waits() {}\nfn helper() {}\n#[test]\n#[ignore = \"slow\"]\nfn left_out() {}\n// fn spoken() {}\n";
    let python = "class TestOne:\n    def test_in_class(self): ...\n\n@pytest.mark.parametrize('a', [1])\nasync def test_table(a): ...\n\n@pytest.mark.skip\ndef test_skipped(): ...\n\n@pytest.mark.skipif(x, reason='y')\ndef test_when_possible(): ...\n\ndef helper(): ...\n";
    let cases = [
        ("a.rs", rust, "real", true),
        ("a.rs", rust, "waits", true),
        ("a.rs", rust, "helper", false),
        ("a.rs", rust, "left_out", false),
        ("a.rs", rust, "spoken", false),
        ("a.rs", rust, "rea", false),
        ("t.py", python, "TestOne::test_in_class", true),
        ("t.py", python, "TestTwo::test_in_class", false),
        ("t.py", python, "test_table[hs256]", true),
        ("t.py", python, "test_skipped", false),
        ("t.py", python, "test_when_possible", true),
        ("t.py", python, "helper", false),
        ("t.py", python, "test_absent", false),
    ];
    for (path, text, name, proves) in cases {
        assert_eq!(no_proof(path, text, name).is_none(), proves, "{path}::{name}");
    }
    assert_eq!(unproven("| A-001 | x | `xtask/none.rs::a` |\n| A-002 | x | not yet |\n").len(), 2);
}
