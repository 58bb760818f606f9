//! `doorward man`: the manual's pages.

use std::path::PathBuf;

use clap::Parser;
use clap_mangen::Man;

use crate::cli::{Descriptor, Failure, Run, Surroundings, print, program};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Manual>("man");

/// Print the manual's page, or write one for each command
#[derive(Parser)]
#[command(
    name = "man",
    after_help = "\
Examples:
  doorward man | man -l -
  doorward man --to /usr/local/share/man/man1"
)]
struct Manual {
    /// Write the pages of all commands into this directory, which is there: doorward.1, doorward-dev.1, …
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,
}

impl Run for Manual {
    fn run(self, _: &Surroundings) -> Result<(), Failure> {
        match self.to {
            Some(directory) => clap_mangen::generate_to(program(), &directory).map_err(|error| {
                let what = format!("{} cannot be written to: {error}", directory.display());
                Failure::refused(what, "name a directory that is there and that you may write")
            }),
            None => {
                let mut page = Vec::new();
                Man::new(program()).render(&mut page)?;
                print(&page)
            }
        }
    }
}
