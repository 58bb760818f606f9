//! Offering services, finding them, and getting one to call.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authz::catalogue::{hub_service, workspace};
use doorward_protocols::hypha::{ServiceId, value};
use rmpv::Value;
use serde_json::json;

use crate::caller::Speaker;
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::provided::{Asked, PUBLIC_ONES};
use crate::registry::{Service, Visibility, choose};
use crate::room::Room;

/// Most services of one client.
const MOST_OF_ONE: usize = 1_000;
/// Most services in one workspace, and most kinds of them.
const MOST_OF_ALL: usize = 20_000;
const MOST_KINDS: usize = 200;
/// Most services in one answer.
const MOST_LISTED: usize = 5_000;
/// How long a client may take to hand out a service.
const PATIENCE_S: f64 = 10.0;

pub(super) async fn register(asked: Asked) -> Result<Value, Fault> {
    let (info, config) = (asked.args.needed("service")?, asked.args.map("config")?);
    let (peer, room) = (&asked.peer, &asked.peer.room);
    let service = Arc::new(Service::read(info, &config, (&room.id, &peer.id), &peer.user)?);
    asked.may::<hub_service::Register>(room)?;
    let local = service.name.starts_with("_rintf_")
        || value::get(info, "config")
            .and_then(|config| value::get(config, "_local_only"))
            .and_then(Value::as_bool)
            .unwrap_or(false);
    if local {
        // What an end keeps for itself is nobody else's to find.
        return Ok(Value::Nil);
    }
    let replaced = {
        // In the order in which whoever leaves takes them.
        let peers = room.peers.read();
        let mut services = room.services.write();
        let key = (Arc::clone(&peer.id), service.name.clone());
        let mine = services.keys().filter(|(client, _)| *client == peer.id).count();
        if !services.contains_key(&key) && (mine >= MOST_OF_ONE || services.len() >= MOST_OF_ALL) {
            return Err(Fault::value("a client offers at most 1000 services"));
        }
        let twin = services.values().find(|other| {
            other.name == service.name && other.client != peer.id && (other.singleton || service.singleton)
        });
        if let Some(twin) = twin {
            return Err(Fault::value(format!(
                "A singleton service with the same name ({}) has already exists in the workspace ({}): {}",
                service.name,
                room.id,
                twin.id()
            )));
        }
        // Whoever left in the meantime offers nothing.
        if peers.get(&peer.id).is_none_or(|there| !Arc::ptr_eq(there, peer)) {
            return Err(Fault::other("the client left"));
        }
        services.insert(key, Arc::clone(&service)).is_some()
    };
    let kind = if replaced { "service_updated" } else { "service_added" };
    asked.hub.tell(room, kind, &json!({"id": service.id(), "workspace": &*room.id}));
    Ok(Value::Nil)
}

pub(super) async fn unregister(asked: Asked) -> Result<Value, Fault> {
    let text = asked.args.needed_text("service_id")?;
    let room = &asked.peer.room;
    asked.may::<hub_service::Register>(room)?;
    let missing = || Fault::key(format!("Service not found: {text}"));
    let id = ServiceId::read(text, &room.id).filter(|id| id.workspace == *room.id).ok_or_else(missing)?;
    let own = id.client == "*" || id.client == *asked.peer.id;
    let client = if own { Arc::clone(&asked.peer.id) } else { id.client.as_str().into() };
    let key = (client, id.service.clone());
    if !room.services.read().contains_key(&key) {
        return Err(missing());
    }
    if !own {
        // What somebody else offers is for whoever manages the workspace to take away.
        asked.may::<workspace::Manage>(room)?;
    }
    let gone = room.services.write().remove(&key).ok_or_else(missing)?;
    asked.hub.tell(room, "service_removed", &json!({"id": gone.id(), "workspace": &*room.id}));
    Ok(Value::Nil)
}

/// Which service is wanted, and of several which.
pub(crate) struct ServiceQuery<'q> {
    pub(crate) id: &'q str,
    pub(crate) mode: Option<&'q str>,
}

/// What was found.
pub(crate) enum Found {
    /// A client's.
    Of(Arc<Room>, Arc<Service>),
    /// The server's own: where, and which.
    Ours(String, &'static crate::provided::Provided),
    /// The manager.
    Manager,
}

/// Finds a service for a caller, whose workspace is `home`: what everybody may see, what the caller's workspace was given, and what is
/// offered where the caller may be.
pub(crate) async fn find(
    hub: &Hub,
    call: &doorward_core::operation::Call,
    home: &str,
    query: ServiceQuery<'_>,
) -> Result<Found, Fault> {
    let invalid =
        || Fault::value(format!("Invalid service id: {}", query.id.chars().take(200).collect::<String>()));
    let id = ServiceId::read(query.id, home).ok_or_else(invalid)?;
    if id.service == "~" {
        return Ok(Found::Manager);
    }
    let workspace = if id.workspace == "*" { PUBLIC } else { &id.workspace };
    let wanted = id.to_string();
    let missing = || Fault::key(format!("Service not found: {wanted}"));
    if workspace == PUBLIC && (id.client == "*" || id.client == hub.server_id()) {
        let ours = PUBLIC_ONES.iter().find(|provided| provided.id == id.service && provided.id != "built-in");
        // A client may offer one in its place.
        let replaced = hub
            .live_room(PUBLIC)
            .is_some_and(|room| room.all_services().iter().any(|service| service.name == id.service));
        if let Some(ours) = ours.filter(|_| !replaced || id.client == hub.server_id()) {
            return Ok(Found::Ours(format!("{PUBLIC}/{}", hub.server_id()), ours));
        }
    }
    let room = hub.live_room(workspace).ok_or_else(missing)?;
    let all = room.all_services();
    let named: Vec<_> =
        all.into_iter().filter(|service| id.covers(&service.client, &service.name, &service.app)).collect();
    let member = hub.permission(call, &room).is_some() && &*room.id != PUBLIC;
    let shown: Vec<_> = named.iter().filter(|one| member || one.is_shown_to(home)).cloned().collect();
    if shown.is_empty() && !named.is_empty() {
        // Recorded as a denial of this caller in this workspace.
        let owner = room.owner();
        let target = doorward_core::authz::Target::owned(&room.id, &owner);
        let _ = call.permit::<hub_service::Read>(target);
        return Err(Fault::permission(format!(
            "Permission denied for non-public service in workspace {}",
            room.id
        )));
    }
    let mode = query.mode.or((workspace == PUBLIC).then_some("random"));
    let chosen = choose(shown, &wanted, mode, hub.random_number())?;
    Ok(Found::Of(room, chosen))
}

fn mode(asked: &Asked) -> Result<Option<String>, Fault> {
    let config = asked.args.map("config")?;
    Ok(value::get(&config, "mode").and_then(Value::as_str).map(str::to_owned))
}

pub(super) async fn info(asked: Asked) -> Result<Value, Fault> {
    let mode = mode(&asked)?;
    let query = ServiceQuery { id: asked.args.needed_text("service_id")?, mode: mode.as_deref() };
    let home = &asked.peer.room.id;
    Ok(match find(&asked.hub, &asked.peer.call, home, query).await? {
        Found::Of(room, service) => service.record(room.id == *home),
        Found::Ours(at, provided) => provided.info(&at, true),
        Found::Manager => super::SERVICE.info(&asked.at, true),
    })
}

pub(super) async fn get(asked: Asked) -> Result<Value, Fault> {
    let mode = mode(&asked)?;
    let config = asked.args.map("config")?;
    let seconds = value::get(&config, "timeout").and_then(Value::as_f64).unwrap_or(PATIENCE_S);
    let query = ServiceQuery { id: asked.args.needed_text("service_id")?, mode: mode.as_deref() };
    let home = &asked.peer.room.id;
    match find(&asked.hub, &asked.peer.call, home, query).await? {
        Found::Ours(at, provided) => Ok(provided.object(&asked.hub, &at)),
        Found::Manager => Ok(super::SERVICE.object(&asked.hub, &asked.at)),
        Found::Of(room, service) => {
            let within = Duration::from_secs_f64(seconds.clamp(0.1, 600.0));
            asked.hub.fetch(&room, &service, within).await
        }
    }
}

impl Hub {
    /// Has the client that offers a service hand it out, whole.
    pub(crate) async fn fetch(
        &self,
        room: &Arc<Room>,
        service: &Service,
        within: Duration,
    ) -> Result<Value, Fault> {
        let from = format!("*/{}", self.0.manager_id);
        let speaker = Speaker { from: &from, workspace: &room.id, user: room.packed_root() };
        let target = format!("{}/{}", room.id, service.client);
        let method = "services.built-in.get_service";
        let mut object =
            self.ask(speaker, &target, method, vec![service.name.as_str().into()], within).await?;
        if object.as_map().is_none() {
            return Err(Fault::other("the client handed out something that is no service"));
        }
        absolute(&mut object, &room.id, &target);
        value::set(&mut object, "id", service.id().into());
        let mut config = value::get(&object, "config").cloned().unwrap_or(Value::Map(Vec::new()));
        value::set(&mut config, "workspace", (&*room.id).into());
        let url = format!("{}/{}/services/{}:{}", self.base_url(), room.id, service.client, service.name);
        value::set(&mut config, "url", url.into());
        value::set(&mut config, "authorized_workspaces", Value::Nil);
        value::set(&mut object, "config", config);
        Ok(object)
    }
}

/// Has every method in it say where it is, for readers of other workspaces. A client speaks for itself alone: what it says of others
/// stays as it is, and is theirs to refuse.
fn absolute(value: &mut Value, workspace: &str, provider: &str) {
    match value {
        Value::Map(entries) => {
            for (key, value) in entries.iter_mut() {
                match (key.as_str(), &*value) {
                    (Some("_rtarget"), Value::String(text)) => {
                        let text = text.as_str().unwrap_or_default();
                        if text.is_empty() {
                            *value = provider.into();
                        } else if !text.contains('/') {
                            *value = format!("{workspace}/{text}").into();
                        }
                    }
                    _ => absolute(value, workspace, provider),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| absolute(item, workspace, provider)),
        _ => {}
    }
}

/// What a listing is asked for.
struct Listing {
    id: ServiceId,
    kind: Option<String>,
    unlisted: bool,
}

fn listing(asked: &Asked) -> Result<Option<Listing>, Fault> {
    let home = &asked.peer.room.id;
    let invalid = || Fault::value("query is a text such as workspace/client:service, or a map");
    let everything = |workspace: &str| ServiceId {
        workspace: workspace.to_owned(),
        client: "*".to_owned(),
        service: "*".to_owned(),
        app: "*".to_owned(),
    };
    let unlisted = asked.args.flag("include_unlisted")?;
    let (id, kind) = match asked.args.get("query") {
        None => (everything(home), None),
        Some(Value::String(text)) => {
            let text = text.as_str().ok_or_else(invalid)?;
            // A word alone is a workspace.
            let alone = !text.contains(['/', ':', '@']);
            let id = if alone {
                doorward_protocols::hypha::address::is_name(text)
                    .then(|| everything(text))
                    .or_else(|| (text == "*").then(|| everything("*")))
            } else {
                ServiceId::read(text, home)
            };
            let Some(id) = id else { return Ok(None) };
            (id, None)
        }
        Some(map @ Value::Map(_)) => {
            let text = |name: &str| value::get(map, name).and_then(Value::as_str);
            let workspace = text("workspace").unwrap_or(home);
            let mut id = match text("service_id").or(text("id")) {
                Some(id) => match ServiceId::read(id, workspace) {
                    Some(id) => id,
                    None => return Ok(None),
                },
                None => everything(workspace),
            };
            if let Some(client) = text("client_id") {
                id.client = client.to_owned();
            }
            if let Some(app) = text("app_id") {
                id.app = app.to_owned();
            }
            (id, text("type").map(str::to_owned))
        }
        Some(_) => return Err(invalid()),
    };
    Ok(Some(Listing { id, kind, unlisted }))
}

pub(super) async fn list(asked: Asked) -> Result<Value, Fault> {
    let Listing { id, kind, unlisted } = match listing(&asked)? {
        Some(listing) => listing,
        // What is no name names nothing.
        None => return Ok(Value::Array(Vec::new())),
    };
    let home = &asked.peer.room.id;
    let rooms: Vec<Arc<Room>> = match id.workspace.as_str() {
        "*" => asked.hub.0.rooms.read().values().cloned().collect(),
        name => asked.hub.live_room(name).into_iter().collect(),
    };
    let anywhere = id.workspace == "*";
    let mut found = Vec::new();
    for room in rooms {
        let member =
            !anywhere && &*room.id != PUBLIC && asked.hub.permission(&asked.peer.call, &room).is_some();
        if !anywhere && !member && &*room.id != PUBLIC {
            // Of others' workspaces only what is public is told; the question itself is noted as a denial.
            let owner = room.owner();
            let target = doorward_core::authz::Target::owned(&room.id, &owner);
            let _ = asked.peer.call.permit::<hub_service::Read>(target);
        }
        let within = room.id == *home;
        for service in room.all_services() {
            let listed = match service.visibility {
                Visibility::Public => true,
                Visibility::Protected => member || (!anywhere && service.is_shown_to(home)),
                Visibility::Unlisted => member && unlisted,
            };
            let meant = id.covers(&service.client, &service.name, &service.app)
                && kind.as_deref().is_none_or(|kind| kind == service.kind);
            // The ends' own service is in every workspace, and of no use to others.
            let plumbing = service.name == "built-in" && !member;
            if listed && meant && !plumbing && found.len() < MOST_LISTED {
                found.push(service.record(within));
            }
        }
        if &*room.id == PUBLIC {
            let at = format!("{PUBLIC}/{}", asked.hub.server_id());
            let ours = PUBLIC_ONES.iter().filter(|one| one.id != "built-in");
            let ours = ours.filter(|one| id.covers(asked.hub.server_id(), one.id, "*"));
            let ours = ours.filter(|one| kind.as_deref().is_none_or(|kind| kind == one.kind));
            found.extend(ours.map(|one| one.info(&at, true)));
        }
    }
    Ok(Value::Array(found))
}

pub(super) async fn search(asked: Asked) -> Result<Value, Fault> {
    asked.may::<workspace::Read>(&asked.peer.room)?;
    Err(Fault::other("Service search is not enabled: there is no vector search here; use list_services."))
}

pub(super) async fn register_kind(asked: Asked) -> Result<Value, Fault> {
    let room = &asked.peer.room;
    asked.may::<workspace::Use>(room)?;
    let kind = asked.args.map("type")?;
    let id = value::get(&kind, "id").or(value::get(&kind, "name")).and_then(Value::as_str);
    let id =
        id.filter(|id| !id.is_empty() && id.len() <= 128).ok_or_else(|| Fault::value("a kind has an id"))?;
    if value::write(&kind).len() > 64 << 10 {
        return Err(Fault::value("a kind of services takes at most 64 KiB"));
    }
    let mut kinds = room.service_types.write();
    if kinds.len() >= MOST_KINDS && !kinds.contains_key(id) {
        return Err(Fault::value("a workspace has at most 200 kinds of services"));
    }
    kinds.insert(id.to_owned(), kind.clone());
    Ok(kind.clone())
}

pub(super) async fn get_kind(asked: Asked) -> Result<Value, Fault> {
    let id = asked.args.needed_text("type_id")?;
    asked.may::<workspace::Read>(&asked.peer.room)?;
    let found = asked.peer.room.service_types.read().get(id).cloned();
    found.ok_or_else(|| Fault::key(format!("Service type not found: {id}")))
}

pub(super) async fn list_kinds(asked: Asked) -> Result<Value, Fault> {
    asked.may::<workspace::Read>(&asked.peer.room)?;
    let kinds = asked.peer.room.service_types.read().values().cloned().collect();
    Ok(Value::Array(kinds))
}
