//! New, empty stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::ports::store::{Batch, Commit};
use doorward_core::ports::{StoreError, Write};
use doorward_store::conformance::Handle;
use doorward_store::{Options, SqlStore};

/// Handles on files of a directory that goes with the function.
pub(crate) fn files() -> impl Fn(usize) -> Vec<Handle> + Sync {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let next = AtomicUsize::new(0);
    move |handles| {
        let path = directory.path().join(format!("{}.db", next.fetch_add(1, Ordering::Relaxed)));
        let open = || SqlStore::open_path(&path, &Options::default()).expect("a new file opens");
        (0..handles).map(|_| Arc::new(open()) as Handle).collect()
    }
}

/// Handles on one store that is gone with them; clones, for nobody else can reach it.
pub(crate) fn memory(handles: usize) -> Vec<Handle> {
    let store = SqlStore::memory().expect("a temporary store opens");
    (0..handles).map(|_| Arc::new(store.clone()) as Handle).collect()
}

/// A store of one's own on a file, with the directory that it goes with.
pub(crate) struct File {
    /// Removed when dropped; the store must not be used after.
    pub(crate) directory: tempfile::TempDir,
    /// The file.
    pub(crate) path: std::path::PathBuf,
}

impl File {
    /// A path in a new directory; nothing is there yet.
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let closed = std::fs::Permissions::from_mode(0o700);
        let directory =
            tempfile::Builder::new().permissions(closed).tempdir().expect("a temporary directory");
        let path = directory.path().join("store.db");
        Self { directory, path }
    }

    /// The store on it, with default options.
    pub(crate) fn open(&self) -> SqlStore {
        self.open_with(&Options::default()).expect("the store opens")
    }

    /// The store on it.
    pub(crate) fn open_with(&self, options: &Options) -> Result<SqlStore, StoreError> {
        SqlStore::open_path(&self.path, options)
    }

    /// A connection beside the store, as another program would have it.
    pub(crate) fn outsider(&self) -> rusqlite::Connection {
        let outsider = rusqlite::Connection::open(&self.path).expect("the file opens");
        outsider.busy_timeout(std::time::Duration::ZERO).expect("a connection takes a timeout");
        outsider
    }
}

/// Commits what must go through.
pub(crate) async fn put(store: &SqlStore, writes: Vec<Write>) {
    store.commit(Batch::durable(writes)).await.expect("the batch meets every expectation");
}

/// The text of an error that must be `Unavailable`.
pub(crate) fn unavailable<T>(result: Result<T, StoreError>) -> String {
    let error = result.err().expect("it should be unavailable, and went through");
    assert!(matches!(error, StoreError::Unavailable(_)), "it should be unavailable: {error:?}");
    error.to_string()
}

/// The text of an error that must be `Corrupt`.
pub(crate) fn corrupt<T>(result: Result<T, StoreError>) -> String {
    let error = result.err().expect("it should be corrupt, and went through");
    assert!(matches!(error, StoreError::Corrupt(_)), "it should be corrupt: {error:?}");
    error.to_string()
}
