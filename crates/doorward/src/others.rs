//! Others whom the configuration names: the way to them, issuers whose tokens are taken, providers through whom people log in.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::login::{self, Provider};
use doorward_core::ports::Outbound;
use doorward_core::tokens::{RemoteKeys, Source};
use doorward_outbound::{BuildError, Client};

use crate::cli::Failure;
use crate::config::{self, Config, Issuer};

pub(crate) fn way_out(config: &Config) -> Result<Client, Failure> {
    Client::new(&config.outbound).map_err(|error| unusable(&error))
}

/// Why there is no client.
pub(crate) fn unusable(error: &BuildError) -> Failure {
    match error {
        BuildError::Allow(what) => Failure::refused(format!("outbound.allow: {what}"), "correct the list"),
        BuildError::Authorities(what) => Failure::refused(
            format!("outbound.ca_file: {what}"),
            "give a PEM file with certificates of authorities",
        ),
    }
}

/// Nothing is fetched yet: an issuer that is away keeps nobody else from being served.
pub(crate) fn issuers(
    config: &Config,
    outbound: &dyn Outbound,
) -> Result<BTreeMap<String, Arc<RemoteKeys>>, Failure> {
    let keys = |issuer: &Issuer| {
        let source = match &issuer.jwks_url {
            Some(url) => Source::KeySet(url.clone()),
            None => Source::Issuer(issuer.issuer.clone()),
        };
        let (Source::KeySet(url) | Source::Issuer(url)) = &source;
        outbound.check(url).map_err(|error| {
            let mend = "give jwks_url, or list the origin in outbound.allow";
            Failure::refused(format!("issuers.{}: {url}: {error}", issuer.name), mend)
        })?;
        Ok((issuer.name.clone(), RemoteKeys::new(issuer.name.clone(), source, issuer.algorithm)))
    };
    config.issuers.values().map(keys).collect()
}

/// Nothing is asked yet: a provider that is away keeps nobody from logging in otherwise.
pub(crate) fn providers(config: &Config, outbound: &dyn Outbound) -> Result<Vec<Arc<Provider>>, Failure> {
    let provider = |(name, given): (&String, &config::Provider)| {
        let row = login::methods::BUILTIN.iter().find(|row| row.name == given.method);
        let row = row.expect("every preset has a method");
        let section = login::methods::Section {
            client: login::methods::Client {
                id: given.client_id.clone(),
                secret: given.client_secret.clone(),
                auth: given.client_auth,
                scopes: given.scopes.clone(),
            },
            issuer: given.issuer.clone(),
            domain_claim: given.domain_claim,
            endpoints: given.endpoints.clone(),
            ..login::methods::Section::default()
        };
        let method = (row.build)(section, outbound).map_err(|(key, what)| {
            let mend = "give it, or list its origin in outbound.allow";
            Failure::refused(format!("providers.{name}.{key}: {what}"), mend)
        })?;
        let mut provider = Provider::new(name, given.label.clone(), method);
        provider.sign_up = given.sign_up;
        provider.allowed_domains.clone_from(&given.allowed_domains);
        Ok(Arc::new(provider))
    };
    config.providers.iter().map(provider).collect()
}
