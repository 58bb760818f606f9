//! Events on their way to webhooks.

use doorward_core::ports::Conflict;
use doorward_core::ports::store::{Delivery, Write};

use super::samples::NOW_MS;
use super::{Handle, Open, one, put, refused};

fn delivery(webhook: &str, id: &str, due_ms: i64) -> Delivery {
    Delivery {
        id: id.to_owned(),
        webhook: webhook.to_owned(),
        event: "user.created".to_owned(),
        at_ms: NOW_MS,
        body: "{\"type\":\"user.created\",\"x\":\"\u{1F600}'\"}".to_owned(),
        attempts: 0,
        due_ms,
    }
}

fn queued(webhook: &str, id: &str, due_ms: i64) -> Write {
    Write::QueueDelivery(delivery(webhook, id, due_ms))
}

async fn due(store: &Handle, webhook: &str, now_ms: i64) -> Vec<String> {
    let found = store.due_deliveries(webhook, now_ms, 10).await.expect("the store answers");
    found.into_iter().map(|delivery| delivery.id).collect()
}

/// What is queued comes back as it was, when it is due, the longest due first, for its webhook alone.
pub async fn what_is_due_comes_in_order_for_its_webhook_alone(open: Open<'_>) {
    let store = one(open);
    let all = [("a", "evt_3", 30), ("a", "evt_1", 10), ("a", "evt_2", 10), ("b", "evt_1", 5)];
    put(&store, all.iter().map(|(webhook, id, due)| queued(webhook, id, NOW_MS + due)).collect()).await;
    put(&store, vec![queued("a", "evt_1", NOW_MS + 99)]).await;
    assert_eq!(due(&store, "a", NOW_MS + 9).await, Vec::<String>::new());
    assert_eq!(due(&store, "a", NOW_MS + 10).await, ["evt_1", "evt_2"], "queued twice is queued once");
    assert_eq!(due(&store, "a", NOW_MS + 30).await, ["evt_1", "evt_2", "evt_3"]);
    let first = store.due_deliveries("a", NOW_MS + 30, 1).await.expect("the store answers");
    assert_eq!(first, [delivery("a", "evt_1", NOW_MS + 10)]);
    assert_eq!(due(&store, "b", NOW_MS + 30).await, ["evt_1"]);
}

/// A lease moves what is due; it is had once, and what is put off, hurried or ended does as it is told.
pub async fn a_lease_is_had_once(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![queued("a", "evt_1", NOW_MS), queued("a", "evt_2", NOW_MS)]).await;
    let lease = |id: &str| Write::LeaseDelivery {
        webhook: "a".into(),
        id: id.into(),
        due_ms: NOW_MS,
        until_ms: NOW_MS + 100,
    };
    put(&store, vec![lease("evt_1")]).await;
    assert_eq!(refused(&store, vec![lease("evt_1")]).await, Conflict::Stale);
    assert_eq!(refused(&store, vec![lease("evt_none")]).await, Conflict::Stale);
    assert_eq!(due(&store, "a", NOW_MS + 99).await, ["evt_2"]);
    assert_eq!(due(&store, "a", NOW_MS + 100).await, ["evt_2", "evt_1"], "a lease runs out");
    let later = Write::PostponeDelivery {
        webhook: "a".into(),
        id: "evt_1".into(),
        attempts: 3,
        due_ms: NOW_MS + 500,
    };
    put(&store, vec![later]).await;
    let waiting = store.waiting_deliveries().await.expect("the store answers");
    let seen: Vec<_> =
        waiting.iter().map(|w| (w.webhook.as_str(), w.waiting, w.oldest_at_ms, w.attempts)).collect();
    assert_eq!(seen, [("a", 2, NOW_MS, 3)]);
    put(&store, vec![Write::HurryDeliveries { webhook: "a".into(), now_ms: NOW_MS + 1 }]).await;
    assert_eq!(due(&store, "a", NOW_MS + 1).await, ["evt_2", "evt_1"]);
    let end = |id: &str| Write::EndDelivery { webhook: "a".into(), id: id.into() };
    put(&store, vec![end("evt_1"), end("evt_2"), end("evt_2")]).await;
    assert!(store.waiting_deliveries().await.expect("the store answers").is_empty());
}

/// What nobody asked for in a month is cleared out.
pub async fn old_deliveries_are_cleared_out(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![queued("gone", "evt_1", NOW_MS)]).await;
    let month_ms = 30 * 86_400_000;
    store.prune(NOW_MS + month_ms - 1).await.expect("the store answers");
    assert_eq!(due(&store, "gone", NOW_MS).await, ["evt_1"]);
    store.prune(NOW_MS + month_ms).await.expect("the store answers");
    assert_eq!(due(&store, "gone", NOW_MS).await, Vec::<String>::new());
}
