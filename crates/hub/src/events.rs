//! What happens in a workspace, told to those in it who asked.

use std::sync::Arc;

use bytes::Bytes;
use doorward_protocols::hypha::value;

use crate::hub::Hub;
use crate::outbox::Out;
use crate::room::Room;

impl Hub {
    /// Tells an event. Nobody waits for whoever does not listen.
    pub(crate) fn tell(&self, room: &Arc<Room>, kind: &str, data: &serde_json::Value) {
        let subscribers = room.subscribers(kind);
        if subscribers.is_empty() {
            return;
        }
        let event = value::map([("type", kind.into()), ("to", "*".into()), ("data", value::from_json(data))]);
        let frame = Bytes::from(value::write(&event));
        for peer in subscribers {
            let _ = peer.outbox.push(Out::Frame(frame.clone()));
        }
    }
}
