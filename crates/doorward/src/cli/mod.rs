//! The command line: what commands share. The commands themselves are rows of `commands::BUILTIN`.

mod failure;
mod inside;
mod moment;
mod options;
mod output;
mod password;

use std::ffi::OsString;
use std::process::ExitCode;

pub use failure::Failure;
pub(crate) use inside::{Inside, inside, inside_of};
pub(crate) use moment::{moment, moment_or, span_s};
pub use options::Surroundings;
pub(crate) use options::{ReadyOptions, ServerOptions, StoreOptions};
pub(crate) use output::{Output, new_file, print, table};
pub(crate) use password::PasswordSource;

use crate::commands::BUILTIN;

const ABOUT: &str = "One authentication, authorization and tool-credential system for AI-agent platforms.";
const AFTER: &str = "\
Begin with:
  doorward dev                    a server on this machine alone, with commands to try
  doorward config example         a configuration file to start from
  doorward serve                  a server for others, from doorward.toml

Exit codes: 0 done, 1 failed or refused, 2 asked wrongly.
With --json a failure is a line of JSON on standard error.";

/// What the program is called.
pub(crate) const NAME: &str = "doorward";

/// The whole of the command line.
pub(crate) fn program() -> clap::Command {
    let program = clap::Command::new(NAME)
        .about(ABOUT)
        .after_help(AFTER)
        .version(env!("CARGO_PKG_VERSION"))
        // However the file is called: examples and usage say the same.
        .bin_name(NAME)
        // A wrapper's flags can be corrected by adding to them.
        .args_override_self(true)
        .subcommand_required(true)
        .arg_required_else_help(true);
    BUILTIN.iter().fold(program, |program, row| program.subcommand((row.command)()))
}

/// Runs the command that `arguments` name, the program's own name first.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let matches = match program().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        // Help and version are answers and go to standard output; clap knows which is which.
        Err(error) if json && error.use_stderr() => {
            let text = error.to_string();
            let text = text.trim_start_matches("error: ").trim_end();
            return Failure::usage(text, "see --help").report(true);
        }
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let printed = error.print();
            return ExitCode::from(if printed.is_err() { 1 } else { code });
        }
    };
    let (name, own) = matches.subcommand().expect("clap demands a command");
    let row =
        BUILTIN.iter().find(|row| row.name == name).expect("clap knows the commands of the table alone");
    let surroundings = Surroundings::of_process();
    match (row.run)(own, &surroundings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

/// A command: its arguments, parsed, and what it does.
pub(crate) trait Run: clap::CommandFactory + clap::FromArgMatches {
    /// Does it.
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure>;
}

/// A row of the table of commands.
pub(crate) struct Descriptor {
    /// As it is typed.
    pub(crate) name: &'static str,
    command: fn() -> clap::Command,
    run: fn(&clap::ArgMatches, &Surroundings) -> Result<(), Failure>,
}

impl Descriptor {
    /// The row of `C`, which is typed `name`.
    pub(crate) const fn of<C: Run>(name: &'static str) -> Self {
        Self { name, command: C::command, run: parse_and_run::<C> }
    }
}

fn parse_and_run<C: Run>(matches: &clap::ArgMatches, surroundings: &Surroundings) -> Result<(), Failure> {
    match C::from_arg_matches(matches) {
        Ok(command) => command.run(surroundings),
        Err(error) => Err(Failure::usage(error.to_string(), "see --help")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_sound_and_shows_examples() {
        let mut program = program();
        program.build();
        program.clone().debug_assert();
        for row in BUILTIN {
            let command = program.find_subcommand(row.name).expect("its own name is its row's");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains(&format!("doorward {}", row.name)), "{}: no examples", row.name);
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                assert!(inner.get_about().is_some(), "{} {}: says nothing", row.name, inner.get_name());
            }
        }
    }
}
