//! What is kept in workspaces, and what is noted of them.

use doorward_core::artifacts::{Artifact, ArtifactQuery};
use doorward_core::ports::store::{Artifacts, NoteKind, Notes};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};
use doorward_core::workspaces::names;

use super::json;
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

const SELECT: &str = "SELECT id, workspace, alias, parent, kind, manifest, config, remark, created_by, maker, \
                      created_at_ms, changed_at_ms, revision, views FROM artifact WHERE ";

/// How much one takes of what its workspace may keep.
fn bytes(manifest: &str, config: &str) -> i64 {
    i64::try_from(manifest.len() + config.len()).unwrap_or(i64::MAX)
}

/// A workspace that somebody made is still there and theirs; own ones, and the hub's, need no row.
pub(super) fn expect_workspace(id: &str, owner: &str) -> Option<Step> {
    let made = names::can_be_made(id);
    let sql = "SELECT 1 FROM workspace WHERE id = $1 AND owner = $2";
    made.then(|| Step::row(sql, owned![id, owner], Conflict::Missing))
}

fn expect_room(workspace: &str, most: Option<u32>, most_bytes: u64) -> Step {
    let most = most.map_or(i64::MAX, i64::from);
    let most_bytes = i64::try_from(most_bytes).unwrap_or(i64::MAX);
    Step::row(
        "SELECT 1 FROM (SELECT COUNT(*) AS held, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS size \
         FROM artifact WHERE workspace = $1) AS kept WHERE held <= $2 AND size <= $3",
        owned![workspace, most, most_bytes],
        Conflict::TooMany,
    )
}

pub(super) fn insert(
    artifact: Artifact,
    owner: &str,
    most: u32,
    most_bytes: u64,
    to: &mut Vec<Step>,
) -> Result<(), StoreError> {
    to.extend(expect_workspace(&artifact.workspace, owner));
    if let Some(parent) = &artifact.parent {
        to.push(Step::row(
            "SELECT 1 FROM artifact WHERE workspace = $1 AND alias = $2",
            owned![&artifact.workspace, parent],
            Conflict::Missing,
        ));
    }
    let (manifest, config) = (json(&artifact.manifest)?, json(&artifact.config)?);
    let size = bytes(&manifest, &config);
    let workspace = artifact.workspace.clone();
    to.push(Step::row(
        "INSERT INTO artifact (id, workspace, alias, parent, kind, manifest, config, remark, created_by, maker, \
         created_at_ms, changed_at_ms, revision, views, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (workspace, alias) DO NOTHING",
        owned![
            artifact.id,
            artifact.workspace,
            artifact.alias,
            artifact.parent.unwrap_or_default(),
            artifact.kind,
            manifest,
            config,
            artifact.comment,
            artifact.created_by,
            artifact.maker,
            artifact.created_at_ms,
            artifact.changed_at_ms,
            artifact.revision,
            artifact.views,
            size,
        ],
        Conflict::Exists,
    ));
    to.push(expect_room(&workspace, Some(most), most_bytes));
    Ok(())
}

pub(super) fn change(
    changed: Artifact,
    id: &str,
    revision: i64,
    most_bytes: u64,
    to: &mut Vec<Step>,
) -> Result<(), StoreError> {
    let (manifest, config) = (json(&changed.manifest)?, json(&changed.config)?);
    let size = bytes(&manifest, &config);
    to.push(Step::row(
        "UPDATE artifact SET kind = $3, manifest = $4, config = $5, remark = $6, changed_at_ms = $7, revision = $8, \
         bytes = $9 WHERE id = $1 AND revision = $2",
        owned![
            id,
            revision,
            changed.kind,
            manifest,
            config,
            changed.comment,
            changed.changed_at_ms,
            changed.revision,
            size,
        ],
        Conflict::Stale,
    ));
    to.push(expect_room(&changed.workspace, None, most_bytes));
    Ok(())
}

pub(super) fn delete(workspace: String, alias: String, id: String, recursive: bool, to: &mut Vec<Step>) {
    to.push(Step::row(
        "SELECT 1 FROM artifact WHERE workspace = $1 AND alias = $2 AND id = $3",
        owned![&workspace, &alias, id],
        Conflict::Missing,
    ));
    if !recursive {
        to.push(Step::row(
            "DELETE FROM artifact WHERE workspace = $1 AND alias = $2 \
             AND NOT EXISTS (SELECT 1 FROM artifact AS inner_one WHERE inner_one.workspace = $1 AND inner_one.parent = $2)",
            owned![workspace, alias],
            Conflict::Owned,
        ));
        return;
    }
    to.push(Step::any(
        "DELETE FROM artifact WHERE workspace = $1 AND alias IN (\
         WITH RECURSIVE below (alias) AS (\
         SELECT artifact.alias FROM artifact WHERE artifact.workspace = $1 AND artifact.alias = $2 \
         UNION SELECT artifact.alias FROM artifact JOIN below ON artifact.parent = below.alias \
         WHERE artifact.workspace = $1) SELECT alias FROM below)",
        owned![workspace, alias],
    ));
}

pub(super) fn count_views(id: String, views: i64) -> Step {
    Step::any("UPDATE artifact SET views = views + $2 WHERE id = $1", owned![id, views])
}

/// Everything that hangs on a workspace.
pub(super) fn empty(workspace: &str, to: &mut Vec<Step>) {
    to.push(Step::any("DELETE FROM artifact WHERE workspace = $1", owned![workspace]));
    to.push(Step::any("DELETE FROM note WHERE workspace = $1", owned![workspace]));
}

/// As [`empty`], of a workspace that is no row.
pub(super) fn empty_own(workspace: &str, to: &mut Vec<Step>) {
    to.push(Step::row(
        "SELECT 1 FROM (SELECT COUNT(*) AS held FROM workspace WHERE id = $1) AS made WHERE held = 0",
        owned![workspace],
        Conflict::Exists,
    ));
    empty(workspace, to);
}

/// A note of a workspace, as it is to be set.
pub(super) struct Note {
    pub(super) workspace: String,
    pub(super) owner: String,
    pub(super) kind: NoteKind,
    pub(super) name: String,
    pub(super) value: Option<Vec<u8>>,
    pub(super) most: u32,
}

pub(super) fn set_note(note: Note, to: &mut Vec<Step>) {
    let kind = note.kind.as_str();
    to.extend(expect_workspace(&note.workspace, &note.owner));
    let Some(value) = note.value else {
        let sql = "DELETE FROM note WHERE workspace = $1 AND kind = $2 AND name = $3";
        to.push(Step::any(sql, owned![note.workspace, kind, note.name]));
        return;
    };
    to.push(Step::any(
        "INSERT INTO note (workspace, kind, name, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace, kind, name) DO UPDATE SET value = excluded.value",
        owned![&note.workspace, kind, note.name, value],
    ));
    to.push(Step::row(
        "SELECT 1 FROM (SELECT COUNT(*) AS held FROM note WHERE workspace = $1 AND kind = $2) AS kept \
         WHERE held <= $3",
        owned![note.workspace, kind, i64::from(note.most)],
        Conflict::TooMany,
    ));
}

fn read(row: Row<'_>) -> Result<Artifact, StoreError> {
    Ok(Artifact {
        id: row.text(0)?.to_owned(),
        workspace: row.text(1)?.to_owned(),
        alias: row.text(2)?.to_owned(),
        parent: Some(row.text(3)?.to_owned()).filter(|parent| !parent.is_empty()),
        kind: row.text(4)?.to_owned(),
        manifest: row.json(5)?,
        config: row.json(6)?,
        comment: row.text(7)?.to_owned(),
        created_by: row.text(8)?.to_owned(),
        maker: row.text(9)?.to_owned(),
        created_at_ms: row.i64(10)?,
        changed_at_ms: row.i64(11)?,
        revision: row.i64(12)?,
        views: row.i64(13)?,
    })
}

/// What a query is for, as a condition and its values.
fn condition<'a>(workspace: &'a str, query: &'a ArtifactQuery) -> (String, Vec<Value<'a>>) {
    let parent = query.parent.as_deref().unwrap_or_default();
    let mut params = vec![Value::from(workspace), Value::from(parent)];
    let mut sql = "workspace = $1 AND parent = $2".to_owned();
    if let Some(kind) = &query.kind {
        params.push(Value::from(kind));
        sql.push_str(" AND kind = $3");
    }
    (sql, params)
}

impl Artifacts for SqlStore {
    fn artifact<'a>(&'a self, workspace: &'a str, alias: &'a str) -> StoreFuture<'a, Option<Artifact>> {
        Box::pin(async move {
            let sql = format!("{SELECT}workspace = $1 AND alias = $2");
            self.one(&sql, &[Value::from(workspace), Value::from(alias)], read).await
        })
    }

    fn artifacts<'a>(
        &'a self,
        workspace: &'a str,
        query: &'a ArtifactQuery,
    ) -> StoreFuture<'a, Vec<Artifact>> {
        Box::pin(async move {
            let (condition, mut params) = condition(workspace, query);
            let at = params.len();
            params.extend([Value::from(query.limit), Value::from(query.offset)]);
            let sql = format!("{SELECT}{condition} ORDER BY id LIMIT ${} OFFSET ${}", at + 1, at + 2);
            self.list(&sql, &params, read).await
        })
    }

    fn count_artifacts<'a>(&'a self, workspace: &'a str, query: &'a ArtifactQuery) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let (condition, params) = condition(workspace, query);
            let sql = format!("SELECT COUNT(*) FROM artifact WHERE {condition}");
            let count = self.one(&sql, &params, |row| row.i64(0)).await?;
            Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
        })
    }
}

impl Notes for SqlStore {
    fn notes<'a>(&'a self, workspace: &'a str, kind: NoteKind) -> StoreFuture<'a, Vec<(String, Vec<u8>)>> {
        Box::pin(async move {
            let sql =
                "SELECT name, value FROM note WHERE workspace = $1 AND kind = $2 ORDER BY name LIMIT 1000";
            let params = [Value::from(workspace), Value::from(kind.as_str())];
            self.list(sql, &params, |row| Ok((row.text(0)?.to_owned(), row.bytes(1)?.to_vec()))).await
        })
    }
}
