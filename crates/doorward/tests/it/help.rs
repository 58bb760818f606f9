//! What `--help` says, word for word: a change of it is seen in review.

use std::path::Path;

use crate::program::{printed, run};

const COMMANDS: &[(&str, &[&str])] = &[
    ("dev", &[]),
    ("serve", &[]),
    (
        "user",
        &[
            "create",
            "list",
            "show",
            "disable",
            "enable",
            "delete",
            "set-password",
            "identities",
            "unlink",
            "set-roles",
            "import",
            "export",
        ],
    ),
    ("key", &["create", "list", "revoke"]),
    ("token", &["issue", "inspect", "revoke", "keys", "rotate-key", "retire-key"]),
    ("session", &["list", "end"]),
    ("supabase", &["keys"]),
    ("audit", &["list", "verify"]),
    ("webhook", &["list", "test", "retry"]),
    ("explain", &[]),
    ("policy", &["test"]),
    ("config", &["check", "show", "example"]),
    ("doctor", &[]),
    ("handlers", &["check"]),
    ("migrate", &["status", "apply"]),
    ("backup", &[]),
    ("restore", &[]),
    ("completions", &[]),
    ("man", &[]),
];

fn help(words: &[&str]) -> String {
    let output = run(Path::new("."), &[words, &["--help"]].concat());
    assert!(output.status.success(), "{words:?}");
    printed(&output)
}

#[test]
fn every_command_explains_itself() {
    insta::assert_snapshot!("overview", help(&[]));
    for (command, _) in COMMANDS {
        insta::assert_snapshot!(*command, help(&[command]));
    }
}

#[test]
fn every_subcommand_has_an_example_and_answers_in_json() {
    for (command, words) in COMMANDS {
        for word in *words {
            let text = help(&[command, word]);
            assert!(
                text.matches(&format!("doorward {command} {word}")).count() >= 2,
                "usage and example: {text}"
            );
            assert!(text.contains("--json"), "{text}");
        }
    }
}

#[test]
fn the_table_of_this_test_is_whole() {
    let overview = help(&[]);
    let between =
        overview.split("Commands:").nth(1).and_then(|rest| rest.split("help ").next()).expect("a list");
    let named: Vec<&str> = between.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(named, COMMANDS.iter().map(|(command, _)| *command).collect::<Vec<_>>());
}

#[test]
fn a_wrong_use_ends_with_two_and_names_what_is_wrong() {
    let cases: &[&[&str]] = &[
        &["unheard-of"],
        &["user", "unheard-of"],
        &["dev", "--unheard-of"],
        &["dev", "--listen", "nowhere"],
        &["dev", "--mount", "x"],
        &["dev", "--mount", "x=nowhere"],
        &["dev", "--upstream", "http://127.0.0.1:1"],
        &["user", "create", "--username", "a", "--password", "visible"],
        &["key", "create", "--user", "a", "--name", "b"],
        &["key", "create", "--user", "a", "--name", "b", "--expires", "sometime"],
        &["token", "revoke"],
        &["token", "issue", "--user-id", "a", "--claim", "novalue"],
    ];
    for case in cases {
        let output = run(Path::new("."), case);
        assert_eq!(output.status.code(), Some(2), "{case:?}: {}", printed(&output));
        let text = printed(&output);
        assert!(case.iter().rev().take(4).any(|word| text.contains(word)), "{case:?}: {text}");
    }
}

#[test]
fn the_reference_of_the_configuration_says_what_the_program_says() {
    let output = run(Path::new("."), &["config", "example", "--reference"]);
    let said = printed(&output);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let written = std::fs::read_to_string(page).expect("the page is there");
    assert!(
        written.contains(said.trim()),
        "docs/reference/configuration.md: put in what `doorward config example --reference` prints"
    );
}
