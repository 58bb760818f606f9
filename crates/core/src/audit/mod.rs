//! The audit log.
//!
//! Two classes (`docs/adr/0007`): a *durable* line is in the same transaction as the act it tells of, or is
//! committed before an act that leaves the store; a *buffered* one goes through the [`journal`].

pub mod chain;
pub mod entry;
pub mod journal;
mod reading;

pub use entry::{AuditEntry, AuditRecord, Outcome};
pub use journal::Journal;
pub(crate) use journal::Read;
pub use reading::{Audit, ChainFault};
