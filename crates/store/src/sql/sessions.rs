//! Sessions.

use doorward_core::id::{SessionId, UserId};
use doorward_core::identity::model::{PastLogin, Session, SessionOrigin};
use doorward_core::ports::store::Sessions;
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, mount, source, device, address, user_agent, created_at_ms, last_seen_at_ms, \
             idle_limit_ms, expires_at_ms, ended_at_ms FROM session ",
            $rest
        )
    };
}

pub(super) fn insert(session: Session) -> Step {
    Step::row(
        "INSERT INTO session (id, account, mount, source, device, address, user_agent, created_at_ms, \
         last_seen_at_ms, idle_limit_ms, expires_at_ms, ended_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING",
        owned![
            &session.id,
            &session.user,
            session.mount,
            session.origin.source,
            session.origin.device,
            session.origin.address,
            session.origin.user_agent,
            session.created_at_ms,
            session.last_seen_at_ms,
            session.idle_limit_ms,
            session.expires_at_ms,
            session.ended_at_ms,
        ],
        Conflict::Exists,
    )
}

pub(super) fn end(id: &SessionId, at_ms: i64) -> Step {
    Step::row(
        "UPDATE session SET ended_at_ms = $2 WHERE id = $1 AND ended_at_ms IS NULL",
        owned![id, at_ms],
        Conflict::Missing,
    )
}

pub(super) fn touch(id: &SessionId, at_ms: i64) -> Step {
    Step::any(
        "UPDATE session SET last_seen_at_ms = $2 \
         WHERE id = $1 AND last_seen_at_ms < $2 AND ended_at_ms IS NULL",
        owned![id, at_ms],
    )
}

fn read(row: Row<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.text(0)?.into(),
        user: row.text(1)?.into(),
        mount: row.text(2)?.to_owned(),
        origin: SessionOrigin {
            source: row.maybe_string(3)?,
            device: row.maybe_string(4)?,
            address: row.maybe_string(5)?,
            user_agent: row.maybe_string(6)?,
        },
        created_at_ms: row.i64(7)?,
        last_seen_at_ms: row.i64(8)?,
        idle_limit_ms: row.i64(9)?,
        expires_at_ms: row.i64(10)?,
        ended_at_ms: row.maybe_i64(11)?,
    })
}

impl Sessions for SqlStore {
    fn session<'a>(&'a self, id: &'a SessionId) -> StoreFuture<'a, Option<Session>> {
        Box::pin(async move { self.one(select!("WHERE id = $1"), &[Value::from(id)], read).await })
    }

    fn sessions_of<'a>(&'a self, user: &'a UserId, now_ms: i64) -> StoreFuture<'a, Vec<Session>> {
        Box::pin(async move {
            let sql =
                select!("WHERE account = $1 AND ended_at_ms IS NULL AND expires_at_ms > $2 ORDER BY id DESC");
            self.list(sql, &[user.into(), now_ms.into()], read).await
        })
    }

    fn recent_logins<'a>(&'a self, user: &'a UserId, limit: u32) -> StoreFuture<'a, Vec<PastLogin>> {
        Box::pin(async move {
            let sql = "SELECT address, user_agent, created_at_ms FROM session \
                       WHERE account = $1 ORDER BY id DESC LIMIT $2";
            let read = |row: Row<'_>| {
                let (address, user_agent) = (row.maybe_string(0)?, row.maybe_string(1)?);
                Ok(PastLogin { address, user_agent, at_ms: row.i64(2)? })
            };
            self.list(sql, &[user.into(), i64::from(limit).into()], read).await
        })
    }
}
