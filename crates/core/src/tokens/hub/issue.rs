//! Making a hub's tokens. Whoever asks has decided by a permit; what is asked for is measured again here, against the caller.

use std::sync::Arc;

use doorward_protocols::hypha_scope::Scope;
use doorward_protocols::jose::sign_compact;
use serde_json::{Map, Value};

use super::{CHILD, HUB_TOKEN, MAX_GENERATIONS};
use crate::authz::catalogue::{Action as _, ActionDef, workspace};
use crate::authz::filter::{Filter, Labels};
use crate::authz::roles::ADMIN;
use crate::authz::{Target, decide};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::TokenId;
use crate::identity::validate;
use crate::memory::revocations::Key;
use crate::operation::Call;
use crate::principal::{AuthContext, Principal, PrincipalKind};
use crate::random::bytes;
use crate::secret::SecretText;
use crate::tokens::issue::Issued;
use crate::tokens::profile::TokenProfile;
use crate::workspaces::{EVERY, Permission, WorkspaceScope};

/// Longest token: longer ones are refused where they are shown.
const MAX_TOKEN_BYTES: usize = 8 << 10;
/// What a child's name is made of: letters and digits that are told apart by eye.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Length of a child's name: 130 bits.
const CHILD_NAME: usize = 26;

/// Whom a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubTokenKind {
    /// The caller itself: to come back with.
    SameSubject,
    /// A new subject that acts for the caller and reaches what it is given alone.
    Child,
}

/// A token that is asked for.
pub struct HubToken {
    /// What it is given and bound to. A child is confined, whatever stands here.
    pub workspaces: WorkspaceScope,
    /// How long it lives, in seconds; the profile's access life if absent.
    pub ttl_s: Option<i64>,
    /// Whom it is for.
    pub kind: HubTokenKind,
    /// An address to show to services. One that is not the caller's own only an administrator gives.
    pub email: Option<String>,
    /// The roles it keeps, of the caller's; all of them if absent.
    pub roles: Option<Vec<Arc<str>>>,
}

fn refused(what: &'static str) -> Error {
    Error::new(codes::FORBIDDEN).operator(what)
}

impl Engine {
    /// Makes a token for the caller, or for a child of its. It ends no later than what the caller came with, and is revoked with it.
    /// No line is written to the audit log: that is the business of the permit by which the caller decided.
    ///
    /// A workspace that only the hub knows counts as the caller's where it stands in the call's own `workspaces.given`.
    ///
    /// # Errors
    /// `forbidden`, `scope_missing` or `not_found` for more than the caller has; `bad_field` for a life that is too long, and for
    /// texts that cannot be written; `token_revoked` and `session_ended` when what the caller came with has ended; `cannot_sign`; the
    /// store's.
    pub async fn hub_token(&self, profile: &TokenProfile, call: &Call, wanted: HubToken) -> Result<Issued> {
        let auth = &call.auth;
        self.must_have_a_token(profile, call)?;
        self.must_hold(profile, call, &wanted).await?;
        let renews = wanted.kind == HubTokenKind::SameSubject && auth.method == "hub_token";
        let lineage = Lineage::of(self, profile, auth, wanted.kind);
        if lineage.actors.len().max(lineage.handles.len()) > MAX_GENERATIONS {
            let message = "This token was made from a token that was made from a token, too often.";
            return Err(Error::new(codes::BAD_REQUEST).message(message));
        }
        let now_ms = self.now_ms();
        let now_s = now_ms.div_euclid(1000);
        // 1. The end: of what the caller came with, and of the session that goes back to.
        let came_with = if auth.method == "hub_token" { auth.descent.ends_at_s } else { auth.expires_at_s };
        let session_ends = match &auth.session {
            None => None,
            Some(id) => {
                let session = self.session_unused(id, now_ms).await?;
                let session = session.ok_or_else(|| Error::new(codes::SESSION_ENDED))?;
                Some(session.expires_at_ms.div_euclid(1000))
            }
        };
        let ends_at_s = came_with.into_iter().chain(session_ends).min();
        let ttl_s = wanted.ttl_s.unwrap_or(profile.access_ttl_s);
        if !(1..=profile.max_ttl_s).contains(&ttl_s) {
            let message = format!("A token lives between 1 and {} seconds here.", profile.max_ttl_s);
            return Err(Error::new(codes::BAD_FIELD).message(message));
        }
        // 2. A token made in the second of a revocation must not fall under it.
        let revocations = &self.memory().revocations;
        let people = std::iter::once(&lineage.principal).chain(&lineage.actors);
        let people = people.map(|one| Key::of_principal(&one.owner_key()));
        let places = wanted.workspaces.given.keys().map(|id| Key::of_workspace(id));
        let earliest = people.chain(places).filter_map(|key| revocations.earliest_issue_s(key));
        let iat = earliest.max().map_or(now_s, |earliest| earliest.max(now_s));
        let exp = ends_at_s.map_or(iat + ttl_s, |end| end.min(iat + ttl_s));
        if exp <= now_s {
            return Err(Error::new(codes::SESSION_ENDED));
        }
        // 3. A renewal is of the same line; nothing renews a child beyond its own end.
        let id = match &auth.credential {
            Some(id) if renews => TokenId::from(&**id),
            _ => TokenId::new(self.clock(), self.random()),
        };
        let until = if wanted.kind == HubTokenKind::Child { Some(exp) } else { ends_at_s };
        let confined =
            wanted.kind == HubTokenKind::Child || auth.workspaces.confined || wanted.workspaces.confined;
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        let texts = |all: &[Arc<str>]| Value::from(all.iter().map(|one| &**one).collect::<Vec<_>>());
        if let Some(issuer) = &profile.issuer {
            put("iss", (&**issuer).into());
        }
        if let Some(audience) = &profile.audience {
            put("aud", (&**audience).into());
        }
        put("sub", (&*lineage.principal.subject).into());
        put("authority", (&*lineage.principal.authority).into());
        put("home", self.hub_home().into());
        put("iat", iat.into());
        put("exp", exp.into());
        put("jti", id.as_str().into());
        put("scope", scope_text(&wanted.workspaces)?.into());
        put("roles", texts(wanted.roles.as_deref().unwrap_or(&auth.roles)));
        if let Some(words) = auth.words.as_ref().filter(|_| wanted.kind == HubTokenKind::SameSubject) {
            put("words", words.roles.clone().into());
        }
        if let Some(limits) = &auth.scopes {
            put("limits", texts(limits));
        }
        if let Some(email) = wanted.email.clone().or_else(|| vouched_email(auth, wanted.kind)) {
            put("email", email.into());
        }
        if !lineage.handles.is_empty() {
            put("par", lineage.handles.join(" ").into());
        }
        if let Some(session) = &auth.session {
            put("sid", session.as_str().into());
        }
        if lineage.principal.kind == PrincipalKind::Service {
            put("gty", CHILD.into());
            put("parent", lineage.actors.iter().map(Principal::owner_key).collect::<Vec<_>>().into());
        }
        if let Some(until) = until {
            put("until", until.into());
        }
        if confined {
            put("confined", true.into());
        } else if auth.administrative {
            put("administrative", true.into());
        }
        // What ended meanwhile must not go on under a later moment of issue.
        if call.is_revoked() {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let token = sign_compact(&*profile.keys.signer()?, HUB_TOKEN, &claims)
            .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::new(codes::BAD_FIELD).message("A token for all of this would be too large."));
        }
        Ok(Issued { token: SecretText::new(token), id, expires_in_s: exp - now_s, expires_at_s: exp })
    }

    /// What cannot be had by whom, whatever is asked for.
    fn must_have_a_token(&self, profile: &TokenProfile, call: &Call) -> Result<()> {
        let auth = &call.auth;
        if profile.typ != HUB_TOKEN {
            return Err(Error::new(codes::INTERNAL).operator("the mount makes no tokens of a hub"));
        }
        if call.is_revoked() {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let nobody = auth.principal.subject.is_empty() || auth.principal.kind == PrincipalKind::System;
        // Who acts for somebody in a way that no claim here says would come back as themselves.
        let agent = !auth.actors.is_empty() && auth.principal.kind != PrincipalKind::Service;
        if nobody || agent || auth.principal.kind == PrincipalKind::Agent {
            return Err(refused("no token of a hub is made for such a caller"));
        }
        let service = auth.principal.kind == PrincipalKind::Service;
        if service && (auth.actors.is_empty() || auth.principal.authority != profile.authority) {
            return Err(refused("a service that is no child of this mount's"));
        }
        Ok(())
    }

    /// Everything asked for is the caller's to give.
    async fn must_hold(&self, profile: &TokenProfile, call: &Call, wanted: &HubToken) -> Result<()> {
        let (auth, asked) = (&call.auth, &wanted.workspaces);
        let child = wanted.kind == HubTokenKind::Child;
        if wanted.roles.iter().flatten().any(|role| !auth.roles.contains(role)) {
            return Err(refused("a role that the caller has not"));
        }
        for (name, permission) in &asked.given {
            if **name == *EVERY && (child || asked.confined || auth.workspaces.confined) {
                return Err(refused("every workspace, in a token for one"));
            }
            self.must_reach(profile, call, name, *permission).await?;
        }
        match &asked.current {
            Some(current) if asked.given.contains_key(current) => {}
            Some(_) if child => return Err(refused("for a workspace that it is not given")),
            Some(current) => self.must_reach(profile, call, current, Permission::Read).await?,
            None => {}
        }
        if !child {
            let bound = auth.workspaces.client_id.as_ref();
            if bound.is_some_and(|client| asked.client_id.as_ref() != Some(client)) {
                return Err(refused("bound to another client"));
            }
            if asked.extra.iter().any(|one| !auth.workspaces.extra.contains(one)) {
                return Err(refused("an extra scope that the caller has not"));
            }
        }
        let Some(email) = &wanted.email else { return Ok(()) };
        validate::email(email)?;
        let own = auth.claims.get("email").and_then(Value::as_str) == Some(email);
        let administers = auth.administrative && auth.roles.iter().any(|role| **role == *ADMIN);
        if own || administers || self.email_of(&auth.principal).await?.as_ref() == Some(email) {
            return Ok(());
        }
        Err(refused("an address that is not the caller's"))
    }

    async fn must_reach(
        &self,
        profile: &TokenProfile,
        call: &Call,
        name: &str,
        permission: Permission,
    ) -> Result<()> {
        let action: &'static ActionDef = match permission {
            Permission::Read => workspace::Read::DEF,
            Permission::ReadWrite => workspace::Use::DEF,
            Permission::Admin => workspace::Manage::DEF,
        };
        let owner = match name {
            EVERY => None,
            _ => self.workspace_owner(&call.auth.principal, &profile.authority, name).await?,
        };
        let target = Target { id: Some(name), owner: owner.as_deref(), mount: &call.mount.name };
        let filter = decide(self.roles(), &call.auth, action, target)?;
        let reached = match name {
            EVERY => filter == Filter::Everything,
            _ => filter.matches(name, owner.as_deref().unwrap_or_default(), &Labels::new()),
        };
        if reached { Ok(()) } else { Err(crate::authz::Denial::Owner.into()) }
    }

    /// The e-mail address of a local user, once it was proven; `None` for others, and where there is none. An internal look-up: what is shown to whom is for
    /// the caller to decide.
    ///
    /// # Errors
    /// The store's.
    pub async fn email_of(&self, principal: &Principal) -> Result<Option<String>> {
        let Some(id) = principal.user_id() else { return Ok(None) };
        Ok(self.user_copy(&id).await?.and_then(|copy| copy.user.proven_email()))
    }
}

/// The address of whom others vouch for, which stands in no account: who comes back is who went.
fn vouched_email(auth: &AuthContext, kind: HubTokenKind) -> Option<String> {
    let others = kind == HubTokenKind::SameSubject && auth.principal.user_id().is_none();
    let said = auth.claims.get("email").and_then(Value::as_str).filter(|_| others)?;
    validate::email(said).ok()
}

/// Where a token comes from.
struct Lineage {
    principal: Principal,
    actors: Vec<Principal>,
    handles: Vec<Arc<str>>,
}

impl Lineage {
    fn of(engine: &Engine, profile: &TokenProfile, auth: &AuthContext, kind: HubTokenKind) -> Self {
        let came_with = auth.credential.iter().cloned();
        match kind {
            // A renewal is no generation of its own: it has the same jti.
            HubTokenKind::SameSubject if auth.method == "hub_token" => Self {
                principal: auth.principal.clone(),
                actors: auth.actors.clone(),
                handles: auth.descent.handles.clone(),
            },
            HubTokenKind::SameSubject => Self {
                principal: auth.principal.clone(),
                actors: auth.actors.clone(),
                handles: came_with.chain(auth.descent.handles.iter().cloned()).collect(),
            },
            HubTokenKind::Child => Self {
                principal: Principal {
                    kind: PrincipalKind::Service,
                    authority: Arc::clone(&profile.authority),
                    subject: child_name(engine).into(),
                },
                actors: std::iter::once(&auth.principal).chain(&auth.actors).cloned().collect(),
                handles: came_with.chain(auth.descent.handles.iter().cloned()).collect(),
            },
        }
    }
}

fn child_name(engine: &Engine) -> String {
    let random: [u8; CHILD_NAME] = bytes(engine.random());
    random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

fn scope_text(scope: &WorkspaceScope) -> Result<String> {
    let written = Scope::from(scope).to_text();
    written.map_err(|error| Error::new(codes::BAD_FIELD).message(format!("scope: {error}.")))
}
