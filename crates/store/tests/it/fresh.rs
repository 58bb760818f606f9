//! New, empty stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
