//! There and back.

use std::net::IpAddr;
use std::sync::Arc;

use super::attempt::{Attempt, LIFE_MS, MAX_RETURN_BYTES, Ticket};
use super::identified::Identified;
use super::methods::{Answered, Brought};
use super::turns::Turn;
use super::{Identities, Provider};
use crate::authz::catalogue::{login, session, user};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, codes};
use crate::id::{IdentityId, SessionId, UserId};
use crate::identity::browser::Stay;
use crate::identity::model::User;
use crate::identity::sessions::{Arrival, Keep};
use crate::identity::users::NewUser;
use crate::memory::revocations::Key;
use crate::mount::{Mount, SignUp};
use crate::operation::Permit;
use crate::ports::store::Write;
use crate::ports::{Batch, Conflict, StoreError};
use crate::random::bytes;

use aws_lc_rs::digest::{SHA256, digest};

/// The purpose of codes that say that a log-in was used.
pub(crate) const SPENT: &str = "login";

/// A log-in that has begun.
pub struct Begun {
    /// Where the browser goes.
    pub location: String,
    /// What it keeps meanwhile.
    pub ticket: Ticket,
}

/// Somebody who is logged in by a provider's word.
pub struct Came {
    /// The log-in.
    pub stay: Stay,
    /// For how long the provider answers for it, in seconds. The log-in has times of its own; whoever lets nobody in for longer than
    /// their provider does goes by this.
    pub vouched_s: i64,
}

/// Somebody who came back.
pub enum Arrived {
    /// Somebody we know, logged in.
    Known(Came),
    /// Somebody we do not.
    Stranger(Box<(Newcomer, Permit<session::Login>)>),
}

/// Somebody whom a provider knows and we do not.
pub struct Newcomer {
    provider: Arc<Provider>,
    identified: Identified,
}

/// The way of a browser: there, and what comes after.
pub struct Way {
    /// Where the provider sends it back to.
    pub redirect_uri: String,
    /// Where it goes in the end: a path of ours.
    pub return_to: String,
    /// Whether the person says anew who they are: whom the provider has in mind is not the one.
    pub anew: bool,
}

impl Way {
    /// For whoever the provider has in mind.
    pub fn new(redirect_uri: impl Into<String>, return_to: impl Into<String>) -> Self {
        Self { redirect_uri: redirect_uri.into(), return_to: return_to.into(), anew: false }
    }
}

/// Logging in through providers, as a service.
pub struct Logins<'e> {
    engine: &'e Engine,
}

impl<'e> Logins<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    pub(super) fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// The provider of this name: one of those that everybody may choose, or the mount's own tenant.
    ///
    /// # Errors
    /// `not_found`.
    fn provider<'p>(&'p self, mount: &'p Mount, name: &str) -> Result<&'p Arc<Provider>> {
        let tenant = mount.tenant.as_ref().map(|tenant| &tenant.provider);
        let mut all = self.engine.providers().iter().chain(tenant);
        all.find(|provider| *provider.name == *name).ok_or_else(|| {
            Error::new(codes::NOT_FOUND).message("There is no such provider; GET /v1/login lists them.")
        })
    }

    /// Sends a browser to a provider, to log in.
    ///
    /// # Errors
    /// `not_found` for an unknown provider, `bad_field` for a `return_to` that is no path of ours, `provider_unavailable`.
    pub async fn begin(&self, permit: Permit<login::Begin>, provider: &str, way: Way) -> Result<Begun> {
        let mount = Arc::clone(permit.mount());
        let begun = self.leave(&mount, provider, way, None).await;
        permit.close(begun)
    }

    /// An attempt on its way out: to log in, or to add the identity to an account, by a session of its owner's.
    pub(super) async fn leave(
        &self,
        mount: &Mount,
        provider: &str,
        way: Way,
        link: Option<(UserId, SessionId)>,
    ) -> Result<Begun> {
        let provider = self.provider(mount, provider)?;
        let Way { redirect_uri, return_to, anew } = way;
        if !is_local_path(&return_to) {
            let message = "return_to: a path of this server, such as /docs, of at most 256 bytes.";
            return Err(Error::new(codes::BAD_FIELD).message(message));
        }
        let (link_to, session) = link.unzip();
        let attempt = Attempt {
            provider: provider.name.to_string(),
            mount: mount.name.to_string(),
            redirect_uri,
            return_to,
            anew,
            link_to,
            session,
            ..Attempt::new(self.engine.random(), self.engine.now_ms())
        };
        let ticket = self.engine.tickets().seal(self.engine.random(), &attempt)?;
        let location = provider.method.begin(self.engine, &attempt).await?;
        Ok(Begun { location, ticket })
    }

    /// The attempt of a ticket, unless everything that was begun by then has ended: after a restore nobody knows any more whether it
    /// was used.
    pub(super) fn opened(&self, ticket: &str, state: &str) -> Result<Attempt> {
        let attempt = self.engine.tickets().open(ticket, state, self.engine.now_ms())?;
        let revocations = &self.engine.memory().revocations;
        if revocations.cover_since(Key::of_principal(""), attempt.began_at_ms()) {
            let why = "everything that was begun before was ended";
            return Err(Error::new(codes::LOGIN_EXPIRED).operator(why));
        }
        Ok(attempt)
    }

    /// The attempt that somebody comes back from.
    ///
    /// # Errors
    /// `login_expired` for one that is not this browser's, mount's and provider's.
    pub fn attempt(
        &self,
        mount: &Mount,
        provider: &str,
        ticket: Option<&str>,
        state: Option<&str>,
    ) -> Result<Attempt> {
        let over = |why: &str| Error::new(codes::LOGIN_EXPIRED).operator(why.to_owned());
        let state = state.ok_or_else(|| over("no state came back"))?;
        let ticket = ticket.ok_or_else(|| over("the browser has no ticket of it"))?;
        let attempt = self.opened(ticket, state)?;
        if attempt.provider != provider || attempt.mount != *mount.name {
            return Err(over("it is another provider's or mount's"));
        }
        Ok(attempt)
    }

    /// Logs in whoever comes back, if we know them.
    ///
    /// # Errors
    /// `login_expired` for an attempt that was used, `provider_refused`, `provider_unavailable`, `user_disabled`,
    /// `email_not_allowed`, `login_refused`.
    pub async fn finish(
        &self,
        mut permit: Permit<session::Login>,
        attempt: &Attempt,
        answered: &Answered,
    ) -> Result<Arrived> {
        let (from, mount) = (permit.call().origin.address, Arc::clone(permit.mount()));
        permit.name_resource(&attempt.provider);
        let known = async {
            let (provider, identified) = self.identify(&mount, attempt, answered, from).await?;
            let identity = self.engine.store().identity(&identified.authority, &identified.subject).await?;
            let Some(identity) = identity else { return Ok((provider, identified, None)) };
            let user = self.engine.store().user(&identity.user).await?;
            let user = user.ok_or_else(|| Error::new(codes::CONFLICT))?;
            Ok::<_, Error>((provider, identified, Some((identity, user))))
        };
        match known.await {
            Ok((_, _, Some((_, user)))) if user.is_kept_out(self.engine.now_ms()) => {
                permit.name_resource(user.id.as_str());
                Err(permit.refuse(Error::new(codes::USER_DISABLED)).await)
            }
            Ok((provider, identified, Some((identity, user)))) => {
                let vouched_s = identified.life_s;
                let arrived = self.arrive(permit, &provider, identity.id, user).await;
                arrived.map(|stay| Arrived::Known(Came { stay, vouched_s }))
            }
            Ok((provider, identified, None)) => {
                Ok(Arrived::Stranger(Box::new((Newcomer { provider, identified }, permit))))
            }
            Err(error) if error.code().kind == Kind::Unauthenticated => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Gives a stranger an account, where that is open to them, and logs them in.
    ///
    /// # Errors
    /// `sign_up_closed`, `account_exists` when the provider's confirmed address is an account's that this identity does not open.
    pub async fn welcome(
        &self,
        login: Permit<session::Login>,
        sign_up: Permit<user::SignUp>,
        newcomer: Newcomer,
    ) -> Result<Came> {
        let Newcomer { provider, identified } = newcomer;
        let open = provider.sign_up.unwrap_or(login.mount().sign_up == SignUp::Open);
        if !open {
            let closed = sign_up.close::<Came>(Err(Error::new(codes::SIGN_UP_CLOSED)));
            return login.close(closed);
        }
        let made = self.account(sign_up, &provider.name, &identified, Vec::new()).await;
        match made {
            Ok((user, identity)) => {
                let stay = self.arrive(login, &provider, identity, user).await?;
                Ok(Came { stay, vouched_s: identified.life_s })
            }
            Err(error) => login.close(Err(error)),
        }
    }

    /// An account for somebody new, with the identity that opens it. `source` is what says who they are.
    pub(super) async fn account(
        &self,
        mut permit: Permit<user::SignUp>,
        source: &str,
        identified: &Identified,
        roles: Vec<String>,
    ) -> Result<(User, IdentityId)> {
        let mount = Arc::clone(permit.mount());
        let mut username = identified.email.is_none().then(|| identified.fallback_username(source));
        for _ in 0..3 {
            let new = NewUser {
                email: identified.email.clone(),
                // An address that it did not confirm is none.
                email_confirmed: true,
                username: username.clone(),
                display_name: identified.name.clone(),
                roles: roles.clone(),
                ..NewUser::default()
            };
            let (user, mut writes) = match self.engine.users().prepare(&mount, new, None).await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            let identity = Identities::new(self.engine).made(&user.id, identified);
            let id = identity.id.clone();
            writes.push(Write::InsertIdentity(identity));
            permit.name_resource(user.id.as_str());
            match permit.attempt(writes).await {
                Ok(()) => return Ok((user, id)),
                Err(StoreError::Conflict(Conflict::UsernameTaken)) => {
                    // Somebody took the name first; whoever it was must not keep this person out.
                    let [a, b, c]: [u8; 3] = bytes(self.engine.random());
                    username = username.map(|name| format!("{name}-{a:02x}{b:02x}{c:02x}"));
                }
                Err(StoreError::Conflict(Conflict::EmailTaken)) => {
                    return permit.close(Err(Error::new(codes::ACCOUNT_EXISTS)));
                }
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    async fn arrive(
        &self,
        permit: Permit<session::Login>,
        provider: &Provider,
        identity: IdentityId,
        user: User,
    ) -> Result<Stay> {
        let touch = Write::TouchIdentity { id: identity, user: user.id.clone(), at_ms: self.engine.now_ms() };
        let arrival = Arrival {
            user,
            method: provider.method.name(),
            source: Some(provider.name.to_string()),
            device: None,
            writes: vec![touch],
            refusal: codes::LOGIN_REFUSED,
            typed: None,
            renewal: None,
        };
        let sessions = self.engine.sessions();
        let (session, _) = sessions.begin(permit, arrival, Keep::Cookie).await?;
        Ok(sessions.stay(session))
    }

    /// Uses the attempt up and asks the provider who came back.
    pub(super) async fn identify(
        &self,
        mount: &Mount,
        attempt: &Attempt,
        answered: &Answered,
        from: Option<IpAddr>,
    ) -> Result<(Arc<Provider>, Identified)> {
        let provider = self.provider(mount, &attempt.provider)?;
        let _asking = self.spend(provider, attempt, from).await?;
        let identified = provider.method.identify(self.engine, attempt, answered).await?;
        provider.must_allow(&identified)?;
        Ok((Arc::clone(provider), identified))
    }

    /// Uses the attempt up and asks the mount's tenant who came back, and for the token that lets them in.
    pub(super) async fn bring(
        &self,
        mount: &Mount,
        attempt: &Attempt,
        answered: &Answered,
        from: Option<IpAddr>,
    ) -> Result<Brought> {
        let provider = self.provider(mount, &attempt.provider)?;
        let _asking = self.spend(provider, attempt, from).await?;
        let brought = provider.method.bring(self.engine, attempt, answered).await?;
        provider.must_allow(&brought.identified)?;
        Ok(brought)
    }

    /// Uses the attempt up. While what comes back is held, it counts as one that is asked for.
    async fn spend<'p>(
        &self,
        provider: &'p Provider,
        attempt: &Attempt,
        from: Option<IpAddr>,
    ) -> Result<Turn<'p>> {
        // Before the attempt is used up: whoever is told to come again can.
        let turn = provider.turns.take(from)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, attempt.state.as_bytes()).as_ref());
        let used = Write::InsertCode {
            purpose: SPENT.to_owned(),
            hash,
            // Longer than it could be used by a clock that is set back a little.
            expires_at_ms: attempt.expires_at_ms + LIFE_MS,
        };
        match self.engine.commit(Batch::durable(vec![used])).await {
            Ok(()) => Ok(turn),
            Err(StoreError::Conflict(_)) => Err(Error::new(codes::LOGIN_EXPIRED).operator("it was used")),
            Err(error) => Err(error.into()),
        }
    }
}

/// A path of ours that a browser cannot take for another site's (WHATWG URL §4.4: `\` is `/`, tabs and line ends are skipped).
fn is_local_path(text: &str) -> bool {
    text.len() <= MAX_RETURN_BYTES
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::is_local_path;

    #[test]
    fn one_comes_back_to_a_path_of_ours_only() {
        for good in ["/", "/docs", "/a?b=c&d=%2F%2Fevil.example#e", "/a//b"] {
            assert!(is_local_path(good), "{good}");
        }
        for bad in [
            "",
            "docs",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\nb",
            "/\t/evil.example",
            "/é",
            " /",
            &format!("/{}", "x".repeat(256)),
        ] {
            assert!(!is_local_path(bad), "{bad:?}");
        }
    }
}
