//! A mount's Auth0 tenant: how people are sent there, and whose tokens that lets in.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::authn::Authenticator;
use doorward_core::authn::methods::Section;
use doorward_core::login::methods::{self, BUILTIN, Client};
use doorward_core::login::{Provider, TENANT, Tenant};
use doorward_core::ports::Outbound;
use doorward_core::tokens::{RemoteKeys, Source};
use doorward_protocols::jose::Algorithm;
use serde_json::json;

use super::mounts::{Own, object};
use crate::cli::Failure;
use crate::config::{self, Auth0, Config};
use crate::hypha;

/// What is asked of the tenant: who it is, and an address that the ID token says the state of.
const SCOPES: [&str; 3] = ["openid", "profile", "email"];
/// How far the tenant's clock may differ from ours, in seconds.
const LEEWAY_S: i64 = 30;

/// The issuer that a tenant calls itself.
fn issuer_of(tenant: &Auth0) -> String {
    format!("{}/", tenant.base)
}

/// A tenant and its keys, which the sign-in and the chain share.
pub(super) struct Known {
    pub(super) tenant: Arc<Tenant>,
    keys: Arc<RemoteKeys>,
}

/// The mounts' tenants. Nothing is fetched yet: one that is away keeps nobody else from being served.
pub(super) fn known(config: &Config, outbound: &dyn Outbound) -> Result<BTreeMap<String, Known>, Failure> {
    let with = config.mounts.iter().filter_map(|mount| Some((mount, mount.auth0.as_ref()?)));
    with.map(|(mount, given)| Ok((mount.name.clone(), one(config, mount, given, outbound)?))).collect()
}

fn one(
    config: &Config,
    mount: &config::Mount,
    given: &Auth0,
    outbound: &dyn Outbound,
) -> Result<Known, Failure> {
    let key = format!("mounts.{}.auth0.domain", mount.name);
    let refused = |what: String| {
        let mend = format!("correct it, or list {} in outbound.allow", given.base);
        Failure::refused(format!("{key}: {what}"), mend)
    };
    let issuer = issuer_of(given);
    let twin = mount.issuers.iter().find(|name| config.issuers[*name].issuer == issuer);
    if let Some(twin) = twin {
        return Err(Failure::refused(
            format!("{key}: the mount takes tokens of this issuer already, as issuers.{twin}"),
            "leave one of them out",
        ));
    }
    let url = format!("{}/.well-known/jwks.json", given.base);
    let url = outbound.check(&url).map_err(|error| refused(format!("{url}: {error}")))?;
    let keys = RemoteKeys::new(issuer.clone(), Source::KeySet(url), Algorithm::RS256);
    let section = methods::Section {
        client: Client {
            id: given.client_id.clone(),
            scopes: SCOPES.map(str::to_owned).to_vec(),
            ..Client::default()
        },
        issuer: Some(issuer),
        audience: Some(given.audience.clone()),
        keys: Some(Arc::clone(&keys)),
        ..methods::Section::default()
    };
    let row = BUILTIN.iter().find(|row| row.name == "oidc").expect("a row of the table");
    let method = (row.build)(section, outbound).map_err(|(_, what)| refused(what))?;
    let tenant = Tenant {
        provider: Arc::new(Provider::new(TENANT, given.domain.clone(), method)),
        base: given.base.clone(),
        domain: given.domain.clone(),
        client_id: given.client_id.clone(),
        audience: given.audience.clone(),
        issuer: given.issuer.clone(),
    };
    Ok(Known { tenant: Arc::new(tenant), keys })
}

impl Own<'_> {
    /// Takes the tenant's access tokens, under either name of its issuer.
    pub(super) fn tenants_tokens(
        &self,
        mount: &config::Mount,
    ) -> Result<Option<Arc<dyn Authenticator>>, Failure> {
        let (Some(given), Some(known)) = (&mount.auth0, self.tenants.get(&mount.name)) else {
            return Ok(None);
        };
        let issuer = issuer_of(given);
        let issuers: Vec<&str> = std::iter::once(issuer.as_str()).chain(given.issuer.as_deref()).collect();
        let options = object(json!({
            "authority": issuer,
            "issuer": issuers,
            "one_authority": true,
            "audience": [given.audience],
            "algorithm": Algorithm::RS256.name(),
            "leeway_s": LEEWAY_S,
            "max_life_s": hypha::longest_life_s(mount),
            "only_listed": true,
            "hosted": { "namespace": given.namespace, "administrators": given.administrators },
        }));
        let section = Section { options, remote: Some(Arc::clone(&known.keys)), ..Section::default() };
        self.method("external_jwt", section).map(Some)
    }
}
