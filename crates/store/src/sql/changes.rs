//! The change feed, what memory starts from, and clearing out.

use doorward_core::ports::store::{Change, ChangeSeq, Changes};
use doorward_core::ports::{Durability, StoreError, StoreFuture};
use doorward_core::tokens::model::{Revocation, Revoked};

use super::{documents, revocations};
use crate::SqlStore;
use crate::backend::{Row, Rows, Step, Value, owned};

/// Changes kept however old: a process further behind than this starts over from the whole state.
pub(crate) const KEPT_CHANGES: i64 = 65_536;
/// Deliveries for webhooks that nobody has configured for so long are for nobody.
const KEPT_DELIVERIES_MS: i64 = 30 * 86_400_000;
/// So long a text that stood for a token is still refused after its end.
const KEPT_STAND_INS_MS: i64 = 7 * 86_400_000;
/// Rows removed in one transaction, so that clearing out never holds up other writers for long.
const PRUNED_AT_ONCE: i64 = 2_000;
/// Before the kind of a revocation in `changes.kind`.
const REVOKED: &str = "revoked:";
/// The kind of a run's stop, and of one after which nothing is left of it.
const STOPPED: &str = "run-stopped";
const FORGOTTEN: &str = "run-forgotten";

const NEWEST: &str = "SELECT seq FROM changes ORDER BY seq DESC LIMIT 1";
const AFTER: &str =
    "SELECT seq, kind, subject, at_ms, until_ms FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2";

pub(super) fn announce(change: Change) -> Step {
    let (kind, subject, times) = match change {
        Change::User(id) => ("user".to_owned(), id.as_str().to_owned(), None),
        Change::Session(id) => ("session".to_owned(), id.as_str().to_owned(), None),
        Change::ApiKey(mac) => ("api-key".to_owned(), to_hex(&mac), None),
        Change::Keys => ("keys".to_owned(), String::new(), None),
        Change::Revocation(revocation) => {
            let (kind, subject) = revocation.revoked.parts();
            let times = Some((revocation.at_ms, revocation.until_ms));
            (format!("{REVOKED}{kind}"), subject.to_owned(), times)
        }
        Change::Stop { run, and_forget } => {
            let kind = if and_forget { FORGOTTEN } else { STOPPED };
            (kind.to_owned(), run.as_str().to_owned(), None)
        }
    };
    Step::any(
        "INSERT INTO changes (seq, kind, subject, at_ms, until_ms) \
         VALUES ((SELECT COALESCE(MAX(seq), 0) + 1 FROM changes), $1, $2, $3, $4)",
        owned![kind, subject, times.map(|t| t.0), times.map(|t| t.1)],
    )
}

fn read(row: Row<'_>) -> Result<(ChangeSeq, Change), StoreError> {
    let subject = row.text(2)?;
    let unknown = || StoreError::Corrupt("a change is of an unknown kind".into());
    let change = match row.text(1)? {
        "user" => Change::User(subject.into()),
        "session" => Change::Session(subject.into()),
        "api-key" => Change::ApiKey(from_hex(subject).ok_or_else(unknown)?),
        "keys" => Change::Keys,
        STOPPED => Change::Stop { run: subject.into(), and_forget: false },
        FORGOTTEN => Change::Stop { run: subject.into(), and_forget: true },
        other => {
            let kind = other.strip_prefix(REVOKED).ok_or_else(unknown)?;
            Change::Revocation(Revocation {
                revoked: Revoked::from_parts(kind, subject).ok_or_else(unknown)?,
                at_ms: row.i64(3)?,
                until_ms: row.i64(4)?,
            })
        }
    };
    Ok((row.i64(0)?, change))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).ok()?;
    }
    Some(out)
}

impl Changes for SqlStore {
    fn newest_change(&self) -> StoreFuture<'_, ChangeSeq> {
        Box::pin(async move { Ok(self.one(NEWEST, &[], |row| row.i64(0)).await?.unwrap_or(0)) })
    }

    fn changes_after(&self, seq: ChangeSeq, limit: u32) -> StoreFuture<'_, Vec<(ChangeSeq, Change)>> {
        Box::pin(async move { self.list(AFTER, &[seq.into(), limit.into()], read).await })
    }

    fn each_revocation<'a>(
        &'a self,
        now_ms: i64,
        mut each: Box<dyn FnMut(&str, &str, i64, i64) + Send + 'a>,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let params = [Value::from(now_ms)];
            let mut piece = |rows: &Rows| {
                for row in rows.iter() {
                    each(row.text(0)?, row.text(1)?, row.i64(2)?, row.i64(3)?);
                }
                Ok(())
            };
            self.backend.scan(revocations::LIVE, &params, &mut piece).await
        })
    }

    fn prune(&self, now_ms: i64) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let newest = self.newest_change().await?;
            let mut gone = 0;
            for (sql, limit) in [
                (
                    "DELETE FROM revocation WHERE (kind, subject) IN \
                     (SELECT kind, subject FROM revocation WHERE until_ms <= $1 ORDER BY until_ms LIMIT $2)",
                    now_ms,
                ),
                (
                    "DELETE FROM code WHERE (purpose, hash) IN \
                     (SELECT purpose, hash FROM code WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)",
                    now_ms,
                ),
                (
                    "UPDATE stand_in SET sealed = substr(sealed, 1, 0) WHERE hash IN (SELECT hash FROM stand_in \
                     WHERE until_ms <= $1 AND length(sealed) > 0 ORDER BY until_ms LIMIT $2)",
                    now_ms,
                ),
                (
                    "DELETE FROM stand_in WHERE hash IN \
                     (SELECT hash FROM stand_in WHERE until_ms <= $1 ORDER BY until_ms LIMIT $2)",
                    now_ms - KEPT_STAND_INS_MS,
                ),
                (
                    "DELETE FROM delivery WHERE (webhook, id) IN \
                     (SELECT webhook, id FROM delivery WHERE at_ms <= $1 ORDER BY at_ms LIMIT $2)",
                    now_ms - KEPT_DELIVERIES_MS,
                ),
                (
                    "DELETE FROM changes WHERE seq IN \
                     (SELECT seq FROM changes WHERE seq <= $1 ORDER BY seq LIMIT $2)",
                    newest - KEPT_CHANGES,
                ),
            ] {
                loop {
                    let step = Step::any(sql, owned![limit, PRUNED_AT_ONCE]);
                    let removed = self.backend.transact(vec![step], Durability::Buffered).await?;
                    gone += removed;
                    if removed < PRUNED_AT_ONCE.unsigned_abs() {
                        break;
                    }
                }
            }
            loop {
                let steps = documents::prune(now_ms, PRUNED_AT_ONCE).into();
                let removed = self.backend.transact(steps, Durability::Buffered).await?;
                gone += removed;
                if removed == 0 {
                    return Ok(gone);
                }
            }
        })
    }
}
