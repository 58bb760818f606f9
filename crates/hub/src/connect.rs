//! A client that wants in: which workspace, under which name, and what it is told.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::workspace;
use doorward_core::operation::Call;
use doorward_core::secret::SecretText;
use doorward_core::tokens::{HubToken, HubTokenKind as Kind};
use doorward_core::workspaces::{Permission, WorkspaceScope};
use doorward_protocols::hypha::address::{NAME_WANTED, is_name};
use serde_json::{Value, json};

use crate::hub::{Hub, PUBLIC};
use crate::outbox::outbox;
use crate::peer::{Link, Peer};
use crate::refused::{Refused, Why};
use crate::room::Room;
use crate::user::{Person, UserInfo};

/// How long a reconnection token lives.
pub(crate) const RECONNECT_S: i64 = 172_800;
/// How long an end that is still there may take to show it.
const ALIVE_WITHIN: Duration = Duration::from_secs(3);

/// What a client says first.
#[derive(Clone, Default, serde::Deserialize)]
pub struct Hello {
    /// The name it wants.
    pub client_id: Option<String>,
    /// Where to.
    pub workspace: Option<String>,
    /// Its token.
    pub token: Option<SecretText>,
    /// What it was given to come back with.
    pub reconnection_token: Option<SecretText>,
}

impl Hub {
    /// Lets a client in whose caller was found out.
    ///
    /// # Errors
    /// [`Refused`], in the words of Hypha.
    pub async fn connect(&self, hello: &Hello, call: Call) -> Result<Link, Refused> {
        let coming_back = hello.reconnection_token.is_some();
        let client = hello.client_id.as_deref().unwrap_or_default();
        if !is_name(client) {
            return Err(Refused::failed(Why::Name, format!("client_id: {NAME_WANTED}")));
        }
        if client == self.0.server_id
            || client == self.0.manager_id
            || client.starts_with(crate::start_up::NAMED)
        {
            return Err(Refused::failed(
                Why::Taken,
                format!("Client already exists and is active: {client}"),
            ));
        }
        let scope = &call.auth.workspaces;
        if let Some(bound) = scope.client_id.as_deref().filter(|bound| *bound != client) {
            return Err(Refused::failed(
                Why::Bound,
                format!("Client id mismatch: this token is restricted to client with client_id='{bound}'"),
            ));
        }
        if coming_back && (scope.client_id.is_none() || scope.current.is_none()) {
            return Err(Refused::failed(Why::Bound, "this is no reconnection token"));
        }
        if scope.is_specialised() {
            return Err(Refused::failed(
                Why::Bound,
                format!(
                    "Specialized token with scopes {:?} cannot be used for general workspace access",
                    scope.extra
                ),
            ));
        }
        let wanted = hello.workspace.as_deref().filter(|text| !text.is_empty());
        if coming_back && wanted.is_some() && wanted != scope.current.as_deref() {
            return Err(Refused::failed(Why::Bound, "this reconnection token is for another workspace"));
        }
        let id = self.where_to(&call, wanted)?;
        // Whether there is one is nobody's business who may not be in it: what is counted differs, and nothing that is told.
        let refused = |why| {
            let what =
                format!("Permission denied for workspace {id}: it does not exist or is not accessible");
            Refused::failed(why, what)
        };
        let room = self.room(&id, &call).await?.ok_or_else(|| refused(Why::Missing))?;
        let denied = || refused(Why::Denied);
        let Some(permission) = self.permission(&call, &room) else {
            // The decision is asked for once more for its line in the audit log.
            let owner = room.owner();
            let _ = call.permit::<workspace::Read>(Target::owned(&room.id, &owner));
            self.tidy(&room);
            return Err(denied());
        };
        let call = self.known(&call, &room).into_owned();
        if &*room.id != PUBLIC {
            let owner = room.owner();
            let leave =
                call.permit::<workspace::Read>(Target::owned(&room.id, &owner)).map_err(|_| denied())?;
            leave.close(Ok(())).map_err(Refused::from)?;
        }
        self.enter(&room, client, call, permission, coming_back).await
    }

    fn where_to(&self, call: &Call, wanted: Option<&str>) -> Result<String, Refused> {
        let current = call.auth.workspaces.current.as_deref();
        let home = || current.map_or_else(|| self.own_workspace(call), str::to_owned);
        match (wanted, current) {
            (Some(PUBLIC), Some(PUBLIC)) => Ok(PUBLIC.to_owned()),
            (None | Some(PUBLIC), _) => Ok(home()),
            (Some(wanted), Some(current)) if wanted != current => Err(Refused::failed(
                Why::Bound,
                format!(
                    "Current workspace encoded in the token ({current}) does not match the specified workspace ({wanted})"
                ),
            )),
            (Some(wanted), _) => Ok(wanted.to_owned()),
        }
    }

    async fn enter(
        &self,
        room: &Arc<Room>,
        client: &str,
        call: Call,
        permission: Permission,
        coming_back: bool,
    ) -> Result<Link, Refused> {
        let exists = || {
            Refused::failed(Why::Taken, format!("Client already exists and is active: {}/{client}", room.id))
        };
        if let Some(there) = room.peer(client) {
            let same = there.call.auth.principal == call.auth.principal;
            // Whoever comes back with the token it was given takes its own place; another has to wait until that is empty.
            if !same || (!coming_back && self.answers(&there).await) {
                return Err(exists());
            }
            there.outbox.close(1000, "the client is connected anew");
            self.leave(&there);
        }
        let user = UserInfo::of(
            &call.auth,
            &self.mount().tokens.authority,
            Some((&room.id, permission)),
            Some(client),
            Person::of(self, &call).await.email,
        );
        self.seat(room, client, call, permission, user).ok_or_else(exists)
    }

    /// Gives a client its place, unless there is one of its name.
    pub(crate) fn seat(
        &self,
        room: &Arc<Room>,
        client: &str,
        call: Call,
        permission: Permission,
        user: UserInfo,
    ) -> Option<Link> {
        let share = self.0.space.share(call.origin.address);
        let (outbox, outgoing) = outbox(self.0.counts.let_go(), Arc::clone(&share));
        let peer =
            Arc::new(Peer::new(Arc::clone(room), client.into(), call, permission, user, outbox, share));
        {
            let mut rooms = self.0.rooms.write();
            if room.has_ended() {
                return None;
            }
            // It may have been forgotten since it was found.
            rooms.entry(Arc::clone(&room.id)).or_insert_with(|| Arc::clone(room));
            let mut peers = room.peers.write();
            if peers.contains_key(&peer.id) {
                return None;
            }
            peers.insert(Arc::clone(&peer.id), Arc::clone(&peer));
        }
        self.tell(room, "client_connected", &json!({"id": &*peer.id, "workspace": &*room.id}));
        Some(Link { hub: self.clone(), peer, outgoing })
    }

    /// Whether a client's end shows that it is there.
    async fn answers(&self, peer: &Arc<Peer>) -> bool {
        !peer.outbox.is_closed() && self.ping(peer, ALIVE_WITHIN).await.is_ok()
    }

    /// Forgets a client with all that it offered, and says so to whoever wants to know.
    pub(crate) fn leave(&self, peer: &Arc<Peer>) {
        if !peer.leave() {
            return;
        }
        let room = &peer.room;
        {
            let mut peers = room.peers.write();
            // Whoever came under its name since offers services of its own, and is called: nothing of that is taken away.
            if peers.get(&peer.id).is_some_and(|there| Arc::ptr_eq(there, peer)) {
                room.services.write().retain(|(client, _), _| *client != peer.id);
                self.abandon(&peer.address);
                peers.remove(&peer.id);
            }
        }
        self.tell(room, "client_disconnected", &json!({"id": &*peer.id, "workspace": &*room.id}));
        self.forget(room);
    }

    /// Sends out of a room whoever was let in by what was revoked since.
    pub(crate) fn dismiss_revoked(&self, room: &Arc<Room>) {
        let peers: Vec<_> = room.peers.read().values().cloned().collect();
        for peer in peers.iter().filter(|peer| peer.call.is_revoked()) {
            peer.outbox.close(1008, "what let the client in was revoked");
            self.leave(peer);
        }
    }

    /// Sends everybody out of a room and forgets it.
    pub(crate) fn unload(&self, room: &Arc<Room>, why: &str) {
        room.end();
        let peers: Vec<_> = room.peers.read().values().cloned().collect();
        for peer in peers {
            peer.outbox.close(1001, why);
            self.leave(&peer);
        }
        let mut rooms = self.0.rooms.write();
        // Somebody who could not remove it may have had it go on meanwhile.
        room.end();
        if rooms.get(&room.id).is_some_and(|there| Arc::ptr_eq(there, room)) {
            rooms.remove(&room.id);
        }
    }

    /// What a client is told when it is in: the first text.
    ///
    /// # Errors
    /// When no token can be made for it to come back with.
    pub async fn connection_info(&self, link: &Link) -> Result<Value, Refused> {
        let token = self.reconnection_token(&link.peer).await?;
        Ok(json!({
            "type": "connection_info",
            "hypha_version": self.0.settings.version,
            "public_base_url": self.base_url(),
            "local_base_url": self.base_url(),
            "manager_id": self.0.manager_id,
            "workspace": &*link.peer.room.id,
            "client_id": &*link.peer.id,
            "user": link.peer.user.to_json(),
            "reconnection_token": token,
            "reconnection_token_life_time": RECONNECT_S as f64,
        }))
    }

    /// What a client comes back with: for this workspace and this name alone.
    pub(crate) async fn reconnection_token(&self, peer: &Peer) -> Result<String, Refused> {
        let mut given = peer.call.auth.workspaces.given.clone();
        given.insert(Arc::clone(&peer.room.id), peer.permission);
        let scope = WorkspaceScope {
            current: Some(Arc::clone(&peer.room.id)),
            client_id: Some(Arc::clone(&peer.id)),
            given,
            ..peer.call.auth.workspaces.clone()
        };
        let wanted = HubToken {
            workspaces: scope,
            ttl_s: Some(RECONNECT_S.min(self.mount().tokens.max_ttl_s)),
            kind: Kind::SameSubject,
            email: None,
            roles: None,
        };
        let call = peer.call.knowing_workspace(&peer.room.id, peer.permission);
        let issued = self.token_in(&peer.room, &call, wanted).await?;
        Ok(issued.token.expose().to_owned())
    }
}
