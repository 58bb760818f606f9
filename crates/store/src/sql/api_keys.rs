//! API keys; the keys themselves are never here.

use doorward_core::id::{ApiKeyId, UserId};
use doorward_core::identity::model::{ApiKey, ApiKeyKind};
use doorward_core::ports::store::{ApiKeys, Page};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use super::{hash, json};
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, kind, name, scopes, hint, mac, created_at_ms, expires_at_ms, last_used_at_ms, \
             revoked_at_ms FROM api_key ",
            $rest
        )
    };
}

pub(super) fn insert(key: ApiKey) -> Result<Step, StoreError> {
    Ok(Step::row(
        // No conflict target: an equal id and an equal MAC are both a key that exists.
        "INSERT INTO api_key (id, account, kind, name, scopes, hint, mac, created_at_ms, expires_at_ms, \
         last_used_at_ms, revoked_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING",
        owned![
            &key.id,
            &key.owner,
            key.kind.as_str(),
            key.name,
            json(&key.scopes)?,
            key.hint,
            key.mac.as_slice(),
            key.created_at_ms,
            key.expires_at_ms,
            key.last_used_at_ms,
            key.revoked_at_ms,
        ],
        Conflict::Exists,
    ))
}

pub(super) fn revoke(id: &ApiKeyId, at_ms: i64) -> Step {
    Step::row(
        "UPDATE api_key SET revoked_at_ms = $2 WHERE id = $1 AND revoked_at_ms IS NULL",
        owned![id, at_ms],
        Conflict::Missing,
    )
}

pub(super) fn touch(id: &ApiKeyId, at_ms: i64) -> Step {
    Step::any(
        "UPDATE api_key SET last_used_at_ms = $2 \
         WHERE id = $1 AND (last_used_at_ms IS NULL OR last_used_at_ms < $2)",
        owned![id, at_ms],
    )
}

fn read(row: Row<'_>) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.text(0)?.into(),
        owner: row.text(1)?.into(),
        kind: match row.text(2)? {
            "user" => ApiKeyKind::User,
            "admin" => ApiKeyKind::Admin,
            _ => return Err(StoreError::Corrupt("an API key is of an unknown kind".into())),
        },
        name: row.text(3)?.to_owned(),
        scopes: row.json(4)?,
        hint: row.text(5)?.to_owned(),
        mac: hash(row.bytes(6)?)?,
        created_at_ms: row.i64(7)?,
        expires_at_ms: row.maybe_i64(8)?,
        last_used_at_ms: row.maybe_i64(9)?,
        revoked_at_ms: row.maybe_i64(10)?,
    })
}

impl ApiKeys for SqlStore {
    fn api_key_by_mac(&self, mac: [u8; 32]) -> StoreFuture<'_, Option<ApiKey>> {
        Box::pin(
            async move { self.one(select!("WHERE mac = $1"), &[Value::from(mac.as_slice())], read).await },
        )
    }

    fn api_key<'a>(&'a self, id: &'a ApiKeyId) -> StoreFuture<'a, Option<ApiKey>> {
        Box::pin(async move { self.one(select!("WHERE id = $1"), &[Value::from(id)], read).await })
    }

    fn api_keys<'a>(&'a self, owner: Option<&'a UserId>, page: Page) -> StoreFuture<'a, Vec<ApiKey>> {
        Box::pin(async move {
            let after = page.after.as_deref().unwrap_or("");
            match owner {
                Some(owner) => {
                    let sql = select!("WHERE account = $1 AND id > $2 ORDER BY id LIMIT $3");
                    self.list(sql, &[owner.into(), after.into(), page.limit.into()], read).await
                }
                None => {
                    let sql = select!("WHERE id > $1 ORDER BY id LIMIT $2");
                    self.list(sql, &[after.into(), page.limit.into()], read).await
                }
            }
        })
    }
}
