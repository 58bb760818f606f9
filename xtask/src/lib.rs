//! What a developer of Doorward runs: `cargo xtask setup | check | test | bench | structure | status | generate | site`.
//!
//! ```text
//! arguments ─ run ─► COMMANDS ─► one function per file ─► steps (process.rs): what is run, what failed, what to do
//! ```
//!
//! To add a command: a file here, a row in [`COMMANDS`]. The rules about the tree itself (layers, sizes,
//! registration, links, words) are tests in `xtask/tests/it`, so that `cargo test` keeps them too.

#![allow(clippy::print_stdout, reason = "the terminal is what these commands speak to")]

mod bench;
mod check;
pub mod failure;
pub mod generate;
mod process;
pub mod repo;
mod setup;
mod site;
pub mod status;
mod structure;
mod test;

use failure::Failure;

/// A command: what it is called, what it is for, its help, and what it does with its arguments.
pub struct Command {
    /// The word after `cargo xtask`.
    pub name: &'static str,
    /// One line for the list of commands.
    pub summary: &'static str,
    /// The text of `--help`, with examples.
    pub help: &'static str,
    /// Runs it; the arguments are those after the name.
    pub run: fn(&[String]) -> Result<(), Failure>,
}

/// Every command.
pub static COMMANDS: &[Command] = &[
    setup::COMMAND,
    check::COMMAND,
    test::COMMAND,
    bench::COMMAND,
    structure::COMMAND,
    status::COMMAND,
    generate::COMMAND,
    site::COMMAND,
];

/// Runs the command that the arguments name.
///
/// # Errors
/// An unknown command, or the failure of the one named.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        println!("{}", overview());
        return Ok(());
    };
    if ["-h", "--help", "help"].contains(&name.as_str()) {
        println!("{}", overview());
        return Ok(());
    }
    let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
        return Err(Failure::new(format!("no command `{name}`\n\n{}", overview())));
    };
    // What follows `--` belongs to the program that the command starts.
    let own = rest.iter().take_while(|a| *a != "--");
    if own.into_iter().any(|a| a == "-h" || a == "--help") {
        println!("{}", command.help.trim());
        return Ok(());
    }
    (command.run)(rest)
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask <command> [--help]\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<10} {}\n", command.name, command.summary));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help_with_an_example_of_itself() {
        for command in COMMANDS {
            let example = format!("cargo xtask {}", command.name);
            assert!(command.help.matches(&example).count() >= 2, "{}: usage and example", command.name);
        }
    }

    #[test]
    fn unknown_command_is_refused_and_the_known_ones_are_named() {
        let refused = run(&["chekc".into()]).expect_err("not a command").to_string();
        assert!(refused.contains("no command `chekc`") && refused.contains("check"), "{refused}");
    }
}
