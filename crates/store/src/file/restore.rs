//! Putting a copy where a store was, or is to be.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use doorward_core::ports::StoreError;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::check::{Integrity, faults};
use super::{COMPANIONS, FileError, directory_of, discard, named, private, sync_directory_of};
use crate::backend::sqlite::connection::{alone, store_error};
use crate::backend::sqlite::{files, migrate};
use crate::migrate::MIGRATIONS;

/// What every file of SQLite's begins with (sqlite.org/fileformat2.html §1.2).
const HEAD: &[u8; 16] = b"SQLite format 3\0";
/// How long somebody else's short work on a store is waited for.
const BUSY_MS: u64 = 500;

/// A backup, opened: whatever its name becomes meanwhile, what is read is this file.
pub struct Backup {
    path: PathBuf,
    file: File,
    /// Of a copy that somebody made by hand.
    log: Option<File>,
}

impl Backup {
    /// Opens `path` and the log beside it, if there is one.
    ///
    /// # Errors
    /// [`FileError::Foreign`] for what is no SQLite database; [`FileError::Io`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut file = File::open(path).map_err(FileError::io(path))?;
        if !begins_as_one(&mut file).and_then(|is| file.rewind().map(|()| is)).map_err(FileError::io(path))? {
            let why = "it is no SQLite database".to_owned();
            return Err(FileError::Foreign { path: path.to_path_buf(), why });
        }
        let log = named(path, "-wal");
        let log = match File::open(&log) {
            Ok(file) => file.metadata().is_ok_and(|found| found.len() > 0).then_some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(FileError::Io { path: log, error }),
        };
        Ok(Self { path: path.to_path_buf(), file, log })
    }
}

/// A copy of a backup beside the store it is to become. It is removed when the value goes, unless it was put in place.
pub struct Draft {
    path: PathBuf,
    store: PathBuf,
    /// What was made under that name. Others may be able to change names where the store is.
    file: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        discard(&self.path);
    }
}

impl Draft {
    /// As [`Draft::from`], of the file at `backup`.
    ///
    /// # Errors
    /// As [`Backup::open`] and [`Draft::from`].
    pub fn of(backup: &Path, store: &Path) -> Result<Self, FileError> {
        Self::from(Backup::open(backup)?, store)
    }

    /// Copies `backup` beside `store` and looks at all of it. `backup` stays as it is; the store is not touched.
    ///
    /// # Errors
    /// [`FileError::Foreign`] and [`FileError::Damaged`] about `backup`; [`StoreError::Corrupt`] if its schema is newer than this
    /// build's; [`FileError::Io`].
    pub fn from(mut backup: Backup, store: &Path) -> Result<Self, FileError> {
        files::create_directory_of(store)?;
        // A link to where the store really is stays one.
        let store = store.canonicalize().unwrap_or_else(|_| store.to_path_buf());
        let path = named(&store, &format!(".restoring-{}", std::process::id()));
        let file = made(&path)?;
        let mut draft = Self { path, store, file };
        io::copy(&mut backup.file, &mut draft.file).map_err(FileError::io(&draft.path))?;
        if let Some(mut log) = backup.log {
            let path = named(&draft.path, "-wal");
            io::copy(&mut log, &mut made(&path)?).map_err(FileError::io(&path))?;
        }
        draft.check().map_err(|error| of_backup(error, &backup.path))?;
        Ok(draft)
    }

    /// Where the draft is. Whoever changes it closes it before it is put in place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Damage is looked for before anything that is written there is believed.
    fn check(&self) -> Result<(), FileError> {
        let damaged = |first| FileError::Damaged { path: self.path.clone(), first };
        // One that has a log is settled by whoever can write.
        let connection = alone(&self.path, 0).map_err(|error| damaged(error.to_string()))?;
        match faults(&connection, None) {
            Ok(Integrity::Whole) => {}
            Ok(Integrity::Damaged(found)) => {
                return Err(damaged(found.into_iter().next().unwrap_or_default()));
            }
            Ok(Integrity::Unfinished) => return Err(damaged("looking at it was cut short".to_owned())),
            Err(error) => return Err(damaged(error.to_string())),
        }
        drop(connection);
        let foreign = |why: String| FileError::Foreign { path: self.path.clone(), why };
        match migrate::pending(&self.path) {
            Ok(lacking) if lacking.len() == MIGRATIONS.len() => Err(foreign("it is empty".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the draft in the store's place in one step. With `replace` what was there is kept under the name that comes back;
    /// without it there must be nothing.
    ///
    /// # Errors
    /// [`FileError::Exists`], [`FileError::InUse`], [`FileError::Io`]. What was there is then as it was.
    pub fn put(self, replace: bool) -> Result<Option<PathBuf>, FileError> {
        self.must_be_what_was_made()?;
        settle(&self.path)?;
        self.give_to_whose_it_is()?;
        self.file.sync_all().map_err(FileError::io(&self.path))?;
        self.must_be_what_was_made()?;
        let store = &self.store;
        let there = COMPANIONS.into_iter().chain([""]).any(|suffix| named(store, suffix).exists());
        let kept = match (there, replace) {
            (false, _) => {
                fs::hard_link(&self.path, store).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => FileError::Exists(store.clone()),
                    _ => FileError::Io { path: store.clone(), error },
                })?;
                None
            }
            (true, false) => return Err(FileError::Exists(store.clone())),
            (true, true) => Some(self.replace()?),
        };
        sync_directory_of(store)?;
        Ok(kept)
    }

    /// Whether the draft's name still names it, and nothing else does.
    fn must_be_what_was_made(&self) -> Result<(), FileError> {
        let made = self.file.metadata().map_err(FileError::io(&self.path))?;
        let named = fs::symlink_metadata(&self.path).map_err(FileError::io(&self.path))?;
        if (made.dev(), made.ino(), made.nlink()) == (named.dev(), named.ino(), 1) {
            return Ok(());
        }
        let error = io::Error::other("somebody else changed it while the backup was restored");
        Err(FileError::Io { path: self.path.clone(), error })
    }

    /// Root restores for the user that the server runs as. It is the file that is given away, not whatever has its name.
    fn give_to_whose_it_is(&self) -> Result<(), FileError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let whose = fs::symlink_metadata(&self.store)
            .or_else(|_| fs::metadata(directory_of(&self.store)))
            .map_err(FileError::io(&self.store))?;
        fchown(&self.file, Some(whose.uid()), Some(whose.gid())).map_err(FileError::io(&self.path))
    }

    fn replace(&self) -> Result<PathBuf, FileError> {
        let store = &self.store;
        let (held, settled) = hold(store)?;
        let log_is_empty = fs::metadata(named(store, "-wal")).map_or(true, |found| found.len() == 0);
        if settled && !log_is_empty {
            // Somebody has begun to write since.
            return Err(FileError::InUse(store.clone()));
        }
        let kept = (1..)
            .map(|n| named(store, &format!(".replaced-{n}")))
            .find(|name| !name.exists())
            .expect("names do not run out");
        // 1. What was there has its second name, whole, before the first one goes.
        for suffix in COMPANIONS.into_iter().chain([""]) {
            let name = named(store, suffix);
            match fs::hard_link(&name, named(&kept, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FileError::Io { path: name, error });
                }
                _ => {}
            }
        }
        sync_directory_of(store)?;
        // 2. A log must not meet a file it is not of. It is empty unless the store was past opening.
        for suffix in COMPANIONS {
            let name = named(store, suffix);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FileError::Io { path: name, error });
                }
                _ => {}
            }
        }
        // 3. In one step.
        fs::rename(&self.path, store).map_err(FileError::io(store))?;
        drop(held);
        Ok(kept)
    }
}

/// Makes one file of the store at `path` and locks it against everybody who would open it, until the value goes. The second says
/// whether it could be made one file; what is past opening cannot.
fn hold(path: &Path) -> Result<(Option<File>, bool), FileError> {
    if !path.exists() {
        return Ok((None, false));
    }
    let settled = match settle(path) {
        Ok(()) => true,
        Err(FileError::InUse(_)) => return Err(FileError::InUse(path.to_path_buf())),
        Err(_) => false,
    };
    let file = File::options().read(true).write(true).open(path).map_err(FileError::io(path))?;
    // Whoever has a store open holds a part of the file locked, as long as it is open (sqlite.org/wal.html §2.1, and the
    // file's own lock, which is never given back while there is a log).
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok((Some(file), settled)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
            Err(FileError::InUse(path.to_path_buf()))
        }
        Err(error) => Err(FileError::Io { path: path.to_path_buf(), error: error.into() }),
    }
}

/// Takes the log into the file, and the file out of the mode in which it has one: SQLite does so only for one who is alone.
fn settle(path: &Path) -> Result<(), FileError> {
    let connection = alone(path, BUSY_MS)?;
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))
        .map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                FileError::InUse(path.to_path_buf())
            }
            _ => store_error(error).into(),
        })?;
    if mode.eq_ignore_ascii_case("delete") { Ok(()) } else { Err(FileError::InUse(path.to_path_buf())) }
}

fn begins_as_one(file: &mut File) -> io::Result<bool> {
    let mut head = [0; HEAD.len()];
    match file.read_exact(&mut head) {
        Ok(()) => Ok(head == *HEAD),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn made(path: &Path) -> Result<File, FileError> {
    private(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_path_buf()),
        _ => FileError::Io { path: path.to_path_buf(), error },
    })
}

/// The draft is nobody's business: what is wrong with it was wrong with the backup.
fn of_backup(error: FileError, backup: &Path) -> FileError {
    let path = backup.to_path_buf();
    match error {
        FileError::Foreign { why, .. } => FileError::Foreign { path, why },
        FileError::Damaged { first, .. } => FileError::Damaged { path, first },
        FileError::Store(StoreError::Corrupt(why)) => FileError::Foreign { path, why },
        other => other,
    }
}
