//! An engine in an application, and who acts in it without HTTP.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::Engine;
use doorward_core::authn::Presented;
use doorward_core::mount::Mount;
use doorward_core::operation::Origin;
use doorward_server::{Admission, AdmissionSettings};

use super::builder::Builder;
use super::caller::Caller;
use super::error::{BuildError, Result};
use super::layer::Protect;
use crate::assemble::Assembled;
use crate::running::origin_of;
use crate::setup::Setup;

/// Doorward in an application. Clones share everything.
///
/// Call [`Doorward::close`] before the process ends: lines of the audit log are written in batches.
#[derive(Clone)]
pub struct Doorward(Arc<Inner>);

struct Inner {
    assembled: Assembled,
    admission: Arc<Admission>,
}

impl Doorward {
    /// Begins to say what it is made from.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn over(assembled: Assembled, setup: &Setup, mount: &str) -> Result<Self, BuildError> {
        let found = assembled.mounts.iter().find(|mounted| mounted.config.name == mount);
        let mounted = found.ok_or_else(|| BuildError::NoMount(mount.to_owned()))?;
        let server = &setup.config.server;
        let settings = AdmissionSettings {
            token_sources: mounted.config.token_sources.clone(),
            trusted_proxies: server.trusted_proxies.clone(),
            public_origin: server.public_url.as_deref().and_then(origin_of),
        };
        let admission = Admission::new(assembled.engine.clone(), Arc::clone(&mounted.mount), settings);
        Ok(Self(Arc::new(Inner { assembled, admission: Arc::new(admission) })))
    }

    /// What stands before routes. Every request under it has to come from somebody who is known; see [`Protect::optional`].
    #[must_use]
    pub fn layer(&self) -> Protect {
        Protect::new(Arc::clone(&self.0.admission))
    }

    /// Doorward itself, doing `job`: for what the application does by itself, such as making the first administrator. It may everything, and
    /// the audit log names the job. Nothing that a client sent may lead here.
    #[must_use]
    pub fn system(&self, job: &'static str) -> Caller {
        Caller::new(self.engine().system_call(self.mount(), job))
    }

    /// Nobody in particular, from this address where it is known: who signs up and logs in. Failures are counted by address, so that guessing
    /// passwords gets nowhere.
    ///
    /// # Errors
    /// `revocations_unknown` while the store's news cannot be had.
    pub async fn nobody(&self, address: Option<IpAddr>) -> Result<Caller> {
        self.present(&Presented { client: address, ..Presented::nothing() }).await
    }

    /// Who holds a token or an API key, where it did not come with a request: from a queue, or in a message of a socket.
    ///
    /// # Errors
    /// `token_invalid`, `token_expired`, `token_revoked`, `api_key_invalid` and the other refusals of the mount's methods.
    pub async fn verify(&self, credential: &str, address: Option<IpAddr>) -> Result<Caller> {
        self.present(&Presented::token(credential, address)).await
    }

    async fn present(&self, presented: &Presented<'_>) -> Result<Caller> {
        let request = self.engine().request_id();
        let origin = Origin { request, address: presented.client, user_agent: None };
        Ok(Caller::new(self.engine().authenticate(self.mount(), origin, presented).await?))
    }

    /// The engine, for everything that has no short form here. Its services take permits, which [`Caller::permit`] asks for.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.assembled.engine
    }

    /// The mount whose methods, tokens and rules count.
    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        self.0.admission.mount()
    }

    /// Lets what was begun be finished, and writes what is not written yet.
    pub async fn close(&self) {
        self.0.assembled.close().await;
    }
}
