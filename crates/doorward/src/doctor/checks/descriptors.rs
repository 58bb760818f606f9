//! Whether the system gives room for as many connections as are allowed.

use super::{Check, Examined, Finding};
use crate::descriptors::lacking;

pub(super) static CHECK: Check =
    Check { name: "descriptors", needs_store: false, run: |examined| Box::pin(run(examined)) };

async fn run(examined: &Examined) -> Vec<Finding> {
    let connections = examined.setup.config.server.max_connections;
    vec![match lacking(connections) {
        Some(what) => match what.split_once("; ") {
            Some((what, mend)) => CHECK.warning(format!("as this user, here, {what}"), mend),
            None => CHECK.warning(what, "raise the limit on open files"),
        },
        None => CHECK.ok(format!("there may be files enough for {connections} connections")),
    }]
}
