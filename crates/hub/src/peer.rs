//! Somebody connected.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use doorward_core::operation::Call;
use doorward_core::workspaces::Permission;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::built_in::Chunks;
use crate::hub::Hub;
use crate::outbox::{Out, Outbox, Outgoing};
use crate::room::Room;
use crate::space::Share;
use crate::user::{UserInfo, packed};

/// Calls of one client to the server that are under way at once.
const MOST_CALLS: usize = 1024;
/// Kinds of events that one client hears of.
pub(crate) const MOST_SUBSCRIPTIONS: usize = 100;

/// A client as others see it.
pub(crate) struct Peer {
    pub(crate) room: Arc<Room>,
    pub(crate) id: Arc<str>,
    /// `workspace/client`.
    pub(crate) address: String,
    /// Who it is, and the way in.
    pub(crate) call: Call,
    pub(crate) permission: Permission,
    pub(crate) user: UserInfo,
    /// The same as frames carry it.
    pub(crate) packed_user: Bytes,
    pub(crate) outbox: Outbox,
    pub(crate) subscriptions: RwLock<HashSet<String>>,
    /// Messages that come in parts.
    pub(crate) chunks: Mutex<Chunks>,
    pub(crate) calls: Arc<Semaphore>,
    /// It came back under its name: what the first end leaves behind is nothing of this one's.
    left: AtomicBool,
}

impl Peer {
    pub(crate) fn new(
        room: Arc<Room>,
        id: Arc<str>,
        call: Call,
        permission: Permission,
        user: UserInfo,
        outbox: Outbox,
        share: Arc<Share>,
    ) -> Self {
        Self {
            address: format!("{}/{id}", room.id),
            packed_user: packed(&user).into(),
            room,
            id,
            call,
            permission,
            user,
            outbox,
            subscriptions: RwLock::default(),
            chunks: Mutex::new(Chunks::new(share)),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
            left: AtomicBool::new(false),
        }
    }

    /// Says that it leaves; the answer is whether nobody said so before.
    pub(crate) fn leave(&self) -> bool {
        !self.left.swap(true, Ordering::AcqRel)
    }
}

/// A client's connection. Dropping it is leaving.
pub struct Link {
    pub(crate) hub: Hub,
    pub(crate) peer: Arc<Peer>,
    pub(crate) outgoing: Outgoing,
}

impl Link {
    /// What the transport is to send next; `None` when it is over.
    pub async fn next(&mut self) -> Option<Out> {
        self.outgoing.next().await
    }

    /// Returns once the client is to be let go, whatever it has not been sent yet: [`Link::next`] then says why.
    pub async fn closing(&self) {
        self.outgoing.closing().await;
    }

    /// As [`Link::next`], for a transport that takes several at once: each takes its room until they are [`Link::sent`].
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Out>> {
        self.outgoing.poll_next(cx)
    }

    /// Says that all of what was taken was sent.
    pub fn sent(&mut self) {
        self.outgoing.sent();
    }

    /// What the transport hands in.
    #[must_use]
    pub fn sender(&self) -> crate::caller::Sender {
        crate::caller::Sender { hub: self.hub.clone(), peer: Arc::clone(&self.peer) }
    }

    /// The caller behind it.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.peer.call
    }

    /// The client's name.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.peer.id
    }

    /// The workspace it is in.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.peer.room.id
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &UserInfo {
        &self.peer.user
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hub.leave(&self.peer);
    }
}
