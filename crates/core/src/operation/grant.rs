//! Leave to do one action: the filter that goes into the query, and the audit line that is written with the act.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Call;
use crate::anomalies::Finding;
use crate::audit::{AuditEntry, Outcome, Read};
use crate::authz::Denial;
use crate::authz::catalogue::{ActionDef, AuditClass};
use crate::authz::condition::Condition;
use crate::authz::filter::{Filter, Labels, labels_of};
use crate::error::{Error, Kind, Result};
use crate::events::{EventDef, Told};
use crate::mount::Mount;
use crate::ports::store::Write;
use crate::ports::{Batch, StoreError};
use crate::principal::{AuthContext, Principal};

/// Leave to do one action, and the duty to say how it went.
pub struct Grant {
    pub(super) call: Call,
    pub(super) action: &'static ActionDef,
    pub(super) resource: Option<String>,
    pub(super) filter: Filter,
    pub(super) condition: Option<Condition>,
    pub(super) amended: Map<String, Value>,
    pub(super) told: Vec<Told>,
    pub(super) findings: Vec<Finding>,
    pub(super) closed: bool,
}

impl Grant {
    /// Which resources the action reaches. Goes into the query.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What the mount's handlers demand of a thing's metadata. The filter holds the part of it that a query can answer;
    /// services ask [`Grant::must_match`] about each thing they found.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    /// Whether a thing that somebody else keeps is one of those that the action reaches: its owner as it was stamped, and its
    /// metadata as they are.
    #[must_use]
    pub fn reaches(&self, id: &str, owner: &str, metadata: &Map<String, Value>) -> bool {
        self.filter.matches(id, owner, &labels_of(metadata)) && self.matches(metadata)
    }

    /// Whether a thing with this metadata is what the mount's handlers demand.
    #[must_use]
    pub fn matches(&self, metadata: &Map<String, Value>) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.matches(metadata))
    }

    /// Refuses a thing that is not what the mount's handlers demand.
    ///
    /// # Errors
    /// `not_found`.
    pub fn must_match(&self, metadata: &Map<String, Value>) -> Result<()> {
        if self.matches(metadata) { Ok(()) } else { Err(Denial::Owner.into()) }
    }

    /// What was asked for, as the mount's handlers left it.
    #[must_use]
    pub fn amended(&self) -> &Map<String, Value> {
        &self.amended
    }

    /// Refuses what the action does not reach. Services call it with the id and the owner they found, so that a permit
    /// asked for one thing cannot be spent on another.
    ///
    /// # Errors
    /// `not_found`.
    pub fn must_reach(&self, id: &str, owner: &str) -> Result<()> {
        let reached = match &self.filter {
            // What its metadata must be like cannot be told from an id and an owner.
            _ if self.condition.is_some() => false,
            Filter::Everything => true,
            filter => filter.matches(id, owner, &Labels::new()),
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

    /// Counts it with the others of its kind, of which one line tells.
    fn count_read(&self, outcome: Outcome, reason: Option<String>) {
        let Call { engine, mount, origin, auth, .. } = &self.call;
        let read = Read::new(&mount.name, self.action, &auth.principal, origin.address, reason.as_deref());
        engine.journal().read(read, engine.now_ms(), || self.entry(outcome, reason.clone()));
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
                self.count_read(Outcome::Done, None);
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
    pub async fn refuse(self, error: Error) -> Error {
        self.refused(None, error).await
    }

    /// Closes with the refusal of a log-in by this name, which is counted as well, whether somebody has it or not.
    #[must_use]
    pub async fn refuse_login(self, login: &str, error: Error) -> Error {
        self.refused(Some(login), error).await
    }

    async fn refused(mut self, login: Option<&str>, error: Error) -> Error {
        self.closed = true;
        self.note_findings();
        let reason = Some(error.audited());
        self.call.engine.denied(self.entry(Outcome::Denied, reason));
        self.call.engine.count_failure(self.call.origin.address, login, error).await
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
        if self.action.audit == AuditClass::Buffered {
            self.count_read(outcome, reason);
            return;
        }
        let line = self.entry(outcome, reason);
        let engine = &self.call.engine;
        if engine.append(line.clone()).await.is_err() {
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
