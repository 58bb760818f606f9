//! What waits for webhooks, and whether it will ever leave.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::webhook;
use doorward_core::events::webhooks::Waiting;

use super::{Check, Examined, Finding};

pub(super) static CHECK: Check =
    Check { name: "webhooks", needs_store: true, run: |examined| Box::pin(run(examined)) };

/// By then a receiver has been away for a minute.
const MANY_ATTEMPTS: i64 = 5;

async fn run(examined: &Examined) -> Vec<Finding> {
    let Some(inside) = examined.inside().await else { return Vec::new() };
    let known = &examined.setup.config.webhooks;
    let permit = match inside.permit::<webhook::Read>(Target::any()) {
        Ok(permit) => permit,
        Err(failure) => return vec![CHECK.problem(failure.what, failure.mend)],
    };
    match inside.assembled.engine.deliveries().waiting(permit).await {
        Ok(waiting) => {
            let mut found: Vec<Finding> = waiting.iter().filter_map(judged).collect();
            if found.is_empty() && !known.is_empty() {
                found.push(CHECK.ok("everything that happened was told, or was tried only a few times"));
            }
            found
        }
        Err(error) => vec![CHECK.problem(format!("the queue cannot be read: {error}"), "look at the store")],
    }
}

fn judged(waiting: &Waiting) -> Option<Finding> {
    (waiting.attempts >= MANY_ATTEMPTS).then(|| {
        let what = format!(
            "{} events wait for the webhook {}, tried {} times",
            waiting.waiting, waiting.webhook, waiting.attempts
        );
        CHECK.warning(what, "look at its receiver and the log, then run: doorward webhook retry NAME")
    })
}
