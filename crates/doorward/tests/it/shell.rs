//! Completions and the manual come out of the same description as `--help`.

use std::path::Path;
use std::process::Command;

use crate::program::{printed, run};

#[test]
fn bash_completes_commands_and_their_options() {
    let output = run(Path::new("."), &["completions", "bash"]);
    assert!(output.status.success());
    let home = tempfile::tempdir().expect("a directory");
    let script = home.path().join("doorward.bash");
    std::fs::write(&script, &output.stdout).expect("written");
    // As bash itself asks: the words so far, and which of them is being written.
    let complete = |words: &str, at: usize| {
        let program = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={at}; _doorward doorward \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display(),
            at - 1
        );
        let told = Command::new("bash").args(["-c", &program]).output().expect("bash runs");
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    };
    assert_eq!(complete("doorward conf", 1), "config");
    assert_eq!(complete("doorward key cr", 2), "create");
    assert_eq!(complete("doorward dev --langg", 2), "--langgraph");
}

#[test]
fn every_shell_gets_a_script_and_another_is_asked_wrongly() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(Path::new("."), &["completions", shell]);
        assert!(output.status.success() && printed(&output).contains("doorward"), "{shell}");
    }
    let output = run(Path::new("."), &["completions", "csh"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output).contains("csh"), "{}", printed(&output));
}

#[test]
fn there_is_a_page_of_the_manual_for_every_command() {
    let page = run(Path::new("."), &["man"]);
    assert!(page.status.success() && printed(&page).contains(".TH doorward 1"));
    let home = tempfile::tempdir().expect("a directory");
    let to = home.path().to_str().expect("text");
    assert!(run(Path::new("."), &["man", "--to", to]).status.success());
    for name in ["doorward.1", "doorward-dev.1", "doorward-key-create.1", "doorward-migrate-apply.1"] {
        let text = std::fs::read_to_string(home.path().join(name)).expect(name);
        assert!(text.contains(".TH"), "{name}");
    }
    let create = std::fs::read_to_string(home.path().join("doorward-key-create.1")).expect("there");
    assert!(create.contains("expires") && create.contains("doorward key create"), "{create}");
}

#[test]
fn a_directory_that_is_not_there_is_named_with_what_to_do() {
    let output = run(Path::new("."), &["man", "--to", "/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(1));
    let text = printed(&output);
    assert!(text.contains("/nowhere/at/all") && text.contains("that you may write"), "{text}");
}
