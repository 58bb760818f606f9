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
             account.updated_at_ms, account.version, account.email_confirmed_at_ms, account.phone, \
             account.phone_confirmed_at_ms, account.banned_until_ms, account.anonymous, account.deleted_at_ms, \
             account.invited_at_ms, account.moving FROM account ",
            $rest
        )
    };
}

const BY_ID: &str = select!("WHERE account.id = $1");
const BY_LOGIN: &str = select!("JOIN login ON login.account = account.id WHERE login.name = $1");
const PAGE: &str = select!("WHERE account.id > $1 ORDER BY account.id LIMIT $2");
const NEWEST: &str = select!("ORDER BY account.id DESC LIMIT $1 OFFSET $2");

/// A phone number among the names that people log in by. No address and no user name has a colon.
fn phone_name(phone: &str) -> String {
    format!("tel:{phone}")
}

fn moving(user: &User) -> Result<Option<String>, StoreError> {
    user.moving.as_ref().map(json).transpose()
}

pub(super) fn insert(user: &User, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "INSERT INTO account (id, username, email, display_name, roles, user_metadata, admin_metadata, disabled, \
         created_at_ms, updated_at_ms, version, email_confirmed_at_ms, phone, phone_confirmed_at_ms, \
         banned_until_ms, anonymous, deleted_at_ms, invited_at_ms, moving) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
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
            user.phone.as_ref(),
            user.phone_confirmed_at_ms,
            user.banned_until_ms,
            user.anonymous,
            user.deleted_at_ms,
            user.invited_at_ms,
            moving(user)?,
        ],
        Conflict::Exists,
    ));
    names_and_roles(user, to);
    Ok(())
}

pub(super) fn update(user: &User, to: &mut Vec<Step>) -> Result<(), StoreError> {
    to.push(Step::row(
        "UPDATE account SET username = $2, email = $3, display_name = $4, roles = $5, user_metadata = $6, \
         admin_metadata = $7, disabled = $8, updated_at_ms = $9, version = $10, email_confirmed_at_ms = $11, \
         phone = $13, phone_confirmed_at_ms = $14, banned_until_ms = $15, anonymous = $16, deleted_at_ms = $17, \
         invited_at_ms = $18, moving = $19 WHERE id = $1 AND version = $12",
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
            user.phone.as_ref(),
            user.phone_confirmed_at_ms,
            user.banned_until_ms,
            user.anonymous,
            user.deleted_at_ms,
            user.invited_at_ms,
            moving(user)?,
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
    if let Some(phone) = &user.phone {
        to.push(Step::row(LOGIN, owned![phone_name(phone), &user.id], Conflict::PhoneTaken));
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

pub(super) fn drop_password(user: &UserId) -> Step {
    Step::any("DELETE FROM password WHERE account = $1", owned![user])
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
        phone: row.maybe_string(12)?,
        phone_confirmed_at_ms: row.maybe_i64(13)?,
        banned_until_ms: row.maybe_i64(14)?,
        anonymous: row.i64(15)? != 0,
        deleted_at_ms: row.maybe_i64(16)?,
        invited_at_ms: row.maybe_i64(17)?,
        moving: row.maybe_json(18)?,
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

    fn newest_users(&self, skip: u32, limit: u32) -> StoreFuture<'_, Vec<User>> {
        Box::pin(async move { self.list(NEWEST, &[limit.into(), skip.into()], read).await })
    }

    fn count_users(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let counted = self.one("SELECT COUNT(*) FROM account", &[], |row| row.i64(0)).await?;
            Ok(counted.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
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
