//! Settings for the programs in a workspace, which its administrators alone see, and bookmarks in one's own.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::workspace;
use doorward_core::secret::SecretText;
use doorward_protocols::hypha::value;
use rmpv::Value;
use serde_json::{Map, json};

use super::services::{Found, ServiceQuery, find};
use crate::args::wrong;
use crate::fault::Fault;
use crate::provided::Asked;
use crate::room::Room;

impl Asked {
    /// What is kept is kept where it stays.
    fn must_stay(&self, room: &Room) -> Result<(), Fault> {
        match room.workspace.read().persistent {
            true => Ok(()),
            false => Err(Fault::permission(format!(
                "Permission denied: nothing is kept in the workspace {}, which does not stay",
                room.id
            ))),
        }
    }
}

pub(super) async fn set_env(asked: Asked) -> Result<Value, Fault> {
    let room = &asked.peer.room;
    let key = asked.args.needed_text("key")?;
    let value = asked.args.text("value")?.map(|text| SecretText::new(text.to_owned()));
    let permit = asked.leave::<workspace::Manage>(room)?;
    if let Err(fault) = asked.must_stay(room) {
        return permit.close(Ok(())).map_err(Fault::from).and(Err(fault));
    }
    let owner = room.owner();
    asked.hub.engine().workspaces().set_env(permit, (&room.id, &owner), key, value.as_ref()).await?;
    Ok(Value::Nil)
}

pub(super) async fn get_env(asked: Asked) -> Result<Value, Fault> {
    let room = &asked.peer.room;
    let key = asked.args.text("key")?;
    let permit = asked.leave::<workspace::Manage>(room)?;
    let owner = room.owner();
    let all = asked.hub.engine().workspaces().env(permit, (&room.id, &owner)).await?;
    let shown = |text: &SecretText| Value::from(text.expose().as_str());
    match key {
        None => Ok(Value::Map(all.iter().map(|(key, text)| (key.as_str().into(), shown(text))).collect())),
        Some(key) => all.get(key).map(shown).ok_or_else(|| {
            Fault::key(format!("Environment variable '{key}' not found in workspace {}", room.id))
        }),
    }
}

/// What a bookmark is of: its name among others, and how it is shown.
async fn marked(asked: &Asked, item: &Value) -> Result<(String, Map<String, serde_json::Value>), Fault> {
    let text = |name: &str| value::get(item, name).and_then(Value::as_str);
    let id = text("id").ok_or_else(|| Fault::value("a bookmark has an id"))?;
    let item = match text("bookmark_type") {
        Some("workspace") => {
            let room = asked.room(Some(id)).await?;
            asked.may::<workspace::Read>(&room)?;
            let found = room.workspace.read().clone();
            asked.hub.tidy(&room);
            json!({"bookmark_type": "workspace", "id": found.id, "name": found.name, "description": found.description})
        }
        Some("service") => {
            let query = ServiceQuery { id, mode: None };
            let record = match find(&asked.hub, &asked.peer.call, &asked.peer.room.id, query).await? {
                Found::Of(_, service) => service.record(false),
                Found::Ours(at, provided) => provided.info(&at, false),
                Found::Manager => return Err(Fault::value("the manager is everywhere")),
            };
            let said = |name: &str| {
                let found = value::get(&record, name).map(value::to_json);
                found.and_then(Result::ok).unwrap_or_default()
            };
            json!({"bookmark_type": "service", "id": said("id"), "name": said("name"), "description": said("description")})
        }
        None => return Err(Fault::assertion("Bookmark type must be provided.")),
        Some(_) => return Err(wrong("bookmark_type", "workspace or service")),
    };
    let name = item.get("id").and_then(|id| id.as_str()).unwrap_or(id).to_owned();
    match item {
        serde_json::Value::Object(item) => Ok((name, item)),
        _ => Err(Fault::value("a bookmark is a map")),
    }
}

pub(super) async fn bookmark(asked: Asked) -> Result<Value, Fault> {
    let item = asked.args.needed("item")?;
    let (name, item) = marked(&asked, item).await?;
    keep(&asked, &name, Some(&item)).await
}

pub(super) async fn unbookmark(asked: Asked) -> Result<Value, Fault> {
    let item = asked.args.needed("item")?;
    let text = |name: &str| value::get(item, name).and_then(Value::as_str);
    if !matches!(text("bookmark_type"), Some("workspace" | "service")) {
        return Err(wrong("bookmark_type", "workspace or service"));
    }
    let id = text("id").ok_or_else(|| Fault::value("a bookmark has an id"))?;
    keep(&asked, id, None).await
}

/// Bookmarks are kept in one's own workspace, wherever one is.
async fn keep(
    asked: &Asked,
    name: &str,
    item: Option<&Map<String, serde_json::Value>>,
) -> Result<Value, Fault> {
    let call = &asked.peer.call;
    let id = asked.hub.own_workspace(call);
    let missing = || Fault::key(format!("Workspace {id} does not exist or is not accessible"));
    let room = asked.hub.room(&id, call).await?.ok_or_else(missing)?;
    asked.must_stay(&room)?;
    let owner = room.owner();
    let permit = call.permit::<workspace::Manage>(Target::owned(&id, &owner));
    let permit = permit.map_err(|error| super::denied(&id, error));
    asked.hub.tidy(&room);
    asked.hub.engine().workspaces().bookmark(permit?, (&id, &owner), name, item).await?;
    Ok(Value::Nil)
}
