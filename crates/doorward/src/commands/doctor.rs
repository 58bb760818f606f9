//! `doorward doctor`: what is wrong with a deployment, and where it says how to mend it.

use clap::Parser;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use crate::cli::{Descriptor, Failure, Output, Run, StoreOptions, Surroundings};
use crate::doctor::checks::BUILTIN;
use crate::doctor::{Finding, Level, examine};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Doctor>("doctor");

/// Look at a deployment and say what is wrong with it
///
/// Looks at the configuration, files, certificate, store, clock, audit log, keys and backups, at the server if it runs, and
/// asks what the configuration names: upstreams, providers, mail server, directory, the public address. It changes
/// nothing, makes nothing, and may run beside a server. Run it as the server's user. Exit code 1 says that there is a
/// problem; warnings alone give 0, unless --strict.
#[derive(Parser)]
#[command(
    name = "doctor",
    after_help = "\
Examples:
  doorward doctor
  doorward doctor --config /etc/doorward/doorward.toml
  doorward doctor --only listeners --only store --strict
  doorward doctor --json | jq '.findings[] | select(.level != \"ok\")'"
)]
struct Doctor {
    /// Only this check, by its name as findings show it; may be repeated
    #[arg(long = "only", value_name = "CHECK", value_parser = known())]
    only: Vec<String>,
    /// Exit code 1 for warnings, too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

impl Run for Doctor {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let found = examine(&self.store, &self.only, surroundings)?;
        let count = |level| found.iter().filter(|finding| finding.level == level).count();
        let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
        let shown = json!({
            "ok": problems == 0,
            "problems": problems,
            "warnings": warnings,
            "findings": found,
        });
        self.output.answer(&shown, || {
            let told: String = found.iter().map(paragraph).collect();
            format!("{told}\nProblems: {problems}, warnings: {warnings}.")
        })?;
        let is_well = problems == 0 && !(self.strict && warnings > 0);
        if is_well { Ok(()) } else { Err(Failure::silent()) }
    }
}

fn known() -> PossibleValuesParser {
    PossibleValuesParser::new(BUILTIN.iter().map(|check| check.name))
}

fn paragraph(finding: &Finding) -> String {
    let Finding { check, level, what, mend, page } = finding;
    // What others wrote, such as an address of a configuration, is shown and not obeyed.
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    };
    let mut told = format!("{:8} {check:14} {}\n", level.as_str(), plain(what));
    if *level != Level::Ok {
        told.push_str(&format!("{:8} {:14} do:  {}\n{:8} {:14} see: {page}\n", "", "", plain(mend), "", ""));
    }
    told
}
