//! Whose the files are that decide who is let in. That others cannot read them is the configuration's own rule.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Check, Examined, Finding};
use crate::config::Origin;

pub(super) static CHECK: Check =
    Check { name: "files", needs_store: false, run: |examined| Box::pin(run(examined)) };

const ROOT: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

async fn run(examined: &Examined) -> Vec<Finding> {
    let config = &examined.setup.config;
    let mut files: BTreeSet<PathBuf> = config
        .settings
        .iter()
        .filter_map(|setting| match &setting.origin {
            Origin::File { path, .. } => Some(path.to_path_buf()),
            _ => None,
        })
        .collect();
    let tls = config.server.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]);
    let named = config.secrets.master_key_file.iter().chain(&config.store.url_file).chain(tls);
    files.extend(named.chain(&config.tokens.key_files).cloned());
    files.extend(config.store.file().map(Path::to_path_buf));
    let mut owners = BTreeSet::from([ROOT, rustix::process::geteuid().as_raw()]);
    // The server's user, whoever asks.
    owners.extend(config.store.file().and_then(|file| file.metadata().ok()).map(|found| found.uid()));
    let mut found: Vec<Finding> =
        files.iter().flat_map(|file| judged(file, &owners, examined.is_for_others())).collect();
    if found.is_empty() {
        found.push(CHECK.ok(format!("{} files belong to the server's user or to root alone", files.len())));
    }
    found
}

fn judged(file: &Path, owners: &BTreeSet<u32>, strict: bool) -> Vec<Finding> {
    // What is not there is missed elsewhere, by whoever needs it.
    let Ok(metadata) = file.metadata() else { return Vec::new() };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    let mut say = |what: String, mend: String| {
        found.push(if strict { CHECK.problem(what, mend) } else { CHECK.warning(what, mend) });
    };
    if !owners.contains(&metadata.uid()) {
        let what =
            format!("{} belongs to another user ({}), who can change it", file.display(), metadata.uid());
        say(what, format!("give it to the server's user or to root: chown root '{}'", file.display()));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        let what = format!("others can change {} (mode {:o})", file.display(), metadata.mode() & 0o7777);
        say(what, format!("run: chmod go-w '{}'", file.display()));
    }
    if directory.metadata().is_ok_and(|directory| can_be_replaced_in(&directory)) {
        let what = format!("others can put another file in the place of {}", file.display());
        say(what, format!("run: chmod go-w '{}'", directory.display()));
    }
    found
}

fn can_be_replaced_in(directory: &Metadata) -> bool {
    directory.mode() & WRITABLE_BY_OTHERS != 0 && directory.mode() & STICKY == 0
}
