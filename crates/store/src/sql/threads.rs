//! Threads, filtered in the query.

use doorward_core::agents::model::{Message, Run, Thread};
use doorward_core::authz::filter::Filter;
use doorward_core::id::{MessageId, RunId, ThreadId};
use doorward_core::ports::store::{Page, ThreadHead, ThreadQuery, Threads};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use super::{json, labels, messages, runs, thread_search};
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};
use crate::filter::{self, Labelled};

pub(super) const THREAD: Labelled =
    Labelled { owner: "thread.owner", prefix: "thread:", id: "thread.id", many: false, in_order: true };

/// What [`read`] takes.
macro_rules! columns {
    () => {
        "thread.id, thread.mount, thread.owner, thread.name, thread.metadata, thread.state, thread.created_at_ms, \
         thread.updated_at_ms"
    };
}
pub(super) use columns;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM thread WHERE thread.mount = $1 AND ");

/// Within one owner's threads labels are looked at row by row; over a whole mount they are found by their value.
pub(super) fn many(filter: &Filter) -> Labelled {
    Labelled { many: !filter::is_of_one_owner(filter), ..THREAD }
}

fn resource(id: &ThreadId) -> String {
    format!("{}{id}", THREAD.prefix)
}

pub(super) fn insert(thread: &Thread, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "INSERT INTO thread (id, mount, owner, name, metadata, state, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
        owned![
            &thread.id,
            &thread.mount,
            &thread.owner,
            thread.name.as_ref(),
            json(&thread.metadata)?,
            json(&thread.state)?,
            thread.created_at_ms,
            thread.updated_at_ms,
        ],
        Conflict::Exists,
    ));
    labels::insert(&resource(&thread.id), &thread.metadata, thread.updated_at_ms, to);
    Ok(())
}

pub(super) fn update(thread: &Thread, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "UPDATE thread SET name = $2, metadata = $3, state = $4, created_at_ms = $5, updated_at_ms = $6 \
         WHERE id = $1",
        owned![
            &thread.id,
            thread.name.as_ref(),
            json(&thread.metadata)?,
            json(&thread.state)?,
            thread.created_at_ms,
            thread.updated_at_ms,
        ],
        Conflict::Missing,
    ));
    to.push(labels::delete(&resource(&thread.id)));
    labels::insert(&resource(&thread.id), &thread.metadata, thread.updated_at_ms, to);
    Ok(())
}

/// What handlers look at stands in the metadata: a write that saw an older one must not bring it back.
pub(super) fn change(thread: &Thread, seen: &Thread, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "UPDATE thread SET name = $2, metadata = $3, state = $4, updated_at_ms = $5 \
         WHERE id = $1 AND metadata = $6 AND state = $7",
        owned![
            &thread.id,
            thread.name.as_ref(),
            json(&thread.metadata)?,
            json(&thread.state)?,
            thread.updated_at_ms,
            json(&seen.metadata)?,
            json(&seen.state)?,
        ],
        Conflict::Stale,
    ));
    to.push(labels::delete(&resource(&thread.id)));
    labels::insert(&resource(&thread.id), &thread.metadata, thread.updated_at_ms, to);
    Ok(())
}

/// The labels stand in the order of these changes.
pub(super) fn touch(id: &ThreadId, at_ms: i64, to: &mut Vec<Step>) {
    let sql = "UPDATE thread SET updated_at_ms = $2 WHERE id = $1 AND updated_at_ms < $2";
    to.push(Step::any(sql, owned![id, at_ms]));
    to.push(labels::touch(&resource(id), at_ms));
}

pub(super) fn delete(id: &ThreadId, to: &mut Vec<Step>) {
    to.push(Step::any("DELETE FROM message WHERE thread = $1", owned![id]));
    to.push(Step::any("DELETE FROM run WHERE thread = $1", owned![id]));
    to.push(labels::delete(&resource(id)));
    to.push(Step::row("DELETE FROM thread WHERE id = $1", owned![id], Conflict::Missing));
}

pub(super) fn read(row: Row<'_>) -> Result<Thread, StoreError> {
    Ok(Thread {
        id: row.text(0)?.into(),
        mount: row.text(1)?.to_owned(),
        owner: row.text(2)?.to_owned(),
        name: row.maybe_string(3)?,
        metadata: row.json(4)?,
        state: row.json(5)?,
        created_at_ms: row.i64(6)?,
        updated_at_ms: row.i64(7)?,
    })
}

/// The query for one thread and its values.
pub(super) fn one_query<'a>(
    mount: &'a str,
    id: &'a ThreadId,
    filter: &'a Filter,
) -> (String, Vec<Value<'a>>) {
    let mut sql = format!("{SELECT}thread.id = $2 AND ");
    let mut params = vec![Value::from(mount), Value::from(id)];
    filter::compile(filter, THREAD, &mut sql, &mut params);
    (sql, params)
}

/// The query for a page of threads and its values.
pub(super) fn page_query<'a>(mount: &'a str, filter: &'a Filter, page: &'a Page) -> (String, Vec<Value<'a>>) {
    let mut sql = SELECT.to_owned();
    let mut params = vec![Value::from(mount), Value::from(page.limit)];
    if let Some(after) = &page.after {
        sql.push_str("thread.id < $3 AND ");
        params.push(Value::from(after));
    }
    filter::compile(filter, many(filter), &mut sql, &mut params);
    sql.push_str(" ORDER BY thread.id DESC LIMIT $2");
    (sql, params)
}

impl Threads for SqlStore {
    fn thread<'a>(
        &'a self,
        mount: &'a str,
        id: &'a ThreadId,
        filter: &'a Filter,
    ) -> StoreFuture<'a, Option<Thread>> {
        Box::pin(async move {
            let (sql, params) = one_query(mount, id, filter);
            self.one(&sql, &params, read).await
        })
    }

    fn threads<'a>(&'a self, mount: &'a str, filter: &'a Filter, page: Page) -> StoreFuture<'a, Vec<Thread>> {
        Box::pin(async move {
            let filter = self.rarest_first(filter, THREAD).await?;
            let (sql, params) = page_query(mount, &filter, &page);
            self.list(&sql, &params, read).await
        })
    }

    fn sorted_threads<'a>(&'a self, query: &'a ThreadQuery<'a>) -> StoreFuture<'a, Vec<Thread>> {
        Box::pin(thread_search::threads(self, query))
    }

    fn thread_heads<'a>(
        &'a self,
        query: &'a ThreadQuery<'a>,
        with_newest: bool,
    ) -> StoreFuture<'a, Vec<ThreadHead>> {
        Box::pin(thread_search::heads(self, query, with_newest))
    }

    fn messages<'a>(&'a self, thread: &'a ThreadId, page: Page) -> StoreFuture<'a, Vec<Message>> {
        Box::pin(messages::page(self, thread, page))
    }

    fn newest_messages<'a>(
        &'a self,
        thread: &'a ThreadId,
        before: Option<&'a MessageId>,
        limit: u32,
    ) -> StoreFuture<'a, Vec<Message>> {
        Box::pin(messages::newest(self, thread, before, limit))
    }

    fn message<'a>(&'a self, thread: &'a ThreadId, id: &'a MessageId) -> StoreFuture<'a, Option<Message>> {
        Box::pin(messages::one(self, thread, id))
    }

    fn runs<'a>(&'a self, thread: &'a ThreadId, page: Page) -> StoreFuture<'a, Vec<Run>> {
        Box::pin(runs::page(self, thread, page))
    }

    fn newest_runs<'a>(&'a self, threads: &'a [ThreadId]) -> StoreFuture<'a, Vec<Run>> {
        Box::pin(runs::newest(self, threads))
    }

    fn run<'a>(&'a self, thread: &'a ThreadId, id: &'a RunId) -> StoreFuture<'a, Option<Run>> {
        Box::pin(runs::one(self, thread, id))
    }
}
