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
use rmpv::Value;

use crate::args::Args;
use crate::caller::in_parts;
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::outbox::Out;
use crate::peer::Peer;
use crate::room::Room;
use crate::user::UserInfo;

impl Hub {
    /// Takes a frame from a client. It returns when there is room for the frame where it goes.
    ///
    /// # Errors
    /// [`FrameError`] for what is no frame: its sender speaks another protocol.
    pub(crate) async fn receive(&self, peer: &Arc<Peer>, frame: Bytes) -> Result<(), FrameError> {
        // 1.
        let head = Head::read(&frame)?;
        self.0.counts.routed();
        let Some(to) = Address::read(head.to, &peer.room.id) else {
            self.undeliverable(peer, &head, Fault::value("this is no address")).await;
            return Ok(());
        };
        // 2.
        if to.workspace == "*" || (to.workspace == PUBLIC && to.client == self.0.server_id) {
            if to.client == self.0.manager_id || to.client == self.0.server_id {
                self.serve(peer, &to.to_string(), &frame).await;
            } else {
                let gone = format!("Target peer {to} is not connected");
                self.undeliverable(peer, &head, Fault::other(gone)).await;
            }
            return Ok(());
        }
        // 3.
        if to.client == "*" {
            self.spread(peer, &to, &head).await;
            return Ok(());
        }
        // 4.
        let Some(room) = self.live_room(to.workspace) else {
            return self.to_nobody(peer, &to, &head).await;
        };
        if let Some(there) = room.peer(to.client) {
            if !Arc::ptr_eq(&room, &peer.room)
                && let Err(fault) = self.may_call(peer, &room, to.client, head.method)
            {
                self.undeliverable(peer, &head, fault).await;
                return Ok(());
            }
            if let Err(fault) = self.may_say(peer, &to, &head) {
                self.undeliverable(peer, &head, fault).await;
                return Ok(());
            }
            let address = &there.address;
            let frame = head.stamped(&stamp(peer, address));
            // Whoever is too slow is let go; the sender hears of it as of anybody who left.
            if there.outbox.send(Out::Frame(frame.into())).await.is_err() {
                return self.to_nobody(peer, &to, &head).await;
            }
            return Ok(());
        }
        if self.is_for_us(&to, &head) {
            self.serve(peer, &to.to_string(), &frame).await;
            return Ok(());
        }
        self.to_nobody(peer, &to, &head).await
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
    /// it. A message that comes in parts is looked at as a whole before its receiver is told to take it.
    fn may_say(&self, peer: &Peer, to: &Address<'_>, head: &Head<'_>) -> Result<(), Fault> {
        let lies =
            || Fault::value("a call says args, with_kwargs, promise and t behind its head, and nothing else");
        if !head.tail_is_plain {
            return Err(lies());
        }
        let Some(act) =
            head.method.and_then(|method| method.strip_prefix("services.built-in.message_cache."))
        else {
            return Ok(());
        };
        let extra = value::read(head.tail()).map_err(|error| Fault::value(error.to_string()))?;
        match peer.chunks.lock().mirror(&to.to_string(), act, Args::read(&extra)?)? {
            None => Ok(()),
            Some(whole) => match Head::read(&whole) {
                Ok(head) if head.tail_is_plain && head.is_as_written() => Ok(()),
                Ok(_) => Err(lies()),
                Err(error) => Err(Fault::value(error.to_string())),
            },
        }
    }

    async fn spread(&self, peer: &Arc<Peer>, to: &Address<'_>, head: &Head<'_>) {
        let allowed = to.workspace == &*peer.room.id && peer.permission.includes(Permission::ReadWrite);
        if !allowed {
            let owner = peer.room.owner();
            let _ = peer.call.permit::<workspace::Use>(Target::owned(&peer.room.id, &owner));
            let fault = Fault::permission(format!("Permission denied for workspace {}", to.workspace));
            return self.undeliverable(peer, head, fault).await;
        }
        let frame = Bytes::from(head.stamped(&stamp(peer, &to.to_string())));
        for there in peer.room.subscribers(head.kind) {
            if there.id != peer.id {
                let _ = there.outbox.push(Out::Frame(frame.clone()));
            }
        }
    }

    async fn to_nobody(&self, peer: &Arc<Peer>, to: &Address<'_>, head: &Head<'_>) -> Result<(), FrameError> {
        // Whether they left or never were is told to nobody.
        let gone = Fault::other(format!("Target peer {to} is not connected"));
        self.undeliverable(peer, head, gone).await;
        Ok(())
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

fn stamp<'s>(peer: &'s Peer, to: &'s str) -> Stamp<'s> {
    Stamp { from: &peer.address, to, workspace: &peer.room.id, user: &peer.packed_user }
}
