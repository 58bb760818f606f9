//! Texts of start-up files that stand for tokens of ours, by their hashes.

use doorward_core::ports::StoreFuture;
use doorward_core::ports::store::{StandIn, StandIns};

use crate::SqlStore;
use crate::backend::{Step, owned};

/// The same text made again stands for what it was made for last.
pub(super) fn keep(hash: [u8; 32], kept: StandIn) -> Step {
    Step::any(
        "INSERT INTO stand_in (hash, sealed, until_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (hash) DO UPDATE SET sealed = excluded.sealed, until_ms = excluded.until_ms",
        owned![hash.as_slice(), kept.sealed, kept.until_ms],
    )
}

impl StandIns for SqlStore {
    fn stand_in(&self, hash: [u8; 32]) -> StoreFuture<'_, Option<StandIn>> {
        Box::pin(async move {
            let sql = "SELECT sealed, until_ms FROM stand_in WHERE hash = $1";
            let read = |row: crate::backend::Row<'_>| {
                Ok(StandIn { sealed: row.bytes(0)?.to_vec(), until_ms: row.i64(1)? })
            };
            self.one(sql, &[hash.as_slice().into()], read).await
        })
    }

    fn stand_ins(&self, now_ms: i64, most: u32) -> StoreFuture<'_, u32> {
        Box::pin(async move {
            let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM stand_in WHERE until_ms > $1 LIMIT $2) AS counted";
            let read = |row: crate::backend::Row<'_>| Ok(u32::try_from(row.i64(0)?).unwrap_or(u32::MAX));
            Ok(self.one(sql, &[now_ms.into(), i64::from(most).into()], read).await?.unwrap_or_default())
        })
    }
}
