//! Who providers say that people are.

use doorward_core::id::{IdentityId, UserId};
use doorward_core::identity::model::Identity;
use doorward_core::ports::store::Identities;
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, authority, subject, shown, created_at_ms, last_used_at_ms FROM identity ",
            $rest
        )
    };
}

pub(super) fn insert(identity: Identity) -> Step {
    Step::row(
        "INSERT INTO identity (id, account, authority, subject, shown, created_at_ms, last_used_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (authority, subject) DO NOTHING",
        owned![
            &identity.id,
            &identity.user,
            identity.authority,
            identity.subject,
            identity.shown,
            identity.created_at_ms,
            identity.last_used_at_ms,
        ],
        Conflict::Exists,
    )
}

pub(super) fn touch(id: &IdentityId, user: &UserId, at_ms: i64) -> Step {
    Step::row(
        "UPDATE identity SET last_used_at_ms = CASE WHEN last_used_at_ms < $3 THEN $3 ELSE last_used_at_ms END \
         WHERE id = $1 AND account = $2",
        owned![id, user, at_ms],
        Conflict::Stale,
    )
}

pub(super) fn delete(id: &IdentityId, user: &UserId) -> Step {
    Step::row("DELETE FROM identity WHERE id = $1 AND account = $2", owned![id, user], Conflict::Missing)
}

/// Changes nothing: the batch holds only if the account can still be got into without this identity.
pub(super) fn expect_another_way_in(user: &UserId, but: &IdentityId) -> Step {
    Step::row(
        "SELECT 1 FROM account WHERE id = $1 AND (EXISTS (SELECT 1 FROM password WHERE account = $1) \
         OR EXISTS (SELECT 1 FROM identity WHERE account = $1 AND id <> $2))",
        owned![user, but],
        Conflict::LastWayIn,
    )
}

fn read(row: Row<'_>) -> Result<Identity, StoreError> {
    Ok(Identity {
        id: row.text(0)?.into(),
        user: row.text(1)?.into(),
        authority: row.text(2)?.to_owned(),
        subject: row.text(3)?.to_owned(),
        shown: row.maybe_string(4)?,
        created_at_ms: row.i64(5)?,
        last_used_at_ms: row.i64(6)?,
    })
}

impl Identities for SqlStore {
    fn identity<'a>(&'a self, authority: &'a str, subject: &'a str) -> StoreFuture<'a, Option<Identity>> {
        Box::pin(async move {
            let sql = select!("WHERE authority = $1 AND subject = $2");
            self.one(sql, &[authority.into(), subject.into()], read).await
        })
    }

    fn identities_of<'a>(&'a self, user: &'a UserId) -> StoreFuture<'a, Vec<Identity>> {
        Box::pin(async move {
            let sql = select!("WHERE account = $1 ORDER BY id");
            self.list(sql, &[Value::from(user)], read).await
        })
    }
}
