//! Who owns what an upstream keeps.

use std::collections::HashSet;

use doorward_core::ports::store::OwnershipClaims;
use doorward_core::ports::{Conflict, StoreFuture};

use crate::SqlStore;
use crate::backend::{Step, Value, owned};

/// Ids asked for in one query; a shorter rest is filled up with its last id, so that there is one text.
const AMONG: usize = 16;
const AMONG_SQL: &str = "SELECT id FROM ownership WHERE mount = $1 AND resource = $2 AND owner = $3 AND id IN \
     ($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

/// The first claim makes the row; a later one changes nothing unless it is the same owner's.
pub(super) fn claim(mount: String, resource: String, id: String, owner: String, at_ms: i64) -> Step {
    Step::row(
        "INSERT INTO ownership (mount, resource, id, owner, claimed_at_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (mount, resource, id) DO UPDATE SET owner = excluded.owner \
         WHERE ownership.owner = excluded.owner",
        owned![mount, resource, id, owner, at_ms],
        Conflict::Owned,
    )
}

pub(super) fn release(mount: String, resource: String, id: String, owner: String) -> Step {
    Step::any(
        "DELETE FROM ownership WHERE mount = $1 AND resource = $2 AND id = $3 AND owner = $4",
        owned![mount, resource, id, owner],
    )
}

impl OwnershipClaims for SqlStore {
    fn owner_of<'a>(
        &'a self,
        mount: &'a str,
        resource: &'a str,
        id: &'a str,
    ) -> StoreFuture<'a, Option<String>> {
        Box::pin(async move {
            let sql = "SELECT owner FROM ownership WHERE mount = $1 AND resource = $2 AND id = $3";
            let params = [mount.into(), resource.into(), id.into()];
            self.one(sql, &params, |row| row.text(0).map(str::to_owned)).await
        })
    }

    fn owned_by<'a>(
        &'a self,
        mount: &'a str,
        resource: &'a str,
        owner: &'a str,
        limit: u32,
    ) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            let sql = "SELECT id FROM ownership WHERE mount = $1 AND resource = $2 AND owner = $3 \
                       ORDER BY claimed_at_ms DESC, id DESC LIMIT $4";
            let params = [mount.into(), resource.into(), owner.into(), limit.into()];
            self.list(sql, &params, |row| row.text(0).map(str::to_owned)).await
        })
    }

    fn owned_among<'a>(
        &'a self,
        mount: &'a str,
        resource: &'a str,
        ids: &'a [String],
        owner: &'a str,
    ) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            let mut owned = HashSet::new();
            for some in ids.chunks(AMONG) {
                let mut params: Vec<Value<'_>> = vec![mount.into(), resource.into(), owner.into()];
                let filled = some.iter().chain(std::iter::repeat(&some[some.len() - 1])).take(AMONG);
                params.extend(filled.map(Value::from));
                for row in self.backend.point(AMONG_SQL, &params).await?.iter() {
                    owned.insert(row.text(0)?.to_owned());
                }
            }
            Ok(ids.iter().filter(|id| owned.contains(*id)).cloned().collect())
        })
    }
}
