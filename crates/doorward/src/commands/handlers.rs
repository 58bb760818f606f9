//! `doorward handlers`: user code that says who somebody is.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use doorward_handlers::Host;
use serde_json::json;

use crate::cli::{Descriptor, Failure, Output, Run, Surroundings};
use crate::config::Sources;
use crate::handlers::{broken, not_remembered, passed, settings};
use crate::logging;
use crate::platform::handler_file;
use crate::random::SystemRandom;
use crate::running;
use crate::setup::Setup;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Handlers>("handlers");

/// Look at user code that says who somebody is
#[derive(Parser)]
#[command(
    name = "handlers",
    after_help = "\
Examples:
  doorward handlers check agentflow.json
  doorward handlers check langgraph.json --python .venv/bin/python --json
  doorward handlers check langgraph.json --node /usr/local/bin/node
  doorward handlers check my_auth.py:hypha_startup"
)]
struct Handlers {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Load what a platform's file names, as a server would, and print what it registers
    ///
    /// What cannot be loaded is named with its place: the module, the class, the line. Nothing is served. A start-up function is run, against
    /// a hub that nobody reaches.
    #[command(
        after_help = "Examples:\n  doorward handlers check agentflow.json\n  doorward handlers check my_auth.py:hypha_startup"
    )]
    Check {
        /// The platform's file: an agentflow.json or a langgraph.json; or a start-up function of Hypha's, such as my_auth.py:hypha_startup
        file: PathBuf,
        /// Python [default: as `handlers.python` says]
        #[arg(long, value_name = "PATH")]
        python: Option<PathBuf>,
        /// Node, for a file in JavaScript or TypeScript [default: as `handlers.node` says]
        #[arg(long, value_name = "PATH")]
        node: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
}

impl Run for Handlers {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let What::Check { file, python, node, output } = self.what;
        if let Some(function) = file.to_str().filter(|text| text.contains(':') && !file.exists()) {
            return start_up(function, python.as_deref(), &output, surroundings);
        }
        let named = handler_file(&file, &|name| surroundings.variable(name))?;
        let sources = Sources { environment: surroundings.environment.clone(), ..Sources::default() };
        let mut configured = sources.read()?.handlers;
        configured.python = python.or(configured.python);
        configured.node = node.or(configured.node);
        let passed = passed(&configured, |name| surroundings.variable(name));
        let settings = settings("check", &named, &configured, &passed);
        let interpreter = settings.interpreter.display().to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let loaded = runtime.block_on(async {
            let host = Host::open(settings).await.map_err(|error| broken(&named, &error))?;
            Ok::<_, Failure>(host.loaded())
        })?;
        let warnings: Vec<String> = not_remembered(&named, &configured, &loaded).into_iter().collect();
        let shown = json!({
            "target": named.target(), named.runtime.key: loaded.version, "interpreter": interpreter,
            "registers": loaded.registers, "files": loaded.files, "warnings": warnings,
        });
        output.answer(&shown, || {
            let told = [loaded.registers, warnings].concat().join("\n  ");
            let (target, runtime) = (named.target(), named.runtime.name);
            format!("{target} loads with {runtime} {} ({interpreter}).\n  {told}", loaded.version)
        })
    }
}

/// Runs a start-up function of Hypha's and says what it registers.
fn start_up(
    function: &str,
    python: Option<&Path>,
    output: &Output,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let setup = Setup::for_start_up(function, python, surroundings, &SystemRandom)?;
    // What the file itself says is of use here.
    let _log = logging::start(&setup.config.log);
    for begun in running::rehearse_start_up(&setup)? {
        let (loaded, registers) = (begun.loaded, begun.registers);
        let shown = json!({
            "target": function, "python": loaded.version, "registers": registers, "files": loaded.files,
        });
        output.answer(&shown, || {
            format!("{function} runs with Python {}.\n  {}", loaded.version, registers.join("\n  "))
        })?;
    }
    Ok(())
}
