//! Revocations. Reading them at start is in `changes`, the port they belong to.

use doorward_core::tokens::model::Revocation;

use crate::backend::{Step, owned};

/// `+` keeps the planner off the index of ends: nearly every row is live, and walking the index would look each one
/// up in the table, at ten times the cost.
pub(super) const LIVE: &str = "SELECT kind, subject, at_ms, until_ms FROM revocation WHERE +until_ms > $1";

/// Spelled with CASE because the larger of two values has a different name in every database.
pub(super) fn insert(revocation: &Revocation) -> Step {
    let (kind, subject) = revocation.revoked.parts();
    Step::any(
        "INSERT INTO revocation (kind, subject, at_ms, until_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (kind, subject) DO UPDATE SET \
         at_ms = CASE WHEN excluded.at_ms > revocation.at_ms THEN excluded.at_ms ELSE revocation.at_ms END, \
         until_ms = CASE WHEN excluded.until_ms > revocation.until_ms THEN excluded.until_ms \
         ELSE revocation.until_ms END",
        owned![kind, subject, revocation.at_ms, revocation.until_ms],
    )
}
