//! Workspaces that stay.

use doorward_core::authz::filter::Filter;
use doorward_core::ports::store::{Page, Workspaces};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};
use doorward_core::workspaces::{Workspace, names};

use super::json;
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};
use crate::filter::{self, Labelled};

const WORKSPACE: Labelled =
    Labelled { owner: "workspace.owner", prefix: "workspace:", id: "workspace.id", many: false };

const SELECT: &str = "SELECT workspace.id, workspace.name, workspace.description, workspace.owner, \
                      workspace.owner_ids, workspace.details, workspace.created_at_ms FROM workspace WHERE ";

/// The own one does not count, and is never too many.
pub(super) fn insert(workspace: Workspace, most: u32, to: &mut Vec<Step>) -> Result<(), StoreError> {
    let counts = !workspace.id.starts_with(names::OWN);
    to.push(Step::row(
        "INSERT INTO workspace (id, name, description, owner, owner_ids, details, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        owned![
            workspace.id,
            workspace.name,
            workspace.description,
            &workspace.owner,
            json(&workspace.owner_ids)?,
            json(&workspace.details)?,
            workspace.created_at_ms,
        ],
        Conflict::Exists,
    ));
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

pub(super) fn change(to: Workspace, seen: Workspace) -> Result<Step, StoreError> {
    Ok(Step::row(
        "UPDATE workspace SET name = $2, description = $3, details = $4 \
         WHERE id = $1 AND owner = $5 AND created_at_ms = $6 AND name = $7 AND description = $8 AND details = $9",
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
        ],
        Conflict::Stale,
    ))
}

pub(super) fn delete(id: String, owner: String) -> Step {
    Step::row("DELETE FROM workspace WHERE id = $1 AND owner = $2", owned![id, owner], Conflict::Missing)
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
            filter::compile(filter, WORKSPACE, &mut sql, &mut params);
            sql.push_str(" ORDER BY workspace.id LIMIT $1");
            self.list(&sql, &params, read).await
        })
    }
}
