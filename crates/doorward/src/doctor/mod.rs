//! Looking at a deployment: its files, its store, what it reaches and what reaches it. Nothing is changed, and a server that
//! runs is not disturbed.
//!
//! ```text
//! options ─► Examined (setup, the store opened to be looked at) ─ every check at once, each with its time ─► findings
//! ```
//! To add a check: a file and a row in [`checks`], and a section of its name in `docs/doctor.md`.

pub(crate) mod checks;
mod examined;
mod finding;
mod reach;

use std::time::Duration;

use futures_util::future::join_all;

pub(crate) use examined::Examined;
pub(crate) use finding::{Finding, Level};

use self::checks::{BUILTIN, Check};
use crate::cli::{Failure, StoreOptions, Surroundings};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(15);

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
        let (examined, mut found) = Examined::open(setup).await;
        let wanted = |check: &&&Check| only.is_empty() || only.iter().any(|name| name == check.name);
        let each = BUILTIN.iter().filter(wanted).map(|check| within(check, &examined));
        found.extend(join_all(each).await.into_iter().flatten());
        found
    });
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    Ok(found)
}

async fn within(check: &'static Check, examined: &Examined) -> Vec<Finding> {
    match tokio::time::timeout(PATIENCE, (check.run)(examined)).await {
        Ok(found) => found,
        Err(_) => vec![check.warning(
            format!("there was no answer within {} seconds", PATIENCE.as_secs()),
            "look at what it asks, then try again",
        )],
    }
}
