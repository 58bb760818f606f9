//! Providers that open an account: added and removed by its owner.

use std::sync::Arc;

use super::attempt::Attempt;
use super::identified::Identified;
use super::methods::Answered;
use super::service::{Begun, Logins, Way};
use crate::audit::Outcome;
use crate::authz::catalogue::identity;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, codes};
use crate::id::{IdentityId, SessionId, UserId};
use crate::identity::model::Identity;
use crate::identity::own_account::whole_owner;
use crate::operation::{Grant, Permit};
use crate::ports::store::Write;
use crate::ports::{Conflict, StoreError};
use crate::principal::Principal;
use crate::secret::SecretText;

/// Most identities of one account.
const MOST: usize = 20;

/// Identities as a service.
pub struct Identities<'e> {
    engine: &'e Engine,
}

impl<'e> Identities<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    pub(super) fn made(&self, user: &UserId, identified: &Identified) -> Identity {
        let now_ms = self.engine.now_ms();
        Identity {
            id: IdentityId::new(self.engine.ordered_clock(), self.engine.random()),
            user: user.clone(),
            authority: identified.authority.clone(),
            subject: identified.subject.clone(),
            shown: identified.shown(),
            created_at_ms: now_ms,
            last_used_at_ms: now_ms,
        }
    }

    /// A user's identities.
    ///
    /// # Errors
    /// `not_found` for somebody else's.
    pub async fn list(&self, permit: Permit<identity::Read>, user: &UserId) -> Result<Vec<Identity>> {
        if let Err(error) = permit.must_reach(user.as_str(), &Principal::local(user).owner_key()) {
            return permit.close(Err(error));
        }
        let found = self.engine.store().identities_of(user).await;
        permit.close(found.map_err(Into::into))
    }

    /// Sends its owner's browser to a provider, to add what it says to the account. Whoever merely has a token of theirs must not be able
    /// to: the owner shows the current password, or has just logged in.
    ///
    /// # Errors
    /// `forbidden` from an API key or a limited token, `bad_credentials`, `login_too_old`; as [`Logins::begin`].
    pub async fn begin(
        &self,
        permit: Permit<identity::Link>,
        (provider, way): (&str, Way),
        current_password: Option<&SecretText>,
    ) -> Result<Begun> {
        let mount = Arc::clone(permit.mount());
        let begun = async {
            let owner = self.proven_owner(&permit, current_password).await?;
            Logins::new(self.engine).leave(&mount, provider, way, Some(owner)).await
        };
        match begun.await {
            // Nothing is added yet; the way back asks for leave once more.
            Ok(begun) => {
                permit.into_grant().finish(Outcome::Begun, None).await;
                Ok(begun)
            }
            Err(error) if error.is(codes::BAD_CREDENTIALS) => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Adds what the provider says to the account that began.
    ///
    /// # Errors
    /// `login_expired` when somebody else is logged in by now, `identity_taken`, `provider_refused`, `provider_unavailable`.
    pub async fn link(
        &self,
        mut permit: Permit<identity::Link>,
        attempt: &Attempt,
        answered: &Answered,
    ) -> Result<Identity> {
        let (from, mount) = (permit.call().origin.address, Arc::clone(permit.mount()));
        let prepared = async {
            let (user, session) = whole_owner(&permit)?;
            if attempt.link_to.as_ref() != Some(&user) || attempt.session.as_ref() != Some(&session) {
                return Err(Error::new(codes::LOGIN_EXPIRED).operator("another log-in began it"));
            }
            if self.engine.store().identities_of(&user).await?.len() >= MOST {
                return Err(Error::new(codes::BAD_FIELD).message("An account has at most 20 identities."));
            }
            let logins = Logins::new(self.engine);
            let (_, identified) = logins.identify(&mount, attempt, answered, from).await?;
            Ok(self.made(&user, &identified))
        };
        let identity = match prepared.await {
            Ok(identity) => identity,
            Err(error) if error.code().kind == Kind::Unauthenticated => {
                return Err(permit.refuse(error).await);
            }
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(identity.id.as_str());
        match permit.attempt(vec![Write::InsertIdentity(identity.clone())]).await {
            Ok(()) => Ok(identity),
            Err(StoreError::Conflict(Conflict::Exists)) => {
                let known = self.engine.store().identity(&identity.authority, &identity.subject).await?;
                match known.filter(|known| known.user == identity.user) {
                    Some(own) => permit.close(Ok(own)),
                    None => {
                        permit.name_resource(identity.user.as_str());
                        permit.close(Err(Error::new(codes::IDENTITY_TAKEN)))
                    }
                }
            }
            Err(error) => permit.close(Err(error.into())),
        }
    }

    /// Removes one, and ends the sessions of its account but the caller's. An owner proves who they are as in [`Identities::begin`], and
    /// what is left must still open the account; an administrator removes what they want.
    ///
    /// # Errors
    /// `not_found`, `last_way_in`, `forbidden` from an API key or a limited token, `bad_credentials`, `login_too_old`.
    pub async fn unlink(
        &self,
        mut permit: Permit<identity::Unlink>,
        user: &UserId,
        id: &IdentityId,
        current_password: Option<&SecretText>,
    ) -> Result<()> {
        let own = permit.auth().principal.user_id().as_ref() == Some(user);
        let prepared = async {
            permit.must_reach(user.as_str(), &Principal::local(user).owner_key())?;
            let mut writes = vec![Write::DeleteIdentity { id: id.clone(), user: user.clone() }];
            if own {
                self.proven_owner(&permit, current_password).await?;
                writes.push(Write::ExpectAnotherWayIn { user: user.clone(), but: id.clone() });
            }
            // Somebody may have come in by it.
            let keep = own.then(|| permit.auth().session.clone()).flatten();
            writes.extend(self.engine.sessions().end_writes(user, keep.as_ref()).await?);
            Ok(writes)
        };
        let prepared: Result<Vec<Write>> = prepared.await;
        permit.name_resource(id.as_str());
        match prepared {
            Ok(writes) => match permit.attempt(writes).await {
                Ok(()) => Ok(()),
                Err(error) => permit.close(Err(error.into())),
            },
            Err(error) if error.is(codes::BAD_CREDENTIALS) => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// The owner, who has shown the current password or, where there is none, has just logged in.
    async fn proven_owner(
        &self,
        grant: &Grant,
        current_password: Option<&SecretText>,
    ) -> Result<(UserId, SessionId)> {
        let (user, session) = whole_owner(grant)?;
        let from = grant.call().origin.address;
        if !self.engine.prove_password(&user, current_password, from).await?
            && !self.engine.is_fresh(&session).await?
        {
            return Err(Error::new(codes::LOGIN_TOO_OLD));
        }
        Ok((user, session))
    }
}
