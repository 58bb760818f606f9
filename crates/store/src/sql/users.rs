//! Accounts, the names they log in by, their roles and password hashes.

use doorward_core::id::UserId;
use doorward_core::identity::model::User;
use doorward_core::ports::store::{Page, Users};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use super::json;
use crate::SqlStore;
use crate::backend::{Row, Step, Value, owned};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account.id, account.username, account.email, account.display_name, account.roles, \
             account.user_metadata, account.admin_metadata, account.disabled, account.created_at_ms, \
             account.updated_at_ms, account.version, account.email_confirmed_at_ms FROM account ",
            $rest
        )
    };
}

const BY_ID: &str = select!("WHERE account.id = $1");
const BY_LOGIN: &str = select!("JOIN login ON login.account = account.id WHERE login.name = $1");
const PAGE: &str = select!("WHERE account.id > $1 ORDER BY account.id LIMIT $2");

pub(super) fn insert(user: &User, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "INSERT INTO account (id, username, email, display_name, roles, user_metadata, admin_metadata, disabled, \
         created_at_ms, updated_at_ms, version, email_confirmed_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (id) DO NOTHING",
        owned![
            &user.id,
            user.username.as_ref(),
            user.email.as_ref(),
            user.display_name.as_ref(),
            json(&user.roles)?,
            json(&user.user_metadata)?,
            json(&user.admin_metadata)?,
            user.disabled,
            user.created_at_ms,
            user.updated_at_ms,
            user.version,
            user.email_confirmed_at_ms,
        ],
        Conflict::Exists,
    ));
    names_and_roles(user, to);
    Ok(())
}

pub(super) fn update(user: &User, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "UPDATE account SET username = $2, email = $3, display_name = $4, roles = $5, user_metadata = $6, \
         admin_metadata = $7, disabled = $8, updated_at_ms = $9, version = $10, email_confirmed_at_ms = $11 \
         WHERE id = $1 AND version = $12",
        owned![
            &user.id,
            user.username.as_ref(),
            user.email.as_ref(),
            user.display_name.as_ref(),
            json(&user.roles)?,
            json(&user.user_metadata)?,
            json(&user.admin_metadata)?,
            user.disabled,
            user.updated_at_ms,
            user.version,
            user.email_confirmed_at_ms,
            user.version.saturating_sub(1),
        ],
        Conflict::Stale,
    ));
    to.push(Step::any("DELETE FROM login WHERE account = $1", owned![&user.id]));
    to.push(Step::any("DELETE FROM account_role WHERE account = $1", owned![&user.id]));
    names_and_roles(user, to);
    Ok(())
}

fn names_and_roles(user: &User, to: &mut Vec<Step>) {
    const LOGIN: &str = "INSERT INTO login (name, account) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    if let Some(email) = &user.email {
        to.push(Step::row(LOGIN, owned![email, &user.id], Conflict::EmailTaken));
    }
    if let Some(username) = &user.username
        && user.email.as_ref() != Some(username)
    {
        to.push(Step::row(LOGIN, owned![username, &user.id], Conflict::UsernameTaken));
    }
    for role in &user.roles {
        to.push(Step::any(
            "INSERT INTO account_role (role, account) VALUES ($1, $2) ON CONFLICT (role, account) DO NOTHING",
            owned![&**role, &user.id],
        ));
    }
}

pub(super) fn delete(id: &UserId, to: &mut Vec<Step>) {
    for sql in [
        "DELETE FROM login WHERE account = $1",
        "DELETE FROM account_role WHERE account = $1",
        "DELETE FROM password WHERE account = $1",
        "DELETE FROM api_key WHERE account = $1",
        "DELETE FROM family WHERE account = $1",
        "DELETE FROM session WHERE account = $1",
        "DELETE FROM identity WHERE account = $1",
    ] {
        to.push(Step::any(sql, owned![id]));
    }
    to.push(Step::row("DELETE FROM account WHERE id = $1", owned![id], Conflict::Missing));
}

pub(super) fn set_password(user: &UserId, phc: String, at_ms: i64) -> Step {
    Step::any(
        "INSERT INTO password (account, phc, changed_at_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (account) DO UPDATE SET phc = excluded.phc, changed_at_ms = excluded.changed_at_ms",
        owned![user, phc, at_ms],
    )
}

pub(super) fn expect_password(user: &UserId, phc: String) -> Step {
    Step::row("SELECT 1 FROM password WHERE account = $1 AND phc = $2", owned![user, phc], Conflict::Stale)
}

pub(super) fn expect_another_holder(role: String, but: &UserId) -> Step {
    Step::row(
        "SELECT 1 FROM account_role JOIN account ON account.id = account_role.account \
         WHERE account_role.role = $1 AND account_role.account <> $2 AND account.disabled = 0 LIMIT 1",
        owned![role, but],
        Conflict::LastHolder,
    )
}

fn read(row: Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: row.text(0)?.into(),
        username: row.maybe_string(1)?,
        email: row.maybe_string(2)?,
        display_name: row.maybe_string(3)?,
        roles: row.json(4)?,
        user_metadata: row.json(5)?,
        admin_metadata: row.json(6)?,
        disabled: row.i64(7)? != 0,
        created_at_ms: row.i64(8)?,
        updated_at_ms: row.i64(9)?,
        version: row.i64(10)?,
        email_confirmed_at_ms: row.maybe_i64(11)?,
    })
}

impl Users for SqlStore {
    fn user<'a>(&'a self, id: &'a UserId) -> StoreFuture<'a, Option<User>> {
        Box::pin(async move { self.one(BY_ID, &[Value::from(id)], read).await })
    }

    fn user_by_login<'a>(&'a self, login: &'a str) -> StoreFuture<'a, Option<User>> {
        Box::pin(async move { self.one(BY_LOGIN, &[Value::from(login)], read).await })
    }

    fn users(&self, page: Page) -> StoreFuture<'_, Vec<User>> {
        Box::pin(async move {
            let after = page.after.as_deref().unwrap_or("");
            self.list(PAGE, &[after.into(), page.limit.into()], read).await
        })
    }

    fn password<'a>(&'a self, id: &'a UserId) -> StoreFuture<'a, Option<String>> {
        Box::pin(async move {
            let sql = "SELECT phc FROM password WHERE account = $1";
            self.one(sql, &[Value::from(id)], |row| row.text(0).map(str::to_owned)).await
        })
    }

    fn any_user_with_role<'a>(&'a self, role: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let sql = "SELECT 1 FROM account_role WHERE role = $1 LIMIT 1";
            Ok(self.one(sql, &[Value::from(role)], |_| Ok(())).await?.is_some())
        })
    }
}
