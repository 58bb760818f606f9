//! Events on their way to webhooks.

use doorward_core::events::webhooks::Waiting;
use doorward_core::ports::store::{Delivery, DeliveryQueue};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use crate::SqlStore;
use crate::backend::{Row, Step, owned};

pub(super) fn queue(delivery: Delivery) -> Step {
    Step::any(
        "INSERT INTO delivery (webhook, id, event, at_ms, body, attempts, due_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (webhook, id) DO NOTHING",
        owned![
            delivery.webhook,
            delivery.id,
            delivery.event,
            delivery.at_ms,
            delivery.body,
            delivery.attempts,
            delivery.due_ms,
        ],
    )
}

/// Whoever moves the time it is due has it.
pub(super) fn lease(webhook: String, id: String, due_ms: i64, until_ms: i64) -> Step {
    Step::row(
        "UPDATE delivery SET due_ms = $4 WHERE webhook = $1 AND id = $2 AND due_ms = $3",
        owned![webhook, id, due_ms, until_ms],
        Conflict::Stale,
    )
}

pub(super) fn postpone(webhook: String, id: String, attempts: i64, due_ms: i64) -> Step {
    Step::any(
        "UPDATE delivery SET attempts = $3, due_ms = $4 WHERE webhook = $1 AND id = $2",
        owned![webhook, id, attempts, due_ms],
    )
}

pub(super) fn end(webhook: String, id: String) -> Step {
    Step::any("DELETE FROM delivery WHERE webhook = $1 AND id = $2", owned![webhook, id])
}

pub(super) fn hurry(webhook: String, now_ms: i64) -> Step {
    Step::any("UPDATE delivery SET due_ms = $2 WHERE webhook = $1 AND due_ms > $2", owned![webhook, now_ms])
}

fn read(row: Row<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        webhook: row.text(0)?.to_owned(),
        id: row.text(1)?.to_owned(),
        event: row.text(2)?.to_owned(),
        at_ms: row.i64(3)?,
        body: row.text(4)?.to_owned(),
        attempts: row.i64(5)?,
        due_ms: row.i64(6)?,
    })
}

impl DeliveryQueue for SqlStore {
    fn due_deliveries<'a>(
        &'a self,
        webhook: &'a str,
        now_ms: i64,
        limit: u32,
    ) -> StoreFuture<'a, Vec<Delivery>> {
        Box::pin(async move {
            let sql = "SELECT webhook, id, event, at_ms, body, attempts, due_ms FROM delivery \
                       WHERE webhook = $1 AND due_ms <= $2 ORDER BY due_ms, id LIMIT $3";
            self.list(sql, &[webhook.into(), now_ms.into(), limit.into()], read).await
        })
    }

    fn waiting_deliveries(&self) -> StoreFuture<'_, Vec<Waiting>> {
        Box::pin(async move {
            let sql = "SELECT webhook, COUNT(*), MIN(at_ms), MAX(attempts) FROM delivery \
                       GROUP BY webhook ORDER BY webhook";
            let read = |row: Row<'_>| {
                Ok(Waiting {
                    webhook: row.text(0)?.to_owned(),
                    waiting: row.i64(1)?,
                    oldest_at_ms: row.i64(2)?,
                    attempts: row.i64(3)?,
                })
            };
            self.list(sql, &[], read).await
        })
    }
}
