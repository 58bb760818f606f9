//! What an engine holds, by name: its services, and the parts that they are made of.

use std::sync::Arc;

use aws_lc_rs::hmac;

use super::{Engine, Settings};
use crate::agents::Agents;
use crate::agents::ownership::Ownership;
use crate::agents::runner::Runner;
use crate::agents::runs::Runs;
use crate::agents::threads::Threads;
use crate::anomalies::Anomalies;
use crate::artifacts::Views;
use crate::audit::{Audit, Journal};
use crate::error::Result;
use crate::identity::api_keys::ApiKeys;
use crate::identity::password::Hashing;
use crate::identity::project_keys::ProjectKeys;
use crate::identity::proofs::Proofs;
use crate::identity::sessions::Sessions;
use crate::identity::setup::Setup;
use crate::identity::users::Users;
use crate::limits::failures::FailureRules;
use crate::login::attempt::Tickets;
use crate::login::{Identities, Logins};
use crate::mail::Post;
use crate::memory::feed::Feed;
use crate::ports::Store;
use crate::ports::mailer::Kept;
use crate::tokens::seal::Sealer;
use crate::tokens::{SigningKeys, Tokens};

impl Engine {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub(crate) fn anomalies(&self) -> &Anomalies {
        &self.0.settings.anomalies
    }

    pub(crate) fn tickets(&self) -> &Tickets {
        &self.0.keys.tickets
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Logging in through them.
    #[must_use]
    pub fn logins(&self) -> Logins<'_> {
        Logins::new(self)
    }

    /// Proofs by mail.
    #[must_use]
    pub fn proofs(&self) -> Proofs<'_> {
        Proofs::new(self)
    }

    /// The name of the store in what leaves for others that share a key with us: the same in every process on it, and told apart from
    /// every other store's.
    pub(crate) fn hub_home(&self) -> String {
        hmac::sign(&self.0.keys.project, b"hub home").as_ref()[..12]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    /// The keys that clients of a mount name it by, with the service key of this version.
    ///
    /// # Errors
    /// `internal` if they cannot be signed.
    pub fn project_keys(&self, mount: &str, service_version: u32) -> Result<ProjectKeys> {
        ProjectKeys::derive(&self.0.keys.project, mount, service_version)
    }

    /// Letters that were kept instead of sent, newest first; `None` where letters leave.
    #[must_use]
    pub fn kept_mails(&self) -> Option<Vec<Kept>> {
        self.0.post.mailer().kept()
    }

    /// What they say of accounts' owners.
    #[must_use]
    pub fn identities(&self) -> Identities<'_> {
        Identities::new(self)
    }

    pub(crate) fn failure_rules(&self) -> &FailureRules {
        &self.0.settings.failures
    }

    pub(crate) fn hashing(&self) -> &Hashing {
        &self.0.hashing
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    pub(crate) fn refresh_key(&self) -> &hmac::Key {
        &self.0.keys.refresh
    }

    pub(crate) fn browser_key(&self) -> &hmac::Key {
        &self.0.keys.browser
    }

    pub(crate) fn proof_key(&self) -> &hmac::Key {
        &self.0.keys.proof
    }

    pub(crate) fn post(&self) -> &Post {
        &self.0.post
    }

    pub(crate) fn runner(&self) -> &Arc<dyn Runner> {
        &self.0.runner
    }

    pub(crate) fn longest_token_ms(&self) -> i64 {
        self.0.settings.longest_token_ms
    }

    /// Accounts.
    #[must_use]
    pub fn users(&self) -> Users<'_> {
        Users::new(self)
    }

    /// Log-in, refresh, log-out.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions::new(self)
    }

    /// API keys.
    #[must_use]
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys::new(self)
    }

    /// Tokens for others, and revocation.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens::new(self)
    }

    /// Keys that sign.
    #[must_use]
    pub fn signing_keys(&self) -> SigningKeys<'_> {
        SigningKeys::new(self)
    }

    /// The first administrator.
    #[must_use]
    pub fn setup(&self) -> Setup<'_> {
        Setup::new(self)
    }

    /// Threads and messages of the embedded agent server.
    #[must_use]
    pub fn threads(&self) -> Threads<'_> {
        Threads::new(self)
    }

    /// Runs of the embedded agent server.
    #[must_use]
    pub fn runs(&self) -> Runs<'_> {
        Runs::new(self)
    }

    /// What this process knows of the runs it carries.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Who owns what an upstream keeps.
    #[must_use]
    pub fn ownership(&self) -> Ownership<'_> {
        Ownership::new(self)
    }

    pub(crate) fn views(&self) -> &Views {
        &self.0.views
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> Audit<'_> {
        Audit::new(self)
    }
}
