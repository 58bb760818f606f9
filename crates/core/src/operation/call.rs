//! A request whose caller is known, and asking for leave.

use std::sync::Arc;

use serde_json::Map;

use super::{Grant, Origin, Permit};
use crate::audit::{AuditEntry, Outcome};
use crate::authn::methods::session_cookie;
use crate::authn::{Glanced, Presented};
use crate::authz::catalogue::{Action, ActionDef};
use crate::authz::custom::{Asked, Reached};
use crate::authz::filter::Filter;
use crate::authz::{Denial, Target, decide};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::RequestId;
use crate::identity::browser::Stay;
use crate::limits::failures::{counter_of, counter_of_login};
use crate::memory::revocations::Moment;
use crate::mount::Mount;
use crate::principal::AuthContext;
use crate::tokens::seen::usable;
use crate::workspaces::{Member, Permission};

use std::net::IpAddr;

/// Who was found to send a request: whom a [`Call`] is of, as long as nothing is asked for.
pub struct Identified {
    /// Who a request is from.
    pub auth: Arc<AuthContext>,
    /// Which revocations could be known when it was looked at who that is.
    since: Moment,
}

impl Identified {
    /// Their call from there, by the engine that found out and through the mount whose methods did.
    #[must_use]
    pub fn call(&self, engine: &Engine, mount: &Arc<Mount>, origin: Origin) -> Call {
        engine.call(mount, origin, Arc::clone(&self.auth), self.since)
    }
}

/// A request whose caller is known.
#[derive(Clone)]
pub struct Call {
    pub(super) engine: Engine,
    /// What it came through.
    pub mount: Arc<Mount>,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Who it is from.
    pub auth: Arc<AuthContext>,
    /// Which revocations could be known when it was looked at who that is.
    since: Moment,
}

impl Engine {
    /// Finds out who a request is from.
    ///
    /// # Errors
    /// The chain's refusal; `too_many_failures` in its place once the address has used up what is allowed;
    /// `revocations_unknown` while the store's news cannot be had.
    pub async fn authenticate(
        &self,
        mount: &Arc<Mount>,
        origin: Origin,
        presented: &Presented<'_>,
    ) -> Result<Call> {
        self.feed().fresh(self.clock())?;
        let since = self.memory().revocations.moment();
        match mount.chain.authenticate(presented).await {
            Ok(auth) => {
                let call = self.call(mount, origin, auth, since);
                self.tell_validated(&call.auth, || validated(&call));
                Ok(call)
            }
            Err(error) => {
                let nobody = Arc::new(AuthContext::anonymous(Vec::new()));
                let nobody = self.call(mount, origin, nobody, since);
                let reason = error.operator_detail().unwrap_or(error.code().name).to_owned();
                self.denied(nobody.entry("credential:verify", None, Outcome::Denied, Some(reason)));
                // Boxed, so that whoever is let in moves no room for it.
                Err(Box::pin(self.count_failure(nobody.origin.address, None, error)).await)
            }
        }
    }

    /// As [`Engine::authenticate`] where a look-up in memory knows who it is at this moment and lets them in, without a future to wait for.
    /// All others are for `authenticate`: nothing was verified of them here, and nothing noted.
    pub fn known(
        &self,
        mount: &Arc<Mount>,
        origin: impl FnOnce() -> Origin,
        glanced: &Glanced<'_>,
        now_ms: i64,
    ) -> Option<Identified> {
        self.feed().fresh(self.clock()).ok()?;
        let since = self.memory().revocations.moment();
        let auth = mount.chain.known(glanced, now_ms)?;
        let found = Identified { auth, since };
        self.tell_validated(&found.auth, || validated(&found.call(self, mount, origin())));
        Some(found)
    }

    fn tell_validated(&self, auth: &AuthContext, line: impl FnOnce() -> AuditEntry) {
        if auth.credential.is_some() {
            self.events().validated(self, line);
        }
    }

    fn call(&self, mount: &Arc<Mount>, origin: Origin, auth: Arc<AuthContext>, since: Moment) -> Call {
        Call { engine: self.clone(), mount: Arc::clone(mount), origin: Arc::new(origin), auth, since }
    }

    /// A call of Doorward itself, for the command line and background jobs.
    #[must_use]
    pub fn system_call(&self, mount: &Arc<Mount>, job: &'static str) -> Call {
        let request = RequestId::new(self.clock(), self.random());
        let origin = Origin { request, address: None, user_agent: None };
        let since = self.memory().revocations.moment();
        self.call(mount, origin, Arc::new(AuthContext::system(job)), since)
    }

    /// Takes a refusal: hooks are told each one at once, the journal folds repeats before they reach the log and webhooks.
    pub(super) fn denied(&self, line: AuditEntry) {
        let events = self.events().of_refusal(self, &line);
        self.events().tell(&events);
        self.journal().denied(line);
    }

    /// Counts a failure of this address, and of the name that somebody tried to log in by; the answer is the error to give.
    pub(super) async fn count_failure(
        &self,
        address: Option<IpAddr>,
        login: Option<&str>,
        error: Error,
    ) -> Error {
        // An expired credential was good once: showing it again is no guess.
        let guess = error.status() == 401
            && ![
                codes::TOKEN_EXPIRED,
                codes::KEY_EXPIRED,
                codes::CREDENTIALS_MISSING,
                codes::PROJECT_KEY_MISSING,
            ]
            .iter()
            .any(|c| error.is(c));
        if !guess {
            return error;
        }
        let (rules, now_ms) = (self.failure_rules(), self.now_ms());
        let counter = counter_of(address);
        let mut wait_s = self.shared().fail(&counter, &rules.of_address, now_ms).get().await;
        if let Some(login) = login {
            let counter = counter_of_login(login);
            wait_s = wait_s.max(self.shared().fail(&counter, &rules.of_login, now_ms).get().await);
        }
        let Some(wait_s) = wait_s else { return error };
        let limited = Error::new(codes::TOO_MANY_FAILURES)
            .retry_after_s(wait_s)
            .operator(format!("last failure: {}", error.code().name));
        match login {
            Some(_) => limited.message(format!("Too many login attempts. Try again in {wait_s} seconds.")),
            None => limited,
        }
    }
}

fn validated(call: &Call) -> AuditEntry {
    call.entry("credential:verify", None, Outcome::Done, None)
}

impl From<&Call> for Identified {
    fn from(call: &Call) -> Self {
        Self { auth: Arc::clone(&call.auth), since: call.since }
    }
}

impl Call {
    /// Decides whether this caller may do `A`; the permit is the only way to do it.
    ///
    /// # Errors
    /// `credentials_missing`, `scope_missing`, `forbidden` or `not_found`; the rule is in the audit log.
    pub fn permit<A: Action>(&self, target: Target<'_>) -> Result<Permit<A>> {
        Ok(Permit::of(self.permit_for(A::DEF, target)?))
    }

    /// As [`Call::permit`] for an action that a route table names.
    ///
    /// # Errors
    /// As there.
    pub fn permit_for(&self, action: &'static ActionDef, target: Target<'_>) -> Result<Grant> {
        if self.mount.policy.is_some() {
            // Whoever forgets to ask the mount's handlers gets no leave.
            return Err(Error::new(codes::INTERNAL).operator(format!("{action}: nobody asked the handlers")));
        }
        self.leave(action, target)
    }

    /// Whether roles and scopes let this caller do something at all, before anything of a request is read. It gives no leave.
    ///
    /// # Errors
    /// As [`Call::permit`].
    pub fn may(&self, action: &'static ActionDef) -> Result<()> {
        self.must_know(action)?;
        match decide(self.engine.roles(), &self.auth, action, Target::any().through(&self.mount.name)) {
            Ok(_) => Ok(()),
            Err(denial) => Err(self.refused(action, Target::any(), denial)),
        }
    }

    fn refused(&self, action: &'static ActionDef, target: Target<'_>, denial: Denial) -> Error {
        let reason = Some(denial.rule().to_owned());
        let entry = self.entry(&action.to_string(), target.id, Outcome::Denied, reason);
        self.engine.denied(entry);
        denial.into()
    }

    /// As [`Call::permit`] on a mount whose handlers may have a say: they are asked what they make of `asked`.
    ///
    /// # Errors
    /// As there, and the handlers' own refusals.
    pub async fn permit_asking<A: Action>(&self, target: Target<'_>, asked: Asked) -> Result<Permit<A>> {
        Ok(Permit::of(self.permit_for_asking(A::DEF, target, asked).await?))
    }

    /// As [`Call::permit_asking`] for an action that a route table names.
    ///
    /// # Errors
    /// As there.
    pub async fn permit_for_asking(
        &self,
        action: &'static ActionDef,
        target: Target<'_>,
        asked: Asked,
    ) -> Result<Grant> {
        let mut grant = self.leave(action, target)?;
        let Some(policy) = &self.mount.policy else {
            grant.amended = asked.value;
            return Ok(grant);
        };
        let ruling = match policy.ask(&self.auth, self.origin.address, action, asked).await {
            Ok(ruling) => ruling,
            Err(error) => return grant.close(Err(error)),
        };
        grant.amended = ruling.value;
        match ruling.reach {
            Reached::Own => {}
            Reached::Everything => {
                grant.filter = lifted(std::mem::replace(&mut grant.filter, Filter::Nothing))
            }
            Reached::Like(condition) => {
                let filter = lifted(std::mem::replace(&mut grant.filter, Filter::Nothing));
                grant.filter = filter.and(condition.prefilter());
                grant.condition = Some(condition);
            }
        }
        Ok(grant)
    }

    /// Refuses an action that the catalogue does not have exactly as it is: roles go by its name, and one of the same name that says
    /// otherwise how far it reaches, or what is written of it, would pass by theirs.
    fn must_know(&self, action: &'static ActionDef) -> Result<()> {
        if self.engine.roles().catalogue().knows(action) {
            return Ok(());
        }
        Err(Error::new(codes::INTERNAL)
            .operator(format!("{action} is declared nowhere like this; an application declares its actions when it builds the engine")))
    }

    fn leave(&self, action: &'static ActionDef, target: Target<'_>) -> Result<Grant> {
        self.must_know(action)?;
        match decide(self.engine.roles(), &self.auth, action, target.through(&self.mount.name)) {
            Ok(filter) => Ok(Grant {
                call: self.clone(),
                action,
                resource: target.id.map(str::to_owned),
                filter,
                condition: None,
                amended: Map::new(),
                told: Vec::new(),
                findings: Vec::new(),
                closed: false,
            }),
            Err(denial) => Err(self.refused(action, target, denial)),
        }
    }

    /// The same call at this moment, for connections that go on after they were let in: what was revoked since ends it, and
    /// roles are those of now.
    ///
    /// # Errors
    /// `token_revoked`, `user_disabled`, `token_invalid` when the user is gone; `revocations_unknown` while the store's news
    /// cannot be had.
    pub async fn now(&self) -> Result<Self> {
        self.engine.feed().fresh(self.engine.clock())?;
        if self.is_revoked() {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        // Who acts for a local user may go on while that one may.
        let root = self.auth.actors.last().unwrap_or(&self.auth.principal);
        let Some(id) = root.user_id() else { return Ok(self.clone()) };
        let copy = self.engine.user_copy(&id).await?;
        let user = &usable(copy.as_ref(), self.engine.now_ms())?.user;
        if user.roles == self.auth.roles {
            return Ok(self.clone());
        }
        // A credential that was given some of its maker's roles gets no others later.
        let narrow = self.auth.method == "hub_token";
        let still = |role: &&Arc<str>| !narrow || self.auth.roles.contains(role);
        let roles = user.roles.iter().filter(still).cloned().collect();
        let auth = AuthContext { roles, ..(*self.auth).clone() };
        Ok(Self { auth: Arc::new(auth), ..self.clone() })
    }

    /// The same request, as of whoever has just logged in by it in a browser.
    ///
    /// # Errors
    /// `session_ended`, `user_disabled`; the store's.
    pub async fn staying(&self, stay: &Stay) -> Result<Self> {
        let auth = session_cookie::staying(&self.engine, &stay.session).await?;
        let since = self.engine.memory().revocations.moment();
        Ok(Self { auth: Arc::new(auth), since, ..self.clone() })
    }

    /// The same caller, whose leave ends by then, in Unix seconds, with whatever is made of it: nobody stays for longer than whoever
    /// vouches for them says.
    #[must_use]
    pub fn ending_by(&self, at_s: i64) -> Self {
        let mut auth = (*self.auth).clone();
        auth.expires_at_s = Some(auth.expires_at_s.map_or(at_s, |ends| ends.min(at_s)));
        Self { auth: Arc::new(auth), ..self.clone() }
    }

    /// The same request, as of somebody else whom we know by ourselves.
    pub(crate) fn of(self, auth: AuthContext) -> Self {
        Self { auth: Arc::new(auth), ..self }
    }

    /// The same call, where a workspace that is kept in no store is the caller's this far: the hub that keeps it has decided so.
    #[must_use]
    pub fn knowing_workspace(&self, id: &str, held: Permission) -> Self {
        let mut auth = (*self.auth).clone();
        auth.workspaces.given.insert(id.into(), held);
        Self { auth: Arc::new(auth), ..self.clone() }
    }

    /// The same call of a member of a workspace: how far they may reach there, and what ends with their being a member. A credential that
    /// is confined stays as it is: it reaches what it was given and no more.
    #[must_use]
    pub fn as_member(&self, workspace: &str, member: &Member) -> Self {
        if self.auth.workspaces.confined || self.auth.is_anonymous() {
            return self.clone();
        }
        let mut auth = (*self.auth).clone();
        let given = auth.workspaces.given.entry(workspace.into()).or_insert(member.permission);
        *given = member.permission.max(*given);
        if !auth.descent.handles.contains(&member.handle) {
            auth.descent.handles.push(Arc::clone(&member.handle));
        }
        Self { auth: Arc::new(auth), ..self.clone() }
    }

    /// The same call for one thing in a workspace, whose own permissions let the caller reach this far. Nothing but leave for
    /// that thing may be asked of what comes back.
    #[must_use]
    pub(crate) fn lent(&self, workspace: &str, permission: Permission) -> Self {
        let mut auth = (*self.auth).clone();
        let given = auth.workspaces.given.entry(workspace.into()).or_insert(permission);
        *given = permission.max(*given);
        Self { auth: Arc::new(auth), ..self.clone() }
    }

    /// Whether the caller's credential, session or everything of theirs was revoked since they were let in.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.engine.is_revoked_since(&self.auth, self.since)
    }

    pub(crate) fn note_refusal(&self, reason: &str) {
        let line = self.entry("credential:verify", None, Outcome::Denied, Some(reason.to_owned()));
        self.engine.denied(line);
    }

    /// Says of something that was to begin by itself, as somebody, that it did not.
    pub(crate) fn note_not_begun(
        &self,
        action: &'static ActionDef,
        (owner, method): (&str, &str),
        resource: &str,
        reason: &str,
    ) {
        let line = self.entry(&action.to_string(), Some(resource), Outcome::Denied, Some(reason.to_owned()));
        self.engine.denied(AuditEntry { principal: owner.to_owned(), method: method.to_owned(), ..line });
    }

    /// The engine that knows the caller.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn entry(
        &self,
        action: &str,
        resource: Option<&str>,
        outcome: Outcome,
        reason: Option<String>,
    ) -> AuditEntry {
        AuditEntry {
            at_ms: self.engine.now_ms(),
            request: self.origin.request.clone(),
            mount: self.mount.name.to_string(),
            action: action.to_owned(),
            resource: resource.map(|id| id.chars().take(128).collect()),
            principal: self.auth.principal.owner_key(),
            method: self.auth.method.to_owned(),
            credential: self.auth.credential.as_deref().map(str::to_owned),
            outcome,
            reason,
            address: self.origin.address.map(|address| address.to_string()),
            count: 1,
        }
    }
}

/// A handler's word stands in the place of "one's own". What a role gives for single things alone stays as narrow as it is.
fn lifted(filter: Filter) -> Filter {
    match filter {
        Filter::Owner(_) => Filter::Everything,
        Filter::Or(parts) if parts.iter().any(|part| matches!(part, Filter::Owner(_))) => Filter::Everything,
        narrow => narrow,
    }
}
