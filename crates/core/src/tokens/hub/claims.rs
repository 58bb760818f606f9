//! What a hub's token says, read once its signature holds.

use std::sync::Arc;

use doorward_protocols::hypha_scope::Scope;
use doorward_protocols::jose::Claims;
use serde_json::Value;

use super::{CHILD, MAX_GENERATIONS};
use crate::authz::roles::{ADMIN, ANONYMOUS as ANONYMOUS_ROLE};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{ApiKeyId, SessionId};
use crate::memory::caches::SessionCopy;
use crate::memory::generations::Stamp;
use crate::memory::revocations::{Handles, Key};
use crate::principal::{ANONYMOUS, AuthContext, Descent, LOCAL, Principal, PrincipalKind, Words, is_subject};
use crate::tokens::seen::usable;
use crate::workspaces::{EVERY, WorkspaceScope, names};

/// Most roles that are read.
const MAX_ROLES: usize = 32;

/// Most roles in a start-up file's words.
const MAX_WORDS: usize = 64;

/// What a token says.
pub(crate) struct Read {
    /// Whom it is of.
    pub(crate) principal: Principal,
    /// Whom that one acts for, nearest first.
    pub(crate) actors: Vec<Principal>,
    /// Its `jti`.
    pub(crate) id: String,
    /// The session it descends from.
    pub(crate) session: Option<SessionId>,
    /// Whether it was made over another store, whose users, sessions and keys nobody here can look at.
    foreign: bool,
    descent: Descent,
    workspaces: WorkspaceScope,
    /// Those it was given; absent of a log-in's own, which has its user's.
    roles: Option<Vec<Arc<str>>>,
    /// Those that a start-up file said, in its words.
    words: Option<Vec<Arc<str>>>,
    /// Whether a start-up file of this mount vouches for the subject.
    vouched: bool,
    limits: Option<Vec<Arc<str>>>,
    administrative: bool,
    email: Option<String>,
    issued_at_s: Option<i64>,
    expires_at_s: Option<i64>,
}

/// A caller, with what has to stand for it to stay one.
pub(crate) struct Kept {
    /// Who it is.
    pub(crate) auth: Arc<AuthContext>,
    /// The copy of the local user that it is, or acts for.
    pub(crate) user: Option<Stamp>,
    /// The session it descends from.
    pub(crate) session: Option<Arc<SessionCopy>>,
}

fn invalid(what: &'static str) -> Error {
    Error::new(codes::TOKEN_INVALID).operator(what)
}

fn texts(claims: &Claims, name: &'static str, most: usize) -> Result<Option<Vec<Arc<str>>>> {
    let bad = || invalid("a list in it is none, or too long");
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Array(all)) if all.len() <= most => {
            let text = |one: &Value| one.as_str().map(Arc::from).ok_or_else(bad);
            all.iter().map(text).collect::<Result<_>>().map(Some)
        }
        Some(_) => Err(bad()),
    }
}

/// Somebody that an owner key names. Whom nobody vouches for is a visitor.
fn named(key: &str) -> Result<Principal> {
    let found = Principal::of_owner_key(key).filter(|one| is_subject(&one.subject));
    let found = found.ok_or_else(|| invalid("a parent in it is nobody"))?;
    let kind = if *found.authority == *ANONYMOUS { PrincipalKind::Anonymous } else { found.kind };
    Ok(Principal { kind, ..found })
}

/// A principal of another store, as it is known here: `authority` vouches for what shares its key.
fn abroad(principal: Principal, authority: &Arc<str>) -> Principal {
    if principal.kind == PrincipalKind::Anonymous {
        return principal;
    }
    let ours = *principal.authority == *LOCAL || principal.authority == *authority;
    let subject = if ours { Arc::clone(&principal.subject) } else { principal.owner_key().into() };
    Principal { authority: Arc::clone(authority), subject, ..principal }
}

impl Read {
    /// Reads the claims of a token of a mount whose subjects this authority vouches for.
    ///
    /// # Errors
    /// `token_invalid`, also for one of another store where the mount shares no key with others (`shared`).
    pub(crate) fn of(engine: &Engine, claims: &Claims, authority: &Arc<str>, shared: bool) -> Result<Self> {
        let subject = claims.sub().filter(|subject| is_subject(subject)).ok_or_else(|| invalid("no sub"))?;
        let id = claims.jti().ok_or_else(|| invalid("no jti"))?.into_owned();
        let vouches = claims.get_str("authority").ok_or_else(|| invalid("no authority"))?;
        let child = match claims.get_str("gty").as_deref() {
            None => false,
            Some(CHILD) => true,
            Some(_) => return Err(invalid("gty")),
        };
        let kind = match (&*vouches, child) {
            (_, true) => PrincipalKind::Service,
            (ANONYMOUS, false) => PrincipalKind::Anonymous,
            (_, false) => PrincipalKind::User,
        };
        let foreign = claims.get_str("home").as_deref() != Some(&engine.hub_home());
        if foreign && !shared {
            return Err(invalid("it was made over another store"));
        }
        let mut principal =
            Principal { kind, authority: vouches.as_ref().into(), subject: subject.as_ref().into() };
        let parents = texts(claims, "parent", MAX_GENERATIONS)?.unwrap_or_default();
        let mut actors = parents.iter().map(|key| named(key)).collect::<Result<Vec<_>>>()?;
        // A child is of this mount's authority, never of one whose subjects somebody else chooses.
        if child == actors.is_empty() || (child && !foreign && principal.authority != *authority) {
            return Err(invalid("a child without a parent, or a parent without a child"));
        }
        if foreign {
            principal = abroad(principal, authority);
            actors = actors.into_iter().map(|one| abroad(one, authority)).collect();
        }
        let scope = claims.get_str("scope").unwrap_or_default();
        let scope: Scope = scope.parse().map_err(|_| invalid("its scope cannot be read"))?;
        let mut workspaces = WorkspaceScope::from(scope);
        if foreign {
            // Others' workspaces are called like ours: what was given there, whoever owns that name here did not give.
            let own = names::own(actors.last().unwrap_or(&principal), authority);
            workspaces.given.retain(|name, _| **name == *own);
        }
        // Nobody else can make a workspace of the name of one's own.
        let own = names::own(&principal, authority);
        let others = workspaces.given.keys().filter(|name| ***name != *EVERY && ***name != *own);
        workspaces.ends_with = others.cloned().collect();
        workspaces.confined = child || matches!(claims.get("confined"), Some(Value::Bool(true)));
        let handles = claims.get_str("par").unwrap_or_default();
        let handles: Vec<Arc<str>> = handles.split_ascii_whitespace().map(Arc::from).collect();
        if handles.len() > MAX_GENERATIONS {
            return Err(invalid("it descends from too many"));
        }
        let vouched = !foreign && !child && principal.authority == *authority;
        Ok(Self {
            vouched,
            words: texts(claims, "words", MAX_WORDS)?.filter(|_| vouched),
            principal,
            actors,
            id,
            session: claims.get_str("sid").filter(|_| !foreign).map(|sid| SessionId::from(&*sid)),
            foreign,
            descent: Descent { handles, ends_at_s: claims.get("until").and_then(|until| until.as_i64()) },
            workspaces,
            roles: texts(claims, "roles", MAX_ROLES)?,
            limits: texts(claims, "limits", crate::authz::scopes::MAX_SCOPES)?,
            administrative: matches!(claims.get("administrative"), Some(Value::Bool(true))),
            email: claims.get_str("email").map(std::borrow::Cow::into_owned),
            issued_at_s: claims.iat,
            expires_at_s: claims.exp,
        })
    }

    /// What it can be revoked by: itself with its session and subject, each credential it was made from, each principal it acts for, and
    /// each workspace of others that it was given something in.
    pub(crate) fn handles(&self) -> (Handles, Vec<Handles>) {
        let by = |key| Handles { token: None, session: None, principal: key, issued_at_s: self.issued_at_s };
        let of = |principal: &Principal| by(Key::of_principal(&principal.owner_key()));
        let first = Handles {
            token: Some(Key::of_token(&self.id)),
            session: self.session.as_ref().map(|id| Key::of_session(id.as_str())),
            ..of(&self.principal)
        };
        let made_from = self
            .descent
            .handles
            .iter()
            .map(|id| Handles { token: Some(Key::of_token(id)), ..of(&self.principal) });
        let workspaces = self.workspaces.ends_with.iter().map(|id| by(Key::of_workspace(id)));
        (first, made_from.chain(self.actors.iter().map(of)).chain(workspaces).collect())
    }

    /// Whether anything that it can be revoked by was.
    pub(crate) fn is_revoked(&self, engine: &Engine) -> bool {
        let (first, others) = self.handles();
        let revocations = &engine.memory().revocations;
        std::iter::once(&first).chain(&others).any(|handles| revocations.cover(handles))
    }

    /// Whom it comes down to: itself, or the first of those it acts for.
    pub(crate) fn root(&self) -> &Principal {
        self.actors.last().unwrap_or(&self.principal)
    }

    /// The local user that it comes down to, if it does to one of this store.
    pub(crate) fn local_user(&self) -> Option<crate::id::UserId> {
        self.root().user_id().filter(|_| !self.foreign)
    }

    /// The caller, if everything that the token descends from still stands.
    ///
    /// # Errors
    /// `token_revoked`, `token_invalid` when the user is gone, `user_disabled`, `session_ended`; the store's.
    pub(crate) async fn establish(self, engine: &Engine, now_ms: i64) -> Result<Kept> {
        if self.is_revoked(engine) {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let user = match self.local_user() {
            None => None,
            Some(id) => Some(Arc::clone(usable(engine.user_copy(&id).await?.as_ref(), now_ms)?)),
        };
        let session = match &self.session {
            None => None,
            Some(id) => Some(engine.live_session(id, now_ms).await?),
        };
        if !self.foreign {
            for id in self.descent.handles.iter().filter(|id| id.starts_with("key_")) {
                key_stands(engine, &ApiKeyId::from(&**id), now_ms).await?;
            }
        }
        let roles = self.roles_now(engine, user.as_ref().map(|copy| &*copy.user.roles));
        let administrative = self.administrative
            && !self.workspaces.confined
            && (self.vouched || (user.is_some() && !self.foreign));
        let mut workspaces = self.workspaces;
        if !(administrative && roles.iter().any(|role| **role == *ADMIN)) {
            workspaces.given.remove(EVERY);
        }
        let own_email =
            || user.as_ref().filter(|_| self.actors.is_empty()).and_then(|copy| copy.user.proven_email());
        let email = own_email().or(self.email);
        let authenticated_at_ms = session.as_ref().map(|copy| copy.session.created_at_ms);
        let auth = Arc::new(AuthContext {
            principal: self.principal,
            actors: self.actors,
            scopes: self.limits,
            method: "hub_token",
            credential: Some(self.id.into()),
            session: self.session,
            authenticated_at_s: authenticated_at_ms.map(|ms| ms.div_euclid(1000)).or(self.issued_at_s),
            expires_at_s: self.expires_at_s,
            administrative,
            claims: email.map(|email| ("email".to_owned(), email.into())).into_iter().collect(),
            workspaces,
            descent: self.descent,
            words: self.words.map(|roles| {
                let roles = roles.iter().map(ToString::to_string).collect();
                Arc::new(Words { roles, parent: None })
            }),
            ..AuthContext::anonymous(roles)
        });
        Ok(Kept { auth, user: user.map(|copy| copy.stamp), session })
    }

    /// The roles it says, as far as they are its holder's now. Those of a local user count as they are; others' must be defined here.
    fn roles_now(&self, engine: &Engine, user: Option<&[Arc<str>]>) -> Vec<Arc<str>> {
        let Some(given) = &self.roles else {
            let all = user.filter(|_| self.actors.is_empty());
            return all.map(<[_]>::to_vec).unwrap_or_default();
        };
        let counts = |role: &&Arc<str>| match user {
            Some(held) => held.contains(role),
            None if self.root().kind == PrincipalKind::Anonymous => ***role == *ANONYMOUS_ROLE,
            None => engine.roles().can_be_given(role),
        };
        given.iter().filter(counts).cloned().collect()
    }
}

/// An API key that something was made from: there still, and good.
async fn key_stands(engine: &Engine, id: &ApiKeyId, now_ms: i64) -> Result<()> {
    let stands = engine.store().api_key(id).await?.is_some_and(|key| {
        key.revoked_at_ms.is_none() && key.expires_at_ms.is_none_or(|at_ms| now_ms < at_ms)
    });
    if stands {
        Ok(())
    } else {
        Err(Error::new(codes::TOKEN_REVOKED).operator("the API key it was made with has ended"))
    }
}
