//! One-time codes, by their hashes.

use doorward_core::ports::store::Codes;
use doorward_core::ports::{Conflict, StoreFuture};

use crate::SqlStore;
use crate::backend::{Step, owned};

pub(super) fn insert(purpose: String, hash: [u8; 32], expires_at_ms: i64) -> Step {
    Step::row(
        "INSERT INTO code (purpose, hash, expires_at_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (purpose, hash) DO NOTHING",
        owned![purpose, hash.as_slice(), expires_at_ms],
        Conflict::Exists,
    )
}

/// Spending removes: whoever removed the row spent the code, and nobody else can.
pub(super) fn spend(purpose: String, hash: [u8; 32], now_ms: i64) -> Step {
    Step::row(
        "DELETE FROM code WHERE purpose = $1 AND hash = $2 AND expires_at_ms > $3",
        owned![purpose, hash.as_slice(), now_ms],
        Conflict::CodeSpent,
    )
}

pub(super) fn drop_all(purpose: String) -> Step {
    Step::any("DELETE FROM code WHERE purpose = $1", owned![purpose])
}

pub(super) fn drop_every(but: String, now_ms: i64) -> Step {
    Step::any("DELETE FROM code WHERE expires_at_ms > $1 AND purpose <> $2", owned![now_ms, but])
}

impl Codes for SqlStore {
    fn any_code<'a>(&'a self, purpose: &'a str, now_ms: i64) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let sql = "SELECT 1 FROM code WHERE purpose = $1 AND expires_at_ms > $2 LIMIT 1";
            Ok(self.one(sql, &[purpose.into(), now_ms.into()], |_| Ok(())).await?.is_some())
        })
    }

    fn code_ends_at<'a>(&'a self, purpose: &'a str, hash: [u8; 32]) -> StoreFuture<'a, Option<i64>> {
        Box::pin(async move {
            let sql = "SELECT expires_at_ms FROM code WHERE purpose = $1 AND hash = $2";
            self.one(sql, &[purpose.into(), hash.as_slice().into()], |row| row.i64(0)).await
        })
    }
}
