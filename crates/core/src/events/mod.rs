//! What happened, told to whoever wants to know.
//!
//! ```text
//! operation ─ audit line ─► events (the line told by name, and what the service adds) ─┬─► hooks      in this process, at once
//!                                                                                      └─► outbox ─► webhooks, at least once
//! ```
//! An event is a line of the audit log under a name of its own, or a detail that a service tells beside it. What goes
//! to webhooks is written in the transaction of the act, so that neither is there without the other. To add an event: a row in
//! [`catalogue`].

pub mod catalogue;
mod deliver;
mod event;
pub mod hooks;
mod outbox;
pub mod webhooks;

pub use catalogue::EventDef;
pub use event::{Event, Told};
pub use hooks::Hook;
pub(crate) use outbox::Events;
pub use webhooks::{Deliveries, Webhook};
