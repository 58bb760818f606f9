//! What the embedded agent server keeps beside threads, filtered in the query.

use doorward_core::agents::document::{Document, Kind, root};
use doorward_core::authz::filter::Filter;
use doorward_core::ports::documents::{DocumentQuery, Documents, Place};
use doorward_core::ports::store::ThreadOrder;
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use super::{json, labels};
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};
use crate::filter::{self, Labelled};

const DOCUMENT: Labelled = Labelled {
    owner: "document.owner",
    prefix: "document:",
    id: "document.id",
    many: false,
    in_order: false,
};

const SELECT: &str = "SELECT document.id, document.kind, document.mount, document.owner, document.place, document.name, \
                      document.sharing, document.metadata, document.body, document.revision, document.created_at_ms, \
                      document.updated_at_ms, document.due_at_ms FROM document WHERE ";

fn resource(id: &str) -> String {
    format!("{}{id}", DOCUMENT.prefix)
}

fn expect_room(document: &Document, most: Option<u32>, most_bytes: u64) -> Step {
    let most = most.map_or(i64::MAX, i64::from);
    let most_bytes = i64::try_from(most_bytes).unwrap_or(i64::MAX);
    Step::row(
        "SELECT 1 FROM (SELECT COUNT(*) AS held, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS size \
         FROM document WHERE mount = $1 AND kind = $2 AND owner = $3) AS kept WHERE held <= $4 AND size <= $5",
        owned![&document.mount, document.kind.as_str(), &document.owner, most, most_bytes],
        Conflict::TooMany,
    )
}

pub(super) fn insert(
    document: &Document,
    most: u32,
    most_bytes: u64,
    to: &mut Vec<Step>,
) -> Result<(), StoreError> {
    let (metadata, body) = (json(&document.metadata)?, json(&document.body)?);
    let size = i64::try_from(metadata.len() + body.len()).unwrap_or(i64::MAX);
    to.push(Step::row(
        "INSERT INTO document (id, kind, mount, owner, root, place, name, sharing, metadata, body, bytes, revision, \
         created_at_ms, updated_at_ms, due_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
        owned![
            &document.id,
            document.kind.as_str(),
            &document.mount,
            &document.owner,
            document.root(),
            &document.place,
            &document.name,
            &document.sharing,
            metadata,
            body,
            size,
            document.revision,
            document.created_at_ms,
            document.updated_at_ms,
            document.due_at_ms,
        ],
        Conflict::Exists,
    ));
    labels::insert(&resource(&document.id), &document.seen(), labels::IN_NO_ORDER, to);
    to.push(expect_room(document, Some(most), most_bytes));
    Ok(())
}

/// Kind, mount, owner, place and name stay.
pub(super) fn change(
    document: &Document,
    revision: i64,
    most_bytes: u64,
    to: &mut Vec<Step>,
) -> Result<(), StoreError> {
    let (metadata, body) = (json(&document.metadata)?, json(&document.body)?);
    let size = i64::try_from(metadata.len() + body.len()).unwrap_or(i64::MAX);
    to.push(Step::row(
        "UPDATE document SET metadata = $3, body = $4, bytes = $5, revision = $6, created_at_ms = $7, \
         updated_at_ms = $8, due_at_ms = $9 WHERE id = $1 AND revision = $2",
        owned![
            &document.id,
            revision,
            metadata,
            body,
            size,
            document.revision,
            document.created_at_ms,
            document.updated_at_ms,
            document.due_at_ms,
        ],
        Conflict::Stale,
    ));
    to.push(labels::delete(&resource(&document.id)));
    labels::insert(&resource(&document.id), &document.seen(), labels::IN_NO_ORDER, to);
    to.push(expect_room(document, None, most_bytes));
    Ok(())
}

pub(super) fn defer(id: String, due_at_ms: i64) -> Step {
    Step::any("UPDATE document SET due_at_ms = $2 WHERE id = $1 AND due_at_ms < $2", owned![id, due_at_ms])
}

pub(super) fn delete(id: String, to: &mut Vec<Step>) {
    to.push(labels::delete(&resource(&id)));
    to.push(Step::row("DELETE FROM document WHERE id = $1", owned![id], Conflict::Missing));
}

/// Removes items that have ended, at most so many: their labels first.
pub(super) fn prune(now_ms: i64, most: i64) -> [Step; 2] {
    [
        Step::any(
            "DELETE FROM label WHERE resource IN (SELECT 'document:' || ended.id FROM (SELECT id FROM document \
             WHERE kind = 'item' AND due_at_ms <= $1 ORDER BY due_at_ms, id LIMIT $2) AS ended)",
            owned![now_ms, most],
        ),
        Step::any(
            "DELETE FROM document WHERE id IN (SELECT id FROM document WHERE kind = 'item' AND due_at_ms <= $1 \
             ORDER BY due_at_ms, id LIMIT $2)",
            owned![now_ms, most],
        ),
    ]
}

fn read(row: Row<'_>) -> Result<Document, StoreError> {
    let kind = row.text(1)?;
    Ok(Document {
        id: row.text(0)?.to_owned(),
        kind: Kind::parse(kind)
            .ok_or_else(|| StoreError::Corrupt(format!("a document is of no kind: {kind}")))?,
        mount: row.text(2)?.to_owned(),
        owner: row.text(3)?.to_owned(),
        place: row.text(4)?.to_owned(),
        name: row.text(5)?.to_owned(),
        sharing: row.text(6)?.to_owned(),
        metadata: row.json(7)?,
        body: row.json(8)?,
        revision: row.i64(9)?,
        created_at_ms: row.i64(10)?,
        updated_at_ms: row.i64(11)?,
        due_at_ms: row.maybe_i64(12)?,
    })
}

/// The query for documents and its values.
fn query<'a>(
    mount: &'a str,
    kind: Kind,
    filter: &'a Filter,
    query: &'a DocumentQuery,
) -> (String, Vec<Value<'a>>) {
    let mut sql = format!("{SELECT}document.mount = $1 AND document.kind = $2 AND ");
    let mut params = vec![
        Value::from(mount),
        Value::from(kind.as_str()),
        Value::from(query.limit),
        Value::from(query.offset),
    ];
    // Within a place or an owner's own labels are looked at row by row; over a whole mount they are found by their value.
    let mut many = !filter::is_of_one_owner(filter);
    match &query.place {
        None => {}
        Some(Place::At(place)) => {
            params.push(Value::from(place));
            sql.push_str("document.place = $5 AND ");
            many = many && query.name.is_none();
        }
        Some(Place::Under(place)) => {
            params.extend([Value::from(root(place)), Value::from(place)]);
            sql.push_str(
                "document.root = $5 AND substr(document.place, 1, length(CAST($6 AS TEXT))) = $6 AND ",
            );
        }
    }
    if let Some(name) = &query.name {
        params.push(Value::from(name));
        sql.push_str(&format!("document.name = ${} AND ", params.len()));
    }
    filter::compile(filter, Labelled { many, ..DOCUMENT }, &mut sql, &mut params);
    let column = match query.by {
        ThreadOrder::Id => "",
        ThreadOrder::CreatedAt => "document.created_at_ms",
        ThreadOrder::UpdatedAt => "document.updated_at_ms",
    };
    let direction = if query.ascending { "ASC" } else { "DESC" };
    sql.push_str(" ORDER BY ");
    if !column.is_empty() {
        sql.push_str(&format!("{column} {direction}, "));
    }
    sql.push_str(&format!("document.id {direction} LIMIT $3 OFFSET $4"));
    (sql, params)
}

impl Documents for SqlStore {
    fn document<'a>(
        &'a self,
        mount: &'a str,
        kind: Kind,
        id: &'a str,
        filter: &'a Filter,
    ) -> StoreFuture<'a, Option<Document>> {
        Box::pin(async move {
            let mut sql =
                format!("{SELECT}document.mount = $1 AND document.kind = $2 AND document.id = $3 AND ");
            let mut params = vec![Value::from(mount), Value::from(kind.as_str()), Value::from(id)];
            filter::compile(filter, DOCUMENT, &mut sql, &mut params);
            self.one(&sql, &params, read).await
        })
    }

    fn documents<'a>(
        &'a self,
        mount: &'a str,
        kind: Kind,
        filter: &'a Filter,
        wanted: &'a DocumentQuery,
    ) -> StoreFuture<'a, Vec<Document>> {
        Box::pin(async move {
            let filter = self.rarest_first(filter, DOCUMENT).await?;
            let (sql, params) = query(mount, kind, &filter, wanted);
            self.list(&sql, &params, read).await
        })
    }

    fn due_documents<'a>(
        &'a self,
        mount: &'a str,
        kind: Kind,
        now_ms: i64,
        limit: u32,
    ) -> StoreFuture<'a, Vec<Document>> {
        Box::pin(async move {
            let sql = format!(
                "{SELECT}document.mount = $4 AND document.kind = $1 AND document.due_at_ms <= $2 \
                 ORDER BY document.due_at_ms, document.id LIMIT $3"
            );
            let params =
                [Value::from(kind.as_str()), Value::from(now_ms), Value::from(limit), Value::from(mount)];
            self.list(&sql, &params, read).await
        })
    }
}
