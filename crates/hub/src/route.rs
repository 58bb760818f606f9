//! Where a frame goes.
//!
//! 1. its head is read; 2. an address of the server's is answered here; 3. `*` goes to those of the workspace who asked for its kind;
//! 4. anything else goes to that client, with the sender's true name in it.
//!
//! What is offered to one workspace alone is not reached from another, whatever the client that offers it makes of the call.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{hub_service, workspace};
use doorward_core::workspaces::Permission;
use doorward_protocols::hypha::head::FrameError;
use doorward_protocols::hypha::{Address, Head, Stamp, value};
use futures_util::future::BoxFuture;
use rmpv::Value;

use crate::args::Args;
use crate::built_in::Whole;
use crate::caller::in_parts;
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::outbox::{NotAdded, Out, Unsent};
use crate::peer::Peer;
use crate::room::Room;
use crate::user::UserInfo;

/// Tails of at least this size go on where they came; smaller ones are copied, because they would keep alive what they came in with others.
const LARGE: usize = 64 << 10;

/// What is to be done with a frame.
enum Step {
    /// It goes to a client.
    Pass(Arc<Peer>, Out),
    /// A part of a message was taken.
    Took,
    /// The message that came in parts goes to a client, as these frames; what came takes its room until they have gone.
    Whole(Arc<Peer>, Vec<Vec<u8>>, Whole),
    /// It is for the server, at this address.
    Serve(String),
    /// It goes nowhere: whoever waits for an answer is told why.
    Refuse(Fault),
    /// It was done.
    Done,
}

impl Hub {
    /// Takes a frame from a client. What is answered is what has to be waited for: room for it where it goes, as a rule. The next frame of
    /// the same client is handed in after that, so that they stay in their order.
    ///
    /// # Errors
    /// [`FrameError`] for what is no frame: its sender speaks another protocol.
    pub(crate) fn hand_in(
        &self,
        peer: &Arc<Peer>,
        frame: Bytes,
    ) -> Result<Option<BoxFuture<'static, ()>>, FrameError> {
        let head = Head::read(&frame)?;
        // Whoever was let go says nothing any more, also where its transport has not noticed yet.
        if peer.outbox.is_closed() {
            return Ok(None);
        }
        self.0.counts.routed();
        let step = match self.step(peer, &head, &frame) {
            Step::Done => return Ok(None),
            Step::Pass(there, out) => match there.outbox.offer(out) {
                Ok(()) => return Ok(None),
                Err(NotAdded::Full(out) | NotAdded::NoRoom(out, _)) => Step::Pass(there, out),
                Err(NotAdded::Gone) => Step::Refuse(gone(peer, &head)),
            },
            other => other,
        };
        let (hub, peer) = (self.clone(), Arc::clone(peer));
        Ok(Some(Box::pin(async move { hub.take(&peer, &frame, step).await })))
    }

    /// Does what has to be waited for.
    async fn take(&self, peer: &Arc<Peer>, frame: &Bytes, step: Step) {
        let Ok(head) = Head::read(frame) else { return };
        let fault = match step {
            Step::Done => return,
            Step::Serve(at) => return self.serve(peer, &at, frame).await,
            Step::Refuse(fault) => fault,
            Step::Took => return self.took(peer, &head).await,
            Step::Whole(there, frames, held) => match hand_over(&there, frames).await {
                Ok(()) => return self.took(peer, &head).await,
                Err(why) => {
                    // Its own parts are no reason for others to go.
                    drop(held);
                    self.unsent(why, &there, peer, &head)
                }
            },
            // Whoever is too slow is let go; the sender hears of it as of anybody who left.
            Step::Pass(there, out) => match there.outbox.send(out).await {
                Ok(()) => return,
                Err(why) => self.unsent(why, &there, peer, &head),
            },
        };
        self.undeliverable(peer, &head, fault).await;
    }

    /// Why a message goes nowhere that was to go to a client.
    fn unsent(&self, why: Unsent, there: &Peer, peer: &Peer, head: &Head<'_>) -> Fault {
        match why {
            Unsent::Gone => gone(peer, head),
            Unsent::NoRoom(full) => self.no_room_for(there, full),
        }
    }

    fn step(&self, peer: &Arc<Peer>, head: &Head<'_>, frame: &Bytes) -> Step {
        // 1.
        let Some(to) = Address::read(head.to, &peer.room.id) else {
            return Step::Refuse(Fault::value("this is no address"));
        };
        // 2.
        if to.workspace == "*" || (to.workspace == PUBLIC && to.client == self.0.server_id) {
            if to.client == self.0.manager_id || to.client == self.0.server_id {
                return Step::Serve(to.to_string());
            }
            return Step::Refuse(gone(peer, head));
        }
        // 3.
        if to.client == "*" {
            return self.spread(peer, &to, head);
        }
        // 4. One's own room is at hand: what all clients share is not looked into for it.
        let other = match to.workspace == &*peer.room.id {
            true => None,
            false => match self.live_room(to.workspace) {
                Some(room) => Some(room),
                None => return Step::Refuse(gone(peer, head)),
            },
        };
        let room = other.as_ref().unwrap_or(&peer.room);
        if let Some(there) = room.peer(to.client) {
            let allowed = match &other {
                Some(room) => self.may_call(peer, room, to.client, head.method),
                None => Ok(()),
            };
            let stamp = stamp(peer, &there.address);
            match allowed.and_then(|()| self.may_say(peer, &to, head)) {
                Ok(Said::Itself) => {}
                Ok(Said::Part(beat)) => {
                    if let Some(beat) = beat {
                        let _ = there.outbox.push(Out::Frame(beats(&stamp, &beat).into()));
                    }
                    return Step::Took;
                }
                Ok(Said::Whole(whole)) => {
                    let frames = self.looked_at(peer, other.as_ref(), to.client, &whole.bytes, &stamp);
                    return frames.map_or_else(Step::Refuse, |frames| Step::Whole(there, frames, whole));
                }
                Err(fault) => return Step::Refuse(fault),
            }
            let out = match head.tail().len() {
                LARGE.. => Out::Large(head.stamped_head(&stamp).into(), frame.slice_ref(head.tail())),
                _ => Out::Frame(head.stamped(&stamp).into()),
            };
            return Step::Pass(there, out);
        }
        if self.is_for_us(&to, head) { Step::Serve(to.to_string()) } else { Step::Refuse(gone(peer, head)) }
    }

    /// Refuses what is offered to those of another workspace alone. Answers to calls are theirs who made them: their names cannot be guessed.
    fn may_call(&self, peer: &Peer, room: &Room, client: &str, method: Option<&str>) -> Result<(), Fault> {
        let Some(rest) = method.and_then(|method| method.strip_prefix("services.")) else { return Ok(()) };
        let name = rest.split('.').next().unwrap_or_default();
        let denied = || Fault::permission(format!("Permission denied for workspace {}", room.id));
        match room.service(client, name) {
            Some(service) if service.is_shown_to(&peer.room.id) => Ok(()),
            // What nobody was told of, callbacks among it, is the client's own to judge; its built-in service is there from the start.
            None if name == "built-in" || name.starts_with("_rintf_") => Ok(()),
            _ => {
                let owner = room.owner();
                let target = Target::owned(&room.id, &owner);
                self.known(&peer.call, room)
                    .permit::<hub_service::Call>(target)
                    .map_err(|_| denied())?
                    .close(Ok(()))
                    .map_err(Fault::from)
            }
        }
    }

    /// Refuses what would have the receiver believe something that the server did not say: clients let what is behind a head speak over
    /// it. Parts of a message are kept here until it is whole: what its receiver has of others' parts, nobody here could know.
    fn may_say(&self, peer: &Peer, to: &Address<'_>, head: &Head<'_>) -> Result<Said, Fault> {
        if !head.tail_is_plain {
            return Err(lies());
        }
        let Some(act) = head.method.and_then(|method| method.strip_prefix(IN_PARTS)) else {
            return Ok(Said::Itself);
        };
        let extra = value::read(head.tail()).map_err(|error| Fault::value(error.to_string()))?;
        let args = Args::read(&extra)?;
        let said = peer.chunks.lock().collect(&to.to_string(), act, args);
        self.looked_after(peer);
        said
    }

    /// A message that came in parts, as it goes on: judged as one that came at once, and with the sender's true name in it.
    fn looked_at(
        &self,
        peer: &Peer,
        room: Option<&Arc<Room>>,
        client: &str,
        whole: &[u8],
        stamp: &Stamp<'_>,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let head = Head::read(whole).map_err(|error| Fault::value(error.to_string()))?;
        if !head.tail_is_plain || !head.is_as_written() {
            return Err(lies());
        }
        if head.method.is_some_and(|method| method.starts_with(IN_PARTS)) {
            return Err(Fault::value("a message in parts is no part of another"));
        }
        if let Some(room) = room {
            self.may_call(peer, room, client, head.method)?;
        }
        let outer = |method: &str| called(stamp, method);
        Ok(in_parts(head.stamped(stamp), &self.fresh_name(""), &outer))
    }

    /// Tells the sender of a part that it was taken.
    async fn took(&self, peer: &Peer, head: &Head<'_>) {
        let Some(session) = head.session else { return };
        let Some(to) = Address::read(head.to, &peer.room.id) else { return };
        self.answer(peer, &to.to_string(), session, "resolve", Some(Value::Nil)).await;
    }

    fn spread(&self, peer: &Arc<Peer>, to: &Address<'_>, head: &Head<'_>) -> Step {
        let allowed = to.workspace == &*peer.room.id && peer.permission.includes(Permission::ReadWrite);
        if !allowed {
            let owner = peer.room.owner();
            let _ = peer.call.permit::<workspace::Use>(Target::owned(&peer.room.id, &owner));
            return Step::Refuse(Fault::permission(format!(
                "Permission denied for workspace {}",
                to.workspace
            )));
        }
        let frame = Bytes::from(head.stamped(&stamp(peer, &to.to_string())));
        for there in peer.room.subscribers(head.kind) {
            if there.id != peer.id {
                let _ = there.outbox.push(Out::Frame(frame.clone()));
            }
        }
        Step::Done
    }

    /// Tells whoever waits for an answer that there is none.
    async fn undeliverable(&self, peer: &Arc<Peer>, head: &Head<'_>, fault: Fault) {
        let Some(session) = head.session else { return };
        let from =
            Address::read(head.to, &peer.room.id).map_or_else(|| head.to.to_owned(), |to| to.to_string());
        self.answer(peer, &from, session, "reject", Some(fault.encoded())).await;
    }

    /// Sends a client the answer to a call of its: `session.what`.
    pub(crate) async fn answer(
        &self,
        peer: &Peer,
        from: &str,
        session: &str,
        what: &str,
        said: Option<Value>,
    ) {
        let head = |method: &str| {
            value::map([
                ("type", "method".into()),
                ("from", from.into()),
                ("to", peer.address.as_str().into()),
                ("method", method.into()),
                ("ws", (&*peer.room.id).into()),
            ])
        };
        let mut answer = head(&format!("{session}.{what}"));
        value::set(&mut answer, "parent", session.into());
        let mut frame = value::write(&answer);
        if let Some(said) = said {
            value::write_to(&mut frame, &value::map([("args", Value::Array(vec![said]))]));
        }
        // Their built-in service wants to know who calls it, for the parts of what is large.
        let call = |method: &str| {
            let mut head = head(method);
            value::set(&mut head, "user", value::from_json(&UserInfo::root(&peer.room.id).to_json()));
            value::write(&head)
        };
        for part in in_parts(frame, &self.fresh_name(""), &call) {
            if peer.outbox.send(Out::Frame(part.into())).await.is_err() {
                return;
            }
        }
    }
}

/// What a frame says that goes to another client.
pub(crate) enum Said {
    /// It goes on by itself.
    Itself,
    /// A part of a message; who waits in this session wants to hear that it is on its way.
    Part(Option<String>),
    /// The last of a message that came in parts.
    Whole(Whole),
}

/// What methods begin with by which messages come in parts.
const IN_PARTS: &str = "services.built-in.message_cache.";

fn lies() -> Fault {
    Fault::value("a call says args, with_kwargs, promise and t behind its head, and nothing else")
}

/// The head of a call in the name of a client.
fn called(stamp: &Stamp<'_>, method: &str) -> Vec<u8> {
    let mut head = value::write(&value::map([
        ("type", "method".into()),
        ("from", stamp.from.into()),
        ("to", stamp.to.into()),
        ("method", method.into()),
        ("ws", stamp.workspace.into()),
        ("user", Value::Nil),
    ]));
    // The last of it is that nothing, in whose place comes what was packed once.
    head.pop();
    head.extend_from_slice(stamp.user);
    head
}

async fn hand_over(there: &Peer, frames: Vec<Vec<u8>>) -> Result<(), Unsent> {
    for frame in frames {
        there.outbox.send(Out::Frame(frame.into())).await?;
    }
    Ok(())
}

/// A sign of life in a session. It names nothing else than one.
fn beats(stamp: &Stamp<'_>, session: &str) -> Vec<u8> {
    called(stamp, &format!("{session}.heartbeat"))
}

/// All the room for what waits is taken.
pub(crate) fn no_room() -> Fault {
    Fault::other("the hub has no room for more messages that wait; try again later")
}

/// Whether they left or never were is told to nobody.
fn gone(peer: &Peer, head: &Head<'_>) -> Fault {
    let to = Address::read(head.to, &peer.room.id).map_or_else(|| head.to.to_owned(), |to| to.to_string());
    Fault::other(format!("Target peer {to} is not connected"))
}

fn stamp<'s>(peer: &'s Peer, to: &'s str) -> Stamp<'s> {
    Stamp { from: &peer.address, to, workspace: &peer.room.id, user: &peer.packed_user }
}
