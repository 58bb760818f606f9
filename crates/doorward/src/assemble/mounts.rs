//! Each mount's methods and tokens, as the configuration and its platform's file want them.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::authn::methods::remote_token::{Asking, Way};
use doorward_core::authn::methods::{self, Section, own_token::ACCESS_TOKEN};
use doorward_core::authn::{Authenticator, Chain};
use doorward_core::authz::custom::Policy;
use doorward_core::authz::roles::USER;
use doorward_core::engine::Engine;
use doorward_core::mount::{Mount, SessionRules, SignUp};
use doorward_core::ports::Handlers;
use doorward_core::principal::LOCAL;
use doorward_core::start_up::TokenHooks;
use doorward_core::tokens::hub::HUB_TOKEN;
use doorward_core::tokens::profile::ALWAYS;
use doorward_core::tokens::{
    Assertions, Keys, PersonClaims, RefreshForm, RefreshRules, RemoteKeys, TokenProfile,
};
use doorward_handlers::Host;
use serde_json::json;

use super::LONGEST_TOKEN_S;
use super::tenant::Known;
use crate::cli::Failure;
use crate::config::{self, Config};
use crate::hypha::{self, SharedSecrets};
use crate::platform::agentflow::Jwt;
use crate::platform::{Auth, Platform};
use crate::setup::Mode;
use crate::supabase;

/// The issuer of tokens when nothing says otherwise: the same at every start, whatever the port.
const ISSUER: &str = "doorward";

/// What Doorward's own tokens are made and checked with.
pub(super) struct Own<'a> {
    pub(super) engine: &'a Engine,
    pub(super) keys: Keys,
    pub(super) config: &'a Config,
    /// Keys of others, by the others' names: shared by the mounts that take their tokens.
    pub(super) issuers: BTreeMap<String, Arc<RemoteKeys>>,
    /// User code, by mount.
    pub(super) handlers: BTreeMap<String, Arc<dyn Handlers>>,
    /// What start-up files register, by mount.
    pub(super) hooks: BTreeMap<String, Arc<TokenHooks>>,
    /// Keys that mounts share with other servers, by mount.
    pub(super) shared_secrets: &'a SharedSecrets,
    /// Those through which people come, by mount.
    pub(super) tenants: BTreeMap<String, Known>,
    pub(super) mode: Mode,
}

impl Own<'_> {
    pub(super) fn mount(&self, mount: &config::Mount, platform: Option<&Platform>) -> Result<Mount, Failure> {
        if platform.is_some() && mount.remote_tokens.is_some() {
            return Err(Failure::refused(
                format!(
                    "mounts.{}.remote_tokens: its platform's file says whose tokens are taken",
                    mount.name
                ),
                "leave one of them out",
            ));
        }
        let (chain, tokens) = match platform.map(|platform| &platform.auth) {
            None if supabase::speaks(mount) => (self.supabase_chain(mount)?, self.own_profile(mount)),
            None if hypha::speaks(mount) => {
                let profile = self.hypha_profile(mount);
                (self.hypha_chain(mount, &profile)?, profile)
            }
            None => (self.own_chain(mount)?, self.own_profile(mount)),
            Some(Auth::Open) => (self.open_chain(mount)?, self.own_profile(mount)),
            Some(Auth::Jwt(jwt)) => (self.jwt_chain(mount, jwt)?, self.jwt_profile(mount, jwt)),
            Some(Auth::Custom(_)) => (self.custom_chain(mount)?, self.own_profile(mount)),
        };
        Ok(Mount {
            name: mount.name.as_str().into(),
            surface: mount.surface.name(),
            chain,
            tokens,
            passwords: supabase::passwords(self.config, mount, self.mode),
            distinct_refusals: mount.distinct_refusals,
            sign_up: if mount.sign_up { SignUp::Open } else { SignUp::Closed },
            email: supabase::email_rules(mount)?,
            policy: self.policy(mount, platform),
            tenant: self.tenants.get(&mount.name).map(|known| Arc::clone(&known.tenant)),
            sessions: SessionRules {
                idle_ms: self.config.sessions.idle_s * 1000,
                absolute_ms: self.config.sessions.absolute_s * 1000,
            },
        })
    }

    /// LangGraph's handlers also say what callers may do.
    fn policy(&self, mount: &config::Mount, platform: Option<&Platform>) -> Option<Policy> {
        let asks = platform.is_some_and(|platform| platform.decides_at(mount.surface));
        let handlers = self.handlers.get(&mount.name).filter(|_| asks)?;
        Some(Policy::new(Arc::clone(handlers), mount.uncovered))
    }

    /// Signed with keys that the upstream can fetch, whatever the mount's own tokens are signed with.
    pub(super) fn assertions(&self, mount: &config::Mount) -> Option<Assertions> {
        let audience = mount.upstream.as_deref().filter(|_| mount.principal_jwt)?.into();
        Some(Assertions { keys: self.keys.clone(), issuer: self.issuer().into(), audience })
    }

    fn issuer(&self) -> &str {
        let configured = self.config.tokens.issuer.as_deref();
        configured.or(self.config.server.public_url.as_deref()).unwrap_or(ISSUER)
    }

    pub(super) fn method(&self, name: &str, section: Section) -> Result<Arc<dyn Authenticator>, Failure> {
        methods::build(name, section, self.engine)
            .map_err(|error| Failure::refused(error.to_string(), "correct the mount's configuration"))
    }

    /// Tokens of our own that are for one of these.
    fn own_token(&self, audience: &[&str]) -> Result<Arc<dyn Authenticator>, Failure> {
        self.own_token_at(audience, None)
    }

    /// The same, of log-ins at one mount alone.
    fn own_token_at(
        &self,
        audience: &[&str],
        mount: Option<&str>,
    ) -> Result<Arc<dyn Authenticator>, Failure> {
        let options = object(json!({ "issuer": self.issuer(), "audience": audience, "mount": mount }));
        let section = match &self.keys {
            Keys::Ring(ring) => Section { options, ring: Some(Arc::clone(ring)), ..Section::default() },
            Keys::Fixed { verify, .. } => {
                Section { options, keys: Some(Arc::clone(verify)), ..Section::default() }
            }
        };
        self.method("own_token", section)
    }

    /// Supabase's gateway, then its tokens. Those of other mounts are not taken: nobody there had to prove an address.
    fn supabase_chain(&self, mount: &config::Mount) -> Result<Chain, Failure> {
        let options = object(json!({
            "mount": mount.name,
            "service_version": mount.supabase.service_key_version,
            "open": ["/auth/v1/verify", "/verify", "/auth/v1/authorize", "/authorize"],
        }));
        let gate = self.method("project_key", Section { options, ..Section::default() })?;
        Ok(Chain::new(vec![gate, self.own_token_at(&[supabase::AUDIENCE], Some(&mount.name))?]))
    }

    /// What start-up files may register, over the methods that they stand before.
    pub(super) fn hooks_of(
        &self,
        hosts: &BTreeMap<String, Arc<Host>>,
    ) -> Result<BTreeMap<String, Arc<TokenHooks>>, Failure> {
        let with = self.config.mounts.iter().filter_map(|mount| Some((mount, hosts.get(&mount.name)?)));
        with.map(|(mount, host)| {
            let profile = self.hypha_profile(mount);
            let own = Chain::new(self.hypha_methods(mount, &profile)?);
            let handlers: Arc<dyn Handlers> = Arc::clone(host) as Arc<dyn Handlers>;
            let (authority, none) = (Arc::clone(&profile.authority), mount.get_token_none);
            let hooks = TokenHooks::new(self.engine.clone(), authority, handlers, own, none);
            Ok((mount.name.clone(), Arc::new(hooks)))
        })
        .collect()
    }

    /// Start-up files stand before everything but Doorward's own keys; whoever shows nothing is somebody new.
    fn hypha_chain(&self, mount: &config::Mount, profile: &TokenProfile) -> Result<Chain, Failure> {
        let mut methods = self.hypha_methods(mount, profile)?;
        if let Some(hooks) = self.hooks.get(&mount.name) {
            let hooks = Some(Arc::clone(hooks));
            let options = object(json!({ "leaves_others": true }));
            // Files may go by keys of their own.
            let keys = self.method("api_key", Section { options, ..Section::default() })?;
            let start_up = self.method("start_up", Section { hooks, ..Section::default() })?;
            methods.splice(0..0, [keys, start_up]);
        }
        methods.push(self.method("visitor", Section::default())?);
        Ok(Chain::new(methods))
    }

    /// A hub's own tokens stand before ours, which are of the same keys.
    fn hypha_methods(
        &self,
        mount: &config::Mount,
        profile: &TokenProfile,
    ) -> Result<Vec<Arc<dyn Authenticator>>, Failure> {
        let options = object(json!({
            "issuer": profile.issuer.as_deref(),
            "audience": profile.audience.as_deref(),
            "authority": &*profile.authority,
        }));
        let section = match &profile.keys {
            Keys::Ring(ring) => Section { options, ring: Some(Arc::clone(ring)), ..Section::default() },
            Keys::Fixed { verify, .. } => {
                Section { options, keys: Some(Arc::clone(verify)), ..Section::default() }
            }
        };
        let mut methods = self.keys_and_tokens(mount)?;
        // Behind the API keys, which know themselves by their prefix.
        methods.insert(1, self.method("hub_token", section)?);
        methods.extend(self.tenants_tokens(mount)?);
        methods.extend(self.cookie(mount)?);
        methods.extend(self.trusted_header(mount)?);
        methods.extend(self.remote_tokens(mount)?);
        Ok(methods)
    }

    /// API keys before tokens: they recognise themselves by their prefix.
    fn own_chain(&self, mount: &config::Mount) -> Result<Chain, Failure> {
        let mut methods = self.keys_and_tokens(mount)?;
        methods.extend(self.cookie(mount)?);
        methods.extend(self.trusted_header(mount)?);
        methods.extend(self.remote_tokens(mount)?);
        Ok(Chain::new(methods))
    }

    /// What a mount's handlers may ask about a header that they were shown.
    pub(super) fn built_in_chain(&self, mount: &config::Mount) -> Result<Chain, Failure> {
        Ok(Chain::new(self.keys_and_tokens(mount)?))
    }

    fn keys_and_tokens(&self, mount: &config::Mount) -> Result<Vec<Arc<dyn Authenticator>>, Failure> {
        let mut audience = vec![self.config.tokens.audience.as_str()];
        // Who logged in through Supabase's routes is somebody everywhere.
        audience.extend(self.config.mounts.iter().any(supabase::speaks).then_some(supabase::AUDIENCE));
        let mut methods = vec![self.method("api_key", Section::default())?, self.own_token(&audience)?];
        methods.extend(self.others(mount)?);
        Ok(methods)
    }

    fn cookie(&self, mount: &config::Mount) -> Result<Option<Arc<dyn Authenticator>>, Failure> {
        mount.cookie_sessions.then(|| self.method("session_cookie", Section::default())).transpose()
    }

    /// Tokens of others, each declining what is not of its issuer.
    fn others(&self, mount: &config::Mount) -> Result<Vec<Arc<dyn Authenticator>>, Failure> {
        let method = |name: &String| {
            let issuer = &self.config.issuers[name];
            let mut options = json!({
                "authority": issuer.name,
                "identity_claim": issuer.identity_claim,
                "issuer": [issuer.issuer],
                "audience": issuer.audience,
                "leeway_s": issuer.leeway_s,
                "max_life_s": issuer.max_token_life_s,
                "only_listed": true,
            });
            if let Some(claim) = &issuer.roles_claim {
                options["roles_claim"] = json!(claim);
            }
            let remote = Some(Arc::clone(&self.issuers[name]));
            self.method("external_jwt", Section { options: object(options), remote, ..Section::default() })
        };
        mount.issuers.iter().map(method).collect()
    }

    /// Who is asked about what nobody else here knows.
    fn remote_tokens(&self, mount: &config::Mount) -> Result<Option<Arc<dyn Authenticator>>, Failure> {
        let Some(name) = &mount.remote_tokens else { return Ok(None) };
        let given = &self.config.remote_tokens[name];
        let (url, way) = match (&given.userinfo_url, &given.introspection_url) {
            (Some(url), _) => (url, Way::Userinfo { api_key: given.secret.clone() }),
            (None, Some(url)) => {
                let client_id = given.client_id.clone().unwrap_or_default();
                let client_secret = given.secret.clone().unwrap_or_else(|| "".into());
                (url, Way::Introspection { client_id, client_secret })
            }
            (None, None) => return Ok(None),
        };
        let url = self.engine.outbound().check(url).map_err(|error| {
            let mend = "correct the URL, or list its origin in outbound.allow";
            Failure::refused(format!("remote_tokens.{name}: {url}: {error}"), mend)
        })?;
        let mut options = json!({
            "authority": name,
            "identity_claim": given.identity_claim,
            "audience": given.audience,
            "cache_ms": given.cache_s * 1000,
        });
        if let Some(claim) = &given.roles_claim {
            options["roles_claim"] = json!(claim);
        }
        let section =
            Section { options: object(options), asking: Some(Asking { url, way }), ..Section::default() };
        Ok(Some(self.method("remote_token", section)?))
    }

    /// `auth: null`: everybody is nobody in particular, with or without a credential.
    fn open_chain(&self, mount: &config::Mount) -> Result<Chain, Failure> {
        if !mount.issuers.is_empty() {
            return Err(Failure::refused(
                format!(
                    "mounts.{}.issuers: its platform says auth: null, so no token is looked at",
                    mount.name
                ),
                "leave issuers out, or have the platform demand tokens",
            ));
        }
        let options = object(json!({ "roles": [USER], "ignore_credentials": true }));
        let mut methods: Vec<_> = self.trusted_header(mount)?.into_iter().collect();
        methods.push(self.method("anonymous", Section { options, ..Section::default() })?);
        Ok(Chain::new(methods))
    }

    /// A proxy that let the caller in itself says who it is.
    fn trusted_header(&self, mount: &config::Mount) -> Result<Option<Arc<dyn Authenticator>>, Failure> {
        let Some(header) = &mount.trusted_header else { return Ok(None) };
        let options = object(json!({ "header": header, "authority": format!("{}/proxy", mount.name) }));
        Ok(Some(self.method("trusted_header", Section { options, ..Section::default() })?))
    }

    /// `auth: "jwt"`: the platform's tokens, and Doorward's API keys beside them.
    fn jwt_chain(&self, mount: &config::Mount, jwt: &Jwt) -> Result<Chain, Failure> {
        let mut options = json!({
            "authority": mount.name,
            "identity_claim": IDENTITY_CLAIM,
            "roles_claim": "roles",
            "max_life_s": mount.max_token_life_s,
            "require_exp": mount.require_exp,
            // The platform allows none, and its users see expiry to the second.
            "leeway_s": 0,
        });
        if let Some(issuer) = &jwt.issuer {
            options["issuer"] = json!([issuer]);
        }
        if let Some(audience) = &jwt.audience {
            options["audience"] = json!([audience]);
        }
        let keys = Some(Arc::clone(&jwt.keys));
        let section = Section { options: object(options), keys, ..Section::default() };
        // The platform's own method knows no other issuers and refuses what it does not know, so it comes last.
        let mut methods = vec![self.method("api_key", Section::default())?];
        methods.extend(self.others(mount)?);
        methods.push(self.method("external_jwt", section)?);
        methods.extend(self.cookie(mount)?);
        methods.extend(self.trusted_header(mount)?);
        Ok(Chain::new(methods))
    }

    /// `auth: {"method": "custom"}`: user code, and Doorward's API keys before it.
    fn custom_chain(&self, mount: &config::Mount) -> Result<Chain, Failure> {
        let remember_ms = if mount.surface == config::SurfaceKind::LangGraph {
            self.config.handlers.remember_ms
        } else {
            0
        };
        let options = object(json!({
            "authority": mount.name,
            "platform": mount.surface.name(),
            "remember_ms": remember_ms,
        }));
        let handlers = self.handlers.get(&mount.name).cloned();
        let section = Section { options, handlers, ..Section::default() };
        // LangGraph's handlers say whom they let in, and are asked about everybody; AgentFlow's stand behind Doorward's keys.
        let mut methods = Vec::new();
        if mount.surface != config::SurfaceKind::LangGraph {
            // Handlers may go by keys of their own.
            let options = object(json!({ "leaves_others": true }));
            methods.push(self.method("api_key", Section { options, ..Section::default() })?);
        }
        methods.extend(self.others(mount)?);
        methods.extend(self.cookie(mount)?);
        methods.extend(self.trusted_header(mount)?);
        // It is asked about everybody who is left, whatever they show.
        methods.push(self.method("custom", section)?);
        Ok(Chain::new(methods))
    }

    fn audience(&self, mount: &config::Mount) -> &str {
        if supabase::speaks(mount) { supabase::AUDIENCE } else { &self.config.tokens.audience }
    }

    fn own_profile(&self, mount: &config::Mount) -> TokenProfile {
        TokenProfile {
            authority: LOCAL.into(),
            issuer: Some(self.issuer().into()),
            audience: Some(self.audience(mount).into()),
            identity_claim: self.config.tokens.identity_claim.as_str().into(),
            typ: ACCESS_TOKEN,
            keys: self.keys.clone(),
            access_ttl_s: self.config.tokens.access_ttl_s,
            max_ttl_s: LONGEST_TOKEN_S,
            refresh: self.refresh_rules(mount),
            claims: match mount.surface {
                config::SurfaceKind::Muxi => PersonClaims::Name,
                config::SurfaceKind::Supabase => PersonClaims::Supabase,
                _ => PersonClaims::Roles,
            },
        }
    }

    /// Tokens of a hub. What is shared with other servers says nothing that differs between them.
    fn hypha_profile(&self, mount: &config::Mount) -> TokenProfile {
        let own = self.own_profile(mount);
        let (issuer, audience, keys) = match self.shared_secrets.get(&mount.name) {
            Some(secret) => {
                let issuer = self.config.tokens.issuer.as_deref().unwrap_or(hypha::SHARED_ISSUER);
                (issuer, hypha::SHARED_AUDIENCE.to_owned(), secret.keys.clone())
            }
            None => (self.issuer(), format!("{}/{}", self.config.tokens.audience, mount.name), own.keys),
        };
        let max_ttl_s = hypha::longest_life_s(mount);
        TokenProfile {
            authority: mount.name.as_str().into(),
            issuer: Some(issuer.into()),
            audience: Some(audience.into()),
            identity_claim: "sub".into(),
            typ: HUB_TOKEN,
            keys,
            access_ttl_s: hypha::TOKEN_LIFE_S.min(max_ttl_s),
            max_ttl_s,
            ..own
        }
    }

    fn jwt_profile(&self, mount: &config::Mount, jwt: &Jwt) -> TokenProfile {
        TokenProfile {
            authority: mount.name.as_str().into(),
            issuer: jwt.issuer.as_deref().map(Into::into),
            audience: jwt.audience.as_deref().map(Into::into),
            identity_claim: IDENTITY_CLAIM.into(),
            typ: "JWT",
            keys: Keys::Fixed { signer: jwt.signer.clone(), verify: Arc::clone(&jwt.keys) },
            ..self.own_profile(mount)
        }
    }

    fn refresh_rules(&self, mount: &config::Mount) -> RefreshRules {
        let tokens = &self.config.tokens;
        RefreshRules {
            ttl_ms: tokens.refresh_ttl_s * 1000,
            absolute_ms: tokens.absolute_ttl_s * 1000,
            // Supabase's clients come again with the token before the present one, whenever that was.
            reuse_window_ms: if supabase::speaks(mount) { ALWAYS } else { tokens.reuse_window_s * 1000 },
            overtaken_window_ms: if supabase::speaks(mount) { tokens.reuse_window_s * 1000 } else { 0 },
            rotation: mount.refresh_rotation,
            form: if is_muxi(mount) { RefreshForm::Jwt } else { RefreshForm::Opaque },
        }
    }
}

/// Muxi's clients read the user's name in the access token and `token_type` in the refresh token.
fn is_muxi(mount: &config::Mount) -> bool {
    mount.surface == config::SurfaceKind::Muxi
}

/// Whom AgentFlow's tokens are for.
const IDENTITY_CLAIM: &str = "user_id";

pub(super) fn object(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match value {
        serde_json::Value::Object(object) => object,
        _ => serde_json::Map::new(),
    }
}
