//! `doorward audit`: who did what.

use clap::{Args, Parser, Subcommand, ValueEnum};
use doorward_core::audit::{AuditRecord, Outcome};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;
use doorward_core::clock::Clock as _;
use doorward_core::ports::store::AuditQuery;
use serde_json::json;

use crate::cli::{
    Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, moment, span_s, table,
};
use crate::clock::SystemClock;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Audit>("audit");

/// Read the audit log and check that nobody changed it
#[derive(Parser)]
#[command(
    name = "audit",
    after_help = "\
Examples:
  doorward audit list --outcome denied --since 1h
  doorward audit list --action thread:read --json
  doorward audit verify"
)]
struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// List the newest lines, newest first
    #[command(after_help = "Example:\n  doorward audit list --outcome denied --since 1h")]
    List {
        /// Lines of this principal, such as local|usr_0123456789abcdef
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// Lines of this action, such as thread:read
        #[arg(long, value_name = "RESOURCE:ACTION")]
        action: Option<String>,
        /// Lines with this outcome
        #[arg(long)]
        outcome: Option<Went>,
        /// Lines no older than this: 7d, 12h, 30m, 45s
        #[arg(long, value_name = "SPAN", value_parser = span_s)]
        since: Option<i64>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Check every chain of the log; fails if a line was changed or removed
    #[command(after_help = "Example:\n  doorward audit verify --json")]
    Verify(Common),
}

/// How an operation went.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Went {
    Begun,
    Done,
    Denied,
    Failed,
}

impl From<Went> for Outcome {
    fn from(went: Went) -> Self {
        match went {
            Went::Begun => Self::Begun,
            Went::Done => Self::Done,
            Went::Denied => Self::Denied,
            Went::Failed => Self::Failed,
        }
    }
}

impl Run for Audit {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::List { principal, action, outcome, since, limit, common } => {
                let since_ms = since.map(|s| SystemClock.now_ms() - s * 1000);
                let query =
                    AuditQuery { since_ms, principal, action, outcome: outcome.map(Into::into), limit };
                list(query, &common, surroundings)
            }
            What::Verify(common) => verify(&common, surroundings),
        }
    }
}

fn list(query: AuditQuery, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let found = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<audit::Read>(Target::any())?;
        Ok(inside.assembled.engine.audit().list(permit, query).await?)
    })?;
    common.output.answer(&found, || {
        let rows: Vec<_> = found.iter().map(row).collect();
        table(&["when", "who", "by", "did", "to", "outcome", "why", "from", "times"], &rows)
    })
}

fn row(record: &AuditRecord) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let entry = &record.entry;
    vec![
        moment(entry.at_ms),
        entry.principal.clone(),
        entry.method.clone(),
        entry.action.clone(),
        or_dash(&entry.resource),
        entry.outcome.as_str().to_owned(),
        or_dash(&entry.reason),
        or_dash(&entry.address),
        entry.count.to_string(),
    ]
}

fn verify(common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let faults = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<audit::Read>(Target::any())?;
        Ok(inside.assembled.engine.audit().verify(permit).await?)
    })?;
    let shown: Vec<_> = faults.iter().map(|fault| json!({ "node": fault.node, "seq": fault.seq })).collect();
    if let Some(first) = faults.first() {
        return Err(Failure::refused(
            format!(
                "{} chains of the audit log are broken, first at line {} of {}",
                faults.len(),
                first.seq,
                first.node
            ),
            "compare the store with a backup: somebody changed or removed lines",
        ));
    }
    common.output.answer(&json!({ "ok": true, "faults": shown }), || {
        "The audit log is whole: every line follows from the one before.".to_owned()
    })
}
