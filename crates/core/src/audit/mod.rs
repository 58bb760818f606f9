//! The audit log.

pub mod chain;
pub mod entry;

pub use entry::{AuditEntry, AuditRecord, Outcome};
