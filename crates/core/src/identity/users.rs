//! Users as a service.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::model::User;
use super::own_account::{OwnChanges, whole_owner};
use super::password::Compared;
use super::proofs::end_earlier_writes;
use super::validate;
use crate::authz::catalogue::{Access, user};
use crate::authz::roles::{ADMIN, USER};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::UserId;
use crate::mount::{Mount, SignUp};
use crate::operation::{Grant, Permit};
use crate::ports::store::{Change, Page, Write};
use crate::principal::Principal;
use crate::secret::SecretText;

/// What a new account is made of.
#[derive(Default)]
pub struct NewUser {
    /// E-mail address; this or a user name is needed.
    pub email: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// The password; an account without one cannot log in by password.
    pub password: Option<SecretText>,
    /// What to call the person.
    pub display_name: Option<String>,
    /// What the user may write.
    pub user_metadata: Map<String, Value>,
    /// Roles; `user` if empty. Only administrators choose.
    pub roles: Vec<String>,
    /// What only an administrator may write.
    pub admin_metadata: Map<String, Value>,
    /// A phone number. Only administrators give one: nobody calls it.
    pub phone: Option<String>,
    /// Whether somebody whom we believe vouches for the address: an administrator, a provider.
    pub email_confirmed: bool,
    /// Whether an administrator vouches for the number.
    pub phone_confirmed: bool,
    /// Until when the account is kept out.
    pub banned_until_ms: Option<i64>,
    /// When its holder was invited.
    pub invited_at_ms: Option<i64>,
    /// Whether it is a stranger's, who has no name.
    pub anonymous: bool,
}

/// What to change; absent members stay. `Some(None)` clears.
#[derive(Default, PartialEq)]
pub struct UserChanges {
    /// E-mail address.
    pub email: Option<Option<String>>,
    /// User name.
    pub username: Option<Option<String>>,
    /// Name to show.
    pub display_name: Option<Option<String>>,
    /// Replaces the user's own metadata.
    pub user_metadata: Option<Map<String, Value>>,
    /// Goes into the user's own metadata, member by member; `null` removes one.
    pub merge_metadata: Option<Map<String, Value>>,
}

/// A part of all accounts.
pub struct Newest {
    /// Accounts, each with when it was last logged in to.
    pub listed: Vec<(User, Option<i64>)>,
    /// How many there are in all.
    pub all: u64,
}

pub use super::administered::Administration;

/// Users as a service.
pub struct Users<'e> {
    pub(super) engine: &'e Engine,
}

impl<'e> Users<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Makes an account for whoever asks, where the mount allows it.
    ///
    /// # Errors
    /// `sign_up_closed`, `bad_field`, `weak_password`, `email_taken`, `username_taken`, `hashing_busy`.
    pub async fn sign_up(&self, permit: Permit<user::SignUp>, new: NewUser) -> Result<User> {
        match self.sign_up_writes(&permit, new).await {
            Ok((user, writes)) => self.insert(permit, user, writes).await,
            Err(error) => permit.close(Err(error)),
        }
    }

    /// An account for whoever asks, where the mount allows it, and the writes that make it.
    ///
    /// # Errors
    /// As [`Users::sign_up`], but for what the store says.
    pub(crate) async fn sign_up_writes(
        &self,
        permit: &Permit<user::SignUp>,
        new: NewUser,
    ) -> Result<(User, Vec<Write>)> {
        if permit.mount().sign_up == SignUp::Closed {
            return Err(Error::new(codes::SIGN_UP_CLOSED));
        }
        let mount = Arc::clone(permit.mount());
        match &new.password {
            None => Err(Error::new(codes::BAD_FIELD).message("password: is needed.")),
            Some(_) if !new.roles.is_empty() || !new.admin_metadata.is_empty() => {
                Err(Error::new(codes::BAD_FIELD)
                    .message("roles and admin_metadata are an administrator's to give."))
            }
            Some(_) => self.prepare(&mount, new, permit.call().origin.address).await,
        }
    }

    /// Makes an account for somebody.
    ///
    /// # Errors
    /// `bad_field`, `weak_password`, `unknown_role`, `email_taken`, `username_taken`, `hashing_busy`.
    pub async fn create(&self, permit: Permit<user::Create>, new: NewUser) -> Result<User> {
        let mount = Arc::clone(permit.mount());
        match self.prepare(&mount, new, permit.call().origin.address).await {
            Ok((user, writes)) => self.insert(permit, user, writes).await,
            Err(error) => permit.close(Err(error)),
        }
    }

    async fn insert<A: crate::authz::catalogue::Action>(
        &self,
        mut permit: Permit<A>,
        user: User,
        writes: Vec<Write>,
    ) -> Result<User> {
        permit.name_resource(user.id.as_str());
        permit.commit(writes).await?;
        Ok(user)
    }

    pub(crate) async fn prepare(
        &self,
        mount: &Mount,
        new: NewUser,
        from: Option<IpAddr>,
    ) -> Result<(User, Vec<Write>)> {
        let email = new.email.as_deref().map(validate::email).transpose()?;
        let username = new.username.as_deref().map(validate::username).transpose()?;
        let phone = new.phone.as_deref().map(validate::phone).transpose()?;
        if email.is_none() && username.is_none() && phone.is_none() && !new.anonymous {
            return Err(Error::new(codes::BAD_FIELD).message("email or username: one of them is needed."));
        }
        let display_name = new.display_name.as_deref().map(validate::display_name).transpose()?;
        validate::metadata("user_metadata", &new.user_metadata)?;
        validate::metadata("admin_metadata", &new.admin_metadata)?;
        let roles = if new.roles.is_empty() { vec![USER.into()] } else { self.roles(&new.roles)? };
        let now_ms = self.engine.now_ms();
        let user = User {
            id: UserId::new(self.engine.clock(), self.engine.random()),
            username,
            email_confirmed_at_ms: (new.email_confirmed && email.is_some()).then_some(now_ms),
            email,
            phone_confirmed_at_ms: (new.phone_confirmed && phone.is_some()).then_some(now_ms),
            phone,
            display_name,
            roles,
            user_metadata: new.user_metadata,
            admin_metadata: new.admin_metadata,
            disabled: false,
            banned_until_ms: new.banned_until_ms,
            anonymous: new.anonymous,
            deleted_at_ms: None,
            invited_at_ms: new.invited_at_ms,
            moving: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            version: 1,
        };
        let mut writes = vec![Write::InsertUser(user.clone())];
        if let Some(password) = &new.password {
            writes.push(self.password_write(mount, &user, password, from).await?);
        }
        Ok((user, writes))
    }

    pub(crate) async fn password_write(
        &self,
        mount: &Mount,
        user: &User,
        password: &SecretText,
        from: Option<IpAddr>,
    ) -> Result<Write> {
        if self.engine.is_of_directory(&user.id).await? {
            // With one of ours they would stay when the directory lets them go.
            let message = "The password of this account is the directory's; change it there.";
            return Err(Error::new(codes::FORBIDDEN).message(message));
        }
        let names: Vec<&str> = [&user.email, &user.username, &user.display_name]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let hashing = self.engine.hashing();
        hashing.judge(&mount.passwords, password, &names, from).await?;
        let phc = hashing.hash(self.engine.random(), password, from).await?;
        Ok(Write::SetPassword { user: user.id.clone(), phc, at_ms: self.engine.now_ms() })
    }

    pub(super) fn roles(&self, names: &[String]) -> Result<Vec<Arc<str>>> {
        let mut roles: Vec<Arc<str>> = Vec::new();
        for name in names {
            if !self.engine.roles().can_be_given(name) {
                let known: Vec<_> = self
                    .engine
                    .roles()
                    .names()
                    .filter(|role| self.engine.roles().can_be_given(role))
                    .collect();
                let shown: String = name.chars().take(64).collect();
                let message = format!("The role {shown:?} is not defined; known are {}.", known.join(", "));
                return Err(Error::new(codes::UNKNOWN_ROLE).message(message));
            }
            if !roles.iter().any(|role| **role == **name) {
                roles.push(name.as_str().into());
            }
        }
        if roles.is_empty() {
            return Err(Error::new(codes::BAD_FIELD).message("roles: at least one is needed."));
        }
        Ok(roles)
    }

    pub(super) async fn find(&self, grant: &Grant, id: &UserId) -> Result<User> {
        grant.must_reach(id.as_str(), &Principal::local(id).owner_key())?;
        let user = self.engine.store().user(id).await?.ok_or_else(|| Error::new(codes::NOT_FOUND))?;
        if grant.action().access != Access::Read {
            self.engine.within_key(grant, &user)?;
        }
        Ok(user)
    }

    /// One account.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, permit: Permit<user::Read>, id: &UserId) -> Result<User> {
        let found = self.find(&permit, id).await;
        permit.close(found)
    }

    /// Accounts in creation order, at most 200.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, permit: Permit<user::List>, page: Page) -> Result<Vec<User>> {
        let found = self.engine.store().users(Page { limit: page.limit.clamp(1, 200), ..page }).await;
        permit.close(found.map_err(Into::into))
    }

    /// Changes what a user may change. Whoever moves their own account to another address has just logged in: letters open accounts.
    ///
    /// # Errors
    /// `not_found`, `bad_field`, `email_taken`, `username_taken`, `conflict`, `login_too_old`.
    pub async fn update(
        &self,
        permit: Permit<user::Update>,
        id: &UserId,
        changes: UserChanges,
    ) -> Result<User> {
        self.revise(permit, id, OwnChanges { changes, ..OwnChanges::default() }).await
    }

    /// Accounts, newest first, but for the newest `skip`, at most 1,000, with how many there are and when each was last logged in to.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest(&self, permit: Permit<user::List>, skip: u32, limit: u32) -> Result<Newest> {
        let found = async {
            let users = self.engine.store().newest_users(skip, limit.min(1_000)).await?;
            let mut listed = Vec::with_capacity(users.len());
            for user in users {
                let logged_in_at_ms = self.engine.logged_in_at_ms(&user.id).await?;
                listed.push((user, logged_in_at_ms));
            }
            Ok(Newest { listed, all: self.engine.store().count_users().await? })
        };
        permit.close(found.await)
    }

    pub(super) async fn save<A: crate::authz::catalogue::Action>(
        &self,
        permit: Permit<A>,
        mut user: User,
        mut beside: Vec<Write>,
    ) -> Result<User> {
        user.version += 1;
        user.updated_at_ms = self.engine.now_ms();
        beside.insert(0, Write::UpdateUser(user.clone()));
        beside.push(Write::Announce(Change::User(user.id.clone())));
        permit.commit(beside).await?;
        Ok(user)
    }

    /// Sets a password. Whoever changes their own proves the old one; every session but the caller's ends.
    ///
    /// # Errors
    /// `bad_credentials`, `weak_password`, `not_found`, `hashing_busy`, `login_too_old`, `nameless`, `forbidden`.
    pub async fn set_password(
        &self,
        permit: Permit<user::Update>,
        id: &UserId,
        current: Option<&SecretText>,
        new: &SecretText,
    ) -> Result<()> {
        let mount = Arc::clone(permit.mount());
        let own = permit.auth().principal.user_id().as_ref() == Some(id);
        let address = permit.call().origin.address;
        let prepared = async {
            let user = self.find(&permit, id).await?;
            // A password opens everything its owner may do, so a credential that is limited must not set one: not even
            // the first, for which no old one can be asked.
            if own && (permit.auth().session.is_none() || permit.auth().scopes.is_some()) {
                let message = "A password is changed from a log-in without limits, or by an administrator.";
                return Err(Error::new(codes::FORBIDDEN).message(message));
            }
            if own {
                if user.anonymous {
                    // A password without a name to type it with opens nothing.
                    return Err(Error::new(codes::NAMELESS));
                }
                // Where there is no old one to show, a log-in a moment old stands for it.
                let (_, session) = whole_owner(&permit)?;
                if !self.engine.prove_password(id, current, address).await?
                    && !self.engine.is_fresh(&session).await?
                {
                    return Err(Error::new(codes::LOGIN_TOO_OLD));
                }
            }
            let write = self.password_write(&mount, &user, new, address).await?;
            let keep = own.then(|| permit.auth().session.clone()).flatten();
            let mut writes = vec![write];
            writes.extend(self.engine.sessions().end_writes(id, keep.as_ref()).await?);
            writes.extend(end_earlier_writes(id));
            Ok(writes)
        };
        match prepared.await {
            Ok(writes) => Ok(permit.commit(writes).await?),
            Err(error) if error.is(codes::BAD_CREDENTIALS) => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Removes an account with everything that hangs on it.
    ///
    /// # Errors
    /// `not_found`, `last_admin`.
    pub async fn delete(&self, permit: Permit<user::Delete>, id: &UserId) -> Result<()> {
        let checked = async {
            let user = self.find(&permit, id).await?;
            Ok(is_admin(&user).then(|| another_admin(id)))
        };
        let guard = match checked.await {
            Ok(guard) => guard,
            Err(error) => return permit.close(Err(error)),
        };
        let mut writes = self.end_everything(id);
        writes.extend(guard);
        writes.push(Write::DeleteUser(id.clone()));
        writes.push(Write::Announce(Change::User(id.clone())));
        Ok(permit.commit(writes).await?)
    }
}

impl Engine {
    /// When an account was last logged in to.
    ///
    /// # Errors
    /// The store's.
    pub async fn logged_in_at_ms(&self, user: &UserId) -> Result<Option<i64>> {
        Ok(self.store().recent_logins(user, 1).await?.first().map(|login| login.at_ms))
    }

    /// Whether whoever asks knows the current password; false for an account that has none.
    ///
    /// # Errors
    /// `bad_credentials`, `hashing_busy`.
    pub(crate) async fn prove_password(
        &self,
        user: &UserId,
        current: Option<&SecretText>,
        from: Option<IpAddr>,
    ) -> Result<bool> {
        let Some(phc) = self.store().password(user).await? else { return Ok(false) };
        let wrong = || Error::new(codes::BAD_CREDENTIALS).message("The current password is wrong.");
        let current = current.ok_or_else(wrong)?;
        match self.hashing().compare(current, Some(phc), from).await? {
            Compared::Wrong => Err(wrong()),
            Compared::Right | Compared::RightButOld => Ok(true),
        }
    }
}

pub(super) fn apply(user: &mut User, changes: UserChanges) -> Result<()> {
    if let Some(email) = changes.email {
        let email = email.as_deref().map(validate::email).transpose()?;
        if email != user.email {
            // Nobody has proven the new one.
            user.email_confirmed_at_ms = None;
            user.moving = None;
        }
        user.email = email;
        user.anonymous &= user.email.is_none();
    }
    if let Some(username) = changes.username {
        user.username = username.as_deref().map(validate::username).transpose()?;
    }
    if user.email.is_none() && user.username.is_none() && user.phone.is_none() && !user.anonymous {
        return Err(Error::new(codes::BAD_FIELD).message("email or username: one of them has to stay."));
    }
    if let Some(name) = changes.display_name {
        user.display_name = name.as_deref().map(validate::display_name).transpose()?;
    }
    if let Some(metadata) = changes.user_metadata {
        validate::metadata("user_metadata", &metadata)?;
        user.user_metadata = metadata;
    }
    if let Some(members) = changes.merge_metadata {
        merge(&mut user.user_metadata, members);
        validate::metadata("data", &user.user_metadata)?;
    }
    Ok(())
}

/// Member by member; `null` removes one.
pub(super) fn merge(metadata: &mut Map<String, Value>, members: Map<String, Value>) {
    for (name, value) in members {
        match value {
            Value::Null => metadata.remove(&name),
            value => metadata.insert(name, value),
        };
    }
}

/// Decided in the transaction itself: two administrators who leave at once must not both find each other still there.
pub(super) fn another_admin(but: &UserId) -> Write {
    Write::ExpectAnotherHolder { role: ADMIN.to_owned(), but: but.clone() }
}

pub(super) fn is_admin(user: &User) -> bool {
    !user.disabled && user.roles.iter().any(|role| &**role == ADMIN)
}
