//! `doorward policy`: the policy, tested like code.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use doorward_core::authz::Roles;

use crate::cli::{Descriptor, Failure, Output, Run, Surroundings, print};
use crate::config::Problems;
use crate::policy::{Format, render, run};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Policy>("policy");

/// Test roles, permissions, filters and areas
#[derive(Parser)]
#[command(
    name = "policy",
    after_help = "\
Examples:
  doorward policy test policy-tests.toml
  doorward policy test --config doorward.toml --format junit tests/*.toml > report.xml"
)]
struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Ask what the files ask, and compare with what they expect
    ///
    /// Asks the very function that decides requests, with the roles and areas of the configuration. No store is opened and nothing is
    /// sent. docs/reference/policy-tests.md describes the files.
    #[command(after_help = "\
Examples:
  doorward policy test policy-tests.toml
  doorward policy test --config doorward.toml --format tap one.toml two.toml

Exit codes: 0 all as expected, 1 something is not, 2 a file or the configuration cannot be used.")]
    Test {
        /// Files of policy tests
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The configuration file [default: doorward.toml, if it is there]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// How to say how it went
        #[arg(long, value_enum, default_value_t = Format::Pretty, conflicts_with = "json")]
        format: Format,
        #[command(flatten)]
        output: Output,
    },
}

impl Run for Policy {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let What::Test { files, config, format, output } = self.what;
        let unusable = |failure: Failure| Failure { exit_code: 2, ..failure };
        let config = super::config::read(config, surroundings).map_err(unusable)?;
        let roles = Roles::new(&config.role_definitions()).map_err(|error| {
            Failure::usage(format!("roles: {error}"), "correct [roles] of the configuration")
        })?;
        let (mut suites, mut problems) = (Vec::new(), Vec::new());
        for file in &files {
            match run(file, &config, &roles) {
                Ok(suite) => suites.push(suite),
                Err(Problems(found)) => problems.extend(found),
            }
        }
        Problems::none_of(problems).map_err(|problems| unusable(problems.into()))?;
        print(render(&suites, if output.json { Format::Json } else { format }).as_bytes())?;
        let failed = suites.iter().flat_map(|suite| &suite.results).any(|outcome| outcome.fault.is_some());
        if failed { Err(Failure::silent()) } else { Ok(()) }
    }
}
