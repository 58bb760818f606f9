//! Delivering: for each webhook one task that takes what is due, a lease at a time, and tries each until it is taken or
//! too old. A process that dies leaves a lease that runs out, and another delivers again: at least once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::outbox::Events;
use super::webhooks::Webhook;
use crate::engine::Engine;
use crate::ports::store::{Delivery, Write};
use crate::ports::{Ask, Batch, Conflict, OutboundError, Reply, StoreError};
use crate::random::bytes;

/// What is taken at once, and how much of it is under way together.
const AT_ONCE: u32 = 64;
const TOGETHER: usize = 8;
/// How long what was taken belongs to one process: longer than trying all of it takes.
const LEASE_MS: i64 = 120_000;
/// How often the store is asked when nothing is said to have been queued: other processes queue as well.
const POLL: Duration = Duration::from_secs(1);
/// The pause before the second attempt, and the longest.
const PAUSE_MS: i64 = 2_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// Begins delivering to every webhook.
pub(crate) fn start(engine: &Engine, events: &Events) {
    for webhook in &events.webhooks {
        let (engine, webhook) = (engine.clone(), Arc::clone(webhook));
        let mut stop = events.stop.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = serve(&engine, &webhook) => {}
            }
        });
    }
}

async fn serve(engine: &Engine, webhook: &Webhook) {
    loop {
        let queued = engine.events().queued.notified();
        match round(engine, webhook).await {
            Ok(0) => {
                // Woken or not, it looks again: what is due later is nobody's to announce.
                let _ = tokio::time::timeout(POLL, queued).await;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(webhook = %webhook.name, %error, "webhooks wait: the store does not answer");
                tokio::time::sleep(POLL * 5).await;
            }
        }
    }
}

/// Takes what is due and tries it; returns how much it was.
async fn round(engine: &Engine, webhook: &Webhook) -> Result<usize, StoreError> {
    let due = engine.store().due_deliveries(&webhook.name, engine.now_ms(), AT_ONCE).await?;
    let mut taken = Vec::with_capacity(due.len());
    for delivery in due {
        let until_ms = engine.now_ms() + LEASE_MS;
        let lease = Write::LeaseDelivery {
            webhook: delivery.webhook.clone(),
            id: delivery.id.clone(),
            due_ms: delivery.due_ms,
            until_ms,
        };
        match engine.commit(Batch::buffered(vec![lease])).await {
            Ok(()) => taken.push(delivery),
            // Another process has it.
            Err(StoreError::Conflict(Conflict::Stale)) => {}
            Err(error) => return Err(error),
        }
    }
    let count = taken.len();
    let outcomes = stream::iter(taken)
        .map(|delivery| async move { try_once(engine, webhook, delivery).await })
        .buffer_unordered(TOGETHER)
        .collect::<Vec<_>>()
        .await;
    let writes: Vec<_> = outcomes.into_iter().collect();
    if !writes.is_empty() {
        engine.commit(Batch::buffered(writes)).await?;
    }
    Ok(count)
}

async fn try_once(engine: &Engine, webhook: &Webhook, delivery: Delivery) -> Write {
    let done = Write::EndDelivery { webhook: delivery.webhook.clone(), id: delivery.id.clone() };
    let (problem, told_ms) = match attempt(engine, webhook, &delivery).await {
        Ok(reply) if reply.is_success() => return done,
        Ok(reply) => {
            (format!("it answered {}", reply.status), reply.retry_after_s.map(|s| s.saturating_mul(1000)))
        }
        Err(error) => (error.to_string(), None),
    };
    let attempts = delivery.attempts + 1;
    let age_ms = engine.now_ms().saturating_sub(delivery.at_ms);
    if age_ms >= webhook.give_up_ms {
        tracing::error!(
            webhook = %webhook.name, event = %delivery.event, id = %delivery.id, attempts, problem,
            "an event was never taken and is given up"
        );
        return done;
    }
    tracing::warn!(webhook = %webhook.name, event = %delivery.event, id = %delivery.id, attempts, problem, "not taken");
    let pause_ms =
        told_ms.unwrap_or(0).clamp(pause_ms(attempts, bytes::<1>(engine.random())[0]), LONGEST_PAUSE_MS);
    Write::PostponeDelivery {
        webhook: delivery.webhook,
        id: delivery.id,
        attempts,
        due_ms: engine.now_ms().saturating_add(pause_ms),
    }
}

/// Doubles from two seconds to an hour, less up to a fifth by `chance`: targets that come back are not met by all at once.
fn pause_ms(attempts: i64, chance: u8) -> i64 {
    let doubled = PAUSE_MS << (attempts - 1).clamp(0, 20);
    let pause = doubled.min(LONGEST_PAUSE_MS);
    pause - pause / 5 * i64::from(chance) / 255
}

/// POSTs one event, signed for this moment.
pub(super) async fn attempt(
    engine: &Engine,
    webhook: &Webhook,
    delivery: &Delivery,
) -> Result<Reply, OutboundError> {
    let timestamp_s = engine.now_ms().div_euclid(1000);
    let signature = webhook.signature(&delivery.id, timestamp_s, delivery.body.as_bytes());
    let mut ask = Ask::post_json(&*webhook.url, delivery.body.clone().into_bytes());
    ask.headers = vec![
        ("webhook-id", delivery.id.clone()),
        ("webhook-timestamp", timestamp_s.to_string()),
        ("webhook-signature", signature),
    ];
    engine.outbound().send(ask).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_are_spread() {
        let whole: Vec<_> = [1, 2, 3, 11, 12, 40, i64::MAX].map(|n| pause_ms(n, 0)).into();
        assert_eq!(whole, [2_000, 4_000, 8_000, 2_048_000, 3_600_000, 3_600_000, 3_600_000]);
        assert_eq!(pause_ms(1, 255), 1_600);
        assert!((1_600..2_000).contains(&pause_ms(1, 100)));
    }
}
