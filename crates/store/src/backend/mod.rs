//! What a database must do for the store, and the databases that do.
//!
//! A backend runs SQL text with typed values and knows nothing about aggregates. To add one: a directory here, a
//! row in [`BUILTIN`], and `crate::conformance` run over it.

mod answer;
mod postgres;
mod rows;
pub(crate) mod sqlite;
mod step;
mod value;

use std::sync::Arc;

use doorward_core::ports::{Durability, StoreError, StoreFuture};

pub use answer::Answer;
pub use rows::{Row, Rows};
pub use sqlite::Sqlite;
pub(crate) use sqlite::path_of;
pub use step::{Derive, Expect, Statement, Step};
pub use value::Value;
pub(crate) use value::owned;

use crate::migrate::Pending;
use crate::store::Options;

/// Receives a piece of a scan's rows; an error ends the scan.
pub type EachRows<'a> = &'a mut (dyn FnMut(&Rows) -> Result<(), StoreError> + Send);

/// A database that runs our SQL.
pub trait Backend: Send + Sync {
    /// Runs a query that touches a few rows through an index, as cheaply as the database can.
    fn point<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>]) -> Answer<'a, Rows>;

    /// Runs a query that may touch many rows, without holding up [`Backend::point`]; hands rows over in pieces.
    fn scan<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>], each: EachRows<'a>) -> StoreFuture<'a, ()>;

    /// The rows of a query that finds them in order by an index and stops with the first, as long as they are few; `None` when they
    /// are not, or when this database has no cheaper way than [`Backend::scan`].
    fn few<'a>(&'a self, _sql: &'a str, _params: &'a [Value<'a>]) -> Answer<'a, Option<Rows>> {
        Answer::now(Ok(None))
    }

    /// Runs the steps in order in one transaction that sees no other's half; returns how many rows changed.
    ///
    /// # Errors
    /// A step's own conflict, [`doorward_core::ports::Conflict::Missing`] for a broken reference, and
    /// [`StoreError::Unavailable`] when nothing is known to have been written. In every case nothing remains.
    fn transact(&self, steps: Vec<Step>, durability: Durability) -> StoreFuture<'_, u64>;
}

/// What opening an address gives.
pub type Opened = Result<Arc<dyn Backend>, StoreError>;

/// A row of the table of databases.
pub struct Descriptor {
    /// What stands before the `:` of a store's address.
    pub scheme: &'static str,
    /// Opens the database behind the address and brings its schema up to date if the options ask for it.
    pub open: fn(&str, &Options) -> Opened,
    /// What opening would still apply; creates nothing.
    pub pending: fn(&str) -> Result<Vec<Pending>, StoreError>,
    /// What to call the database in messages: the address without its secrets.
    pub name: fn(&str) -> String,
}

/// Every database this build knows.
pub static BUILTIN: &[Descriptor] = &[
    Descriptor { scheme: "sqlite", open: sqlite::open, pending: sqlite::pending, name: sqlite::name },
    Descriptor { scheme: "postgres", open: postgres::open, pending: postgres::pending, name: postgres::name },
    Descriptor {
        scheme: "postgresql",
        open: postgres::open,
        pending: postgres::pending,
        name: postgres::name,
    },
];

/// The backend of an address: `scheme:rest`, or a bare path, which is SQLite's.
///
/// # Errors
/// [`StoreError::Unavailable`] for a scheme without a backend.
pub fn find(address: &str) -> Result<&'static Descriptor, StoreError> {
    // A scheme is two or more letters, so that `C:\data` stays a path.
    let scheme = match address.split_once(':') {
        Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => scheme,
        _ => "sqlite",
    };
    BUILTIN.iter().find(|d| d.scheme == scheme).ok_or_else(|| {
        let known: Vec<_> = BUILTIN.iter().map(|d| d.scheme).collect();
        StoreError::Unavailable(format!("no backend for {scheme}: stores; known are {}", known.join(", ")))
    })
}
