//! Logging in by a directory's password: whoever has no password here may have one there.
//!
//! ```text
//! name, password ─ no password of ours under that name ─► directory ─ subject ─► the account that has this identity
//!                                                                            └─ none ─► a new account, where those are open
//! ```
//! As with a provider, the directory's word opens the account that has exactly its subject, and never one by a name or an address: whoever is
//! called `admin` there is not `admin` here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::identified::Identified;
use super::service::Logins;
use super::turns::Turns;
use crate::authz::Target;
use crate::authz::catalogue::{session, user};
use crate::authz::roles::{ADMIN, USER};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::events::catalogue;
use crate::id::UserId;
use crate::identity::model::User;
use crate::operation::Permit;
use crate::ports::directory::{Directory, Known};
use crate::ports::store::{Change, Write};
use crate::secret::SecretText;

use serde_json::json;

/// Longest password that is passed on.
const MAX_PASSWORD_BYTES: usize = 1_024;
/// For how long a directory that did not answer counts as away.
const AWAY_MS: i64 = 30_000;

/// The people of a directory.
pub struct People {
    directory: Arc<dyn Directory>,
    /// Until when it counts as away, in milliseconds since the epoch.
    away_until_ms: AtomicI64,
    /// Whether whom it knows and we do not is given an account.
    sign_up: bool,
    turns: Turns,
}

impl People {
    /// Those of this directory.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, sign_up: bool) -> Self {
        Self { directory, away_until_ms: AtomicI64::new(0), sign_up, turns: Turns::default() }
    }
}

/// Somebody whom the directory let in.
pub(crate) struct Entered {
    pub(crate) user: User,
    /// What has to hold, and what changes with it.
    pub(crate) writes: Vec<Write>,
}

/// How the audit log names the proof, and what new names begin with.
pub(crate) const METHOD: &str = "ldap";

impl Logins<'_> {
    /// The account of whom the directory knows by this name and password; `None` where there is no directory or it knows nobody.
    ///
    /// # Errors
    /// `provider_unavailable`, `provider_busy`, `sign_up_closed`, `account_exists`; the store's.
    pub(crate) async fn by_directory(
        &self,
        permit: &mut Permit<session::Login>,
        login: &str,
        password: &SecretText,
    ) -> Result<Option<Entered>> {
        let Some(people) = &self.engine().settings().people else { return Ok(None) };
        // As long as a name may be here, and in its one spelling: it is counted under that.
        let plain = (1..=254).contains(&login.len()) && !login.chars().any(char::is_control);
        if !plain || password.expose().is_empty() || password.expose().len() > MAX_PASSWORD_BYTES {
            return Ok(None);
        }
        let known = {
            let _turn = people.turns.take(permit.call().origin.address)?;
            let proven = people.directory.prove(login, password).await;
            let until_ms = if proven.is_err() { self.engine().now_ms().saturating_add(AWAY_MS) } else { 0 };
            people.away_until_ms.store(until_ms, Ordering::Relaxed);
            proven.map_err(|error| {
                tracing::warn!(%error, "a log-in by the directory failed");
                Error::new(codes::PROVIDER_UNAVAILABLE).operator(error.to_string())
            })?
        };
        let Some(known) = known else { return Ok(None) };
        let words = (known.email.as_deref(), known.name.as_deref(), known.username.as_deref());
        let identified = Identified::new(people.directory.authority(), &known.subject, words)?;
        let store = self.engine().store();
        let Some(identity) = store.identity(&identified.authority, &identified.subject).await? else {
            return self.new_of_directory(permit, people, &identified, &known).await.map(Some);
        };
        let user = store.user(&identity.user).await?.ok_or_else(|| Error::new(codes::CONFLICT))?;
        let at_ms = self.engine().now_ms();
        let mut writes = vec![Write::TouchIdentity { id: identity.id, user: user.id.clone(), at_ms }];
        let user = self.with_roles_of_groups(permit, user, &known, &mut writes);
        Ok(Some(Entered { user, writes }))
    }

    /// Refuses where the directory is away: who has a password here is told to nobody by the others being told that.
    ///
    /// # Errors
    /// `provider_unavailable`.
    pub(crate) fn directory_at_hand(&self) -> Result<()> {
        let away = |people: &People| people.away_until_ms.load(Ordering::Relaxed) > self.engine().now_ms();
        match &self.engine().settings().people {
            Some(people) if away(people) => {
                Err(Error::new(codes::PROVIDER_UNAVAILABLE).operator("the directory was away a moment ago"))
            }
            _ => Ok(()),
        }
    }

    /// The directory says which roles its people have: what its groups no longer give is gone with the next log-in.
    fn with_roles_of_groups(
        &self,
        permit: &mut Permit<session::Login>,
        mut user: User,
        known: &Known,
        writes: &mut Vec<Write>,
    ) -> User {
        let Some(roles) = known.roles.as_ref().map(|roles| roles_or_user(roles)) else { return user };
        if user.roles.iter().map(|role| &**role).eq(roles.iter().map(String::as_str)) {
            return user;
        }
        let was = std::mem::replace(&mut user.roles, roles.iter().map(|role| role.as_str().into()).collect());
        user.version += 1;
        user.updated_at_ms = self.engine().now_ms();
        let administers = |roles: &[Arc<str>]| roles.iter().any(|role| &**role == ADMIN);
        if administers(&was) && !administers(&user.roles) {
            // The last administrator does not go unseen, whoever says so.
            writes.push(Write::ExpectAnotherHolder { role: ADMIN.to_owned(), but: user.id.clone() });
        }
        writes.push(Write::UpdateUser(user.clone()));
        writes.push(Write::Announce(Change::User(user.id.clone())));
        permit.tell(
            catalogue::ROLES_CHANGED,
            || json!({ "user_id": user.id, "roles": user.roles, "previous_roles": was }),
        );
        user
    }

    async fn new_of_directory(
        &self,
        permit: &Permit<session::Login>,
        people: &People,
        identified: &Identified,
        known: &Known,
    ) -> Result<Entered> {
        let sign_up = permit.call().permit::<user::SignUp>(Target::any())?;
        if !people.sign_up {
            return sign_up.close(Err(Error::new(codes::SIGN_UP_CLOSED)));
        }
        let roles = known.roles.as_ref().map(|roles| roles_or_user(roles)).unwrap_or_default();
        let (user, _) = self.account(sign_up, METHOD, identified, roles).await?;
        Ok(Entered { user, writes: Vec::new() })
    }
}

impl Engine {
    /// Whether an account is opened by the directory: then nothing else opens it, or whoever is let go there would stay here.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn is_of_directory(&self, user: &UserId) -> Result<bool> {
        let Some(people) = &self.settings().people else { return Ok(false) };
        let identities = self.store().identities_of(user).await?;
        Ok(identities.iter().any(|identity| identity.authority == people.directory.authority()))
    }
}

/// Nobody is without a role.
fn roles_or_user(roles: &[String]) -> Vec<String> {
    if roles.is_empty() { vec![USER.to_owned()] } else { roles.to_vec() }
}
