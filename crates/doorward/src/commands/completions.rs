//! `doorward completions`: what a shell needs to complete commands.

use clap::Parser;
use clap_complete::{Shell, generate};

use crate::cli::{Descriptor, Failure, NAME, Run, Surroundings, print, program};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Completions>("completions");

/// Print what a shell needs to complete these commands
#[derive(Parser)]
#[command(
    name = "completions",
    after_help = "\
Examples:
  doorward completions bash > /etc/bash_completion.d/doorward
  doorward completions zsh > \"${fpath[1]}/_doorward\"
  doorward completions fish > ~/.config/fish/completions/doorward.fish"
)]
struct Completions {
    /// The shell
    shell: Shell,
}

impl Run for Completions {
    fn run(self, _: &Surroundings) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut program(), NAME, &mut script);
        print(&script)
    }
}
