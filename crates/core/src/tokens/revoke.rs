//! Tokens as a service: made for others by administrators, and revoked.

use serde_json::json;

use super::hub::HUB_TOKEN;
use super::issue::{Issued, Subject, issue};
use super::model::{Revocation, Revoked};
use super::profile::TokenProfile;
use crate::authz::catalogue::token;
use crate::authz::scopes;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::events::catalogue;
use crate::memory::revocations::Key;
use crate::operation::Permit;
use crate::ports::store::{Change, Write};
use crate::principal::LOCAL;

/// How long a revocation stands when nobody knows when the token would have expired: longer than any life we issue.
pub(super) const FOR_LONG_MS: i64 = 10 * 366 * 86_400_000;

/// Longest name of what is revoked: it stands in an index.
const MAX_NAME_BYTES: usize = 512;

/// Tokens as a service.
pub struct Tokens<'e> {
    engine: &'e Engine,
}

/// A revocation and the news of it, to go into one transaction.
#[must_use]
pub fn revoke_writes(revocation: Revocation) -> [Write; 2] {
    [Write::Revoke(revocation.clone()), Write::Announce(Change::Revocation(revocation))]
}

/// The moment a revocation made now stands for. After another one in the same second new tokens carry the second
/// after it ([`issue()`]), and those have to be covered too.
pub(crate) fn moment_ms(engine: &Engine, revoked: &Revoked) -> i64 {
    let now_ms = engine.now_ms();
    let revocations = &engine.memory().revocations;
    let earlier_ms = match revoked {
        Revoked::Principal(_) | Revoked::Workspace(_) => revocations.earliest_ms(Key::of(revoked)),
        // A token of anybody may carry the second after that one's revocation.
        Revoked::All => revocations.earliest_ms(Key::of_principal("")).max(revocations.newest_principal_ms()),
        Revoked::Token(_) | Revoked::Session(_) => return now_ms,
    };
    earlier_ms.map_or(now_ms, |ms| now_ms.max((ms.div_euclid(1000) + 1).saturating_mul(1000)))
}

/// How far ahead of now the end of a workspace may stand: as far as one in the same second as another has to.
const AHEAD_MS: i64 = 1_000;

/// As [`moment_ms`], of the end of a workspace, which anybody brings about who makes and removes their own. Each in the same second stands a
/// second after the one before: without a bound somebody in a hurry would push it, and with it the next "everything", far beyond now, and
/// nobody would be let in until then.
///
/// # Errors
/// How many milliseconds to wait until it may be ended again.
pub(crate) fn end_of_workspace_ms(engine: &Engine, revoked: &Revoked) -> std::result::Result<i64, i64> {
    let (at_ms, last_ms) = (moment_ms(engine, revoked), engine.now_ms().saturating_add(AHEAD_MS));
    if at_ms <= last_ms { Ok(at_ms) } else { Err(at_ms.saturating_sub(last_ms)) }
}

impl<'e> Tokens<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    pub(super) fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// Makes a token for somebody under a profile.
    ///
    /// # Errors
    /// As [`issue()`].
    pub async fn issue(
        &self,
        mut permit: Permit<token::Issue>,
        profile: &TokenProfile,
        subject: Subject,
    ) -> Result<Issued> {
        let whose = subject.subject.clone();
        match self.checked(profile, subject).await.and_then(|subject| issue(self.engine, profile, subject)) {
            Ok(issued) => {
                permit.name_resource(issued.id.as_str());
                permit.tell(catalogue::TOKEN_GENERATED, || {
                    json!({
                        "user_id": whose, "token_type": "access", "token_id": issued.id,
                        "expires_in": issued.expires_in_s, "expires_at": issued.expires_at_s,
                    })
                });
                permit.commit(Vec::new()).await?;
                Ok(issued)
            }
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Our own tokens are for users there are, and limited to scopes there are; others' are their issuer's business.
    async fn checked(&self, profile: &TokenProfile, mut subject: Subject) -> Result<Subject> {
        if &*profile.authority == LOCAL || profile.typ == HUB_TOKEN {
            self.known(&subject.subject).await?;
            if let Some(scope) = &subject.scope {
                let catalogue = self.engine.roles().catalogue();
                subject.scope = Some(scopes::parse(catalogue, scope.split_ascii_whitespace())?.join(" "));
            }
        }
        Ok(subject)
    }

    async fn known(&self, user: &str) -> Result<()> {
        let unknown = || Error::new(codes::NOT_FOUND).message("There is no user with this id.");
        self.engine.store().user(&user.into()).await?.map(|_| ()).ok_or_else(unknown)
    }

    /// A slip in an incident must not look like success. Whether others issued a token of some id nobody here knows.
    async fn revocable(&self, revoked: &Revoked) -> Result<()> {
        match revoked {
            Revoked::Token(jti) if jti.split('.').count() == 3 && jti.starts_with("ey") => {
                let message = "That is a token itself; name its id, the claim jti.";
                Err(Error::new(codes::BAD_FIELD).message(message))
            }
            Revoked::Session(id) => {
                let unknown = || Error::new(codes::NOT_FOUND).message("There is no session with this id.");
                self.engine.store().session(&id.as_str().into()).await?.map(|_| ()).ok_or_else(unknown)
            }
            Revoked::Principal(key) => match key.split_once('|') {
                Some((LOCAL, user)) => self.known(user).await,
                Some((authority, subject)) if !authority.is_empty() && !subject.is_empty() => Ok(()),
                _ => {
                    let message = "A principal is named like local|usr_… or agentflow|user123.";
                    Err(Error::new(codes::BAD_FIELD).message(message))
                }
            },
            // Of workspaces that the hub alone knows nothing is kept.
            Revoked::Token(_) | Revoked::Workspace(_) | Revoked::All => Ok(()),
        }
    }

    /// Revokes the caller's own token, the one it came with.
    ///
    /// # Errors
    /// `bad_request` when the caller came with something that is no token.
    pub async fn revoke_own(&self, permit: Permit<token::Revoke>) -> Result<()> {
        let auth = permit.auth();
        let (Some(jti), true) =
            (&auth.credential, auth.method.ends_with("_token") || auth.method == "external_jwt")
        else {
            let message = "Only a token with an id (jti) can be revoked this way.";
            return permit.close(Err(Error::new(codes::BAD_REQUEST).message(message)));
        };
        if jti.len() > MAX_NAME_BYTES {
            let message = format!("The id (jti) of a token to revoke may take {MAX_NAME_BYTES} bytes.");
            return permit.close(Err(Error::new(codes::BAD_REQUEST).message(message)));
        }
        let now_ms = self.engine.now_ms();
        // What renews a hub's token has its id, and may end later.
        let renewed = auth.method == "hub_token";
        let ends_at_s = auth.expires_at_s.filter(|_| !renewed);
        let until_ms = ends_at_s.map_or(now_ms + FOR_LONG_MS, |s| (s + 3_600).saturating_mul(1000));
        let revocation = Revocation { revoked: Revoked::Token(jti.to_string()), at_ms: now_ms, until_ms };
        Ok(permit.commit(revoke_writes(revocation).into()).await?)
    }

    /// Revokes a token, a session, everything of a principal, or everything.
    ///
    /// # Errors
    /// `bad_field` for an empty or oversized name, a token for its id, and a name that nobody can have; `not_found` for
    /// a user or session there is not; the store's.
    pub async fn revoke_any(&self, mut permit: Permit<token::RevokeAny>, revoked: Revoked) -> Result<()> {
        let (kind, subject) = revoked.parts();
        if kind != "all" && !(1..=MAX_NAME_BYTES).contains(&subject.len()) {
            let message = format!("The {kind} to revoke has to be named in 1 to {MAX_NAME_BYTES} bytes.");
            return permit.close(Err(Error::new(codes::BAD_FIELD).message(message)));
        }
        if let Err(error) = self.revocable(&revoked).await {
            return permit.close(Err(error));
        }
        permit.name_resource(&format!("{kind}:{subject}"));
        let at_ms = moment_ms(self.engine, &revoked);
        let revocation = Revocation { revoked, at_ms, until_ms: at_ms + FOR_LONG_MS };
        Ok(permit.commit(revoke_writes(revocation).into()).await?)
    }
}
