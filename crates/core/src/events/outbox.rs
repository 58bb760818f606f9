//! From what happened to whom it is told.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::catalogue::EventDef;
use super::deliver;
use super::event::{Event, Told, named};
use super::hooks::{Hook, Hooks};
use super::webhooks::Webhook;
use crate::audit::AuditEntry;
use crate::engine::Engine;
use crate::id::EventId;
use crate::ports::store::{Delivery, Write};
use tokio::sync::Notify;

/// Hooks and webhooks.
pub(crate) struct Events {
    pub(super) hooks: Hooks,
    pub(crate) webhooks: Vec<Arc<Webhook>>,
    /// Something was queued, or everything is to stop.
    pub(super) queued: Notify,
    pub(super) stop: tokio::sync::watch::Sender<bool>,
}

impl Events {
    pub(crate) fn new(hooks: Vec<Arc<dyn Hook>>, webhooks: Vec<Webhook>) -> Self {
        Self {
            hooks: Hooks::new(hooks),
            webhooks: webhooks.into_iter().map(Arc::new).collect(),
            queued: Notify::new(),
            stop: tokio::sync::watch::channel(false).0,
        }
    }

    pub(crate) fn webhook(&self, name: &str) -> Option<Arc<Webhook>> {
        self.webhooks.iter().find(|webhook| webhook.name == name).cloned()
    }

    /// Whether anybody wants to know.
    pub(crate) fn wanted(&self, def: &'static EventDef) -> bool {
        self.hooks.want(def) || self.webhooks.iter().any(|webhook| webhook.wants(def))
    }

    /// What an operation's line and its service say happened, as far as anybody wants to know.
    pub(crate) fn of(&self, engine: &Engine, line: &AuditEntry, told: &[Told]) -> Vec<Arc<Event>> {
        if self.hooks.is_empty() && self.webhooks.is_empty() {
            return Vec::new();
        }
        let wanted = named(line, told).filter(|(def, _)| self.wanted(def));
        let event = |(def, details)| {
            let id = EventId::new(engine.clock(), engine.random());
            Arc::new(Event { id, def, line: line.clone(), details })
        };
        wanted.map(event).collect()
    }

    /// What a line of the journal says happened. Its id is made from the line itself: whoever cannot tell whether writing it went through
    /// writes it again, and receivers are to see the same id.
    pub(crate) fn of_journal(&self, engine: &Engine, line: &AuditEntry) -> Vec<Arc<Event>> {
        let mut events = self.of(engine, line, &[]);
        for event in &mut events {
            let text = serde_json::to_string(line).unwrap_or_default();
            let hash = digest(&SHA256, format!("{} {text}", engine.node()).as_bytes());
            let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
            if let Some(event) = Arc::get_mut(event) {
                event.id = EventId::from(format!("evt_{hex}"));
            }
        }
        events
    }

    /// A refusal, for hooks alone: webhooks hear of it through the journal.
    pub(crate) fn of_refusal(&self, engine: &Engine, line: &AuditEntry) -> Vec<Arc<Event>> {
        if self.hooks.is_empty() { Vec::new() } else { self.of(engine, line, &[]) }
    }

    /// The writes that queue events for webhooks, to go into the transaction of what happened.
    pub(crate) fn writes(&self, events: &[Arc<Event>]) -> Vec<Write> {
        let mut writes = Vec::new();
        for event in events {
            for webhook in self.webhooks.iter().filter(|webhook| webhook.wants(event.def)) {
                writes.push(Write::QueueDelivery(Delivery {
                    id: event.id.as_str().to_owned(),
                    webhook: webhook.name.clone(),
                    event: event.def.name.to_owned(),
                    at_ms: event.line.at_ms,
                    body: event.to_json().to_string(),
                    attempts: 0,
                    due_ms: event.line.at_ms,
                }));
            }
        }
        writes
    }

    /// Tells the hooks what has happened.
    pub(crate) fn tell(&self, events: &[Arc<Event>]) {
        for event in events {
            self.hooks.tell(event);
        }
        if !events.is_empty() {
            self.queued.notify_waiters();
        }
    }

    /// Begins telling.
    pub(crate) fn start(&self, engine: &Engine) {
        self.hooks.start();
        deliver::start(engine, self);
    }

    /// Ends delivering. What is under way is delivered again by the next process.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Tells hooks that a credential let a request in, if any wants to know.
    pub(crate) fn validated(&self, engine: &Engine, line: impl FnOnce() -> AuditEntry) {
        let def = super::catalogue::TOKEN_VALIDATED;
        if !self.hooks.is_empty() && self.hooks.want(def) {
            let id = EventId::new(engine.clock(), engine.random());
            self.hooks.tell(&Arc::new(Event { id, def, line: line(), details: serde_json::Map::new() }));
        }
    }
}
