//! Calls that the server makes to clients: for itself, and for those who come over plain HTTP.
//!
//! The answer comes to an address and a session that only the client which was called knows, and is taken from that client alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_protocols::hypha::head::FrameError;
use doorward_protocols::hypha::{Address, Head, value};
use futures_util::future::BoxFuture;
use rmpv::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::calls::Pending;
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::outbox::{Out, Unsent};
use crate::peer::Peer;

/// How long a client may be silent about a call.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a client is asked to show that it works on a call, in seconds.
const BEAT_S: f64 = 10.0;
/// Largest part of a message; larger ones are sent in parts.
const PART: usize = 256 << 10;
/// What a part may be larger than itself.
const SLACK: usize = 1 << 10;
/// Most that waits of one conversation.
const MOST_WAITING: usize = 64;

/// What the other side says in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// `resolve`, `reject`, `heartbeat`, or the name of something that was handed to it to call.
    pub name: String,
    /// With what.
    pub args: Vec<Value>,
    /// Where its own answer is wanted, if it is.
    pub session: Option<String>,
}

/// A client's way to hand frames in.
pub struct Sender {
    pub(crate) hub: Hub,
    pub(crate) peer: Arc<Peer>,
}

impl Sender {
    /// Takes a frame. It returns when there is room for it where it goes.
    ///
    /// # Errors
    /// [`FrameError`] for what is no frame.
    pub async fn receive(&self, frame: Bytes) -> Result<(), FrameError> {
        if let Some(waits) = self.hand_in(frame)? {
            waits.await;
        }
        Ok(())
    }

    /// As [`Sender::receive`], at once: what has to be waited for, before the next is handed in, is the answer.
    ///
    /// # Errors
    /// [`FrameError`] for what is no frame.
    pub fn hand_in(&self, frame: Bytes) -> Result<Option<BoxFuture<'static, ()>>, FrameError> {
        self.hub.hand_in(&self.peer, frame)
    }

    /// A new token to come back with.
    ///
    /// # Errors
    /// When none can be made.
    pub async fn reconnection_token(&self) -> Result<String, crate::Refused> {
        self.hub.reconnection_token(&self.peer).await
    }

    /// Asks the client for a sign of life. What it answers comes as any of its frames does.
    pub async fn ask_for_life(&self) {
        self.peer.chunks.lock().forget_old();
        let _ = self.hub.ping(&self.peer, SILENCE).await;
    }

    /// Whether the hub has let the client go.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.peer.outbox.is_closed()
    }

    /// Has the client told something as a text.
    pub async fn say(&self, text: String) {
        let _ = self.peer.outbox.send(Out::Text(text)).await;
    }
}

/// Who the server speaks for.
pub(crate) struct Speaker<'s> {
    /// `workspace/client`.
    pub(crate) from: &'s str,
    pub(crate) workspace: &'s str,
    /// Who it is, as frames carry it.
    pub(crate) user: Bytes,
}

/// A call under way. Dropping it is no longer wanting to know.
pub struct Conversation {
    hub: Hub,
    session: String,
    from: String,
    workspace: String,
    user: Bytes,
    /// `workspace/client` of the other side.
    target: String,
    incoming: mpsc::Receiver<Incoming>,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.hub.0.pending.lock().remove(&self.session);
    }
}

impl Hub {
    /// Calls a method of a client.
    pub(crate) async fn begin(
        &self,
        speaker: Speaker<'_>,
        target: &str,
        method: &str,
        args: impl FnOnce(&str) -> (Vec<Value>, Option<Vec<(Value, Value)>>),
    ) -> Result<Conversation, Fault> {
        let session = self.fresh_name("");
        let (sender, incoming) = mpsc::channel(MOST_WAITING);
        let pending = Pending { target: target.into(), address: speaker.from.into(), sender };
        self.0.pending.lock().insert(session.clone(), pending);
        let conversation = Conversation {
            hub: self.clone(),
            session,
            from: speaker.from.to_owned(),
            workspace: speaker.workspace.to_owned(),
            user: speaker.user,
            target: target.to_owned(),
            incoming,
        };
        let (args, named) = args(&conversation.session);
        conversation.call(method, args, named).await?;
        Ok(conversation)
    }

    /// Calls a method of a client and waits for what it returns.
    pub(crate) async fn ask(
        &self,
        speaker: Speaker<'_>,
        target: &str,
        method: &str,
        args: Vec<Value>,
        within: Duration,
    ) -> Result<Value, Fault> {
        let mut conversation = self.begin(speaker, target, method, |_| (args, None)).await?;
        conversation.returned(within).await
    }

    /// Asks a client for a sign of life.
    pub(crate) async fn ping(&self, peer: &Peer, within: Duration) -> Result<Value, Fault> {
        let from = format!("*/{}", self.0.manager_id);
        let speaker = Speaker { from: &from, workspace: &peer.room.id, user: peer.room.packed_root() };
        self.ask(speaker, &peer.address, "services.built-in.ping", vec!["ping".into()], within).await
    }

    /// Whether a frame is the answer to a call of ours, or a call to what every end of ours has.
    pub(crate) fn is_for_us(&self, to: &Address<'_>, head: &Head<'_>) -> bool {
        let to = to.to_string();
        let pending = self.0.pending.lock();
        match head.method {
            Some(method) if method.starts_with("services.built-in.") => pending.any_at(&to),
            Some(method) => {
                let session = method.split('.').next().unwrap_or_default();
                pending.get(session).is_some_and(|pending| *pending.address == *to)
            }
            None => false,
        }
    }

    /// Takes what a client says about a call of ours: `session.name`.
    pub(crate) async fn answered(&self, peer: &Peer, method: &str, session: Option<String>, extra: &Value) {
        let Some((ours, name)) = method.split_once('.') else { return };
        let sender = {
            let pending = self.0.pending.lock();
            let found = pending.get(ours).filter(|pending| *pending.target == *peer.address);
            found.map(|pending| pending.sender.clone())
        };
        let Some(sender) = sender else { return };
        let args = value::get(extra, "args").and_then(Value::as_array).cloned().unwrap_or_default();
        let said = Incoming { name: name.to_owned(), args, session };
        // Whoever asked may have left; whoever is slow to listen holds up the one who speaks, for a while.
        let _ = sender.send_timeout(said, SILENCE).await;
    }

    /// An answer in parts is on its way.
    pub(crate) fn heard_of(&self, address: &str, session: &str) {
        let pending = self.0.pending.lock();
        if let Some(found) = pending.get(session).filter(|pending| *pending.target == *address) {
            let beat = Incoming { name: "heartbeat".to_owned(), args: Vec::new(), session: None };
            let _ = found.sender.try_send(beat);
        }
    }

    /// Tells whoever waits for a client that it left.
    pub(crate) fn abandon(&self, address: &str) {
        self.0.pending.lock().abandon(address);
    }
}

impl Conversation {
    /// The name under which things that are handed over are called: `session.name`.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The other side.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the other side says next.
    ///
    /// # Errors
    /// When it left, or was silent for too long.
    pub async fn next(&mut self, silence: Duration) -> Result<Incoming, Fault> {
        match tokio::time::timeout(silence, self.incoming.recv()).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(Fault::other(format!("Target peer {} is not connected", self.target))),
            Err(_) => Err(Fault::timeout(format!("Method call timed out: {}", self.target))),
        }
    }

    /// What the call returns.
    ///
    /// # Errors
    /// What the other side raised; that it left, or took longer than `within`, or was silent.
    pub async fn returned(&mut self, within: Duration) -> Result<Value, Fault> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let said = self.next(left.min(SILENCE)).await?;
            match said.name.as_str() {
                "resolve" => return Ok(said.args.into_iter().next().unwrap_or(Value::Nil)),
                "reject" => return Err(raised(said.args.first())),
                _ => {}
            }
        }
    }

    /// Calls something of the other side within this conversation; `with_session` has its answer come here.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn call(
        &self,
        method: &str,
        mut args: Vec<Value>,
        named: Option<Vec<(Value, Value)>>,
    ) -> Result<(), Fault> {
        let with_named = named.is_some();
        args.extend(named.map(Value::Map));
        let extra = value::map([
            ("args", Value::Array(args)),
            ("with_kwargs", with_named.into()),
            ("promise", "*".into()),
            ("t", BEAT_S.into()),
        ]);
        self.send(method, Some(&self.session), &extra).await
    }

    /// Answers a call of the other side.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn answer(&self, session: &str, said: Result<Value, Fault>) -> Result<(), Fault> {
        let (what, said) = match said {
            Ok(said) => ("resolve", said),
            Err(fault) => ("reject", fault.encoded()),
        };
        let extra = value::map([("args", Value::Array(vec![said]))]);
        self.send(&format!("{session}.{what}"), None, &extra).await
    }

    /// Tells the other side that what it asked for is on its way.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn beat(&self, session: &str) -> Result<(), Fault> {
        self.put(self.head(&format!("{session}.heartbeat"), None)).await
    }

    fn head(&self, method: &str, session: Option<&str>) -> Vec<u8> {
        let mut head = value::map([
            ("type", "method".into()),
            ("from", self.from.as_str().into()),
            ("to", self.target.as_str().into()),
            ("method", method.into()),
            ("ws", self.workspace.as_str().into()),
        ]);
        if let Some(session) = session {
            value::set(&mut head, "session", session.into());
        }
        value::set(&mut head, "user", Value::Nil);
        let mut head = value::write(&head);
        // The last of it is that nothing, in whose place comes what was packed once.
        head.pop();
        head.extend_from_slice(&self.user);
        head
    }

    async fn send(&self, method: &str, session: Option<&str>, extra: &Value) -> Result<(), Fault> {
        let mut frame = self.head(method, session);
        value::write_to(&mut frame, extra);
        for part in in_parts(frame, &self.hub.fresh_name(""), &|method| self.head(method, None)) {
            self.put(part).await?;
        }
        Ok(())
    }

    async fn put(&self, frame: Vec<u8>) -> Result<(), Fault> {
        let gone = || Fault::other(format!("Target peer {} is not connected", self.target));
        let (workspace, client) = self.target.split_once('/').unwrap_or((PUBLIC, &self.target));
        let peer = self.hub.live_room(workspace).and_then(|room| room.peer(client)).ok_or_else(gone)?;
        peer.outbox.send(Out::Frame(frame.into())).await.map_err(|why| match why {
            Unsent::Gone => gone(),
            Unsent::NoRoom(full) => self.hub.no_room_for(&peer, full),
        })
    }
}

/// A frame as clients take it: whole, or in parts as they send them themselves, each behind the `head` of a call to a method of theirs. They answer
/// each; nobody waits for these answers.
pub(crate) fn in_parts(frame: Vec<u8>, key: &str, head: &dyn Fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    if frame.len() <= PART + SLACK {
        return vec![frame];
    }
    let part = |name: &str, last: Value| {
        let mut frame = head(&format!("services.built-in.message_cache.{name}"));
        value::write_to(&mut frame, &value::map([("args", Value::Array(vec![key.into(), last]))]));
        frame
    };
    let begin = std::iter::once(part("create", false.into()));
    let parts = frame.chunks(PART).map(|bytes| part("append", Value::Binary(bytes.to_vec())));
    begin.chain(parts).chain(std::iter::once(part("process", false.into()))).collect()
}

/// What the other side raised, in its own words: the last line of what it sent.
#[must_use]
pub fn raised(given: Option<&Value>) -> Fault {
    let last = |text: &str| text.trim_end().lines().last().unwrap_or_default().trim().to_owned();
    let line = match given {
        Some(Value::String(text)) => last(text.as_str().unwrap_or_default()),
        Some(error) => {
            let text = |name: &str| value::get(error, name).and_then(Value::as_str).unwrap_or_default();
            // Python's traceback ends in the class and the words; the value has the words alone.
            let (said, traced) = (last(text("_rvalue")), last(text("_rtrace")));
            if !said.is_empty() && traced.ends_with(&said) { traced } else { said }
        }
        None => String::new(),
    };
    let message = if line.is_empty() { "the other side failed".to_owned() } else { line };
    Fault { class: "RemoteException", message }
}
