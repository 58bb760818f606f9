//! `artifact-manager`: manifests that are kept in workspaces, with Hypha's parameters (0.21.137). What this one has no files, versions, stages or
//! secrets for is refused by name, so that nobody believes that it was kept.
//!
//! ```text
//!  alias ─► the caller's workspace · workspace/alias ─► that one
//!  leave: by what the caller may there, or by what the artifact's own permissions lend (core: `artifacts`)
//! ```

use std::borrow::Cow;

use doorward_core::artifacts::{Artifact, ArtifactChanges, ArtifactQuery, Leave, NewArtifact, Place};
use doorward_core::authz::catalogue::{Action, artifact};
use doorward_core::error::{Error, codes};
use doorward_core::operation::Call;
use doorward_core::workspaces::{Permission, names};
use doorward_protocols::hypha::value;
use rmpv::Value;
use serde_json::{Map, json};

use crate::args::{Bound, wrong};
use crate::fault::Fault;
use crate::hub::PUBLIC;
use crate::manager::denied;
use crate::provided::{Asked, Provided, Row};

/// How many are listed unless a caller says otherwise, and at most.
const LISTED: f64 = 100.0;
const MOST_LISTED: f64 = 1_000.0;

macro_rules! row {
    ($name:literal, $parameters:expr, $doc:literal, $act:path) => {
        Row { name: $name, parameters: $parameters, doc: $doc, act: |asked| Box::pin($act(asked)) }
    };
}

pub(crate) static SERVICE: Provided = Provided {
    id: "artifact-manager",
    name: "Artifact Manager",
    kind: "generic",
    description: "Manifests that are kept in workspaces",
    rows: &[
        row!(
            "create",
            &[
                "alias",
                "artifact_id",
                "workspace",
                "parent_id",
                "manifest",
                "type",
                "config",
                "secrets",
                "version",
                "comment",
                "overwrite",
                "stage"
            ],
            "Keeps a manifest under a name.",
            create
        ),
        row!("read", &["artifact_id", "silent", "version", "stage"], "What is kept under a name.", read),
        row!(
            "edit",
            &[
                "artifact_id",
                "manifest",
                "type",
                "config",
                "secrets",
                "version",
                "comment",
                "stage",
                "branch"
            ],
            "Replaces what is given of it.",
            edit
        ),
        row!(
            "list",
            &[
                "parent_id",
                "keywords",
                "filters",
                "mode",
                "offset",
                "limit",
                "order_by",
                "silent",
                "pagination",
                "stage"
            ],
            "What is kept within a collection, or within none.",
            list
        ),
        row!(
            "delete",
            &["artifact_id", "delete_files", "recursive", "version"],
            "Removes it, with recursive what is within it too.",
            delete
        ),
    ],
};

/// Where something is, and how far the caller reaches there.
struct Found<'a> {
    workspace: String,
    owner: String,
    persistent: bool,
    within: Option<Permission>,
    call: Cow<'a, Call>,
}

impl Found<'_> {
    async fn leave<A: Action>(&self, asked: &Asked, alias: Option<&str>) -> Result<Leave<A>, Fault> {
        let place = Place { workspace: &self.workspace, owner: &self.owner };
        let leave = asked.hub.engine().artifacts().leave(&self.call, place, self.within, alias).await;
        leave.map_err(|error| denied(&self.workspace, error))
    }
}

fn missing(id: &str) -> Fault {
    let shown: String = id.chars().take(200).collect();
    Fault::key(format!(
        "Artifact with ID '{shown}' does not exist. Of another workspace, name it in full: workspace/alias."
    ))
}

/// The engine's refusals, in Hypha's words where clients look for them.
fn told(error: Error, id: &str) -> Fault {
    if error.is(codes::ARTIFACT_EXISTS) {
        return Fault::exists(error.public_message());
    }
    if error.is(codes::NOT_FOUND) { missing(id) } else { error.into() }
}

/// What there is nothing of here: asked for, it is refused.
fn refuse(args: &Bound, names: &[&str]) -> Result<(), Fault> {
    let asked_for = |name: &&&str| {
        args.get(name).is_some_and(|said| match said {
            Value::Boolean(said) => *said,
            Value::Array(said) => !said.is_empty(),
            Value::Map(said) => !said.is_empty(),
            _ => true,
        })
    };
    match names.iter().find(asked_for) {
        None => Ok(()),
        Some(name) => Err(Fault::value(format!(
            "{name} is not supported: artifacts here are manifests, without files, versions, stages and secrets"
        ))),
    }
}

fn object(args: &Bound, name: &str) -> Result<Option<Map<String, serde_json::Value>>, Fault> {
    if args.get(name).is_none() {
        return Ok(None);
    }
    match value::to_json(&args.map(name)?) {
        Ok(serde_json::Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(wrong(name, "a map")),
        Err(what) => Err(wrong(name, &format!("JSON, not {what}"))),
    }
}

impl Asked {
    /// `alias` or `workspace/alias`.
    fn split<'i>(&'i self, id: &'i str) -> Result<(&'i str, &'i str), Fault> {
        let (workspace, alias) = id.split_once('/').unwrap_or((&self.peer.room.id, id));
        if alias.is_empty() || alias.contains('/') || !names::is_id(workspace) {
            return Err(Fault::value("an artifact's id is alias or workspace/alias"));
        }
        Ok((workspace, alias))
    }

    /// The workspace, whoever may be in it: an artifact of it may be for everybody. `None` where there is none.
    async fn place(&self, workspace: &str) -> Result<Option<Found<'_>>, Fault> {
        let call = &self.peer.call;
        let room = match workspace == &*self.peer.room.id {
            true => Some(std::sync::Arc::clone(&self.peer.room)),
            false => self.hub.room(workspace, call).await?,
        };
        let Some(room) = room else {
            // Somebody's own one, who is not here: nobody's but theirs, and what they gave away.
            let own = names::is_own(workspace);
            return Ok(own.then(|| Found {
                workspace: workspace.to_owned(),
                owner: String::new(),
                persistent: false,
                within: None,
                call: Cow::Borrowed(call),
            }));
        };
        let found = Found {
            workspace: room.id.to_string(),
            owner: room.owner(),
            persistent: room.workspace.read().persistent,
            // Everybody is in `public`, and nobody is a member for that.
            within: self
                .hub
                .permission(call, &room)
                .filter(|held| &*room.id != PUBLIC || held.includes(Permission::ReadWrite)),
            call: Cow::Owned(self.hub.known(call, &room).into_owned()),
        };
        self.hub.tidy(&room);
        Ok(Some(found))
    }

    /// The artifact's place, its alias, and its id in full.
    async fn meant(&self) -> Result<(Found<'_>, String, String), Fault> {
        let id = self.args.needed_text("artifact_id")?;
        let (workspace, alias) = self.split(id)?;
        let place = self.place(workspace).await?.ok_or_else(|| missing(id))?;
        Ok((place, alias.to_owned(), format!("{workspace}/{alias}")))
    }

    /// Whose a thing that the caller makes is shown to be: a token's maker, where there is one.
    fn made_for(&self) -> String {
        let auth = &self.peer.call.auth;
        let whose = auth.actors.last().unwrap_or(&auth.principal);
        names::member(whose, &self.hub.mount().tokens.authority)
    }
}

/// What each code of a permission allows.
fn allowed(code: &serde_json::Value) -> &'static [&'static str] {
    match code.as_str() {
        Some("l") => &["list"],
        Some("r") => &["read", "list"],
        Some("rw") => &["read", "list", "create", "edit"],
        Some("*") => &["read", "list", "create", "edit", "delete"],
        _ => &[],
    }
}

/// An artifact as clients know it. Whom it is for is told to those in its workspace.
fn shown(found: &Artifact, to_members: bool) -> Value {
    let full = |alias: &str| format!("{}/{alias}", found.workspace);
    let seconds = |ms: i64| ms.div_euclid(1000);
    let mut config = found.config.clone();
    let mut expanded = Map::new();
    let permissions = config.remove("permissions");
    if to_members {
        let mut permissions = permissions.and_then(|said| said.as_object().cloned()).unwrap_or_default();
        permissions.insert(found.maker.clone(), "*".into());
        expanded = permissions.iter().map(|(name, code)| (name.clone(), allowed(code).into())).collect();
        config.insert("permissions".to_owned(), permissions.into());
    }
    value::from_json(&json!({
        "id": full(&found.alias),
        "_id": found.id,
        "type": found.kind,
        "workspace": found.workspace,
        "parent_id": found.parent.as_deref().map(full),
        "alias": found.alias,
        "manifest": found.manifest,
        "config": config,
        "_permissions": expanded,
        "staging": null,
        "download_count": 0,
        "view_count": found.views,
        "file_count": 0,
        "created_at": seconds(found.created_at_ms),
        "created_by": found.created_by,
        "last_modified": seconds(found.changed_at_ms),
        "versions": [{
            "version": "v0",
            "comment": found.comment,
            "created_at": seconds(found.created_at_ms),
        }],
    }))
}

async fn create(asked: Asked) -> Result<Value, Fault> {
    let args = &asked.args;
    refuse(args, &["secrets", "version", "stage"])?;
    let text = |name: &str| args.text(name).map(|said| said.filter(|said| !said.is_empty()));
    let (mut workspace, mut alias) = (text("workspace")?, text("alias")?);
    if let Some(id) = text("artifact_id")? {
        if workspace.is_some() || alias.is_some() {
            return Err(Fault::value("artifact_id says what alias and workspace say: give one or the other"));
        }
        let (place, name) = id.split_once('/').ok_or_else(|| wrong("artifact_id", "workspace/alias"))?;
        (workspace, alias) = (Some(place), Some(name));
    } else if let Some((place, name)) = alias.and_then(|alias| alias.split_once('/')) {
        if workspace.is_some_and(|workspace| workspace != place) {
            return Err(Fault::value("workspace and alias name different workspaces"));
        }
        (workspace, alias) = (Some(place), Some(name));
    }
    let parent = text("parent_id")?.map(|parent| asked.split(parent)).transpose()?;
    if let (Some(workspace), Some((other, _))) = (workspace, parent)
        && workspace != other
    {
        return Err(Fault::value(format!("workspace {workspace} is not the parent's, which is {other}")));
    }
    let workspace = workspace.or(parent.map(|(workspace, _)| workspace)).unwrap_or(&asked.peer.room.id);
    let shown_id = alias.map_or_else(|| workspace.to_owned(), |alias| format!("{workspace}/{alias}"));
    let nowhere = || Fault::permission(format!("Permission denied for workspace {workspace}"));
    let place = asked.place(workspace).await?.ok_or_else(nowhere)?;
    let new = NewArtifact {
        alias: alias.map(str::to_owned),
        kind: args.text("type")?.map(str::to_owned),
        manifest: object(args, "manifest")?.unwrap_or_default(),
        config: object(args, "config")?.unwrap_or_default(),
        comment: args.text("comment")?.map(str::to_owned),
    };
    if args.flag("overwrite")? && alias.is_some() {
        // In the place of one that there is: to change it, one needs leave for that one.
        let leave = place.leave::<artifact::Edit>(&asked, alias).await?;
        if let Some(there) = leave.found() {
            let same = there.parent.as_deref() == parent.map(|(_, alias)| alias);
            if !same {
                return Err(Fault::exists(format!(
                    "Artifact '{shown_id}' already exists under a different parent"
                )));
            }
            let changes = ArtifactChanges {
                manifest: Some(new.manifest),
                kind: Some(new.kind.unwrap_or_else(|| "generic".to_owned())),
                config: Some(new.config),
                comment: new.comment,
            };
            let changed = asked.hub.engine().artifacts().edit(leave, changes).await;
            return Ok(shown(&changed.map_err(|error| told(error, &shown_id))?, place.within.is_some()));
        }
    }
    let leave = place.leave::<artifact::Create>(&asked, parent.map(|(_, alias)| alias)).await?;
    if let Some((workspace, parent)) = parent
        && leave.found().is_none()
    {
        return leave.refuse(missing(&format!("{workspace}/{parent}")));
    }
    if !place.persistent {
        return leave.refuse(Fault::permission(format!(
            "Cannot create artifact in a non-persistent workspace `{workspace}`"
        )));
    }
    let made = asked.hub.engine().artifacts().create(leave, new, &asked.made_for()).await;
    Ok(shown(&made.map_err(|error| told(error, &shown_id))?, place.within.is_some()))
}

async fn read(asked: Asked) -> Result<Value, Fault> {
    refuse(&asked.args, &["version", "stage"])?;
    let silent = asked.args.flag("silent")?;
    let (place, alias, id) = asked.meant().await?;
    let leave = place.leave::<artifact::Read>(&asked, Some(&alias)).await?;
    let found = asked.hub.engine().artifacts().read(leave, silent).await;
    Ok(shown(&found.map_err(|error| told(error, &id))?, place.within.is_some()))
}

async fn edit(asked: Asked) -> Result<Value, Fault> {
    let args = &asked.args;
    refuse(args, &["secrets", "version", "stage", "branch"])?;
    let changes = ArtifactChanges {
        manifest: object(args, "manifest")?,
        kind: args.text("type")?.map(str::to_owned),
        config: object(args, "config")?,
        comment: args.text("comment")?.map(str::to_owned),
    };
    let (place, alias, id) = asked.meant().await?;
    let leave = place.leave::<artifact::Edit>(&asked, Some(&alias)).await?;
    let changed = asked.hub.engine().artifacts().edit(leave, changes).await;
    Ok(shown(&changed.map_err(|error| told(error, &id))?, place.within.is_some()))
}

/// The one filter there is: a type.
fn kind(args: &Bound) -> Result<Option<String>, Fault> {
    let mut kind = None;
    for (name, said) in args.map("filters")?.as_map().into_iter().flatten() {
        match (name.as_str(), said) {
            (Some("type"), Value::String(text)) => kind = text.as_str().map(str::to_owned),
            (Some("parent_id"), Value::Nil) if args.get("parent_id").is_none() => {}
            _ => return Err(Fault::value("filters: artifacts are found by type alone")),
        }
    }
    Ok(kind)
}

async fn list(asked: Asked) -> Result<Value, Fault> {
    let args = &asked.args;
    refuse(args, &["keywords", "order_by", "stage"])?;
    if args.text("mode")?.is_some_and(|mode| mode != "AND" && mode != "OR") {
        return Err(wrong("mode", "AND or OR"));
    }
    let number = |name: &str, otherwise: f64, range: std::ops::RangeInclusive<f64>| {
        let said = args.number(name)?.unwrap_or(otherwise);
        if range.contains(&said) {
            Ok(said as u32)
        } else {
            Err(wrong(name, &format!("from {} to {}", range.start(), range.end())))
        }
    };
    let (workspace, parent) = match args.text("parent_id")? {
        Some(parent) => asked.split(parent).map(|(workspace, alias)| (workspace, Some(alias)))?,
        None => (&*asked.peer.room.id, None),
    };
    let query = ArtifactQuery {
        parent: parent.map(str::to_owned),
        kind: kind(args)?,
        offset: number("offset", 0.0, 0.0..=1_000_000.0)?,
        limit: number("limit", LISTED, 1.0..=MOST_LISTED)?,
    };
    let (offset, limit) = (query.offset, query.limit);
    let id = parent.map_or_else(|| workspace.to_owned(), |alias| format!("{workspace}/{alias}"));
    let place = asked.place(workspace).await?.ok_or_else(|| missing(&id))?;
    let leave = place.leave::<artifact::List>(&asked, parent).await?;
    let listed = asked.hub.engine().artifacts().list(leave, query, args.flag("silent")?).await;
    let (found, total) = listed.map_err(|error| told(error, &id))?;
    let items = Value::Array(found.iter().map(|one| shown(one, place.within.is_some())).collect());
    if !args.flag("pagination")? {
        return Ok(items);
    }
    Ok(value::map([
        ("items", items),
        ("total", total.into()),
        ("offset", offset.into()),
        ("limit", limit.into()),
    ]))
}

async fn delete(asked: Asked) -> Result<Value, Fault> {
    refuse(&asked.args, &["delete_files", "version"])?;
    let recursive = asked.args.flag("recursive")?;
    let (place, alias, id) = asked.meant().await?;
    let leave = place.leave::<artifact::Delete>(&asked, Some(&alias)).await?;
    asked.hub.engine().artifacts().delete(leave, recursive).await.map_err(|error| told(error, &id))?;
    Ok(Value::Nil)
}
