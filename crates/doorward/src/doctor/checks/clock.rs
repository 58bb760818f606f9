//! Whether the clock agrees with what was written before.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;
use doorward_core::ports::store::AuditQuery;

use super::{Check, Examined, Finding};

pub(super) static CHECK: Check =
    Check { name: "clock", needs_store: true, run: |examined| Box::pin(run(examined)) };

/// What clocks of several servers on one store may differ by.
const LEEWAY_MS: i64 = 30_000;

async fn run(examined: &Examined) -> Vec<Finding> {
    let Some(inside) = examined.inside().await else { return Vec::new() };
    let newest = match inside.permit::<audit::Read>(Target::any()) {
        Ok(permit) => {
            let query = AuditQuery { limit: 1, ..AuditQuery::default() };
            inside.assembled.engine.audit().list(permit, query).await
        }
        Err(failure) => return vec![CHECK.problem(failure.what, failure.mend)],
    };
    match newest {
        Ok(lines) => match lines.first().map(|line| line.entry.at_ms - examined.now_ms) {
            Some(ahead_ms) if ahead_ms > LEEWAY_MS => {
                let what = format!(
                    "the newest line of the audit log is {} s ahead of this machine's clock",
                    ahead_ms / 1000
                );
                vec![CHECK.problem(what, "set the clock by NTP; tokens are judged by it")]
            }
            _ => vec![CHECK.ok("the clock is not behind what is in the store")],
        },
        Err(error) => {
            vec![CHECK.problem(format!("the audit log cannot be read: {error}"), "look at the store")]
        }
    }
}
