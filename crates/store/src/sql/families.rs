//! Refresh families.

use doorward_core::id::{FamilyId, SessionId};
use doorward_core::ports::store::Families;
use doorward_core::ports::{Conflict, StoreError, StoreFuture};
use doorward_core::tokens::model::Family;

use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

const BY_ID: &str = "SELECT id, account, session, client, scope, counter, advanced_at_ms, expires_at_ms, \
                     ends_at_ms, ended_at_ms FROM family WHERE id = $1";

pub(super) fn insert(family: Family) -> Step {
    Step::row(
        "INSERT INTO family (id, account, session, client, scope, counter, advanced_at_ms, expires_at_ms, \
         ends_at_ms, ended_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
        owned![
            &family.id,
            &family.user,
            &family.session,
            family.client,
            family.scope,
            family.counter,
            family.advanced_at_ms,
            family.expires_at_ms,
            family.ends_at_ms,
            family.ended_at_ms,
        ],
        Conflict::Exists,
    )
}

pub(super) fn advance(id: &FamilyId, from: i64, at_ms: i64, expires_at_ms: i64) -> Step {
    Step::row(
        "UPDATE family SET counter = counter + 1, advanced_at_ms = $3, expires_at_ms = $4 \
         WHERE id = $1 AND counter = $2 AND ended_at_ms IS NULL",
        owned![id, from, at_ms, expires_at_ms],
        Conflict::Stale,
    )
}

pub(super) fn end(id: &FamilyId, at_ms: i64) -> Step {
    Step::any("UPDATE family SET ended_at_ms = $2 WHERE id = $1 AND ended_at_ms IS NULL", owned![id, at_ms])
}

pub(super) fn end_of_session(session: &SessionId, at_ms: i64) -> Step {
    Step::any(
        "UPDATE family SET ended_at_ms = $2 WHERE session = $1 AND ended_at_ms IS NULL",
        owned![session, at_ms],
    )
}

fn read(row: Row<'_>) -> Result<Family, StoreError> {
    Ok(Family {
        id: row.text(0)?.into(),
        user: row.text(1)?.into(),
        session: row.text(2)?.into(),
        client: row.text(3)?.to_owned(),
        scope: row.maybe_string(4)?,
        counter: row.i64(5)?,
        advanced_at_ms: row.i64(6)?,
        expires_at_ms: row.i64(7)?,
        ends_at_ms: row.i64(8)?,
        ended_at_ms: row.maybe_i64(9)?,
    })
}

impl Families for SqlStore {
    fn family<'a>(&'a self, id: &'a FamilyId) -> StoreFuture<'a, Option<Family>> {
        Box::pin(async move { self.one(BY_ID, &[Value::from(id)], read).await })
    }
}
