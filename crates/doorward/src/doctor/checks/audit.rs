//! Whether the newest lines of the audit log follow from each other.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;

use super::{Check, Examined, Finding};

pub(super) static CHECK: Check =
    Check { name: "audit", needs_store: true, run: |examined| Box::pin(run(examined)) };

async fn run(examined: &Examined) -> Vec<Finding> {
    let Some(inside) = examined.inside().await else { return Vec::new() };
    let permit = match inside.permit::<audit::Read>(Target::any()) {
        Ok(permit) => permit,
        Err(failure) => return vec![CHECK.problem(failure.what, failure.mend)],
    };
    vec![match inside.assembled.engine.audit().verify_newest(permit).await {
        Ok((lines, faults)) => match faults.first() {
            None => CHECK.ok(format!(
                "the newest {lines} lines follow from each other; `doorward audit verify` looks at all"
            )),
            Some(fault) => CHECK.problem(
                format!("line {} of {} was changed, or the one before it was", fault.seq, fault.node),
                "treat it as a break-in: compare with the copy kept elsewhere, and run `doorward audit verify`",
            ),
        },
        Err(error) => CHECK.problem(format!("the audit log cannot be read: {error}"), "look at the store"),
    }]
}
