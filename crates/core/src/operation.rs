//! The one way an operation is carried: authenticate → decide → act → audit.
//!
//! A service demands a [`Permit`] for its action, and only [`Call::permit`] makes one, so "forgot to check" does not
//! compile. The permit closes its own audit line: with the act ([`Grant::commit`]), around an act that leaves the
//! store ([`Grant::begun`] and [`Grant::finish`]), or folded for reads ([`Grant::close`]). One that is dropped
//! unused leaves a line saying so.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::anomalies::Finding;
use crate::audit::{AuditEntry, Outcome};
use crate::authn::Presented;
use crate::authz::catalogue::{Action, ActionDef, AuditClass};
use crate::authz::filter::{Filter, Label, OWNER};
use crate::authz::{Denial, Target, decide};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, codes};
use crate::events::{EventDef, Told};
use crate::id::RequestId;
use crate::limits::failures::counter_of;
use crate::memory::revocations::Moment;
use crate::mount::Mount;
use crate::ports::store::Write;
use crate::ports::{Batch, StoreError};
use crate::principal::{AuthContext, Principal};
use crate::tokens::seen::usable;
use serde_json::Value;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Told to the client and written to the audit log.
    pub request: RequestId,
    /// The client's address, behind trusted proxies where there are any.
    pub address: Option<IpAddr>,
    /// `User-Agent`, at most 256 bytes.
    pub user_agent: Option<String>,
}

/// A request whose caller is known.
#[derive(Clone)]
pub struct Call {
    engine: Engine,
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
        self.feed().fresh(self.clock().steady_ms())?;
        let since = self.memory().revocations.moment();
        let call = |auth| Call {
            engine: self.clone(),
            mount: Arc::clone(mount),
            origin: Arc::new(origin),
            auth,
            since,
        };
        match mount.chain.authenticate(presented).await {
            Ok(auth) => {
                let call = call(auth);
                if call.auth.credential.is_some() {
                    let line = || call.entry("credential:verify", None, Outcome::Done, None);
                    self.events().validated(self, line);
                }
                Ok(call)
            }
            Err(error) => {
                let nobody = call(Arc::new(AuthContext::anonymous(Vec::new())));
                let reason = error.operator_detail().unwrap_or(error.code().name).to_owned();
                self.denied(nobody.entry("credential:verify", None, Outcome::Denied, Some(reason)));
                Err(self.count_failure(nobody.origin.address, error).await)
            }
        }
    }

    /// A call of Doorward itself, for the command line and background jobs.
    #[must_use]
    pub fn system_call(&self, mount: &Arc<Mount>, job: &'static str) -> Call {
        Call {
            engine: self.clone(),
            mount: Arc::clone(mount),
            origin: Arc::new(Origin {
                request: RequestId::new(self.clock(), self.random()),
                address: None,
                user_agent: None,
            }),
            auth: Arc::new(AuthContext::system(job)),
            since: self.memory().revocations.moment(),
        }
    }

    /// Takes a refusal: hooks are told each one at once, the journal folds repeats before they reach the log and webhooks.
    fn denied(&self, line: AuditEntry) {
        let events = self.events().of_refusal(self, &line);
        self.events().tell(&events);
        self.journal().denied(line);
    }

    /// Counts a failure of this address; the answer is the error to give.
    async fn count_failure(&self, address: Option<IpAddr>, error: Error) -> Error {
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
        let counter = counter_of(address);
        match self.shared().fail(&counter, self.failure_rule(), self.now_ms()).get().await {
            None => error,
            Some(wait_s) => Error::new(codes::TOO_MANY_FAILURES)
                .retry_after_s(wait_s)
                .operator(format!("last failure: {}", error.code().name)),
        }
    }
}

impl Call {
    /// Decides whether this caller may do `A`; the permit is the only way to do it.
    ///
    /// # Errors
    /// `credentials_missing`, `scope_missing`, `forbidden` or `not_found`; the rule is in the audit log.
    pub fn permit<A: Action>(&self, target: Target<'_>) -> Result<Permit<A>> {
        Ok(Permit { grant: self.permit_for(A::DEF, target)?, action: PhantomData })
    }

    /// As [`Call::permit`] for an action that a route table names.
    ///
    /// # Errors
    /// As there.
    pub fn permit_for(&self, action: &'static ActionDef, target: Target<'_>) -> Result<Grant> {
        match decide(self.engine.roles(), &self.auth, action, target.through(&self.mount.name)) {
            Ok(filter) => Ok(Grant {
                call: self.clone(),
                action,
                resource: target.id.map(str::to_owned),
                filter,
                told: Vec::new(),
                findings: Vec::new(),
                closed: false,
            }),
            Err(denial) => {
                let reason = Some(denial.rule().to_owned());
                let entry = self.entry(&action.to_string(), target.id, Outcome::Denied, reason);
                self.engine.denied(entry);
                Err(denial.into())
            }
        }
    }

    /// The same call at this moment, for connections that go on after they were let in: what was revoked since ends it, and
    /// roles are those of now.
    ///
    /// # Errors
    /// `token_revoked`, `user_disabled`, `token_invalid` when the user is gone; `revocations_unknown` while the store's news
    /// cannot be had.
    pub async fn now(&self) -> Result<Self> {
        self.engine.feed().fresh(self.engine.clock().steady_ms())?;
        if self.is_revoked() {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let Some(id) = self.auth.principal.user_id() else { return Ok(self.clone()) };
        let copy = self.engine.user_copy(&id).await?;
        let user = &usable(copy.as_ref())?.user;
        if user.roles == self.auth.roles {
            return Ok(self.clone());
        }
        let auth = AuthContext { roles: user.roles.clone(), ..(*self.auth).clone() };
        Ok(Self { auth: Arc::new(auth), ..self.clone() })
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

    /// The engine that knows the caller.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    fn entry(
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

/// Leave to do one action, and the duty to say how it went.
pub struct Grant {
    call: Call,
    action: &'static ActionDef,
    resource: Option<String>,
    filter: Filter,
    told: Vec<Told>,
    findings: Vec<Finding>,
    closed: bool,
}

impl Grant {
    /// Which resources the action reaches. Goes into the query.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Refuses what the action does not reach. Services call it with the id and the owner they found, so that a permit
    /// asked for one thing cannot be spent on another.
    ///
    /// # Errors
    /// `not_found`.
    pub fn must_reach(&self, id: &str, owner: &str) -> Result<()> {
        let reached = match &self.filter {
            Filter::Everything => true,
            filter => filter.matches(id, &[(OWNER.to_owned(), Label::One(owner.to_owned()))].into()),
        };
        if reached { Ok(()) } else { Err(Denial::Owner.into()) }
    }

    /// Who was given leave.
    #[must_use]
    pub fn auth(&self) -> &AuthContext {
        &self.call.auth
    }

    /// The call it was given to.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The mount it was given through.
    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.call.mount
    }

    /// What may be done.
    #[must_use]
    pub fn action(&self) -> &'static ActionDef {
        self.action
    }

    /// Names the resource once it is known.
    pub fn name_resource(&mut self, id: &str) {
        self.resource = Some(id.to_owned());
    }

    /// Says in the audit line who it turned out to be that acts, where the act itself is to find that out. Gives no
    /// rights: the decision was made for whoever asked.
    pub fn name_principal(&mut self, principal: Principal, method: &'static str) {
        self.call.auth = Arc::new(AuthContext { principal, method, ..(*self.call.auth).clone() });
    }

    /// Adds an event to what is told once the act is done.
    pub fn tell(&mut self, def: &'static EventDef, details: impl FnOnce() -> Value) {
        if !self.call.engine.events().wanted(def) {
            return;
        }
        if let Value::Object(details) = details() {
            self.told.push(Told { def, details });
        }
    }

    /// Adds findings: each becomes a line of its own beside the act's.
    pub fn suspect(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    /// The lines of the findings so far, with the act's resource.
    fn found(&self) -> Vec<AuditEntry> {
        let line = |finding: &Finding| {
            let outcome = if finding.blocks { Outcome::Denied } else { Outcome::Noted };
            let action = format!("{}{}", crate::anomalies::ACTION, finding.rule);
            self.call.entry(&action, self.resource.as_deref(), outcome, Some(finding.reason.clone()))
        };
        self.findings.iter().map(line).collect()
    }

    /// Does what findings demand, in one transaction with their lines. The grant stays open for the refusal of the act itself.
    ///
    /// # Errors
    /// The store's; the findings are then kept for another try.
    pub async fn act_on_findings(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.write(writes, None).await
    }

    /// These writes, the act's own line if it is done, and those of its findings: all or nothing, on stable storage.
    async fn write(&mut self, mut writes: Vec<Write>, done: Option<AuditEntry>) -> Result<(), StoreError> {
        let engine = self.call.engine.clone();
        let found = self.found();
        let mut events = Vec::new();
        events.extend(done.iter().flat_map(|line| engine.events().of(&engine, line, &self.told)));
        events.extend(found.iter().flat_map(|line| engine.events().of(&engine, line, &[])));
        writes.extend(engine.events().writes(&events));
        let node = engine.node();
        let lines = done.into_iter().chain(found);
        writes.extend(lines.map(|entry| Write::Audit { node: node.clone(), entry }));
        engine.commit(Batch::durable(writes)).await?;
        engine.events().tell(&events);
        self.findings.clear();
        Ok(())
    }

    /// Writes the findings about an act that is refused or fails.
    fn note_findings(&mut self) {
        for line in self.found() {
            self.call.engine.denied(line);
        }
        self.findings.clear();
    }

    fn entry(&self, outcome: Outcome, reason: Option<String>) -> AuditEntry {
        self.call.entry(&self.action.to_string(), self.resource.as_deref(), outcome, reason)
    }

    /// Tries the act: these writes and the audit line, all or nothing, on stable storage. After an error the grant is
    /// still open: try other writes, or close it.
    ///
    /// # Errors
    /// The store's.
    pub async fn attempt(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let line = self.entry(Outcome::Done, None);
        self.write(writes, Some(line)).await?;
        self.closed = true;
        Ok(())
    }

    /// Does the act, or closes with why it failed.
    ///
    /// # Errors
    /// The store's. A conflict is returned as it is, so that the service can say what it means.
    pub async fn commit(mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let done = self.attempt(writes).await;
        self.closed = true;
        if let Err(error) = &done {
            let reason = match error {
                StoreError::Conflict(conflict) => format!("{conflict:?}"),
                other => other.to_string(),
            };
            self.call.engine.journal().line(self.entry(Outcome::Failed, Some(reason)));
            self.note_findings();
        }
        done
    }

    /// Closes an act that changed nothing here: what it read, or why it could not.
    ///
    /// # Errors
    /// The result it was given.
    pub fn close<T>(mut self, result: Result<T>) -> Result<T> {
        self.closed = true;
        self.note_findings();
        let journal = self.call.engine.journal();
        match &result {
            Ok(_) if self.action.audit == AuditClass::Buffered => {
                journal.read(self.entry(Outcome::Done, None))
            }
            Ok(_) => journal.line(self.entry(Outcome::Done, None)),
            Err(error)
                if matches!(error.code().kind, Kind::Internal | Kind::Upstream | Kind::Unavailable) =>
            {
                let line = self.entry(Outcome::Failed, Some(error.code().name.to_owned()));
                // What anybody can make fail must not fill the log.
                if self.call.auth.is_anonymous() {
                    journal.denied(line);
                } else {
                    journal.line(line);
                }
            }
            Err(error) => {
                self.call.engine.denied(self.entry(Outcome::Denied, Some(error.audited())));
            }
        }
        result
    }

    /// Closes with a refusal that may be a guess, such as a wrong password: counted per address.
    #[must_use]
    pub async fn refuse(mut self, error: Error) -> Error {
        self.closed = true;
        self.note_findings();
        let reason = Some(error.audited());
        self.call.engine.denied(self.entry(Outcome::Denied, reason));
        self.call.engine.count_failure(self.call.origin.address, error).await
    }

    /// Says that an act which leaves the store is about to be tried: on stable storage for durable actions.
    ///
    /// # Errors
    /// The store's; the act must then not be tried.
    pub async fn begun(&self) -> Result<()> {
        if self.action.audit == AuditClass::Durable {
            let line = self.entry(Outcome::Begun, None);
            self.call.engine.append(line).await?;
        }
        Ok(())
    }

    /// Says how an act that left the store went. Never fails the request that already happened.
    pub async fn finish(mut self, outcome: Outcome, reason: Option<String>) {
        self.closed = true;
        let line = self.entry(outcome, reason);
        let engine = &self.call.engine;
        if self.action.audit == AuditClass::Buffered {
            engine.journal().read(line);
        } else if engine.append(line.clone()).await.is_err() {
            engine.journal().line(line);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.closed {
            let line = self.entry(Outcome::Failed, Some("abandoned".to_owned()));
            self.call.engine.journal().line(line);
        }
    }
}

/// Leave to do exactly `A`.
pub struct Permit<A: Action> {
    grant: Grant,
    action: PhantomData<A>,
}

impl<A: Action> Permit<A> {
    /// The leave without its type, to be closed.
    #[must_use]
    pub fn into_grant(self) -> Grant {
        self.grant
    }

    /// See [`Grant::commit`].
    ///
    /// # Errors
    /// As there.
    pub async fn commit(self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.grant.commit(writes).await
    }

    /// See [`Grant::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close<T>(self, result: Result<T>) -> Result<T> {
        self.grant.close(result)
    }

    /// See [`Grant::refuse`].
    #[must_use]
    pub async fn refuse(self, error: Error) -> Error {
        self.grant.refuse(error).await
    }

    /// Names the resource once it is known.
    pub fn name_resource(&mut self, id: &str) {
        self.grant.name_resource(id);
    }

    /// See [`Grant::name_principal`].
    pub fn name_principal(&mut self, principal: Principal, method: &'static str) {
        self.grant.name_principal(principal, method);
    }

    /// See [`Grant::tell`].
    pub fn tell(&mut self, def: &'static EventDef, details: impl FnOnce() -> Value) {
        self.grant.tell(def, details);
    }

    /// See [`Grant::suspect`].
    pub fn suspect(&mut self, findings: Vec<Finding>) {
        self.grant.suspect(findings);
    }

    /// See [`Grant::act_on_findings`].
    ///
    /// # Errors
    /// As there.
    pub async fn act_on_findings(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.grant.act_on_findings(writes).await
    }

    /// Forgets what was to be told: another attempt tells its own.
    pub fn tell_nothing(&mut self) {
        self.grant.told.clear();
    }

    /// See [`Grant::attempt`].
    ///
    /// # Errors
    /// As there.
    pub async fn attempt(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.grant.attempt(writes).await
    }
}

impl<A: Action> Deref for Permit<A> {
    type Target = Grant;

    fn deref(&self) -> &Grant {
        &self.grant
    }
}
