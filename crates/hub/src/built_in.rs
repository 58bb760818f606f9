//! The service that every end of Hypha's RPC has: signs of life, objects of services, and messages that come in parts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_protocols::hypha::value;
use rmpv::Value;
use tokio::time::Instant;

use crate::args::Args;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::provided::{self, Asked, Provided, Row};
use crate::route::{Said, no_room};
use crate::space::{Full, Held, Share};

/// Most bytes of messages in parts from one client.
const MOST_BYTES: usize = 16 << 20;
/// Most of them at once.
const MOST_MESSAGES: usize = 16;
/// Most parts of one.
const MOST_PARTS: usize = 256;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) static SERVICE: Provided = Provided {
    id: "built-in",
    name: "Built-in services",
    kind: "built-in",
    description: "What every end has",
    rows: &[
        Row {
            name: "ping",
            parameters: &["msg"],
            doc: "Answers pong.",
            act: |_| Box::pin(async { Ok("pong".into()) }),
        },
        Row {
            name: "get_service",
            parameters: &["service_id"],
            doc: "A service of this end.",
            act: |asked| Box::pin(get_service(asked)),
        },
        Row {
            name: "message_cache.create",
            parameters: &["key", "heartbeat", "overwrite"],
            doc: "Begins a message that comes in parts.",
            act: |asked| Box::pin(async move { asked.create() }),
        },
        Row {
            name: "message_cache.append",
            parameters: &["key", "data", "heartbeat"],
            doc: "Adds a part.",
            act: |asked| Box::pin(async move { asked.append() }),
        },
        Row {
            name: "message_cache.set",
            parameters: &["key", "index", "data", "heartbeat"],
            doc: "Puts a part in its place.",
            act: |asked| Box::pin(async move { asked.set() }),
        },
        Row {
            name: "message_cache.process",
            parameters: &["key", "heartbeat"],
            doc: "Takes the whole message.",
            act: |asked| Box::pin(process(asked)),
        },
        Row {
            name: "message_cache.remove",
            parameters: &["key"],
            doc: "Forgets a message.",
            act: |asked| Box::pin(async move { asked.remove() }),
        },
    ],
};

async fn get_service(asked: Asked) -> Result<Value, Fault> {
    let name = asked.args.needed_text("service_id")?;
    let found = provided::at(&asked.hub, &asked.at).iter().find(|provided| provided.id == name);
    let found = found.ok_or_else(|| Fault::key(format!("Service not found: {name}")))?;
    Ok(found.object(&asked.hub, &asked.at))
}

/// What a part takes beside its bytes.
const EACH: usize = 128;

/// Messages of one client that are not whole.
pub(crate) struct Chunks {
    messages: HashMap<String, Parts>,
    bytes: usize,
    /// What its network has of the room of all.
    share: Arc<Share>,
    /// Which bound left no room for the last part.
    full: Option<Full>,
}

/// A message that is whole, with the room that it takes until it has gone on.
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    _held: Vec<Held>,
}

struct Parts {
    parts: HashMap<usize, (Vec<u8>, Held)>,
    since: Instant,
}

impl Parts {
    fn bytes(&self) -> usize {
        self.parts.values().map(|(part, _)| part.len()).sum()
    }
}

impl Chunks {
    pub(crate) fn new(share: Arc<Share>) -> Self {
        Self { messages: HashMap::new(), bytes: 0, share, full: None }
    }

    /// Forgets messages that took too long.
    pub(crate) fn forget_old(&mut self) {
        if self.messages.values().any(|parts| parts.since.elapsed() >= PATIENCE) {
            self.messages.retain(|_, parts| parts.since.elapsed() < PATIENCE);
            self.bytes = self.messages.values().map(Parts::bytes).sum();
        }
    }

    /// Which bound left no room for a part since this was asked.
    pub(crate) fn take_full(&mut self) -> Option<Full> {
        self.full.take()
    }

    /// When the oldest message that takes room began.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.messages.values().filter(|parts| !parts.parts.is_empty()).map(|parts| parts.since).min()
    }

    /// Forgets the one that began then.
    pub(crate) fn forget_of(&mut self, since: Instant) {
        self.messages.retain(|_, parts| parts.since != since || parts.parts.is_empty());
        self.bytes = self.messages.values().map(Parts::bytes).sum();
    }

    fn begin(&mut self, key: &str) -> Result<(), Fault> {
        self.forget_old();
        if self.messages.contains_key(key) {
            return Err(Fault::value("there is a message of this key"));
        }
        if self.messages.len() >= MOST_MESSAGES {
            return Err(Fault::value("too many messages that are not whole"));
        }
        self.messages.insert(key.to_owned(), Parts { parts: HashMap::new(), since: Instant::now() });
        Ok(())
    }

    fn put(&mut self, key: &str, index: Option<usize>, part: &[u8]) -> Result<(), Fault> {
        self.forget_old();
        let parts =
            self.messages.get_mut(key).ok_or_else(|| Fault::key("there is no message of this key"))?;
        let index = index.unwrap_or(parts.parts.len());
        if index >= MOST_PARTS {
            return Err(Fault::value("a message has at most 256 parts"));
        }
        let before = parts.parts.get(&index).map_or(0, |(part, _)| part.len());
        if self.bytes - before + part.len() > MOST_BYTES {
            return Err(Fault::value("messages in parts take at most 16 MiB"));
        }
        let held = self.share.hold(part.len() + EACH).map_err(|full| {
            self.full = Some(full);
            no_room()
        })?;
        self.bytes = self.bytes - before + part.len();
        parts.parts.insert(index, (part.to_vec(), held));
        Ok(())
    }

    fn take(&mut self, key: &str) -> Result<Whole, Fault> {
        let mut parts =
            self.messages.remove(key).ok_or_else(|| Fault::key("there is no message of this key"))?;
        self.bytes -= parts.bytes();
        let (mut bytes, mut all) = (Vec::with_capacity(parts.bytes()), Vec::with_capacity(parts.parts.len()));
        for index in 0..parts.parts.len() {
            let missing = || Fault::value("a part of the message is missing");
            let (part, held) = parts.parts.remove(&index).ok_or_else(missing)?;
            bytes.extend_from_slice(&part);
            all.push(held);
        }
        Ok(Whole { bytes, _held: all })
    }

    /// Takes a part of a message that goes to somebody else.
    pub(crate) fn collect(&mut self, to: &str, act: &str, args: Args) -> Result<Said, Fault> {
        let row = SERVICE.rows.iter().find(|row| row.name.strip_prefix("message_cache.") == Some(act));
        let row = row.ok_or_else(|| Fault::key("there is no such method"))?;
        let args = args.bind(act, row.parameters)?;
        let key = args.needed_text("key")?;
        if key.len() > 256 {
            return Err(Fault::value("a key has at most 256 bytes"));
        }
        // Whoever waits for an answer in parts named the session in which it does; anything else is no session.
        let is_session = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let beat = (is_session && args.flag("heartbeat")?).then(|| key.to_owned());
        let key = format!("{to} {key}");
        match act {
            "create" => {
                if args.flag("overwrite")? {
                    self.drop_message(&key);
                }
                self.begin(&key)?;
            }
            "append" => self.put(&key, None, bytes_of(args.needed("data")?)?)?,
            "set" => {
                let index = args.needed("index")?.as_u64().and_then(|index| usize::try_from(index).ok());
                let index = index.ok_or_else(|| Fault::value("index is a whole number"))?;
                self.put(&key, Some(index), bytes_of(args.needed("data")?)?)?;
            }
            "process" => return self.take(&key).map(Said::Whole),
            _ => self.drop_message(&key),
        }
        Ok(Said::Part(beat))
    }

    fn drop_message(&mut self, key: &str) {
        if let Some(parts) = self.messages.remove(key) {
            self.bytes -= parts.bytes();
        }
    }
}

impl Asked {
    fn key(&self) -> Result<&str, Fault> {
        let key = self.args.needed_text("key")?;
        if key.len() <= 256 { Ok(key) } else { Err(Fault::value("a key has at most 256 bytes")) }
    }

    /// Whoever waits for the answer that comes in parts sees that it is on its way.
    fn beat(&self) -> Result<(), Fault> {
        if self.args.flag("heartbeat")? {
            self.hub.heard_of(&self.peer.address, self.key()?);
        }
        Ok(())
    }

    fn create(&self) -> Result<Value, Fault> {
        self.beat()?;
        let mut chunks = self.peer.chunks.lock();
        if self.args.flag("overwrite")? {
            chunks.drop_message(self.key()?);
        }
        chunks.begin(self.key()?).map(|()| Value::Nil)
    }

    fn append(&self) -> Result<Value, Fault> {
        self.beat()?;
        let part = bytes_of(self.args.needed("data")?)?;
        let put = self.peer.chunks.lock().put(self.key()?, None, part);
        self.hub.looked_after(&self.peer);
        put.map(|()| Value::Nil)
    }

    fn set(&self) -> Result<Value, Fault> {
        self.beat()?;
        let part = bytes_of(self.args.needed("data")?)?;
        let index = self.args.needed("index")?.as_u64().and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or_else(|| Fault::value("index is a whole number"))?;
        let put = self.peer.chunks.lock().put(self.key()?, Some(index), part);
        self.hub.looked_after(&self.peer);
        put.map(|()| Value::Nil)
    }

    fn remove(&self) -> Result<Value, Fault> {
        self.peer.chunks.lock().drop_message(self.key()?);
        Ok(Value::Nil)
    }
}

fn bytes_of(value: &Value) -> Result<&[u8], Fault> {
    value.as_slice().ok_or_else(|| Fault::value("a part is bytes"))
}

async fn process(asked: Asked) -> Result<Value, Fault> {
    asked.beat()?;
    let whole = asked.peer.chunks.lock().take(asked.key()?)?;
    let Whole { bytes: whole, _held } = whole;
    let (hub, peer, at): (Hub, Arc<_>, String) = (asked.hub, asked.peer, asked.at);
    doorward_protocols::hypha::Head::read(&whole).map_err(|error| Fault::value(error.to_string()))?;
    // It says itself where it is for; what counts is where its parts came. A message of parts of parts ends here.
    let again = value::read_first(&whole).is_ok_and(|(head, _)| {
        value::get(&head, "method")
            .and_then(Value::as_str)
            .is_some_and(|method| method.contains("message_cache"))
    });
    if again {
        return Err(Fault::value("a message in parts is no part of another"));
    }
    Box::pin(hub.serve(&peer, &at, &whole)).await;
    Ok(Value::Nil)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;

    #[test]
    fn parts_make_a_whole_in_their_order_and_take_no_more_than_their_room() {
        let space = Space::new(64 << 20);
        let mut chunks = Chunks::new(space.share(None));
        chunks.begin("a").expect("room");
        chunks.put("a", Some(1), b"b").expect("room");
        chunks.put("a", Some(0), b"a").expect("room");
        assert!(chunks.begin("a").is_err(), "it is there");
        assert_eq!(chunks.take("a").expect("whole").bytes, b"ab");
        assert!(chunks.take("a").is_err() && chunks.put("a", None, b"x").is_err());
        chunks.begin("b").expect("room");
        chunks.put("b", Some(1), b"x").expect("room");
        assert!(chunks.take("b").is_err(), "the first part is missing");
        assert_eq!(chunks.bytes, 0);
        chunks.begin("c").expect("room");
        for part in 0..64 {
            chunks.put("c", Some(part), &vec![0; 256 << 10]).expect("room");
        }
        assert!(chunks.put("c", Some(64), b"x").is_err(), "no room is left");
        assert!(chunks.put("c", Some(MOST_PARTS), b"").is_err());
        for key in 0..MOST_MESSAGES - 1 {
            chunks.begin(&key.to_string()).expect("room");
        }
        assert!(chunks.begin("more").is_err());
        let held = space.used();
        assert!(((16 << 20)..(17 << 20)).contains(&held));
        drop(chunks);
        assert_eq!(space.used(), 0, "who leaves leaves nothing behind");
        let _rest = space.share(Some([192, 0, 2, 1].into())).hold(32 << 20).expect("half");
        let _more = space.share(Some([192, 0, 2, 2].into())).hold(32 << 20).expect("the other half");
        let mut chunks = Chunks::new(space.share(None));
        chunks.begin("a").expect("a key");
        assert!(chunks.put("a", None, b"x").is_err_and(|fault| fault.message.contains("try again")));
    }

    #[test]
    fn what_took_too_long_gives_its_room_back_and_takes_no_more() {
        let space = Space::new(64 << 20);
        let mut chunks = Chunks::new(space.share(None));
        for key in ["old", "new"] {
            chunks.begin(key).expect("room");
            chunks.put(key, None, &[0; 1000]).expect("room");
        }
        let held = space.used();
        let old = chunks.messages.get_mut("old").expect("it is there");
        old.since = old.since.checked_sub(PATIENCE).expect("the machine runs for longer");
        let since = old.since;
        assert_eq!(chunks.oldest(), Some(since));
        assert!(chunks.put("old", None, b"x").is_err(), "nobody goes on with it");
        assert_eq!((space.used(), chunks.bytes), (held / 2, 1000));
        let since = chunks.oldest().expect("the other");
        chunks.forget_of(since);
        assert_eq!((space.used(), chunks.bytes, chunks.oldest()), (0, 0, None));
    }
}
