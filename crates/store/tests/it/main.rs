//! The store as its users see it: the conformance suite over SQLite, and what is SQLite's own.

mod files;
mod fresh;
mod group_commit;
mod limits;
mod migrations;
mod plans;
mod pruning;
mod several;

mod sqlite_file {
    doorward_store::conformance!(crate::fresh::files());
}

mod sqlite_memory {
    doorward_store::conformance!(crate::fresh::memory);
}
