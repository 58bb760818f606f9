//! Room for the store to grow.

use std::path::Path;

use super::{Check, Examined, Finding};

pub(super) static CHECK: Check =
    Check { name: "disk", needs_store: false, run: |examined| Box::pin(run(examined)) };

const MIB: u64 = 1 << 20;
/// Below this writes are about to fail.
const LEAST_BYTES: u64 = 128 * MIB;
/// Below this, or below the store's own size, the next backup or upgrade may not fit.
const FEW_BYTES: u64 = 1024 * MIB;
/// A log this long means that somebody has been reading for a long time, or that nothing can be moved into the file.
const LONG_LOG_BYTES: u64 = 512 * MIB;

async fn run(examined: &Examined) -> Vec<Finding> {
    let Some(path) = examined.setup.config.store.file().filter(|path| path.exists()) else {
        return Vec::new();
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let size = |path: &Path| path.metadata().map_or(0, |found| found.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let (own_bytes, log_bytes) = (size(path), size(Path::new(&log)));
    let mut found = Vec::new();
    match rustix::fs::statvfs(directory) {
        Ok(volume) => found.push(judged(volume.f_bavail.saturating_mul(volume.f_frsize), own_bytes)),
        Err(error) => {
            let what = format!("the room beside the store cannot be told: {error}");
            found.push(CHECK.warning(what, "look at the disk"));
        }
    }
    if log_bytes > LONG_LOG_BYTES {
        let what = format!("the store's log has grown to {} MiB", log_bytes / MIB);
        found.push(CHECK.warning(
            what,
            "look for a command that has been reading for long, such as a backup or an export",
        ));
    }
    found
}

fn judged(free_bytes: u64, own_bytes: u64) -> Finding {
    let what = format!("{} MiB are free beside a store of {} MiB", free_bytes / MIB, own_bytes.div_ceil(MIB));
    if free_bytes < LEAST_BYTES {
        CHECK.problem(what, "make room now: when the disk is full nobody can log in")
    } else if free_bytes < FEW_BYTES.max(own_bytes) {
        CHECK.warning(what, "make room: a backup beside it or an upgrade may not fit")
    } else {
        CHECK.ok(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn room_is_judged_by_itself_and_by_the_stores_own_size() {
        for (free_mib, own_mib, level) in [
            (100, 1, Level::Problem),
            (500, 1, Level::Warning),
            (5_000, 1, Level::Ok),
            (5_000, 8_000, Level::Warning),
        ] {
            assert_eq!(judged(free_mib * MIB, own_mib * MIB).level, level, "{free_mib} beside {own_mib}");
        }
    }
}
