//! The store as its users see it: the conformance suite over SQLite, and what is SQLite's own.

mod fresh;

mod sqlite_file {
    doorward_store::conformance!(crate::fresh::files());
}

mod sqlite_memory {
    doorward_store::conformance!(crate::fresh::memory);
}
