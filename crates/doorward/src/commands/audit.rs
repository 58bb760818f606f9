//! `doorward audit`: who did what.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use doorward_core::audit::{AuditRecord, ChainFault, Outcome};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;
use doorward_core::clock::Clock as _;
use doorward_core::ports::store::AuditQuery;
use serde_json::json;

use crate::cli::{
    Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, moment, new_file, span_s,
    table,
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
  doorward audit list --outcome noted --since 1d
  doorward audit export --output audit.jsonl
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
    /// Write every line as JSON, one node after the other, each in order; fails if a line was changed or removed
    ///
    /// Each line holds the hash of itself and the one before, so that a copy kept elsewhere can be checked against the log.
    #[command(after_help = "Examples:\n  doorward audit export --output audit.jsonl\n  \
        doorward audit export --since 24h | gzip > audit-today.jsonl.gz")]
    Export {
        /// Write to this new file, for its owner alone, instead of to standard output
        #[arg(long = "output", value_name = "FILE")]
        output_file: Option<PathBuf>,
        /// Lines no older than this: 7d, 12h, 30m, 45s
        #[arg(long, value_name = "SPAN", value_parser = span_s)]
        since: Option<i64>,
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
    Noted,
}

impl From<Went> for Outcome {
    fn from(went: Went) -> Self {
        match went {
            Went::Begun => Self::Begun,
            Went::Done => Self::Done,
            Went::Denied => Self::Denied,
            Went::Failed => Self::Failed,
            Went::Noted => Self::Noted,
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
            What::Export { output_file, since, common } => {
                let since_ms = since.map_or(i64::MIN, |s| SystemClock.now_ms() - s * 1000);
                export(output_file.as_deref(), since_ms, &common, surroundings)
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
    whole(&faults)?;
    common.output.answer(&json!({ "ok": true, "faults": [] }), || {
        "The audit log is whole: every line follows from the one before.".to_owned()
    })
}

fn whole(faults: &[ChainFault]) -> Result<(), Failure> {
    let Some(first) = faults.first() else { return Ok(()) };
    Err(Failure::refused(
        format!(
            "the audit log is broken in {} places, first at line {} of {}",
            faults.len(),
            first.seq,
            first.node
        ),
        "compare the store with a backup: somebody changed or removed lines",
    ))
}

fn export(
    file: Option<&Path>,
    since_ms: i64,
    common: &Common,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let mut out: Box<dyn Write + Send> = match file {
        Some(path) => Box::new(new_file(path)?),
        None => Box::new(std::io::stdout()),
    };
    let (lines, faults, written) = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<audit::Read>(Target::any())?;
        let (mut lines, mut written) = (0_u64, Ok(()));
        let each = |record: &AuditRecord| {
            if written.is_ok() && record.entry.at_ms >= since_ms {
                written = line(&mut out, record);
                lines += 1;
            }
        };
        let faults = inside.assembled.engine.audit().walk(permit, each).await?;
        Ok((lines, faults, written.and_then(|()| out.flush())))
    })?;
    match written {
        // `doorward audit export | head` ends early on purpose.
        Err(error) if file.is_none() && error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        written => written?,
    }
    whole(&faults)?;
    match file {
        Some(path) => common.output.answer(&json!({ "lines": lines, "file": path }), || {
            format!("{lines} lines written to {}; the log is whole.", path.display())
        }),
        None => Ok(()),
    }
}

fn line(out: &mut dyn Write, record: &AuditRecord) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}
