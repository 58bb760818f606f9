//! Making, finding and removing workspaces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::workspace;
use doorward_core::error::{Error, codes};
use doorward_core::ports::store::Page;
use doorward_core::workspaces::{NewWorkspace, Permission, Workspace, WorkspaceChanges, names};
use doorward_protocols::hypha::value;
use rmpv::Value;
use serde_json::json;

use crate::args::wrong;
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::provided::Asked;
use crate::room::Room;

/// Most workspaces of one owner that do not stay.
const MOST_KEPT_HERE: usize = 100;
/// What else a workspace may say of itself.
const DETAILS: &[&str] = &["icon", "covers", "docs", "config", "read_only"];

/// A workspace as clients know it.
fn shown(found: &Workspace, ready: bool) -> Value {
    let detail = |name: &str| found.details.get(name).map_or(Value::Nil, value::from_json);
    let owners = found.owner_names().map(Value::from).collect();
    // Everybody in it may know who else may be.
    let others = found.members.iter().filter(|(_, member)| member.permission != Permission::Admin);
    let members = others.map(|(name, member)| (name.as_str().into(), member.permission.as_str().into()));
    value::map([
        ("type", "workspace".into()),
        ("id", found.id.as_str().into()),
        ("name", found.name.as_str().into()),
        ("description", found.description.as_str().into()),
        ("persistent", found.persistent.into()),
        ("owners", Value::Array(owners)),
        ("members", Value::Map(members.collect())),
        ("read_only", found.details.get("read_only").and_then(|said| said.as_bool()).unwrap_or(false).into()),
        ("icon", detail("icon")),
        ("covers", detail("covers")),
        ("docs", detail("docs")),
        ("service_types", Value::Map(Vec::new())),
        ("config", found.details.get("config").map_or(Value::Map(Vec::new()), value::from_json)),
        (
            "status",
            value::map([("ready", ready.into()), ("status", if ready { "ready" } else { "loading" }.into())]),
        ),
    ])
}

pub(super) async fn create(asked: Asked) -> Result<Value, Fault> {
    let config = value::to_json(&asked.args.map("config")?)
        .map_err(|what| wrong("config", &format!("JSON, not {what}")))?;
    let text = |name: &str| config.get(name).and_then(|said| said.as_str()).map(str::to_owned);
    let id = text("id").or_else(|| text("name")).ok_or_else(|| Fault::value("a workspace has an id"))?;
    if asked.peer.user.is_anonymous {
        let _ = asked.peer.call.permit::<workspace::Create>(Target::any());
        return Err(Fault::permission("Only registered user can create workspace."));
    }
    let details =
        DETAILS.iter().filter_map(|name| Some(((*name).to_owned(), config.get(*name)?.clone()))).collect();
    let new = NewWorkspace {
        name: text("name"),
        description: text("description").unwrap_or_default(),
        persistent: config.get("persistent").and_then(|said| said.as_bool()).unwrap_or(true),
        details,
        members: members(&config)?,
        id,
    };
    let overwrite = asked.args.flag("overwrite")?;
    let id = new.id.clone();
    if !new.persistent && !new.members.is_empty() {
        return Err(Fault::value("owners and members are of workspaces that stay: say persistent: true"));
    }
    pause(&asked, &id).await;
    if let Some(live) = asked.hub.live_room(&id) {
        let persistent = live.workspace.read().persistent;
        if !overwrite || &*live.id == PUBLIC {
            return Err(Fault::value(format!("Workspace already exists: {id}")));
        }
        if !persistent || !new.persistent {
            // One that stays nowhere but here is replaced here.
            asked.may::<workspace::Manage>(&live).map_err(|_| cannot_overwrite(&asked, &id))?;
        }
    }
    let owner = asked.peer.call.auth.principal.owner_key();
    if !new.persistent
        && asked.hub.live_room(&id).is_none()
        && asked.hub.kept_here_alone(&owner) >= MOST_KEPT_HERE
    {
        return Err(Fault::value("at most 100 workspaces that do not stay are kept at once"));
    }
    // What goes on under its maker's hands ends nothing; it stays what it is for everybody who is in it.
    let goes_on =
        asked.hub.live_room(&id).filter(|live| overwrite && !new.persistent && is_kept_here_by(live, &owner));
    let there = match overwrite {
        true => asked.hub.engine().workspaces().find(&id).await?.map(|found| asked.hub.keep(found)),
        false => None,
    };
    let made = match there {
        Some(room) => replace(&asked, &room, new).await?,
        None => {
            let permit = asked.peer.call.permit::<workspace::Create>(Target::any())?;
            let workspaces = asked.hub.engine().workspaces();
            match &goes_on {
                Some(live) => {
                    let made = workspaces.create_over(permit, new).await?;
                    // It went meanwhile, and another may have come: whatever is there now is nothing to go on with.
                    if live.has_ended() || !asked.hub.is_there(live) {
                        return Err(Fault::value(format!("Workspace {id} is gone; try again")));
                    }
                    made
                }
                None => workspaces.create(permit, new, overwrite).await?,
            }
        }
    };
    match asked.hub.live_room(&made.id) {
        Some(live) if live.owner() == made.owner => {
            *live.workspace.write() = made.clone();
            asked.hub.dismiss_revoked(&live);
        }
        // Somebody else made one of this id meanwhile. What is kept in the store stands; a room here alone gives way to it.
        Some(live) if made.persistent => {
            asked.hub.unload(&live, "the workspace is another's");
            drop(asked.hub.keep(made.clone()));
        }
        Some(_) => return Err(Fault::value(format!("Workspace already exists: {}", made.id))),
        None => drop(asked.hub.keep(made.clone())),
    }
    Ok(shown(&made, false))
}

fn is_kept_here_by(room: &Room, owner: &str) -> bool {
    let workspace = room.workspace.read();
    !workspace.persistent && workspace.owner == owner
}

/// Waits until a name can be used again that was made or removed a moment ago: for some of a second, so that nobody has to who did both in
/// their turn. Somebody else may use it again meanwhile; the engine refuses then.
async fn pause(asked: &Asked, id: &str) {
    let pause_ms = asked.hub.engine().workspaces().pause_ms(id).clamp(0, 1_000);
    if pause_ms > 0 {
        tokio::time::sleep(Duration::from_millis(pause_ms.unsigned_abs())).await;
    }
}

/// Gives a workspace that stays what a new one would have, its owner aside. Who else may be in it is one of its settings, and leave of its own:
/// it is asked for first, so that nothing is done by whoever may do half of it.
async fn replace(asked: &Asked, room: &Room, new: NewWorkspace) -> Result<Workspace, Fault> {
    let refused = |_| cannot_overwrite(asked, &room.id);
    if !new.persistent {
        return Err(Fault::value("persistent: this workspace stays; delete it first."));
    }
    let share = asked.leave::<workspace::Share>(room).map_err(refused)?;
    let manage = match asked.leave::<workspace::Manage>(room) {
        Ok(manage) => manage,
        Err(fault) => {
            let refused = refused(fault);
            return share.close(Ok(())).map_err(Fault::from).and(Err(refused));
        }
    };
    let workspaces = asked.hub.engine().workspaces();
    let said = |name: &&str| ((*name).to_owned(), new.details.get(*name).cloned().unwrap_or_default());
    let changes = WorkspaceChanges {
        name: Some(new.name.clone().unwrap_or_else(|| new.id.clone())),
        description: Some(new.description.clone()),
        details: Some(DETAILS.iter().map(said).collect()),
    };
    let changed = workspaces.update(manage, &room.id, changes).await;
    match changed {
        Ok(_) => Ok(workspaces.share(share, &room.id, &new.members).await?),
        Err(error) => Ok(share.close(Err(error))?),
    }
}

/// Who else is to be in a workspace: `owners`, a list of ids, and `members`, from ids to how far they reach.
fn members(config: &serde_json::Value) -> Result<BTreeMap<String, Permission>, Fault> {
    let mut members = BTreeMap::new();
    match config.get("members") {
        None | Some(serde_json::Value::Null) => {}
        Some(serde_json::Value::Object(entries)) => {
            for (name, permission) in entries {
                let spelled = permission.as_str().and_then(|text| match text {
                    "read" => Some(Permission::Read),
                    "read_write" => Some(Permission::ReadWrite),
                    "admin" => Some(Permission::Admin),
                    text => Permission::parse(text),
                });
                let permission = spelled.ok_or_else(|| wrong("members", "a map from ids to r, rw or a"))?;
                members.insert(name.clone(), permission);
            }
        }
        Some(_) => return Err(wrong("members", "a map from ids to r, rw or a")),
    }
    match config.get("owners") {
        None | Some(serde_json::Value::Null) => {}
        Some(serde_json::Value::Array(owners)) => {
            for owner in owners {
                let name = owner.as_str().ok_or_else(|| wrong("owners", "a list of ids"))?.trim();
                if !name.is_empty() {
                    members.insert(name.to_owned(), Permission::Admin);
                }
            }
        }
        Some(_) => return Err(wrong("owners", "a list of ids")),
    }
    Ok(members)
}

fn cannot_overwrite(asked: &Asked, id: &str) -> Fault {
    Fault::permission(format!(
        "Permission denied: user {} cannot overwrite workspace {id}",
        asked.peer.user.id
    ))
}

pub(super) async fn delete(asked: Asked) -> Result<Value, Fault> {
    let room = asked.room(Some(asked.args.needed_text("workspace")?)).await?;
    if &*room.id == PUBLIC {
        return Err(Fault::permission("Permission denied: this workspace is the server's own"));
    }
    pause(&asked, &room.id).await;
    let permit = asked.leave::<workspace::Delete>(&room)?;
    let workspaces = asked.hub.engine().workspaces();
    let stored = match workspaces.find(&room.id).await {
        Ok(found) => found.is_some(),
        Err(error) => return Ok(permit.close(Err(error))?),
    };
    // While the store was asked another may have removed it, and somebody may have made a new one of its name, which is none of this. Before it
    // is gone: what was issued up to then is ended by its going, and nothing is issued later by whoever is still at it.
    let is_another = match asked.hub.live_room(&room.id) {
        Some(live) => !Arc::ptr_eq(&live, &room),
        // Rooms that are found again are forgotten between two looks at them.
        None => !stored && !names::is_own(&room.id),
    };
    if is_another || !room.end() {
        return Ok(permit.close(Err(Error::new(codes::NOT_FOUND)))?);
    }
    let going = Going { hub: &asked.hub, room: &room };
    let removed = match stored {
        true => workspaces.delete(permit, &room.id).await,
        false => workspaces.empty(permit, &room.id, &room.owner()).await,
    };
    if let Err(error) = removed {
        // Another process may have removed it.
        if !(stored && matches!(workspaces.find(&room.id).await, Ok(None))) {
            going.comes_back();
        }
        return Err(error.into());
    }
    asked.hub.tell(&room, "workspace_deleted", &json!({"id": &*room.id, "workspace": &*room.id}));
    drop(going);
    Ok(Value::Nil)
}

/// A room that is being ended. Whoever asked for it may leave in the middle, and nobody knows then how far the store came: nobody stays in it
/// either way, and what is kept is found again.
struct Going<'a> {
    hub: &'a Hub,
    room: &'a Arc<Room>,
}

impl Going<'_> {
    fn comes_back(self) {
        self.hub.go_on(self.room);
        // Nothing is left to end.
        std::mem::forget(self);
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.hub.unload(self.room, "the workspace was removed");
    }
}

pub(super) async fn info(asked: Asked) -> Result<Value, Fault> {
    let room = asked.room(asked.args.text("workspace")?).await?;
    if &*room.id != PUBLIC {
        asked.may::<workspace::Read>(&room)?;
    }
    let found = room.workspace.read().clone();
    let mut told = shown(&found, true);
    if found.persistent && asked.hub.permission(&asked.peer.call, &room) == Some(Permission::Admin) {
        let permit = asked.leave::<workspace::Read>(&room)?;
        let workspaces = asked.hub.engine().workspaces();
        let marks = workspaces.bookmarks(permit, (&room.id, &found.owner)).await?;
        let mut config = value::get(&told, "config").cloned().unwrap_or(Value::Map(Vec::new()));
        value::set(&mut config, "bookmarks", Value::Array(marks.iter().map(value::from_json).collect()));
        value::set(&mut told, "config", config);
    }
    Ok(told)
}

pub(super) async fn list(asked: Asked) -> Result<Value, Fault> {
    let wanted = asked.args.map("match")?;
    let offset = asked.args.number("offset")?.unwrap_or(0.0).clamp(0.0, 1e9) as usize;
    let limit = asked.args.number("limit")?.unwrap_or(256.0).clamp(1.0, 1000.0) as usize;
    let call = &asked.peer.call;
    // A visitor has none that stay.
    let mut all: Vec<Workspace> = if asked.peer.user.is_anonymous {
        Vec::new()
    } else {
        let permit = call.permit::<workspace::List>(Target::any())?;
        let workspaces = asked.hub.engine().workspaces();
        let mut all = workspaces.list(permit, Page { limit: 200, ..Page::default() }).await?;
        // What one is a member's of, as far as the decision lets one see it.
        let authority = &asked.hub.mount().tokens.authority;
        for shared in workspaces.shared_with(&call.auth.principal, authority).await? {
            let room = Room::new(shared);
            if asked.hub.permission(call, &room).is_some() && !all.iter().any(|found| found.id == *room.id) {
                all.push(room.workspace.into_inner());
            }
        }
        all
    };
    // Those that stay nowhere but here, and one's own.
    let live: Vec<_> = asked.hub.0.rooms.read().values().cloned().collect();
    for room in live {
        let known = all.iter().any(|found| found.id == *room.id);
        if !known && &*room.id != PUBLIC && asked.hub.permission(call, &room).is_some() {
            all.push(room.workspace.read().clone());
        }
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let matches = |found: &Value| {
        let wanted = wanted.as_map().into_iter().flatten();
        wanted.clone().all(|(key, value)| value::get(found, key.as_str().unwrap_or_default()) == Some(value))
    };
    let listed = all.iter().map(|found| shown(found, true)).filter(matches).skip(offset).take(limit);
    Ok(Value::Array(listed.collect()))
}
