//! SQLite: one writer thread with group commit, readers for points, reader threads for scans.
//!
//! ```text
//! point    ─ caller's thread ─► an uncontended connection of the point pool
//! few      ─ the same, up to a bound; beyond it: scan
//! scan     ─ queue ─► a scan thread ─ pieces ─► caller
//! transact ─ bounded queue ─► writer: BEGIN, all of the group, COMMIT ─► every answer of the group
//! ```
//!
//! WAL mode lets readers and the writer go on side by side, and several processes share the file.

pub(crate) mod connection;
pub(crate) mod files;
mod group;
pub(crate) mod migrate;
mod points;
mod run;
mod scans;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::ports::{Durability, StoreError, StoreFuture};

use self::files::Scratch;
use self::points::Points;
use self::scans::Scans;
use self::writer::Writer;
use super::{Answer, Backend, EachRows, Opened, Rows, Step, Value};
use crate::migrate::{Pending, Upgrade};
use crate::store::Options;

/// An open SQLite file.
///
/// Fields are dropped in order: readers first, so that the writer's last checkpoint finds nobody in its way, and
/// the scratch directory, if there is one, when nothing is open any more.
pub struct Sqlite {
    points: Points,
    scans: Scans,
    /// `None` where the file is only looked at.
    writer: Option<Writer>,
    _scratch: Option<Scratch>,
}

/// Opens what `address` names (`sqlite:path`, `sqlite://path`, `path`, or `sqlite::memory:`).
pub(super) fn open(address: &str, options: &Options) -> Opened {
    Ok(Arc::new(Sqlite::open(address, options)?))
}

/// What opening would still apply.
pub(super) fn pending(address: &str) -> Result<Vec<Pending>, StoreError> {
    match files::location(address) {
        Some(path) => migrate::pending(&path),
        None => Ok(crate::migrate::all_pending()),
    }
}

/// The file of an address.
pub(super) fn name(address: &str) -> String {
    files::location(address).map_or_else(|| "in memory".to_owned(), |path| path.display().to_string())
}

impl Sqlite {
    /// Opens or creates the file. See [`crate::SqlStore::open`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be opened, [`StoreError::Corrupt`] if it is no store of ours.
    pub fn open(address: &str, options: &Options) -> Result<Self, StoreError> {
        let (path, scratch) = match files::location(address) {
            // SQLite takes an empty name for a store that is gone when it is closed.
            Some(path) if path.as_os_str().is_empty() => {
                return Err(StoreError::Unavailable(format!("{address:?} names no file")));
            }
            Some(path) => (path, None),
            None => {
                let scratch = Scratch::create()?;
                (scratch.path().join("store.db"), Some(scratch))
            }
        };
        if options.read_only {
            return Self::look(&path, options);
        }
        if options.upgrade == Upgrade::Apply {
            files::create(&path)?;
        }
        let writer = connection::writer(&path, options, scratch.is_some())?;
        migrate::bring_up_to_date(&writer, options)?;
        let readers = |n: usize, cache_kib: u32| -> Result<Vec<_>, StoreError> {
            (0..n.max(1)).map(|_| connection::reader(&path, cache_kib)).collect()
        };
        Ok(Self {
            points: Points::new(readers(options.point_readers, connection::POINT_CACHE_KIB)?),
            scans: Scans::start(readers(options.scan_readers, connection::SCAN_CACHE_KIB)?)?,
            writer: Some(Writer::start(writer, options, scratch.is_some())?),
            _scratch: scratch,
        })
    }

    fn look(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let points = vec![connection::onlooker(path)?];
        migrate::is_up_to_date(&points[0])?;
        let scans: Result<Vec<_>, _> =
            (0..options.scan_readers.max(1)).map(|_| connection::onlooker(path)).collect();
        Ok(Self { points: Points::new(points), scans: Scans::start(scans?)?, writer: None, _scratch: None })
    }

    /// How many transactions were written since opening, and in how many groups: a group is one COMMIT, and one
    /// wait for the disk.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        self.writer.as_ref().map_or((0, 0), |writer| writer.written().counts())
    }
}

impl Backend for Sqlite {
    fn point<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>]) -> Answer<'a, Rows> {
        Answer::now(self.points.query(sql, params))
    }

    fn few<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>]) -> Answer<'a, Option<Rows>> {
        Answer::now(self.points.few(sql, params))
    }

    fn scan<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>], each: EachRows<'a>) -> StoreFuture<'a, ()> {
        Box::pin(self.scans.scan(sql, params, each))
    }

    fn transact(&self, steps: Vec<Step>, durability: Durability) -> StoreFuture<'_, u64> {
        match &self.writer {
            Some(writer) => Box::pin(writer.transact(steps, durability)),
            None => Box::pin(std::future::ready(Err(StoreError::Unavailable(
                "the store was opened to be looked at".to_owned(),
            )))),
        }
    }
}

/// Where a file address points; kept beside `open` so that messages can name it.
pub(crate) fn path_of(address: &str) -> Option<PathBuf> {
    files::location(address)
}
