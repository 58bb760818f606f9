//! The commands that the pages name exist, and CI runs the command that the README names.

use crate::{files, hold, text};

/// The words after `cargo xtask ` in a text.
fn named(text: &str) -> Vec<String> {
    let words = text.split(concat!("cargo", " xtask ")).skip(1);
    words
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

fn pages() -> Vec<String> {
    files().into_iter().filter(|p| p.ends_with(".md") || p.starts_with(".ci/")).collect()
}

#[test]
fn commands_that_the_pages_name_exist() {
    let mut broken = Vec::new();
    for path in pages() {
        for word in named(&text(&path).unwrap_or_default()) {
            if !xtask::COMMANDS.iter().any(|command| command.name == word) {
                broken.push(format!("{path}: no command `{word}`"));
            }
        }
    }
    hold(&broken, "name a command of `xtask::COMMANDS`");
}

#[test]
fn every_command_is_explained_to_contributors() {
    let page = text("CONTRIBUTING.md").expect("text");
    let explained = named(&page);
    let absent = xtask::COMMANDS.iter().map(|c| c.name.to_owned()).filter(|name| !explained.contains(name));
    hold(&absent.collect::<Vec<_>>(), "say in CONTRIBUTING.md when to run it");
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let readme = text("README.md").expect("text");
    let ci = text(".ci/run").expect("text");
    let command = "cargo xtask test";
    assert!(
        readme.lines().any(|line| line.split('#').next().unwrap_or_default().trim() == command),
        "README names it"
    );
    assert!(ci.lines().any(|line| line == format!("exec {command}")), "CI runs it");
}

#[test]
fn commands_are_found_in_prose_and_code() {
    let page = concat!("run `cargo", " xtask check`, then cargo", " xtask nope-1; cargo", " xtask <command>");
    assert_eq!(named(page), ["check", "nope-1"]);
}
