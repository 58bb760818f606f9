//! One's own account. Ways into it, the password and the address that letters go to, are changed by whoever has just proven to be its owner.

use std::sync::Arc;

use super::model::User;
use super::password::Compared;
use super::proofs::{Purpose, end_earlier_writes};
use super::users::{UserChanges, Users, apply};
use crate::authz::Target;
use crate::authz::catalogue::{session, user};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{SessionId, UserId};
use crate::operation::{Grant, Permit};
use crate::ports::store::Write;
use crate::principal::Principal;
use crate::secret::SecretText;

/// What the owner of an account changes at once.
#[derive(Default)]
pub struct OwnChanges {
    /// What every user may change.
    pub changes: UserChanges,
    /// A new password; every session but the caller's ends.
    pub new_password: Option<SecretText>,
    /// The current one. Without it the log-in has to be of the last five minutes, where a way in changes.
    pub current_password: Option<SecretText>,
    /// What was sent to the account's address to be shown in its place.
    pub nonce: Option<SecretText>,
    /// Whether an address is asked for with it, which is the account's once it is proven.
    pub asks_address: bool,
}

impl Users<'_> {
    /// Changes an account, in one transaction.
    ///
    /// # Errors
    /// As [`Users::update`]; `weak_password`, `same_password`, `bad_credentials`, `nameless`, `code_spent`, `login_too_old`, `hashing_busy`; `forbidden` where a way in
    /// changes and the credential is less than a log-in.
    pub async fn revise(&self, permit: Permit<user::Update>, id: &UserId, own: OwnChanges) -> Result<User> {
        let prepared = async {
            let mut user = self.find(&permit, id).await?;
            let had = user.email.clone();
            apply(&mut user, own.changes)?;
            let is_own = permit.auth().principal.user_id().as_ref() == Some(id);
            if own.new_password.is_none() && !(is_own && user.email != had) {
                return Ok((user, Vec::new()));
            }
            if user.anonymous && own.new_password.is_some() && !own.asks_address {
                // A password without a name to type it with opens nothing.
                return Err(Error::new(codes::NAMELESS));
            }
            let (session, mut writes) = match &own.nonce {
                Some(nonce) => {
                    let (_, session) = whole_owner(&permit)?;
                    let before = User { email: had, ..user.clone() };
                    (session, vec![self.engine.proofs().nonce_write(&before, nonce).await?])
                }
                None => {
                    let current = own.current_password.as_ref();
                    (self.engine.owner_proven(&permit, current).await?, Vec::new())
                }
            };
            if let Some(new) = &own.new_password {
                user.moving = None;
                writes.extend(self.own_password_writes(&permit, &user, new, &session).await?);
            }
            Ok::<_, Error>((user, writes))
        };
        let call = permit.call().clone();
        match prepared.await {
            Ok((user, writes)) => match self.save(permit, user, writes).await {
                Err(error) if error.is(codes::CODE_SPENT) => {
                    self.engine.proofs().count_wrong_digits(id, Purpose::Reauthentication).await?;
                    Err(call.permit::<session::Login>(Target::any())?.refuse(error).await)
                }
                saved => saved,
            },
            Err(error) if error.is(codes::CODE_SPENT) => Err(permit.refuse(error).await),
            Err(error) if error.is(codes::BAD_CREDENTIALS) => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    async fn own_password_writes(
        &self,
        grant: &Grant,
        user: &User,
        new: &SecretText,
        session: &SessionId,
    ) -> Result<Vec<Write>> {
        let (from, mount) = (grant.call().origin.address, Arc::clone(grant.mount()));
        let write = self.password_write(&mount, user, new, from).await?;
        let old = self.engine.store().password(&user.id).await?;
        if old.is_some() && self.engine.hashing().compare(new, old, from).await? != Compared::Wrong {
            return Err(Error::new(codes::SAME_PASSWORD));
        }
        let mut writes = vec![write];
        writes.extend(self.engine.sessions().end_writes(&user.id, Some(session)).await?);
        writes.extend(end_earlier_writes(&user.id));
        Ok(writes)
    }
}

impl Engine {
    /// The session of an owner who has just logged in, or knows the current password.
    ///
    /// # Errors
    /// `forbidden`, `bad_credentials`, `login_too_old`, `hashing_busy`.
    pub(crate) async fn owner_proven(
        &self,
        grant: &Grant,
        current: Option<&SecretText>,
    ) -> Result<SessionId> {
        let (user, session) = whole_owner(grant)?;
        let from = grant.call().origin.address;
        // A stranger has nothing but the session, and an account without a password has none to show.
        let stranger = self.store().user(&user).await?.is_some_and(|user| user.anonymous);
        if stranger {
            return Ok(session);
        }
        let known = match current {
            Some(_) => self.prove_password(&user, current, from).await?,
            None => false,
        };
        if known || self.is_fresh(&session).await? {
            return Ok(session);
        }
        Err(Error::new(codes::LOGIN_TOO_OLD))
    }
}

/// The local user who asks, logged in and unlimited: ways into an account are not for credentials that are less than it.
pub(crate) fn whole_owner(grant: &Grant) -> Result<(UserId, SessionId)> {
    let auth = grant.auth();
    let message = "Ways into an account are changed from a log-in without limits.";
    let unlimited = auth.principal.user_id().zip(auth.session.clone()).filter(|_| auth.scopes.is_none());
    let (user, session) = unlimited.ok_or_else(|| Error::new(codes::FORBIDDEN).message(message))?;
    grant.must_reach(user.as_str(), &Principal::local(&user).owner_key())?;
    Ok((user, session))
}
