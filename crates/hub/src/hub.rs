//! The hub itself: what it is made of, and the rooms there are.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::authz::catalogue::{Action, workspace};
use doorward_core::authz::{Target, decide};
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use doorward_core::limits::shares::Shares;
use doorward_core::mount::Mount;
use doorward_core::operation::Call;
use doorward_core::principal::{Principal, PrincipalKind};
use doorward_core::random;
use doorward_core::start_up::TokenHooks;
use doorward_core::tokens::{HubToken, Issued};
use doorward_core::workspaces::{Permission, Workspace, names};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::calls::Calls;
use crate::counts::Counters;
use crate::login::Pendings;
use crate::room::Room;
use crate::space::Space;
use crate::start_up::CustomLogin;

/// The workspace that everybody sees.
pub(crate) const PUBLIC: &str = "public";
/// The workspace of whoever runs the server: nobody's own, and administrators' alone.
pub(crate) const ROOT: &str = "ws-user-root";

/// What a hub is told when it is made.
pub struct Settings {
    /// The mount it stands in.
    pub mount: Arc<Mount>,
    /// Where clients find it, without a trailing slash: `https://agents.example/hypha`.
    pub base_url: String,
    /// Version of Hypha that clients are told.
    pub version: &'static str,
    /// Most bytes of messages that wait, or are not whole, of all clients together. The clients of one network have half of it.
    pub waiting_bytes: usize,
    /// What start-up files registered for tokens.
    pub hooks: Option<Arc<TokenHooks>>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    /// The client that offers the server's own services in `public`.
    pub(crate) server_id: String,
    /// Who answers at `*/…`.
    pub(crate) manager_id: String,
    pub(crate) rooms: RwLock<HashMap<Arc<str>, Arc<Room>>>,
    /// Calls that we made and that are not answered, by session.
    pub(crate) pending: Mutex<Calls>,
    /// What waits takes room of this.
    pub(crate) space: Arc<Space>,
    /// When somebody last looked for room that can be given back, because a part of a message had none.
    pub(crate) looked_for_room: Mutex<Option<Instant>>,
    pub(crate) logins: Pendings,
    /// The client of the start-up files, once there was one.
    pub(crate) start_up: RwLock<Option<Arc<str>>>,
    /// What they put in the place of our login service.
    pub(crate) login: RwLock<Option<Arc<CustomLogin>>>,
    /// Who has how many calls of it under way.
    pub(crate) login_calls: Shares,
    pub(crate) counts: Counters,
}

/// Hypha's hub. Cheap to clone.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

impl Hub {
    /// A hub that nobody is connected to.
    #[must_use]
    pub fn new(engine: Engine, settings: Settings) -> Self {
        let server_id = name(&engine, "");
        let manager_id = format!("manager-{server_id}");
        let space = Space::new(settings.waiting_bytes);
        let hub = Self(Arc::new(Inner {
            engine,
            settings,
            server_id,
            manager_id,
            rooms: RwLock::default(),
            pending: Mutex::default(),
            space,
            looked_for_room: Mutex::default(),
            logins: Pendings::default(),
            start_up: RwLock::default(),
            login: RwLock::default(),
            login_calls: Shares::default(),
            counts: Counters::default(),
        }));
        hub.keep(Workspace {
            id: PUBLIC.to_owned(),
            name: PUBLIC.to_owned(),
            description: "What everybody sees".to_owned(),
            owner: Principal::system("hub").owner_key(),
            owner_ids: vec!["root".to_owned()],
            persistent: true,
            created_at_ms: hub.0.engine.now_ms(),
            details: serde_json::Map::new(),
            members: BTreeMap::new(),
        });
        hub
    }

    /// The engine it stands on.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The mount it stands in.
    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.0.settings.mount
    }

    /// The client that offers the server's own services in `public`.
    #[must_use]
    pub fn server_id(&self) -> &str {
        &self.0.server_id
    }

    /// Where clients find it.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.0.settings.base_url
    }

    /// Version of Hypha that clients are told.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.0.settings.version
    }

    /// A token that is due: ours, or what the start-up files put in its place.
    ///
    /// # Errors
    /// As [`Engine::hub_token`] and [`TokenHooks::token`].
    pub async fn token(&self, call: &Call, wanted: HubToken) -> Result<Issued> {
        let profile = &self.mount().tokens;
        match &self.0.settings.hooks {
            Some(hooks) => hooks.token(profile, call, wanted).await,
            None => self.engine().hub_token(profile, call, wanted).await,
        }
    }

    /// As [`Hub::token`], of one that is given something in this room's workspace.
    ///
    /// # Errors
    /// As there; `token_revoked` when the workspace is no more.
    pub(crate) async fn token_in(&self, room: &Room, call: &Call, wanted: HubToken) -> Result<Issued> {
        let issued = self.token(call, wanted).await?;
        // Looked at last: what was issued before the workspace went has ended with that, and what is issued later would not.
        if room.has_ended() {
            return Err(Error::new(codes::TOKEN_REVOKED).message("The workspace was removed."));
        }
        Ok(issued)
    }

    /// How many clients are connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.0.rooms.read().values().map(|room| room.peers.read().len()).sum()
    }

    /// Whether a caller may be in a workspace. Nothing is done by asking.
    ///
    /// # Errors
    /// The store's.
    pub async fn admits(&self, call: &Call, workspace: &str) -> Result<bool> {
        let Some(room) = self.room(workspace, call).await? else { return Ok(false) };
        let may = self.permission(call, &room).is_some();
        self.tidy(&room);
        Ok(may)
    }

    /// The own workspace of a caller.
    #[must_use]
    pub fn own_workspace(&self, call: &Call) -> String {
        names::own(&call.auth.principal, &self.mount().tokens.authority)
    }

    /// A name that nobody has.
    pub(crate) fn fresh_name(&self, prefix: &str) -> String {
        name(&self.0.engine, prefix)
    }

    pub(crate) fn random_number(&self) -> u64 {
        u64::from_be_bytes(random::bytes(self.0.engine.random()))
    }

    pub(crate) fn live_room(&self, id: &str) -> Option<Arc<Room>> {
        self.0.rooms.read().get(id).cloned()
    }

    /// The room of a workspace; there is one once it is known.
    pub(crate) fn keep(&self, workspace: Workspace) -> Arc<Room> {
        let mut rooms = self.0.rooms.write();
        let id: Arc<str> = workspace.id.as_str().into();
        Arc::clone(rooms.entry(id).or_insert_with(|| Arc::new(Room::new(workspace))))
    }

    /// The room of a workspace that there is: somebody is in it, it is kept in the store, or it is the caller's own.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn room(&self, id: &str, call: &Call) -> Result<Option<Arc<Room>>> {
        if let Some(room) = self.live_room(id) {
            return Ok(Some(room));
        }
        // Visitors can have no workspace that is kept: the store need not be asked for their own.
        let authority = &self.mount().tokens.authority;
        let visitors = call.auth.is_anonymous() && names::own(&call.auth.principal, authority) == id;
        if !visitors && let Some(found) = self.0.engine.workspaces().find(id).await? {
            return Ok(Some(self.keep(found)));
        }
        // One's own, or that of whom one acts for: nobody else's is made by asking for it.
        let mut whose = std::iter::once(&call.auth.principal).chain(&call.auth.actors);
        let owner = match whose.find(|principal| names::own(principal, authority) == id) {
            Some(owner) => owner.clone(),
            None if id == ROOT => Principal::system("hub"),
            None => return Ok(None),
        };
        Ok(Some(self.keep(Workspace {
            id: id.to_owned(),
            name: id.to_owned(),
            description: "A workspace of one's own".to_owned(),
            owner: owner.owner_key(),
            owner_ids: vec![id[names::OWN.len()..].to_owned()],
            persistent: owner.user_id().is_some() || owner.kind == PrincipalKind::System,
            created_at_ms: self.0.engine.now_ms(),
            details: serde_json::Map::new(),
            members: BTreeMap::new(),
        })))
    }

    /// Forgets a room that nobody is in and that is found again when it is asked for: one of the store's, or somebody's own. One that is kept
    /// nowhere else goes with its last client ([`Hub::leave`]), and not because somebody looked.
    pub(crate) fn tidy(&self, room: &Arc<Room>) {
        if self.is_found_again(room) {
            self.forget(room);
        }
    }

    fn is_found_again(&self, room: &Room) -> bool {
        names::is_own(&room.id) || room.workspace.read().persistent
    }

    /// Whether this very room is the one of its name.
    pub(crate) fn is_there(&self, room: &Arc<Room>) -> bool {
        self.live_room(&room.id).is_some_and(|there| Arc::ptr_eq(&there, room))
    }

    /// Says of a room that was to end that it goes on, if it is still there.
    pub(crate) fn go_on(&self, room: &Arc<Room>) {
        let rooms = self.0.rooms.read();
        if rooms.get(&room.id).is_some_and(|there| Arc::ptr_eq(there, room)) {
            room.go_on();
        }
        drop(rooms);
        self.forget(room);
    }

    /// Forgets a room if nobody is in it. One that is being ended is whose who ends it: until then nobody else has its name.
    pub(crate) fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.0.rooms.write();
        if room.has_ended() {
            return;
        }
        let there = rooms.get(&room.id).is_some_and(|there| Arc::ptr_eq(there, room));
        if there && &*room.id != PUBLIC && room.peers.read().is_empty() {
            if !self.is_found_again(room) {
                // Another may be made under its name from now on.
                room.end();
            }
            rooms.remove(&room.id);
        }
    }

    /// How many workspaces of an owner's are kept nowhere but here.
    pub(crate) fn kept_here_alone(&self, owner: &str) -> usize {
        let alone = |room: &Arc<Room>| {
            let workspace = room.workspace.read();
            !workspace.persistent && workspace.owner == owner && !names::is_own(&room.id)
        };
        self.0.rooms.read().values().filter(|room| alone(room)).count()
    }

    /// The caller, with what being a member of this workspace gives.
    pub(crate) fn known<'c>(&self, call: &'c Call, room: &Room) -> Cow<'c, Call> {
        let workspace = room.workspace.read();
        if workspace.members.is_empty() {
            return Cow::Borrowed(call);
        }
        let name = names::member(&call.auth.principal, &self.mount().tokens.authority);
        match workspace.members.get(&name) {
            Some(member) => {
                let joined = call.as_member(&room.id, member);
                // What was revoked elsewhere a moment ago may still stand here.
                if joined.is_revoked() { Cow::Borrowed(call) } else { Cow::Owned(joined) }
            }
            None => Cow::Borrowed(call),
        }
    }

    /// How far a caller reaches into a workspace, by the decision function; nothing is done by asking.
    pub(crate) fn permission(&self, call: &Call, room: &Room) -> Option<Permission> {
        if &*room.id == PUBLIC && !call.auth.workspaces.given.contains_key(PUBLIC) {
            // Everybody sees what is public; nobody is at home there but the server and administrators.
            let administrator = self.reaches(call, room, workspace::Manage::DEF);
            return Some(if administrator { Permission::Admin } else { Permission::Read });
        }
        let call = self.known(call, room);
        let steps = [
            (workspace::Manage::DEF, Permission::Admin),
            (workspace::Use::DEF, Permission::ReadWrite),
            (workspace::Read::DEF, Permission::Read),
        ];
        steps
            .into_iter()
            .find(|(action, _)| self.reaches(&call, room, action))
            .map(|(_, permission)| permission)
    }

    fn reaches(
        &self,
        call: &Call,
        room: &Room,
        action: &'static doorward_core::authz::catalogue::ActionDef,
    ) -> bool {
        let owner = room.owner();
        let target = Target::owned(&room.id, &owner).through(&self.mount().name);
        decide(self.0.engine.roles(), &call.auth, action, target).is_ok()
    }
}

/// A name of 22 characters behind a prefix.
fn name(engine: &Engine, prefix: &str) -> String {
    let bytes: [u8; 16] = random::bytes(engine.random());
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}
