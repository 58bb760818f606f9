//! Workspaces that stay.

use std::collections::BTreeMap;

use doorward_core::authz::filter::Filter;
use doorward_core::ports::store::{Page, Workspaces};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};
use doorward_core::workspaces::members::LABEL;
use doorward_core::workspaces::{Member, Permission, Workspace, names};
use serde_json::{Map, Value as Json};

use super::{artifacts, json, labels};
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};
use crate::filter::{self, Labelled};

const WORKSPACE: Labelled = Labelled {
    owner: "workspace.owner",
    prefix: "workspace:",
    id: "workspace.id",
    many: false,
    in_order: false,
};

const SELECT: &str = "SELECT workspace.id, workspace.name, workspace.description, workspace.owner, \
                      workspace.owner_ids, workspace.details, workspace.created_at_ms, workspace.members FROM workspace WHERE ";

/// The own one does not count, and is never too many.
pub(super) fn insert(workspace: Workspace, most: u32, to: &mut Vec<Step>) -> Result<(), StoreError> {
    let id = workspace.id.clone();
    let counts = !workspace.id.starts_with(names::OWN);
    to.push(Step::row(
        "INSERT INTO workspace (id, name, description, owner, owner_ids, details, created_at_ms, members) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
        owned![
            workspace.id,
            workspace.name,
            workspace.description,
            &workspace.owner,
            json(&workspace.owner_ids)?,
            json(&workspace.details)?,
            workspace.created_at_ms,
            written(&workspace.members)?,
        ],
        Conflict::Exists,
    ));
    label(&id, &workspace.members, to);
    if counts {
        to.push(Step::row(
            "SELECT 1 FROM (SELECT COUNT(*) AS held FROM workspace WHERE owner = $1 \
             AND substr(id, 1, 8) <> 'ws-user-') AS made WHERE held <= $2",
            owned![workspace.owner, i64::from(most)],
            Conflict::TooMany,
        ));
    }
    Ok(())
}

pub(super) fn change(to: Workspace, seen: Workspace, steps: &mut Vec<Step>) -> Result<(), StoreError> {
    let id = to.id.clone();
    steps.push(Step::row(
        "UPDATE workspace SET name = $2, description = $3, details = $4, members = $10 \
         WHERE id = $1 AND owner = $5 AND created_at_ms = $6 AND name = $7 AND description = $8 AND details = $9 \
         AND members = $11",
        owned![
            to.id,
            to.name,
            to.description,
            json(&to.details)?,
            seen.owner,
            seen.created_at_ms,
            seen.name,
            seen.description,
            json(&seen.details)?,
            written(&to.members)?,
            written(&seen.members)?,
        ],
        Conflict::Stale,
    ));
    if to.members != seen.members {
        steps.push(labels::delete(&resource(&id)));
        label(&id, &to.members, steps);
    }
    Ok(())
}

pub(super) fn delete(id: String, owner: String, to: &mut Vec<Step>) {
    artifacts::empty(&id, to);
    to.push(labels::delete(&resource(&id)));
    to.push(Step::row(
        "DELETE FROM workspace WHERE id = $1 AND owner = $2",
        owned![id, owner],
        Conflict::Missing,
    ));
}

fn resource(id: &str) -> String {
    format!("workspace:{id}")
}

/// Members as they are kept: permission and handle, by name.
fn written(members: &BTreeMap<String, Member>) -> Result<String, StoreError> {
    let pair = |member: &Member| (member.permission.as_str(), member.handle.to_string());
    json(&members.iter().map(|(name, member)| (name, pair(member))).collect::<BTreeMap<_, _>>())
}

fn members(kept: BTreeMap<String, (String, String)>) -> Result<BTreeMap<String, Member>, StoreError> {
    let one = |(name, (permission, handle)): (String, (String, String))| {
        let permission = Permission::parse(&permission)
            .ok_or_else(|| StoreError::Corrupt("a member's permission is none".into()))?;
        Ok((name, Member { permission, handle: handle.into() }))
    };
    kept.into_iter().map(one).collect()
}

/// Whose workspaces one is a member's of is asked by this.
fn label(id: &str, members: &BTreeMap<String, Member>, to: &mut Vec<Step>) {
    if !members.is_empty() {
        let names = members.keys().map(|name| name.as_str().into()).collect();
        let members = Map::from_iter([(LABEL.to_owned(), Json::Array(names))]);
        labels::insert(&resource(id), &members, labels::IN_NO_ORDER, to);
    }
}

fn read(row: Row<'_>) -> Result<Workspace, StoreError> {
    Ok(Workspace {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        description: row.text(2)?.to_owned(),
        owner: row.text(3)?.to_owned(),
        owner_ids: row.json(4)?,
        persistent: true,
        details: row.json(5)?,
        created_at_ms: row.i64(6)?,
        members: members(row.json(7)?)?,
    })
}

impl Workspaces for SqlStore {
    fn workspace<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<Workspace>> {
        Box::pin(async move {
            let sql = format!("{SELECT}workspace.id = $1");
            self.one(&sql, &[Value::from(id)], read).await
        })
    }

    fn workspaces<'a>(&'a self, filter: &'a Filter, page: Page) -> StoreFuture<'a, Vec<Workspace>> {
        Box::pin(async move {
            let mut sql = SELECT.to_owned();
            let mut params = vec![Value::from(page.limit)];
            if let Some(after) = &page.after {
                sql.push_str("workspace.id > $2 AND ");
                params.push(Value::from(after));
            }
            let many = matches!(filter, Filter::Contains(..));
            filter::compile(filter, Labelled { many, ..WORKSPACE }, &mut sql, &mut params);
            sql.push_str(" ORDER BY workspace.id LIMIT $1");
            self.list(&sql, &params, read).await
        })
    }
}
