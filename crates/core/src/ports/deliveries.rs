//! The port of events on their way to webhooks.

use super::StoreFuture;
use crate::events::webhooks::Waiting;

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's id.
    pub id: String,
    /// The webhook's name.
    pub webhook: String,
    /// The event's name.
    pub event: String,
    /// When it happened.
    pub at_ms: i64,
    /// What is sent.
    pub body: String,
    /// How often it was tried in vain.
    pub attempts: i64,
    /// When it is to be tried.
    pub due_ms: i64,
}

/// Events on their way to webhooks.
pub trait DeliveryQueue: Send + Sync {
    /// What is due for a webhook, the longest due first.
    fn due_deliveries<'a>(
        &'a self,
        webhook: &'a str,
        now_ms: i64,
        limit: u32,
    ) -> StoreFuture<'a, Vec<Delivery>>;
    /// How much waits, by webhook.
    fn waiting_deliveries(&self) -> StoreFuture<'_, Vec<Waiting>>;
}
