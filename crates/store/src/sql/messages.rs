//! Messages of threads.

use doorward_core::agents::model::{Message, MessageRole};
use doorward_core::id::{MessageId, ThreadId};
use doorward_core::ports::store::Page;
use doorward_core::ports::{Conflict, StoreError};

use super::json;
use crate::SqlStore;
use crate::backend::{Row, Step, owned};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, thread, role, content, metadata, run, created_at_ms FROM message ", $rest)
    };
}

/// A thread that is gone breaks the reference, which is the conflict `Missing`.
pub(super) fn insert(message: &Message) -> Result<Step, StoreError> {
    Ok(Step::row(
        "INSERT INTO message (id, thread, role, content, metadata, run, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (thread, id) DO NOTHING",
        owned![
            &message.id,
            &message.thread,
            message.role.as_str(),
            json(&message.content)?,
            json(&message.metadata)?,
            message.run.as_ref(),
            message.created_at_ms,
        ],
        Conflict::Exists,
    ))
}

pub(super) fn delete(thread: &ThreadId, id: &MessageId) -> Step {
    Step::row("DELETE FROM message WHERE thread = $1 AND id = $2", owned![thread, id], Conflict::Missing)
}

fn read(row: Row<'_>) -> Result<Message, StoreError> {
    Ok(Message {
        id: row.text(0)?.into(),
        thread: row.text(1)?.into(),
        role: MessageRole::parse(row.text(2)?)
            .ok_or_else(|| StoreError::Corrupt("a message has an unknown role".into()))?,
        content: row.json(3)?,
        metadata: row.json(4)?,
        run: row.maybe_text(5)?.map(Into::into),
        created_at_ms: row.i64(6)?,
    })
}

pub(super) async fn newest(
    store: &SqlStore,
    thread: &ThreadId,
    before: Option<&MessageId>,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let mut found = match before {
        None => {
            let sql = select!("WHERE thread = $1 ORDER BY id DESC LIMIT $2");
            store.in_order(sql, &[thread.into(), limit.into()], read).await?
        }
        Some(before) => {
            let sql = select!("WHERE thread = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
            store.in_order(sql, &[thread.into(), before.into(), limit.into()], read).await?
        }
    };
    found.reverse();
    Ok(found)
}

pub(super) async fn page(
    store: &SqlStore,
    thread: &ThreadId,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    let after = page.after.as_deref().unwrap_or("");
    let sql = select!("WHERE thread = $1 AND id > $2 ORDER BY id LIMIT $3");
    store.in_order(sql, &[thread.into(), after.into(), page.limit.into()], read).await
}

pub(super) async fn one(
    store: &SqlStore,
    thread: &ThreadId,
    id: &MessageId,
) -> Result<Option<Message>, StoreError> {
    store.one(select!("WHERE thread = $1 AND id = $2"), &[thread.into(), id.into()], read).await
}
