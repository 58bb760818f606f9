//! One event.

use serde_json::{Map, Value, json};

use super::catalogue::{self, EventDef};
use crate::audit::AuditEntry;
use crate::clock::rfc3339;
use crate::id::EventId;

/// What a service tells beside the audit line of its operation.
#[derive(Debug, Clone)]
pub struct Told {
    /// What happened.
    pub def: &'static EventDef,
    /// Its own members; never a secret.
    pub details: Map<String, Value>,
}

/// Something that happened. Never holds a credential.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id; the same however often it is told.
    pub id: EventId,
    /// What happened.
    pub def: &'static EventDef,
    /// The audit line it belongs to: when, who, where, and why not.
    pub line: AuditEntry,
    /// Members of its own.
    pub details: Map<String, Value>,
}

impl Event {
    /// As JSON: `{"type", "timestamp", "data"}` (Standard Webhooks 1.0, payload structure).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let line = &self.line;
        let mut data = self.details.clone();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                data.entry(name).or_insert(value);
            }
        };
        put("action", line.action.as_str().into());
        put("outcome", line.outcome.as_str().into());
        put("reason", line.reason.as_deref().into());
        put("resource", line.resource.as_deref().into());
        put("principal", line.principal.as_str().into());
        put("method", line.method.as_str().into());
        put("credential", line.credential.as_deref().into());
        put("address", line.address.as_deref().into());
        put("mount", line.mount.as_str().into());
        put("request_id", line.request.as_str().into());
        put("count", line.count.into());
        json!({ "type": self.def.name, "timestamp": rfc3339(line.at_ms), "data": data })
    }

    /// A member of its own as text, such as `user_id`.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(Value::as_str)
    }
}

/// What an operation's line and its service say happened, in that order.
pub(super) fn named<'a>(
    line: &'a AuditEntry,
    told: &'a [Told],
) -> impl Iterator<Item = (&'static EventDef, Map<String, Value>)> + 'a {
    let own = catalogue::of_line(line).map(|def| (def, Map::new()));
    own.into_iter().chain(told.iter().map(|told| (told.def, told.details.clone())))
}
