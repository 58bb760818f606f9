//! The store as its users see it: the conformance suite over every database, and what is one database's own.

mod copies;
mod files;
mod fresh;
mod group_commit;
mod limits;
mod migrations;
mod plans;
mod plans_postgres;
mod postgres;
mod pruning;
mod several;

mod postgresql {
    doorward_store::conformance!(crate::postgres::fresh);
}

mod sqlite_file {
    doorward_store::conformance!(crate::fresh::files());
}

mod sqlite_memory {
    doorward_store::conformance!(crate::fresh::memory);
}
