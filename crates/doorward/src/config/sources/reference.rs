//! The reference of the configuration against the types that read it, in both directions (A-097).
//!
//! ```text
//! page ─► headings and keys ─► a file, then a variable, with that key alone ─► Server, Store, … ─► what they took
//! ```

use std::collections::BTreeSet;
use std::fs;

use super::super::auth0;
use super::*;
use crate::hypha;
use crate::platform::{agentflow, langgraph};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
    fs::read_to_string(path).expect("the page is there")
}

/// The first code of each row of the table under a heading.
fn rows(page: &str, heading: &str) -> Vec<String> {
    let under = page.split(&format!("\n## {heading}\n")).nth(1).expect(heading);
    let section = under.split("\n## ").next().expect("a split has a first part");
    let first = |line: &str| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name.to_owned());
    section.lines().filter_map(first).collect()
}

/// The sections of settings, as the page has them.
fn sections(page: &str) -> Vec<(String, Vec<String>)> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## `[")?.strip_suffix("]`"));
    headings.map(|heading| (heading.to_owned(), rows(page, &format!("`[{heading}]`")))).collect()
}

/// Where each setting came from that the types took out of these sources, whatever they think of its value.
fn taken(sources: &Sources) -> Vec<(String, Origin)> {
    let mut reading = Reading::default();
    let tree = sources.tree(&mut reading.problems);
    build(&tree, &mut reading);
    reading.settings.into_iter().map(|setting| (setting.key, setting.origin)).collect()
}

fn value(heading: &str, name: &str) -> &'static str {
    let row = SECTIONS.iter().find(|row| row.heading == heading).expect(heading);
    let key = row.keys.iter().find(|key| key.name == name).expect(name);
    if key.default.is_empty() { key.sample } else { key.default }
}

#[test]
fn the_reference_names_each_key_that_the_types_have_and_no_other() {
    let types: Vec<(String, Vec<String>)> = SECTIONS
        .iter()
        .map(|row| (row.heading.to_owned(), row.keys.iter().map(|key| key.name.to_owned()).collect()))
        .collect();
    assert_eq!(sections(&page()), types);
}

#[test]
fn each_key_of_the_reference_is_read_from_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("doorward.toml");
    let mut unread = Vec::new();
    for (heading, keys) in sections(&page()) {
        for name in keys {
            let value = value(&heading, &name);
            fs::write(&file, format!("[{heading}]\n{name} = {value}\n")).expect("written");
            let taken = taken(&Sources { file: Some(file.clone()), ..Sources::default() });
            let key = format!("{heading}.{name}");
            if !taken.iter().any(|(known, origin)| *known == key && matches!(origin, Origin::File { .. })) {
                unread.push(key);
            }
        }
    }
    assert_eq!(unread, [""; 0], "no type reads these out of a file");
}

#[test]
fn each_key_of_the_reference_is_read_from_its_variable() {
    let mut unread = Vec::new();
    for (heading, keys) in sections(&page()) {
        for name in keys {
            let variable = format!("{PREFIX}{}__{name}", heading.replace('.', "__")).to_uppercase();
            let text = value(&heading, &name).trim_matches(['"', '[', ']']).replace('"', "");
            let taken = taken(&Sources { environment: vec![(variable.clone(), text)], ..Sources::default() });
            let key = format!("{heading}.{name}");
            let by = |origin: &Origin| matches!(origin, Origin::Environment(given) if *given == variable);
            if !taken.iter().any(|(known, origin)| *known == key && by(origin)) {
                unread.push(variable);
            }
        }
    }
    assert_eq!(unread, [""; 0], "no type reads these out of the environment");
}

/// Every variable that is asked for while AgentFlow's file is read, with `auth` by JWT.
fn asked_by_agentflow() -> BTreeSet<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("agentflow.json");
    fs::write(&file, r#"{"auth": "jwt"}"#).expect("written");
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        (name == "JWT_ALGORITHM").then(|| "HS256".to_owned())
    };
    assert!(agentflow::read(&file, &environment).is_err(), "there is no secret");
    asked.into_inner()
}

#[test]
fn the_reference_names_each_variable_of_a_platform_that_is_read_and_no_other() {
    let mut read = asked_by_agentflow();
    assert!(read.len() >= 5, "{read:?}");
    read.extend(auth0::VARIABLES.iter().map(|(name, _)| (*name).to_owned()));
    read.extend(hypha::VARIABLES.iter().map(|name| (*name).to_owned()));
    read.extend(langgraph::known_variables().into_iter().map(str::to_owned));
    read.insert(ALLOW_ORIGINS.to_owned());
    let named: BTreeSet<String> = rows(&page(), "Variables of platforms").into_iter().collect();
    assert_eq!(named, read);
}

#[test]
fn the_reference_names_each_key_of_platform_files_that_is_known_and_no_other() {
    let page = page();
    let files =
        [("`agentflow.json`", agentflow::known_keys()), ("`langgraph.json`", langgraph::known_keys())];
    for (heading, known) in files {
        let named: BTreeSet<String> = rows(&page, heading).into_iter().collect();
        let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
        assert_eq!(named, known, "{heading}");
    }
}

#[test]
fn each_key_that_the_reference_names_of_a_platform_file_is_taken_without_a_word_about_an_unknown_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let page = page();
    let file = directory.path().join("platform.json");
    let told = |read: &dyn Fn() -> Result<crate::platform::Platform, Problems>| match read() {
        Ok(platform) => platform.warnings.join("\n"),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    let agentflow = || agentflow::read(&file, &|_| None);
    for name in rows(&page, "`agentflow.json`").iter().map(String::as_str).chain(["rate_limit.unheard_of"]) {
        let content = match name.split_once('.') {
            Some((outer, "requests" | "window")) => {
                serde_json::json!({ outer: { "requests": 1, "window": 1 } })
            }
            Some((outer @ "auth", _)) => serde_json::json!({ outer: { "method": "custom", "path": "a:B" } }),
            Some((outer, inner)) => serde_json::json!({ outer: { inner: null } }),
            None => serde_json::json!({ name: null }),
        };
        fs::write(&file, content.to_string()).expect("written");
        let said = told(&agentflow);
        assert_eq!(
            said.contains("is not known and has no effect"),
            name.ends_with("unheard_of"),
            "{name}: {said}"
        );
    }
    let langgraph = || langgraph::read(&file, &|_| None, &|_| None);
    for name in rows(&page, "`langgraph.json`").iter().map(String::as_str).chain(["auth.unheard_of"]) {
        let content = match name.split_once('.') {
            Some((outer, inner)) => {
                serde_json::json!({ outer: { "path": "./auth.py:auth", inner: "./auth.py:auth" } })
            }
            None => serde_json::json!({ name: null }),
        };
        fs::write(&file, content.to_string()).expect("written");
        let said = told(&langgraph);
        assert_eq!(
            said.contains("auth.unheard_of has no effect here"),
            name.ends_with("unheard_of"),
            "{name}: {said}"
        );
        assert!(!said.contains("unknown key"), "{name}: {said}");
    }
}
