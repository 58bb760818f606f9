//! Accounts as administrators change them, and how far a mount's service key reaches.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::model::User;
use super::users::{Users, another_admin, is_admin, merge};
use super::validate;
use crate::authn::methods::project_key;
use crate::authz::catalogue::{Access, user};
use crate::authz::roles::{Reach, USER};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::events::catalogue as events;
use crate::id::UserId;
use crate::operation::{Grant, Permit};
use crate::ports::store::Write;
use crate::principal::Principal;
use crate::secret::SecretText;
use crate::tokens::model::{Revocation, Revoked};
use crate::tokens::revoke::{moment_ms, revoke_writes};

/// What an administrator may change; absent members stay.
#[derive(Default)]
pub struct Administration {
    /// Replaces the roles.
    pub roles: Option<Vec<String>>,
    /// Replaces the metadata that only administrators write.
    pub admin_metadata: Option<Map<String, Value>>,
    /// Goes into them, member by member; `null` removes one.
    pub merge_admin_metadata: Option<Map<String, Value>>,
    /// Goes into the user's own metadata likewise.
    pub merge_metadata: Option<Map<String, Value>>,
    /// Disables or enables.
    pub disabled: Option<bool>,
    /// Until when the user is kept out; `Some(None)` ends a ban.
    pub banned_until_ms: Option<Option<i64>>,
    /// Another address. Nobody has proven it, unless the next member says so.
    pub email: Option<String>,
    /// Whether the address is the user's.
    pub email_confirmed: Option<bool>,
    /// A phone number; `Some(None)` removes it.
    pub phone: Option<Option<String>>,
    /// Whether the number is the user's.
    pub phone_confirmed: Option<bool>,
    /// A password; every session ends.
    pub password: Option<SecretText>,
    /// Empties the account for good: names, password and metadata go, its id stays taken.
    pub deleted: bool,
}

impl Administration {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // Each by name: a member that is added has to be added here.
        let Self {
            roles,
            admin_metadata,
            merge_admin_metadata,
            merge_metadata,
            disabled,
            banned_until_ms,
            email,
            email_confirmed,
            phone,
            phone_confirmed,
            password,
            deleted,
        } = self;
        let metadata = admin_metadata.is_some() || merge_admin_metadata.is_some() || merge_metadata.is_some();
        let names =
            email.is_some() || email_confirmed.is_some() || phone.is_some() || phone_confirmed.is_some();
        let ways_in = disabled.is_some() || banned_until_ms.is_some() || password.is_some() || *deleted;
        roles.is_none() && !metadata && !names && !ways_in
    }
}

impl Users<'_> {
    /// Changes what administrators change, in one transaction. Keeping somebody out ends every session and token; so does a password.
    ///
    /// # Errors
    /// `not_found`, `unknown_role`, `bad_field`, `weak_password`, `email_taken`, `phone_taken`, `last_admin`, `beyond_key`, `conflict`,
    /// `hashing_busy`.
    pub async fn administer(
        &self,
        mut permit: Permit<user::Administer>,
        id: &UserId,
        changes: Administration,
    ) -> Result<User> {
        let mount = Arc::clone(permit.mount());
        let from = permit.call().origin.address;
        let prepared = async {
            let mut user = self.find(&permit, id).await?;
            let was = user.clone();
            let was_admin = is_admin(&user);
            let (password, deleted) = (changes.password.clone(), changes.deleted);
            self.apply_administration(&mut user, changes)?;
            let mut beside: Vec<Write> =
                (was_admin && !is_admin(&user)).then(|| another_admin(id)).into_iter().collect();
            if let Some(password) = &password {
                user.moving = None;
                beside.push(self.password_write(&mount, &user, password, from).await?);
                beside.extend(super::proofs::end_earlier_writes(id));
            }
            if deleted {
                beside.push(Write::DropPassword { user: id.clone() });
                let identities = self.engine.store().identities_of(id).await?;
                let gone = |it: crate::identity::model::Identity| Write::DeleteIdentity {
                    id: it.id,
                    user: id.clone(),
                };
                beside.extend(identities.into_iter().map(gone));
            }
            let out = user.is_kept_out(self.engine.now_ms());
            if out {
                beside.extend(self.end_everything(&user.id));
            }
            // A link that a mount's key made for a plain account must not open what it becomes, nor what came to an address of before what
            // has another one now, nor what was asked for before a ban what comes back after it.
            let promoted = was.roles != user.roles && self.engine.reaches_far(&user.roles);
            let back = was.is_kept_out(self.engine.now_ms()) && !out;
            if promoted || was.email != user.email || back {
                beside.extend(super::proofs::end_all_writes(id));
            }
            if out || password.is_some() {
                beside.extend(self.engine.sessions().end_writes(&user.id, None).await?);
            }
            Ok::<_, Error>((user, was, beside))
        };
        match prepared.await {
            Ok((user, was, beside)) => {
                tell_changes(&mut permit, &was, &user);
                self.save(permit, user, beside).await
            }
            Err(error) => permit.close(Err(error)),
        }
    }

    fn apply_administration(&self, user: &mut User, changes: Administration) -> Result<()> {
        let now_ms = self.engine.now_ms();
        if let Some(roles) = &changes.roles {
            user.roles = self.roles(roles)?;
        }
        if let Some(metadata) = changes.admin_metadata {
            user.admin_metadata = metadata;
        }
        if let Some(members) = changes.merge_admin_metadata {
            merge(&mut user.admin_metadata, members);
        }
        validate::metadata("admin_metadata", &user.admin_metadata)?;
        if let Some(members) = changes.merge_metadata {
            merge(&mut user.user_metadata, members);
            validate::metadata("user_metadata", &user.user_metadata)?;
        }
        if let Some(email) = changes.email {
            let email = validate::email(&email)?;
            if user.email.as_ref() != Some(&email) {
                user.email_confirmed_at_ms = None;
                user.moving = None;
            }
            user.email = Some(email);
            user.anonymous = false;
        }
        match changes.email_confirmed {
            Some(true) if user.email.is_some() => {
                user.email_confirmed_at_ms = user.email_confirmed_at_ms.or(Some(now_ms));
            }
            Some(false) => user.email_confirmed_at_ms = None,
            _ => {}
        }
        if let Some(phone) = changes.phone {
            let phone = phone.as_deref().map(validate::phone).transpose()?;
            if user.phone != phone {
                user.phone_confirmed_at_ms = None;
            }
            user.anonymous &= phone.is_none();
            user.phone = phone;
        }
        match changes.phone_confirmed {
            Some(true) if user.phone.is_some() => {
                user.phone_confirmed_at_ms = user.phone_confirmed_at_ms.or(Some(now_ms));
            }
            Some(false) => user.phone_confirmed_at_ms = None,
            _ => {}
        }
        if let Some(until_ms) = changes.banned_until_ms {
            user.banned_until_ms = until_ms;
        }
        user.disabled = changes.disabled.unwrap_or(user.disabled);
        if changes.deleted {
            empty(user, now_ms);
        }
        Ok(())
    }

    /// Ends every credential of theirs there is, and what was begun with one.
    pub(super) fn end_everything(&self, id: &UserId) -> Vec<Write> {
        let at_ms = moment_ms(self.engine, &everything_of(id));
        self.end_until(id, at_ms)
    }

    /// As [`Users::end_everything`], but for what begins in this very second: a token says no more of when it was made.
    pub(super) fn end_what_began_before(&self, id: &UserId) -> Vec<Write> {
        self.end_until(id, self.engine.now_ms().div_euclid(1000) * 1000 - 1)
    }

    fn end_until(&self, id: &UserId, at_ms: i64) -> Vec<Write> {
        let until_ms = at_ms + self.engine.longest_token_ms();
        revoke_writes(Revocation { revoked: everything_of(id), at_ms, until_ms }).into()
    }
}

fn everything_of(id: &UserId) -> Revoked {
    Revoked::Principal(Principal::local(id).owner_key())
}

/// Nothing that says whose it was stays.
fn empty(user: &mut User, now_ms: i64) {
    (user.username, user.email, user.email_confirmed_at_ms) = (None, None, None);
    (user.phone, user.phone_confirmed_at_ms, user.display_name) = (None, None, None);
    (user.user_metadata, user.admin_metadata) = (Map::new(), Map::new());
    (user.moving, user.invited_at_ms) = (None, None);
    (user.disabled, user.deleted_at_ms) = (true, user.deleted_at_ms.or(Some(now_ms)));
}

fn tell_changes(permit: &mut Permit<user::Administer>, was: &User, user: &User) {
    if was.roles != user.roles {
        permit.tell(
            events::ROLES_CHANGED,
            || json!({ "user_id": user.id, "roles": user.roles, "previous_roles": was.roles }),
        );
    }
    if was.disabled != user.disabled {
        let def = if user.disabled { events::USER_DISABLED } else { events::USER_ENABLED };
        permit.tell(def, || json!({ "user_id": user.id }));
    }
}

impl Engine {
    /// Refuses a mount's key what would give its holder an account that reaches further than its own things: whoever sets a password, or makes
    /// a link, is the account's user.
    ///
    /// # Errors
    /// `beyond_key`.
    pub(crate) fn within_key(&self, grant: &Grant, user: &User) -> Result<()> {
        if grant.auth().method != project_key::METHOD {
            return Ok(());
        }
        if self.reaches_far(&user.roles) { Err(Error::new(codes::BEYOND_KEY)) } else { Ok(()) }
    }

    /// Whether roles reach further than one's own things: they administer, or reach what is anybody's and no plain user reaches so.
    pub(crate) fn reaches_far(&self, roles: &[Arc<str>]) -> bool {
        let plain: [Arc<str>; 1] = [USER.into()];
        self.roles().catalogue().actions().iter().any(|action| {
            let reach = self.roles().reach(roles, action);
            match action.access {
                Access::Admin => reach.is_some(),
                _ => reach == Some(Reach::Any) && self.roles().reach(&plain, action) != Some(Reach::Any),
            }
        })
    }
}
