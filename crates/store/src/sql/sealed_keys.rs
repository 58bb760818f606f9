//! Sealed keys and their purposes.

use doorward_core::id::KeyId;
use doorward_core::ports::store::SealedKeys;
use doorward_core::ports::{Conflict, StoreError, StoreFuture};
use doorward_core::tokens::model::SealedKey;

use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

const OF_PURPOSE: &str = "SELECT id, purpose, algorithm, sealed, created_at_ms, retired_at_ms FROM sealed_key \
                          WHERE purpose = $1 ORDER BY created_at_ms DESC, id DESC";
const PURPOSE: &str = "INSERT INTO key_purpose (purpose) VALUES ($1) ON CONFLICT (purpose) DO NOTHING";

pub(super) fn insert(key: SealedKey, to: &mut Vec<Step>) {
    to.push(Step::any(PURPOSE, owned![&key.purpose]));
    to.push(insert_key(key));
}

/// The purpose's own row decides who was first, on any database and isolation level.
pub(super) fn insert_first(key: SealedKey, to: &mut Vec<Step>) {
    to.push(Step::row(PURPOSE, owned![&key.purpose], Conflict::Exists));
    to.push(insert_key(key));
}

fn insert_key(key: SealedKey) -> Step {
    Step::row(
        "INSERT INTO sealed_key (id, purpose, algorithm, sealed, created_at_ms, retired_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
        owned![&key.id, key.purpose, key.algorithm, key.sealed, key.created_at_ms, key.retired_at_ms],
        Conflict::Exists,
    )
}

pub(super) fn retire(id: &KeyId, at_ms: i64) -> Step {
    Step::row("UPDATE sealed_key SET retired_at_ms = $2 WHERE id = $1", owned![id, at_ms], Conflict::Missing)
}

fn read(row: Row<'_>) -> Result<SealedKey, StoreError> {
    Ok(SealedKey {
        id: row.text(0)?.into(),
        purpose: row.text(1)?.to_owned(),
        algorithm: row.text(2)?.to_owned(),
        sealed: row.bytes(3)?.to_vec(),
        created_at_ms: row.i64(4)?,
        retired_at_ms: row.maybe_i64(5)?,
    })
}

impl SealedKeys for SqlStore {
    fn sealed_keys<'a>(&'a self, purpose: &'a str) -> StoreFuture<'a, Vec<SealedKey>> {
        Box::pin(async move { self.list(OF_PURPOSE, &[Value::from(purpose)], read).await })
    }

    fn key_purposes(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let sql = "SELECT purpose FROM key_purpose ORDER BY purpose";
            self.list(sql, &[], |row| row.text(0).map(str::to_owned)).await
        })
    }
}
