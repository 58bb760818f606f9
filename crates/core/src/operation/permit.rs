//! A grant whose action is a type, so that a service can demand exactly it.

use std::marker::PhantomData;
use std::ops::Deref;

use serde_json::Value;

use super::Grant;
use crate::anomalies::Finding;
use crate::authz::catalogue::Action;
use crate::error::{Error, Result};
use crate::events::EventDef;
use crate::ports::StoreError;
use crate::ports::store::Write;
use crate::principal::Principal;

/// Leave to do exactly `A`.
pub struct Permit<A: Action> {
    grant: Grant,
    action: PhantomData<A>,
}

impl<A: Action> Permit<A> {
    pub(super) fn of(grant: Grant) -> Self {
        Self { grant, action: PhantomData }
    }

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

    /// See [`Grant::refuse_login`].
    #[must_use]
    pub async fn refuse_login(self, login: &str, error: Error) -> Error {
        self.grant.refuse_login(login, error).await
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
