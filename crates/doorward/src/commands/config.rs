//! `doorward config`: judge, show and begin a configuration.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::cli::{Descriptor, Failure, Output, Run, ServerOptions, Surroundings, table};
use crate::config::{Config as Configuration, Sources, example, reference};
use crate::refusals::warnings;
use crate::running::rehearse;
use crate::setup::{CONFIG_FILE, DOTENV, Setup};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Config>("config");

/// Judge, show and begin a configuration
#[derive(Parser)]
#[command(
    name = "config",
    after_help = "\
Examples:
  doorward config example > doorward.toml
  doorward config check --config doorward.toml
  doorward config show --json"
)]
struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Say what `serve` would refuse, and how to mend it
    ///
    /// Takes what `serve` takes and does what starting does, on free ports and on a store that is gone afterwards. The
    /// configured store, if it is there and up to date, is opened as every command opens it, which shows whether it is
    /// whole and the master key fits.
    #[command(after_help = "Examples:\n  doorward config check --config /etc/doorward/doorward.toml\n  \
        doorward config check --agentflow agentflow.json --listen 127.0.0.1:8080")]
    Check {
        #[command(flatten)]
        server: ServerOptions,
        #[command(flatten)]
        named: Named,
    },
    /// Show every effective setting and where it comes from; secrets are not shown
    #[command(after_help = "Example:\n  DOORWARD__LOG__LEVEL=debug doorward config show")]
    Show(Named),
    /// Print a configuration file with every setting, its meaning and its default
    #[command(after_help = "Example:\n  doorward config example > doorward.toml")]
    Example {
        /// Print the reference of all settings in Markdown instead
        #[arg(long)]
        reference: bool,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Args)]
struct Named {
    /// The configuration file [default: doorward.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Run for Config {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::Check { server, named } => check(&server, named, surroundings),
            What::Show(named) => show(named, surroundings),
            What::Example { reference: true, output } => {
                output.answer(&json!({ "reference": reference() }), reference)
            }
            What::Example { reference: false, output } => {
                output.answer(&json!({ "example": example() }), example)
            }
        }
    }
}

fn check(server: &ServerOptions, named: Named, surroundings: &Surroundings) -> Result<(), Failure> {
    let setup = Setup::serve(server.placement(named.config)?, surroundings)?;
    let mut warnings = warnings(&setup);
    warnings.extend(rehearse(setup)?);
    let text = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect::<String>();
    named.output.answer(&json!({ "ok": true, "warnings": warnings }), || {
        format!("{text}Nothing in this configuration keeps `doorward serve` from starting.")
    })
}

/// The configuration as it is, without what a server or a store would need beside it.
pub(super) fn read(file: Option<PathBuf>, surroundings: &Surroundings) -> Result<Configuration, Failure> {
    let usual = PathBuf::from(CONFIG_FILE);
    let sources = Sources {
        file: file.or_else(|| usual.exists().then_some(usual)),
        environment: surroundings.environment.clone(),
        dotenv: Some(DOTENV.into()),
        ..Sources::default()
    };
    Ok(sources.read()?)
}

fn show(named: Named, surroundings: &Surroundings) -> Result<(), Failure> {
    let config = read(named.config, surroundings)?;
    let rows = config.settings.iter();
    let shown: Vec<_> = rows
        .clone()
        .map(|row| json!({ "key": row.key, "value": row.value, "origin": row.origin.to_string() }))
        .collect();
    named.output.answer(&shown, || {
        let rows: Vec<_> =
            rows.map(|row| vec![row.key.clone(), row.value.clone(), row.origin.to_string()]).collect();
        table(&["key", "value", "from"], &rows)
    })
}
