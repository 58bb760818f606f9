//! Durable state behind core's store ports.
//!
//! ```text
//! Batch ─ sql::steps ─► [Step] ─ Backend::transact ─► all of it, or a Conflict and nothing
//! read  ─ sql text   ─► Backend::point | scan      ─► Rows ─ a row reader ─► the aggregate
//! ```
//!
//! There is one SQL text for every backend: columns are TEXT, BIGINT, SMALLINT, BYTEA and DOUBLE PRECISION, times
//! are integer milliseconds, JSON is opaque text, placeholders are `$n`, and no JSON functions are used. What
//! differs between databases hides behind [`backend::Backend`]; [`mod@conformance`] says what every backend keeps.

pub mod backend;
pub mod conformance;
pub mod file;
pub mod filter;
mod jobs;
pub mod migrate;
pub mod permissions;
mod sql;
mod store;

pub use migrate::{migrate, pending};
pub use permissions::{PermissionProblem, permissions};
pub use store::{Options, SqlStore};
