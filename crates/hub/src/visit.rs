//! A caller who is not connected: one call over plain HTTP, in the workspace that it may be in.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::hub_service;
use doorward_core::operation::Call;
use doorward_core::workspaces::Permission;
use doorward_protocols::hypha::value;
use rmpv::Value;

use crate::args::Args;
use crate::caller::{Conversation, Speaker};
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::manager::{self, Found, ServiceQuery};
use crate::outbox::{Outgoing, outbox};
use crate::peer::Peer;
use crate::provided::{self, Provided};
use crate::registry::Service;
use crate::room::Room;
use crate::user::{Person, UserInfo};

/// How long a client may take to hand out a service.
const FETCH: Duration = Duration::from_secs(10);

/// Somebody who comes for one call.
pub struct Visit {
    hub: Hub,
    peer: Arc<Peer>,
    /// Nothing is sent to a visitor but what a call returns.
    _outgoing: Outgoing,
}

/// A service that was found for a visitor.
pub enum Offer {
    /// A client's: its record, and where it is.
    Of(Arc<Service>, String),
    /// The server's own.
    Ours(Ours),
}

/// A service of the server's own.
pub struct Ours {
    at: String,
    provided: &'static Provided,
}

impl Ours {
    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.provided.id
    }
}

impl Offer {
    /// Its record.
    #[must_use]
    pub fn record(&self, within: bool) -> Value {
        match self {
            Self::Of(service, _) => service.record(within),
            Self::Ours(ours) => ours.provided.info(&ours.at, true),
        }
    }

    /// `functions`, `asgi`, or any other word.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Of(service, _) => &service.kind,
            Self::Ours(ours) => ours.provided.kind,
        }
    }
}

impl Hub {
    /// Lets a caller visit. A token for one workspace visits that one, whatever is asked for; who may not be in the one that is asked for
    /// visits from their own.
    ///
    /// # Errors
    /// `KeyError` for a workspace that there is not.
    pub async fn visit(&self, call: Call, wanted: &str) -> Result<Visit, Fault> {
        let home = match call.auth.workspaces.current.as_deref() {
            Some(current) => current.to_owned(),
            None => {
                let room = if wanted == PUBLIC { None } else { self.room(wanted, &call).await? };
                let may = room.as_ref().and_then(|room| self.permission(&call, room)).is_some();
                if may { wanted.to_owned() } else { self.own_workspace(&call) }
            }
        };
        let missing = || Fault::key(format!("Workspace '{home}' not found"));
        let room = self.room(&home, &call).await?.ok_or_else(missing)?;
        let permission = self.permission(&call, &room).unwrap_or(Permission::Read);
        let share = self.0.space.share(call.origin.address);
        let (outbox, outgoing) = outbox(self.0.counts.let_go(), Arc::clone(&share));
        let id = self.fresh_name("client-");
        let authority = &self.mount().tokens.authority;
        let user = UserInfo::of(
            &call.auth,
            authority,
            Some((&room.id, permission)),
            Some(&id),
            Person::of(self, &call).await.email,
        );
        let peer = Arc::new(Peer::new(room, id.into(), call, permission, user, outbox, share));
        Ok(Visit { hub: self.clone(), peer, _outgoing: outgoing })
    }
}

impl Visit {
    /// The same caller once more, for what goes on after the first is answered.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            hub: self.hub.clone(),
            peer: Arc::clone(&self.peer),
            _outgoing: outbox(
                self.hub.0.counts.let_go(),
                self.hub.0.space.share(self.peer.call.origin.address),
            )
            .1,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &UserInfo {
        &self.peer.user
    }

    /// The workspace it is in.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.peer.room.id
    }

    /// What is offered in a workspace, as far as this caller sees it.
    ///
    /// # Errors
    /// `PermissionError` where nothing is told.
    pub async fn services(&self, workspace: &str) -> Result<Vec<Value>, Fault> {
        let args = Args::named(vec![("query".into(), workspace.into())]);
        match self
            .call_ours("default", &format!("*/{}", self.hub.0.manager_id), "list_services", args)
            .await?
        {
            Value::Array(list) => Ok(list),
            _ => Ok(Vec::new()),
        }
    }

    /// What is known of a workspace.
    ///
    /// # Errors
    /// `PermissionError`, `KeyError`.
    pub async fn workspace_info(&self, workspace: &str) -> Result<Value, Fault> {
        let args = Args::named(vec![("workspace".into(), workspace.into())]);
        self.call_ours("default", &format!("*/{}", self.hub.0.manager_id), "get_workspace_info", args).await
    }

    /// Finds a service. `id` may leave out what is meant by the workspace of the request.
    ///
    /// # Errors
    /// `KeyError`, `PermissionError`, `AssertionError` for one of several.
    pub async fn find(&self, workspace: &str, id: &str, mode: Option<&str>) -> Result<Offer, Fault> {
        if id == "ws" || id == "~" {
            let at = format!("*/{}", self.hub.0.manager_id);
            return Ok(Offer::Ours(Ours { at, provided: &manager::SERVICE }));
        }
        let whole = if id.contains('/') { id.to_owned() } else { format!("{workspace}/{id}") };
        let query = ServiceQuery { id: &whole, mode };
        match manager::find_service(&self.hub, &self.peer.call, &self.peer.room.id, query).await? {
            Found::Of(room, service) => {
                self.note(&room, &service)?;
                let target = format!("{}/{}", room.id, service.client);
                Ok(Offer::Of(service, target))
            }
            Found::Ours(at, provided) => Ok(Offer::Ours(Ours { at, provided })),
            Found::Manager => {
                let at = format!("*/{}", self.hub.0.manager_id);
                Ok(Offer::Ours(Ours { at, provided: &manager::SERVICE }))
            }
        }
    }

    /// A call into a workspace that the caller may be in is an act of theirs there.
    fn note(&self, room: &Room, service: &Service) -> Result<(), Fault> {
        if service.is_shown_to(&self.peer.room.id) {
            return Ok(());
        }
        let owner = room.owner();
        let target = Target::owned(&room.id, &owner);
        let call = self.hub.known(&self.peer.call, room);
        Ok(call.permit::<hub_service::Call>(target)?.close(Ok(()))?)
    }

    async fn call_ours(&self, service: &str, at: &str, name: &str, args: Args) -> Result<Value, Fault> {
        let method = provided::find(&self.hub, at, &format!("services.{service}.{name}"))?;
        method.begin((&self.hub, &self.peer, at), name, args)?.await
    }

    /// Calls a service of the server's own.
    ///
    /// # Errors
    /// `KeyError` for a method that there is not, and the method's own.
    pub async fn call(&self, ours: &Ours, name: &str, args: Args) -> Result<Value, Fault> {
        self.call_ours(ours.provided.id, &ours.at, name, args).await
    }

    /// A client's service as an object, with what of it can be called.
    ///
    /// # Errors
    /// When the client is gone or does not answer.
    pub async fn object(&self, service: &Service) -> Result<Value, Fault> {
        let workspace = value::get(&service.record(false), "config")
            .and_then(|config| value::get(config, "workspace"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let gone = || Fault::key(format!("Service not found: {}", service.id()));
        let room = self.hub.live_room(&workspace).ok_or_else(gone)?;
        self.hub.fetch(&room, service, FETCH).await
    }

    /// Begins a call of something that a client handed out: an address and a method.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn begin(
        &self,
        target: &str,
        method: &str,
        args: impl FnOnce(&str) -> (Vec<Value>, Option<Vec<(Value, Value)>>),
    ) -> Result<Conversation, Fault> {
        let peer = &self.peer;
        let speaker =
            Speaker { from: &peer.address, workspace: &peer.room.id, user: peer.packed_user.clone() };
        self.hub.begin(speaker, target, method, args).await
    }

    /// The address that the other side sees.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.peer.address
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.hub.tidy(&self.peer.room);
    }
}
