//! A token that somebody holds up without using it: what it is worth (RFC 7662), and handing it in (RFC 7009).
//!
//! Neither counts as a use, nor as an attempt to guess: no session is kept alive, no family ended by an old counter, and an
//! unknown text is an ordinary answer. Which kind of token it is the text itself says; a caller's hint is not needed.

use serde_json::{Map, Value};

use super::hub::{self, HUB_TOKEN};
use super::model::{Family, Revocation, Revoked};
use super::profile::Keys;
use super::refresh::{self, UNNAMED, Verdict, judge};
use super::revoke::{Tokens, revoke_writes};
use crate::authz::catalogue::token;
use crate::error::{Error, Result, codes};
use crate::id::{SessionId, UserId};
use crate::memory::revocations::Handles;
use crate::mount::Mount;
use crate::operation::Permit;
use crate::ports::store::Write;
use crate::ports::{Conflict, StoreError};
use crate::principal::{LOCAL, Principal};

/// How long after its end a revoked token is remembered: clocks differ.
pub(crate) const AFTER_END_S: i64 = 3_600;

/// What a token that works is.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether it is an access token; else a refresh token.
    pub access: bool,
    /// Whom it is of.
    pub principal: Principal,
    /// Whom it comes down to: itself, or whoever it was made for a child of.
    pub root: Principal,
    /// The user's name, if there is one.
    pub username: Option<String>,
    /// The client that named itself when it got a refresh token.
    pub client: Option<String>,
    /// What it says: an access token's claims, or what a refresh token stands for.
    pub claims: Map<String, Value>,
}

/// A token of ours, whether or not it still works.
enum Held {
    Access { user: UserId, claims: Map<String, Value>, handles: Handles, id: String, expires_at_s: i64 },
    Refresh { family: Family, counter: i64 },
    Hub { read: Box<hub::Read>, claims: Map<String, Value>, max_ttl_s: i64 },
}

impl Held {
    /// Whom it is of.
    fn principal(&self) -> Principal {
        match self {
            Self::Access { user, .. } => Principal::local(user),
            Self::Refresh { family, .. } => Principal::local(&family.user),
            Self::Hub { read, .. } => read.principal.clone(),
        }
    }

    /// The local user whom it comes down to.
    fn user(&self) -> Option<UserId> {
        match self {
            Self::Access { user, .. } => Some(user.clone()),
            Self::Refresh { family, .. } => Some(family.user.clone()),
            Self::Hub { read, .. } => read.local_user(),
        }
    }

    fn session(&self) -> Option<SessionId> {
        match self {
            Self::Access { claims, .. } => claims.get("sid").and_then(Value::as_str).map(SessionId::from),
            Self::Refresh { family, .. } => Some(family.session.clone()),
            Self::Hub { read, .. } => read.session.clone(),
        }
    }
}

impl Tokens<'_> {
    /// What a token of this mount is worth at this moment: `None` for one that does not work, that is not ours, or that is
    /// of somebody the caller's rights do not reach, which nobody can tell apart.
    ///
    /// # Errors
    /// The store's.
    pub async fn introspect(
        &self,
        mut permit: Permit<token::Introspect>,
        text: &str,
    ) -> Result<Option<Facts>> {
        let mount = std::sync::Arc::clone(permit.mount());
        let facts = match self.facts(&mount, text).await {
            Ok(facts) => facts,
            Err(error) => return permit.close(Err(error)),
        };
        let reached = facts.filter(|facts| {
            let reaches = |one: &Principal| permit.must_reach(&one.subject, &one.owner_key()).is_ok();
            reaches(&facts.principal) || reaches(&facts.root)
        });
        if let Some(id) = reached.as_ref().and_then(|facts| facts.claims.get("jti")?.as_str()) {
            permit.name_resource(id);
        }
        permit.close(Ok(reached))
    }

    /// Ends a token that its holder no longer wants: an access token alone, a refresh token with its session and all that
    /// descends from it. One that is not ours, or has ended, is nothing to do.
    ///
    /// # Errors
    /// `wrong_client` when the refresh token was given to a client of another name; the store's.
    pub async fn surrender(
        &self,
        permit: Permit<token::Surrender>,
        text: &str,
        client: Option<&str>,
    ) -> Result<()> {
        self.end(permit, (text, None), client).await
    }

    /// As [`Tokens::surrender`], of a token that another text stands for: what was made of that text, which is revoked by `handle`, ends too.
    ///
    /// # Errors
    /// The store's.
    pub async fn surrender_with(
        &self,
        permit: Permit<token::Surrender>,
        text: &str,
        handle: String,
    ) -> Result<()> {
        self.end(permit, (text, Some(handle)), None).await
    }

    async fn end(
        &self,
        mut permit: Permit<token::Surrender>,
        (text, beside): (&str, Option<String>),
        client: Option<&str>,
    ) -> Result<()> {
        let mount = std::sync::Arc::clone(permit.mount());
        let held = match self.held(&mount, text).await {
            Ok(Some(held)) => held,
            Ok(None) => return permit.close(Ok(())),
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_principal(held.principal(), "token_itself");
        let writes: Vec<Write> = match &held {
            Held::Access { id, expires_at_s, .. } => {
                permit.name_resource(id);
                let until_ms = expires_at_s.saturating_add(AFTER_END_S).saturating_mul(1000);
                let revoked = Revoked::Token(id.clone());
                revoke_writes(Revocation { revoked, at_ms: self.engine().now_ms(), until_ms }).into()
            }
            Held::Hub { read, max_ttl_s, .. } => {
                permit.name_resource(&read.id);
                // What renews it has its id, and may have been made a moment ago.
                let at_ms = self.engine().now_ms();
                let until_ms = at_ms.saturating_add((max_ttl_s + AFTER_END_S).saturating_mul(1000));
                let ids = std::iter::once(read.id.clone()).chain(beside);
                let revoked = ids.map(|id| Revocation { revoked: Revoked::Token(id), at_ms, until_ms });
                revoked.flat_map(revoke_writes).collect()
            }
            Held::Refresh { family, .. } => {
                permit.name_resource(family.id.as_str());
                if named(family).is_some_and(|name| client.is_some_and(|client| client != name)) {
                    return permit.close(Err(Error::new(codes::WRONG_CLIENT)));
                }
                self.engine().sessions().end_family_writes(family)
            }
        };
        match permit.attempt(writes).await {
            Ok(()) => Ok(()),
            // It ended by itself meanwhile.
            Err(StoreError::Conflict(Conflict::Missing)) => permit.close(Ok(())),
            Err(error) => permit.close(Err(error.into())),
        }
    }

    async fn held(&self, mount: &Mount, text: &str) -> Result<Option<Held>> {
        let (engine, profile) = (self.engine(), &mount.tokens);
        let now_ms = engine.now_ms();
        if profile.typ == HUB_TOKEN {
            let Ok(verified) = profile.verify(HUB_TOKEN, text, now_ms) else { return Ok(None) };
            let shared = matches!(profile.keys, Keys::Fixed { .. });
            let Ok(read) = hub::Read::of(engine, &verified.claims, &profile.authority, shared) else {
                return Ok(None);
            };
            let claims = verified.claims.to_map();
            return Ok(Some(Held::Hub { read: Box::new(read), claims, max_ttl_s: profile.max_ttl_s }));
        }
        // Others' subjects are no users of ours, and their issuer is the one to ask.
        if &*profile.authority != LOCAL {
            return Ok(None);
        }
        if let Ok((id, counter)) = refresh::read(engine.refresh_key(), profile, text, now_ms) {
            let family = engine.store().family(&id).await?;
            return Ok(family.map(|family| Held::Refresh { family, counter }));
        }
        let Ok(verified) = profile.verify(profile.typ, text, now_ms) else { return Ok(None) };
        let claims = &verified.claims;
        let (Some(user), Some(id), Some(expires_at_s)) = (claims.sub(), claims.jti(), claims.exp) else {
            return Ok(None);
        };
        let user = UserId::of_either(&user);
        let session = claims.get_str("sid");
        let handles = Handles::of(claims, session.as_deref(), &Principal::local(&user).owner_key());
        let id = id.into_owned();
        Ok(Some(Held::Access { user, claims: claims.to_map(), handles, id, expires_at_s }))
    }

    async fn facts(&self, mount: &Mount, text: &str) -> Result<Option<Facts>> {
        let Some(held) = self.held(mount, text).await? else { return Ok(None) };
        let engine = self.engine();
        let now_ms = engine.now_ms();
        let user = match held.user() {
            None => None,
            Some(id) => match engine.store().user(&id).await?.filter(|user| !user.is_kept_out(now_ms)) {
                Some(user) => Some(user),
                None => return Ok(None),
            },
        };
        if let Some(id) = held.session() {
            let session = engine.session_unused(&id, now_ms).await?;
            // As when they are used: a refresh token works at its own mount, an access token wherever its keys do.
            let elsewhere = |mount_of: &str| matches!(held, Held::Refresh { .. }) && *mount_of != *mount.name;
            if session.is_none_or(|session| elsewhere(&session.mount) || engine.stay_revoked(&session)) {
                return Ok(None);
            }
        }
        let username = user.and_then(|user| user.username.or(user.email));
        let principal = held.principal();
        Ok(match held {
            Held::Access { handles, .. } if engine.memory().revocations.cover(&handles) => None,
            Held::Hub { read, .. } if read.is_revoked(engine) => None,
            Held::Hub { read, claims, .. } => {
                let username = username.filter(|_| *read.root() == principal);
                Some(Facts {
                    access: true,
                    root: read.root().clone(),
                    principal,
                    username,
                    client: None,
                    claims,
                })
            }
            Held::Access { claims, .. } => {
                let root = principal.clone();
                Some(Facts { access: true, root, principal, username, client: None, claims })
            }
            Held::Refresh { family, counter } => {
                let verdict = judge(&family, counter, &family.client, &mount.tokens.refresh, now_ms);
                (verdict == Verdict::Advance).then(|| Facts {
                    access: false,
                    root: principal.clone(),
                    principal,
                    username,
                    client: named(&family).map(str::to_owned),
                    claims: stands_for(&family),
                })
            }
        })
    }
}

/// The name a client gave itself.
fn named(family: &Family) -> Option<&str> {
    Some(&*family.client).filter(|client| !client.is_empty() && !client.starts_with(UNNAMED))
}

fn stands_for(family: &Family) -> Map<String, Value> {
    let until_ms = family.expires_at_ms.min(family.ends_at_ms);
    let mut claims = Map::new();
    claims.insert("sub".into(), family.user.as_str().into());
    claims.insert("sid".into(), family.session.as_str().into());
    claims.insert("jti".into(), family.id.as_str().into());
    claims.insert("exp".into(), until_ms.div_euclid(1000).into());
    if let Some(scope) = &family.scope {
        claims.insert("scope".into(), scope.as_str().into());
    }
    claims
}
