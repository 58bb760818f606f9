//! Providers that open an account: added and removed by its owner.

use std::sync::Arc;

use super::attempt::Attempt;
use super::identified::Identified;
use super::methods::Answered;
use super::service::{Begun, Logins};
use crate::authz::catalogue::identity;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, codes};
use crate::id::{IdentityId, UserId};
use crate::identity::model::Identity;
use crate::operation::{Grant, Permit};
use crate::ports::store::Write;
use crate::ports::{Conflict, StoreError};
use crate::principal::Principal;

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

    /// Sends its owner's browser to a provider, to add what it says to the account. Only from a log-in without limits: what is
    /// added opens everything.
    ///
    /// # Errors
    /// `forbidden` from an API key or a limited token; as [`Logins::begin`].
    pub async fn begin(
        &self,
        grant: &Grant,
        provider: &str,
        redirect_uri: String,
        return_to: String,
    ) -> Result<Begun> {
        let user = whole_owner(grant)?;
        let mount = Arc::clone(grant.mount());
        Logins::new(self.engine).leave(&mount, provider, (redirect_uri, return_to), Some(user)).await
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
        let prepared = async {
            let user = whole_owner(&permit)?;
            if attempt.link_to.as_ref() != Some(&user) {
                return Err(Error::new(codes::LOGIN_EXPIRED).operator("another account began it"));
            }
            if self.engine.store().identities_of(&user).await?.len() >= MOST {
                return Err(Error::new(codes::BAD_FIELD).message("An account has at most 20 identities."));
            }
            let (_, identified) = Logins::new(self.engine).identify(attempt, answered).await?;
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
                    None => permit.close(Err(Error::new(codes::IDENTITY_TAKEN))),
                }
            }
            Err(error) => permit.close(Err(error.into())),
        }
    }

    /// Removes one. What is left must still open the account.
    ///
    /// # Errors
    /// `not_found`, `last_way_in`, `forbidden` from an API key or a limited token.
    pub async fn unlink(&self, mut permit: Permit<identity::Unlink>, id: &IdentityId) -> Result<()> {
        permit.name_resource(id.as_str());
        let user = match whole_owner(&permit) {
            Ok(user) => user,
            Err(error) => return permit.close(Err(error)),
        };
        let (id, but) = (id.clone(), id.clone());
        let writes =
            vec![Write::DeleteIdentity { id, user: user.clone() }, Write::ExpectAnotherWayIn { user, but }];
        match permit.attempt(writes).await {
            Ok(()) => Ok(()),
            Err(error) => permit.close(Err(error.into())),
        }
    }
}

/// The local user who asks, logged in and unlimited: ways into an account are not for credentials that are less than it.
fn whole_owner(grant: &Grant) -> Result<UserId> {
    let auth = grant.auth();
    let user = auth.principal.user_id().filter(|_| auth.session.is_some() && auth.scopes.is_none());
    let message = "Ways into an account are changed from a log-in without limits.";
    let user = user.ok_or_else(|| Error::new(codes::FORBIDDEN).message(message))?;
    grant.must_reach(user.as_str(), &Principal::local(&user).owner_key())?;
    Ok(user)
}
