//! A copy of a store, as it is at one moment, while others go on writing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::check::{Integrity, faults};
use super::{FileError, directory_of, discard, private, sync_directory_of};
use crate::backend::sqlite::connection::{alone, onlooker, store_error};
use crate::backend::sqlite::migrate;

/// Pages that are copied between two words about how far it is: 8 MiB.
const PAGES: i32 = 2_048;

/// How the name of a copy ends that is not whole.
const PARTIAL: &str = ".doorward-partial";
/// A copy that nothing was written to for so long has nobody who writes it: reading one through takes minutes.
const LEFT_BEHIND: Duration = Duration::from_secs(12 * 3_600);

/// A copy under another name until it is whole.
struct Unfinished(PathBuf);

impl Unfinished {
    /// Hidden, so that nobody takes it for a copy, and in no way of two that are made at once.
    fn of(to: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(format!(".{}{PARTIAL}", std::process::id()));
        Self(to.with_file_name(name))
    }

    /// Removes what others left behind beside this one, when they were killed. `now` is the file system's own time.
    fn tidy_up(&self, now: SystemTime) {
        let Ok(entries) = fs::read_dir(directory_of(&self.0)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_old = |found: fs::Metadata| {
                found.is_file()
                    && found
                        .modified()
                        .is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > LEFT_BEHIND))
            };
            if name.starts_with('.') && name.ends_with(PARTIAL) && entry.metadata().is_ok_and(is_old) {
                discard(&entry.path());
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        discard(&self.0);
    }
}

/// Copies the SQLite store at `from` to a new file `to`, for its owner alone: everything that was acknowledged before, nothing that
/// was half done, whoever writes meanwhile. The copy is read through and on stable storage before it gets its name. `progress`
/// hears of pages done and pages in all. What a backup that was killed left in that directory half a day ago or earlier goes. Returns the copy's size in bytes.
///
/// # Errors
/// [`FileError::Exists`]; [`FileError::Foreign`] and [`FileError::Damaged`] for a store that no copy should be made of;
/// [`FileError::Io`] and the store's.
pub fn back_up(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, FileError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(FileError::Exists(to.to_path_buf()));
    }
    // Says whose file it is. One that lacks migrations is copied as it is: before an upgrade is when a copy is wanted.
    migrate::pending(from)?;
    let draft = Unfinished::of(to);
    let file = private(&draft.0).map_err(FileError::io(&draft.0))?;
    draft.tidy_up(file.metadata().and_then(|made| made.modified()).map_err(FileError::io(&draft.0))?);
    copy(&onlooker(from)?, &draft.0, progress)?;
    file.sync_all().map_err(FileError::io(&draft.0))?;
    let size_bytes = file.metadata().map_err(FileError::io(&draft.0))?.len();
    // Unlike a rename, a link never replaces what has come meanwhile.
    fs::hard_link(&draft.0, to).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => FileError::Exists(to.to_path_buf()),
        _ => FileError::Io { path: to.to_path_buf(), error },
    })?;
    drop(draft);
    sync_directory_of(to)?;
    Ok(size_bytes)
}

fn copy(from: &Connection, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), FileError> {
    // Reading begins here and goes on until the copy is done. Without it SQLite would begin anew after each write of a server's.
    from.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_master").map_err(store_error)?;
    let mut copy = alone(to, 0)?;
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(store_error)?;
    {
        let under_way = Backup::new(from, &mut copy).map_err(store_error)?;
        loop {
            let step = under_way.step(PAGES).map_err(store_error)?;
            let so_far = under_way.progress();
            let pages = |n: std::ffi::c_int| u64::try_from(n).unwrap_or_default();
            progress(pages(so_far.pagecount - so_far.remaining), pages(so_far.pagecount));
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => {
                    let what = "the copy is in the way of itself".to_owned();
                    return Err(doorward_core::ports::StoreError::Unavailable(what).into());
                }
            }
        }
    }
    // A store says in its head that it has a log beside it; a copy has none, and can be read from where nothing can be written.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(store_error)?;
    match faults(&copy, None)? {
        Integrity::Whole => Ok(()),
        Integrity::Damaged(found) => Err(FileError::Damaged {
            path: to.to_path_buf(),
            first: found.into_iter().next().unwrap_or_default(),
        }),
        Integrity::Unfinished => {
            let what = "looking at the copy was cut short".to_owned();
            Err(doorward_core::ports::StoreError::Unavailable(what).into())
        }
    }
}
