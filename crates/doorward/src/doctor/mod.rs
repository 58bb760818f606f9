//! Looking at a deployment: its files, its store, what it reaches and what reaches it. Nothing is changed, and a server that
//! runs is not disturbed.
//!
//! ```text
//! options ─► Examined ─┬─ the store opened to be looked at, for the checks that need it ─┬─► findings
//!                      └─ every check at once, each with its thread and its time ─────────┘
//! ```
//! A check may wait for a disk that does not answer: nothing that it does keeps another from ending, or the whole from answering.
//! To add a check: a file and a row in [`checks`], and a section of its name in `docs/doctor.md`.

pub(crate) mod checks;
mod examined;
mod finding;
mod reach;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join, join_all};
use tokio::runtime::Handle;

pub(crate) use examined::Examined;
pub(crate) use finding::{Finding, Level};

use self::checks::{BUILTIN, Check};
use crate::cli::{Failure, StoreOptions, Surroundings};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long opening the store may take, which checks wait for.
const PATIENCE_WITH_STORE: Duration = Duration::from_secs(10);

/// What was found, in the order of the checks: by all of them, or by those that are named.
///
/// # Errors
/// Only what keeps the examination itself from running.
pub(crate) fn examine(
    options: &StoreOptions,
    only: &[String],
    surroundings: &Surroundings,
) -> Result<Vec<Finding>, Failure> {
    let setup = match options.setup_anew(surroundings) {
        Ok(setup) => setup,
        // Without a configuration there is nothing else to look at.
        Err(failure) => return Ok(checks::configuration::unreadable(&failure)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let found = runtime.block_on(async {
        let is_wanted =
            |check: &&&'static Check| only.is_empty() || only.iter().any(|name| name == check.name);
        let wanted: Vec<&'static Check> = BUILTIN.iter().filter(is_wanted).copied().collect();
        let examined = Arc::new(Examined::new(setup));
        let needs_store = wanted.iter().any(|check| check.needs_store);
        let opened = async { if needs_store { open(&examined).await } else { Vec::new() } };
        let each = join_all(wanted.into_iter().map(|check| look(check, &examined)));
        let (mut found, each) = join(opened, each).await;
        found.extend(each.into_iter().flatten());
        found
    });
    // Whatever still waits for a name, a disk or a database is not waited for.
    runtime.shutdown_background();
    Ok(found)
}

async fn open(examined: &Arc<Examined>) -> Vec<Finding> {
    let answered = within(PATIENCE_WITH_STORE, examined, |examined| Box::pin(examined.open())).await;
    let found = answered.unwrap_or_else(|| {
        let name = examined.setup.config.store.name();
        vec![checks::store::CHECK.problem(
            format!("the store {name} gives no answer within {} seconds", PATIENCE_WITH_STORE.as_secs()),
            "look at the database and the network between, or at the disk",
        )]
    });
    examined.will_not_open();
    found
}

async fn look(check: &'static Check, examined: &Arc<Examined>) -> Vec<Finding> {
    let answered = within(PATIENCE, examined, |examined| (check.run)(examined)).await;
    answered.unwrap_or_else(|| {
        vec![check.warning(
            format!("there was no answer within {} seconds", PATIENCE.as_secs()),
            "look at what it asks, then try again",
        )]
    })
}

/// What `work` finds, on a thread of its own; nothing if that takes longer. Work that waits in the system for a file goes on, unheard.
async fn within(
    patience: Duration,
    examined: &Arc<Examined>,
    work: impl for<'e> FnOnce(&'e Examined) -> BoxFuture<'e, Vec<Finding>> + Send + 'static,
) -> Option<Vec<Finding>> {
    let (examined, runtime) = (Arc::clone(examined), Handle::current());
    let done = tokio::task::spawn_blocking(move || {
        runtime.block_on(async { tokio::time::timeout(patience, work(&examined)).await.ok() })
    });
    match tokio::time::timeout(patience, done).await {
        Ok(Ok(found)) => found,
        Ok(Err(broken)) => std::panic::resume_unwind(broken.into_panic()),
        Err(_) => None,
    }
}
