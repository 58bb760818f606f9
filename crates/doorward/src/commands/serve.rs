//! `doorward serve`: a server for others.

use std::path::PathBuf;

use clap::Parser;

use crate::cli::{Descriptor, Failure, ReadyOptions, Run, ServerOptions, Surroundings};
use crate::running::{self, Ground};
use crate::setup::{Mode, Setup};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Serve>("serve");

/// Start a server for others, from doorward.toml
///
/// Settings come from the defaults, doorward.toml, the environment (DOORWARD__SECTION__KEY) and flags; a later one
/// wins. It refuses to start with weak secrets, with a store or a key that others can read, or on a public address
/// without a certificate or a TLS proxy that the configuration names, and says how to mend it.
#[derive(Parser)]
#[command(
    name = "serve",
    after_help = "\
Examples:
  doorward serve
  doorward serve --config /etc/doorward/doorward.toml
  DOORWARD__SERVER__LISTEN=127.0.0.1:9000 doorward serve
  doorward serve --agentflow agentflow.json --upstream http://127.0.0.1:8000 --surface agentflow
  doorward serve --langgraph langgraph.json --upstream http://127.0.0.1:2025 --surface langgraph"
)]
struct Serve {
    /// The configuration file [default: doorward.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    ready: ReadyOptions,
    /// Print where everything is as JSON on standard output when ready, and nothing else
    #[arg(long)]
    json: bool,
}

impl Run for Serve {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let ground = Ground::new(Mode::Serve)?;
        let setup = Setup::serve(self.server.placement(self.config)?, surroundings)?;
        running::run(ground, &setup, surroundings, self.ready.ready_file.as_deref(), self.json)
    }
}
