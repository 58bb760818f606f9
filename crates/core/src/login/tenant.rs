//! A mount's own tenant at a provider: whoever it sends back is let in as whoever its tokens name.
//!
//! ```text
//! begin ─► tenant ─► back with a code ─ opened, spent ─► ID token of this attempt, access token for the mount
//!                                                              └─► the mount's chain, as for any bearer ─► the caller
//! ```
//! So a person is the same principal, with the same roles, whether a page or a program shows the tenant's word, and has no account here.

use std::sync::Arc;

use super::Provider;
use super::asking::{refused, with_query};
use super::attempt::Attempt;
use super::methods::Answered;
use super::service::Logins;
use crate::authn::{Offered, Place, Presented};
use crate::authz::catalogue::session;
use crate::error::{Error, Kind, Result, codes};
use crate::operation::{Call, Permit};

/// The name of every mount's tenant among providers. None that is configured by name can be called so.
pub const TENANT: &str = "_tenant";

/// A mount's tenant.
pub struct Tenant {
    /// How people are sent there and come back; its name is [`TENANT`].
    pub provider: Arc<Provider>,
    /// Where it is: `https://tenant.example`, without a slash at the end.
    pub base: String,
    /// What it is called: `tenant.example`.
    pub domain: String,
    /// What we are to it.
    pub client_id: String,
    /// What its access tokens are for.
    pub audience: String,
    /// The other issuer whose name its tokens may bear.
    pub issuer: Option<String>,
}

impl Tenant {
    /// Who vouches for its people.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.provider.method.authority()
    }

    /// Where a browser ends its stay at the tenant, to be sent to `return_to` in the end (Auth0: `/v2/logout`).
    #[must_use]
    pub fn logout_url(&self, return_to: &str) -> String {
        let more = [("client_id", self.client_id.as_str()), ("returnTo", return_to)];
        with_query(&format!("{}/v2/logout", self.base), &more)
    }
}

impl Logins<'_> {
    /// Where the page is that an attempt goes on at: a path of ours, without its query. For whoever answers where all of a server's
    /// tenants send people.
    ///
    /// # Errors
    /// `login_expired` for one that is not this browser's or no tenant's.
    pub fn page_of(&self, ticket: Option<&str>, state: Option<&str>) -> Result<String> {
        let over = |why: &str| Error::new(codes::LOGIN_EXPIRED).operator(why.to_owned());
        let (ticket, state) = ticket.zip(state).ok_or_else(|| over("the browser has no ticket of it"))?;
        let attempt = self.opened(ticket, state)?;
        if attempt.provider != TENANT {
            return Err(over("it is no tenant's"));
        }
        Ok(attempt.return_to.split('?').next().unwrap_or_default().to_owned())
    }

    /// Lets whoever comes back from the mount's tenant in.
    ///
    /// The access token goes through the mount's chain like any bearer's, and has to be of the person that the ID token names, which is of
    /// this attempt alone.
    ///
    /// # Errors
    /// `login_expired` for an attempt that was used, `provider_refused`, `provider_unavailable`, `email_not_confirmed` for whose
    /// address the tenant says that nobody has proven it; the store's.
    pub async fn settle(
        &self,
        mut permit: Permit<session::Login>,
        attempt: &Attempt,
        answered: &Answered,
    ) -> Result<Call> {
        permit.name_resource(&attempt.provider);
        match self.let_in(&permit, attempt, answered).await {
            Ok(call) => {
                permit.name_resource(&call.auth.principal.owner_key());
                permit.commit(Vec::new()).await?;
                Ok(call)
            }
            Err(error) if error.code().kind == Kind::Unauthenticated => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    async fn let_in(
        &self,
        permit: &Permit<session::Login>,
        attempt: &Attempt,
        answered: &Answered,
    ) -> Result<Call> {
        let (mount, origin) = (permit.mount(), &permit.call().origin);
        let brought = self.bring(mount, attempt, answered, origin.address).await?;
        if brought.unconfirmed {
            let message = "Please confirm your e-mail address first, then sign in again.";
            return Err(Error::new(codes::EMAIL_NOT_CONFIRMED).message(message));
        }
        let known = async |text: &str| {
            let presented = Presented {
                offered: Some(Offered { place: Place::Bearer, text }),
                client: origin.address,
                ..Presented::nothing()
            };
            self.engine().authenticate(mount, (**origin).clone(), &presented).await
        };
        let call = known(brought.access_token.expose()).await.map_err(|error| match error.code().kind {
            Kind::Unauthenticated => refused(format!(
                "its access token is refused: {}",
                error.operator_detail().unwrap_or(error.code().name)
            )),
            _ => error,
        })?;
        let (found, said) = (&call.auth.principal, &brought.identified);
        if *found.authority != *said.authority || *found.subject != *said.subject {
            return Err(refused("its access token is of another person than its ID token"));
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::TENANT;

    #[test]
    fn no_configured_provider_is_called_like_a_tenant() {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(!TENANT.bytes().all(plain), "[providers.NAME] takes such names alone");
    }
}
