//! The one place that wires: store, clock, randomness, engine, and a mount for each of the configured ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::runner::{self, Runner};
use doorward_core::anomalies::Anomalies;
use doorward_core::authn::built_in::Answers;
use doorward_core::authn::methods::remote_token::{Asking, Way};
use doorward_core::authn::methods::{self, Section, own_token::ACCESS_TOKEN};
use doorward_core::authn::{Authenticator, Chain};
use doorward_core::authz::Roles;
use doorward_core::authz::custom::Policy;
use doorward_core::authz::roles::{RoleDef, USER};
use doorward_core::clock::Clock as _;
use doorward_core::engine::{Engine, Parts, Settings};
use doorward_core::events::Webhook;
use doorward_core::identity::password::HashingSettings;
use doorward_core::limits::failures::FailureRule;
use doorward_core::limits::windows::Windows;
use doorward_core::mount::{Mount, SessionRules, SignUp};
use doorward_core::ports::{self, Handlers};
use doorward_core::principal::LOCAL;
use doorward_core::tokens::profile::ALWAYS;
use doorward_core::tokens::{
    Assertions, Keys, PersonClaims, RefreshForm, RefreshRules, RemoteKeys, TokenProfile,
};
use doorward_protocols::jose::Algorithm;
use doorward_store::{Options, SqlStore};
use serde_json::json;

use crate::cli::Failure;
use crate::clock::SystemClock;
use crate::command_runner::{CommandRunner, CommandSettings};
use crate::config::{self, Config, Problems};
use crate::handlers::{self, Start};
use crate::locations::LocationFile;
use crate::mailer;
use crate::others;
use crate::platform::agentflow::Jwt;
use crate::platform::{Auth, Platform};
use crate::random::SystemRandom;
use crate::secrets::key_files;
use crate::setup::{Mode, Setup};
use crate::supabase;

/// The ring that signs Doorward's own tokens.
const RING: &str = "sign:native";
/// The issuer of tokens when nothing says otherwise: the same at every start, whatever the port.
const ISSUER: &str = "doorward";
/// Longest life of a token made on request.
const LONGEST_TOKEN_S: i64 = 365 * 86_400;
/// How long a command waits for what it started.
const PATIENCE: Duration = Duration::from_secs(5);

/// An engine on a store, with its mounts.
pub struct Assembled {
    /// The engine.
    pub engine: Engine,
    /// The store under it.
    pub store: Arc<SqlStore>,
    /// The mounts, as configured: native ones first.
    pub mounts: Vec<Mounted>,
    /// What new signing keys sign with, where the configuration says so.
    pub algorithm: Option<Algorithm>,
}

/// A mount and what the configuration says of its place.
pub struct Mounted {
    /// The mount.
    pub mount: Arc<Mount>,
    /// What its upstream is told under a signature, if it is to be.
    pub assertions: Option<Assertions>,
    /// Its place.
    pub config: config::Mount,
}

impl Assembled {
    /// Lets what was begun be finished and writes what is not written yet.
    pub async fn close(&self) {
        if let Err(error) = self.engine.stop(PATIENCE).await {
            tracing::error!(?error, "the last lines of the audit log could not be written");
        }
    }
}

/// Opens the store and makes everything that stands on it. Nothing listens yet.
///
/// # Errors
/// What is wrong with the store, the master key, the roles or a mount.
pub async fn assemble(setup: &Setup) -> Result<Assembled, Failure> {
    assemble_with(setup, Start::All).await
}

/// As [`assemble`], for whoever needs the user's code or does not.
pub(crate) async fn assemble_with(setup: &Setup, start: Start) -> Result<Assembled, Failure> {
    let handlers = handlers::open(setup, start).await?;
    let config = &setup.config;
    let store = Arc::new(open_store(config)?);
    let parts = Parts {
        store: Arc::clone(&store) as Arc<dyn ports::Store>,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        master_key: setup.master_key.clone(),
        runner: runner(setup),
        shared: Arc::new(Windows::new()),
        outbound: Arc::new(others::way_out(config)?),
        mailer: mailer::open(setup)?,
        hooks: Vec::new(),
    };
    let mut settings = settings(config)?;
    settings.providers = others::providers(config, &*parts.outbound)?;
    for (webhook, url) in settings.webhooks.iter().map(|webhook| (&webhook.name, &webhook.url)) {
        parts.outbound.check(url).map_err(|error| {
            Failure::refused(
                format!("webhooks.{webhook}: {error}"),
                "correct url, or list its origin in outbound.allow",
            )
        })?;
    }
    let engine = Engine::open(parts, settings).await?;
    let ring = engine.ring(RING, config.tokens.algorithm).await?;
    let algorithm = config.says("tokens.algorithm").then_some(config.tokens.algorithm);
    let keys = match config.tokens.key_files.as_slice() {
        [] => {
            let signing = ring.signer().algorithm();
            if let Some(wanted) = algorithm.filter(|wanted| *wanted != signing) {
                tracing::warn!(
                    "tokens.algorithm is {wanted}, but the key that signs is for {signing}; \
                     run: doorward token rotate-key"
                );
            }
            Keys::Ring(ring)
        }
        files => {
            key_files::read(files, config.tokens.algorithm).map_err(|problem| Problems(vec![problem]))?
        }
    };
    let issuers = others::issuers(config, engine.outbound())?;
    let own = Own { engine: &engine, keys, config, issuers, handlers, mode: setup.mode };
    let mut mounts = Vec::with_capacity(config.mounts.len());
    for mount in &config.mounts {
        if let Some(handlers) = own.handlers.get(&mount.name) {
            let chain = own.built_in_chain(mount)?;
            handlers.answer_with(Arc::new(Answers::new(engine.clone(), chain)));
        }
        let platform = setup.platforms.get(&mount.name);
        mounts.push(Mounted {
            mount: Arc::new(own.mount(mount, platform)?),
            assertions: own.assertions(mount),
            config: mount.clone(),
        });
    }
    Ok(Assembled { engine, store, mounts, algorithm })
}

fn runner(setup: &Setup) -> Arc<dyn Runner> {
    let agents = &setup.config.agents;
    match (runner::find(agents.runner), &agents.command) {
        (Some(row), _) => (row.build)(),
        (None, command) => {
            let command =
                command.clone().expect("the configuration demands a program for the command runner");
            let environment = setup.agent_environment.clone();
            Arc::new(CommandRunner::new(CommandSettings { environment, ..command }))
        }
    }
}

fn webhook((name, configured): (&String, &config::Webhook)) -> Webhook {
    Webhook {
        name: name.clone(),
        url: configured.url.clone(),
        secrets: configured.secrets.clone(),
        events: configured.events.clone(),
        give_up_ms: configured.give_up_after_s * 1000,
    }
}

fn open_store(config: &Config) -> Result<SqlStore, Failure> {
    let options = Options { now_ms: SystemClock.now_ms(), ..Options::default() };
    SqlStore::open(config.store.address().expose(), &options).map_err(|error| unusable(config, &error))
}

/// How many migrations the configured store, which is there, would still be given.
pub(crate) fn lacking(config: &Config) -> Result<usize, Failure> {
    doorward_store::pending(config.store.address().expose())
        .map(|found| found.len())
        .map_err(|error| unusable(config, &error))
}

fn unusable(config: &Config, error: &ports::StoreError) -> Failure {
    Failure::refused(
        format!("the store {} cannot be used: {error}", config.store.name()),
        "check the path or address, the disk and the permissions, or name another store",
    )
}

fn anomalies(config: &Config) -> Result<Anomalies, Failure> {
    let section = &config.anomalies;
    let locations: Arc<dyn ports::Locations> = match &section.locations {
        None => Arc::new(ports::Nowhere),
        Some(path) => Arc::new(LocationFile::open(path).map_err(|what| {
            let mend = "give the path of a MaxMind DB file of cities, such as GeoLite2-City.mmdb";
            Failure::refused(format!("anomalies.locations: {}: {what}", path.display()), mend)
        })?),
    };
    Ok(Anomalies { policies: section.policies.clone(), measures: section.measures.clone(), locations })
}

fn settings(config: &Config) -> Result<Settings, Failure> {
    let roles: BTreeMap<String, RoleDef> = config
        .roles
        .iter()
        .map(|(name, role)| {
            let role = RoleDef { inherits: role.inherits.clone(), permissions: role.permissions.clone() };
            (name.clone(), role)
        })
        .collect();
    let roles = Roles::new(&roles).map_err(|error| {
        Failure::refused(format!("roles: {error}"), "correct [roles] of the configuration")
    })?;
    let passwords = &config.passwords;
    Ok(Settings {
        roles,
        hashing: HashingSettings {
            memory_kib: passwords.memory_kib,
            passes: passwords.passes,
            lanes: passwords.lanes,
            workers: passwords.workers,
            queue: passwords.queue,
        },
        limits: config.rate_limits.values().cloned().collect(),
        anomalies: anomalies(config)?,
        failures: FailureRule {
            allowed: config.limits.failures,
            window_ms: i64::from(config.limits.window_s) * 1000,
            longest_ms: i64::from(config.limits.longest_window_s) * 1000,
        },
        providers: Vec::new(),
        webhooks: config.webhooks.iter().map(webhook).collect(),
        longest_token_ms: LONGEST_TOKEN_S.max(config.tokens.absolute_ttl_s) * 1000,
    })
}

/// What Doorward's own tokens are made and checked with.
struct Own<'a> {
    engine: &'a Engine,
    keys: Keys,
    config: &'a Config,
    /// Keys of others, by the others' names: shared by the mounts that take their tokens.
    issuers: BTreeMap<String, Arc<RemoteKeys>>,
    /// User code, by mount.
    handlers: BTreeMap<String, Arc<dyn Handlers>>,
    mode: Mode,
}

impl Own<'_> {
    fn mount(&self, mount: &config::Mount, platform: Option<&Platform>) -> Result<Mount, Failure> {
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
            email: supabase::email_rules(mount),
            policy: self.policy(mount, platform),
            sessions: SessionRules {
                idle_ms: self.config.sessions.idle_s * 1000,
                absolute_ms: self.config.sessions.absolute_s * 1000,
            },
        })
    }

    /// LangGraph's handlers also say what callers may do.
    fn policy(&self, mount: &config::Mount, platform: Option<&Platform>) -> Option<Policy> {
        let asks = mount.surface == config::SurfaceKind::LangGraph
            && platform.is_some_and(|platform| matches!(platform.auth, Auth::Custom(_)));
        let handlers = self.handlers.get(&mount.name).filter(|_| asks)?;
        Some(Policy::new(Arc::clone(handlers), mount.uncovered))
    }

    /// Signed with keys that the upstream can fetch, whatever the mount's own tokens are signed with.
    fn assertions(&self, mount: &config::Mount) -> Option<Assertions> {
        let audience = mount.upstream.as_deref().filter(|_| mount.principal_jwt)?.into();
        Some(Assertions { keys: self.keys.clone(), issuer: self.issuer().into(), audience })
    }

    fn issuer(&self) -> &str {
        let configured = self.config.tokens.issuer.as_deref();
        configured.or(self.config.server.public_url.as_deref()).unwrap_or(ISSUER)
    }

    fn method(&self, name: &str, section: Section) -> Result<Arc<dyn Authenticator>, Failure> {
        methods::build(name, section, self.engine)
            .map_err(|error| Failure::refused(error.to_string(), "correct the mount's configuration"))
    }

    /// Tokens of our own that are for one of these.
    fn own_token(&self, audience: &[&str]) -> Result<Arc<dyn Authenticator>, Failure> {
        let options = object(json!({ "issuer": self.issuer(), "audience": audience }));
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
        let options = object(json!({ "mount": mount.name, "open": ["/auth/v1/verify"] }));
        let gate = self.method("project_key", Section { options, ..Section::default() })?;
        Ok(Chain::new(vec![gate, self.own_token(&[supabase::AUDIENCE])?]))
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
    fn built_in_chain(&self, mount: &config::Mount) -> Result<Chain, Failure> {
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
        // Handlers may go by keys of their own.
        let options = object(json!({ "leaves_others": true }));
        let mut methods = vec![self.method("api_key", Section { options, ..Section::default() })?];
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

fn object(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match value {
        serde_json::Value::Object(object) => object,
        _ => serde_json::Map::new(),
    }
}
