//! When the store was last copied, as far as it knows.

use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;
use doorward_core::ports::store::AuditQuery;

use super::{Check, Examined, Finding};

pub(super) static CHECK: Check =
    Check { name: "backups", needs_store: true, run: |examined| Box::pin(run(examined)) };

const DAY_MS: i64 = 86_400_000;
const OLD_DAYS: i64 = 7;
/// How far back the log is searched.
const SEARCHED_DAYS: i64 = 90;
const MEND: &str = "run `doorward backup` every day; docs/backup.md has a timer for it";

async fn run(examined: &Examined) -> Vec<Finding> {
    let Some(inside) = examined.inside().await else { return Vec::new() };
    if examined.setup.config.store.file().is_none() {
        return vec![
            CHECK.ok("the store is a database; when it was last copied, the database's own tools know"),
        ];
    }
    let permit = match inside.permit::<audit::Read>(Target::any()) {
        Ok(permit) => permit,
        Err(failure) => return vec![CHECK.problem(failure.what, failure.mend)],
    };
    let query = AuditQuery {
        since_ms: Some(examined.now_ms - SEARCHED_DAYS * DAY_MS),
        action: Some("backup:make".to_owned()),
        outcome: Some(Outcome::Done),
        limit: 1,
        ..AuditQuery::default()
    };
    vec![match inside.assembled.engine.audit().list(permit, query).await {
        Ok(lines) => match lines.first().map(|line| (examined.now_ms - line.entry.at_ms) / DAY_MS) {
            Some(days) if days <= OLD_DAYS => CHECK.ok(format!("the last backup was {days} days ago")),
            Some(days) => CHECK.warning(format!("the last backup was {days} days ago"), MEND),
            None => CHECK.warning(format!("no backup was made in the last {SEARCHED_DAYS} days"), MEND),
        },
        Err(error) => CHECK.problem(format!("the audit log cannot be read: {error}"), "look at the store"),
    }]
}
