//! `doorward dev`: a server on this machine alone, with commands to try.

use std::path::PathBuf;

use clap::Parser;

use crate::cli::{Descriptor, Failure, ReadyOptions, Run, ServerOptions, Surroundings};
use crate::config::Problem;
use crate::random::SystemRandom;
use crate::refusals::is_loopback;
use crate::running::{self, Ground};
use crate::setup::{DEV_DIRECTORY, Mode, Setup};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Dev>("dev");

/// Start a server on this machine alone, with commands to try
///
/// Keeps its data in ./.doorward, mounts every surface under its own prefix, lets people sign up, and makes the
/// secrets it needs. It listens on loopback addresses only, and warns where `serve` would refuse.
#[derive(Parser)]
#[command(
    name = "dev",
    after_help = "\
Examples:
  doorward dev
  doorward dev --listen 127.0.0.1:0 --ready-file ready.json
  doorward dev --agentflow agentflow.json
  doorward dev --agentflow agentflow.json --upstream http://127.0.0.1:8000 --surface agentflow
  doorward dev --mount agentflow=127.0.0.1:8421
  doorward dev --langgraph langgraph.json --mount langgraph=127.0.0.1:2024
  doorward dev --mount hypha=127.0.0.1:9527 --startup-functions my_auth.py:hypha_startup"
)]
struct Dev {
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    ready: ReadyOptions,
    /// Where to keep the data
    #[arg(long, value_name = "DIR", default_value = DEV_DIRECTORY)]
    data_dir: PathBuf,
    /// A configuration file to read as well
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print where everything is as JSON on standard output when ready, and nothing else
    #[arg(long)]
    json: bool,
}

impl Run for Dev {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let ground = Ground::new(Mode::Dev)?;
        let placement = self.server.placement(self.config)?;
        let setup = Setup::dev(placement, &self.data_dir, surroundings, &SystemRandom)?;
        let addresses = setup.config.mounts.iter().filter_map(|mount| mount.listen);
        for address in std::iter::once(setup.config.server.listen).chain(addresses) {
            if !is_loopback(address) {
                let problem = Problem::general(
                    format!("dev listens on loopback addresses only, and {address} is not one"),
                    "listen on 127.0.0.1, or use `doorward serve` for others",
                );
                return Err(Failure::refused(problem.what, problem.mend));
            }
        }
        running::run(ground, &setup, surroundings, self.ready.ready_file.as_deref(), self.json)
    }
}
