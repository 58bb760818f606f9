//! Whether the store opens with this master key, and holds together.

use std::path::Path;
use std::time::Duration;

use doorward_store::file::{Integrity, integrity};

use super::{Check, Examined, Finding};

/// What keeps the store from being opened is found before anything runs, and is said in this check's name.
pub(in crate::doctor) static CHECK: Check =
    Check { name: "store", needs_store: true, run: |examined| Box::pin(run(examined)) };

/// How long its pages are read.
const PATIENCE: Duration = Duration::from_secs(10);

async fn run(examined: &Examined) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = examined.setup.config.store.name();
    if examined.inside().await.is_some() {
        found.push(CHECK.ok(format!("{name} opens with the master key, and its schema is this version's")));
    }
    let Some(path) = examined.setup.config.store.file().filter(|path| path.exists()).map(Path::to_path_buf)
    else {
        return found;
    };
    let looked = tokio::task::spawn_blocking(move || integrity(&path, PATIENCE)).await;
    let damaged = "stop the server, keep the file, and restore the newest backup that is whole";
    found.push(match looked {
        Ok(Ok(Integrity::Whole)) => CHECK.ok("every page of it holds together"),
        Ok(Ok(Integrity::Unfinished)) => {
            CHECK.ok(format!("what could be read of it in {} s holds together", PATIENCE.as_secs()))
        }
        Ok(Ok(Integrity::Damaged(faults))) => {
            CHECK.problem(format!("{name} is damaged: {}", faults.join("; ")), damaged)
        }
        Ok(Err(error)) => CHECK.problem(format!("{name} cannot be read: {error}"), damaged),
        Err(_) => CHECK.problem(format!("looking at {name} broke off"), "report it"),
    });
    found
}
