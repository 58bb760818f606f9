//! The one place that wires: store, clock, randomness, engine, and a mount for each of the configured ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::runner::{self, Runner};
use doorward_core::anomalies::Anomalies;
use doorward_core::authn::built_in::Answers;
use doorward_core::authz::{Catalogue, Roles};
use doorward_core::clock::Clock;
use doorward_core::engine::{Engine, Parts, Settings};
use doorward_core::events::{Hook, Webhook};
use doorward_core::identity::password::HashingSettings;
use doorward_core::limits::failures::{FailureRule, FailureRules};
use doorward_core::limits::windows::Windows;
use doorward_core::mount::Mount;
use doorward_core::ports::{self, Handlers as _};
use doorward_core::random::Random;
use doorward_core::start_up::StartUpAnswers;
use doorward_core::tokens::{Assertions, Keys};
use doorward_protocols::jose::Algorithm;
use doorward_store::{Options, SqlStore};

mod mounts;
mod tenant;

use self::mounts::Own;
use crate::cli::Failure;
use crate::clock::SystemClock;
use crate::command_runner::{CommandRunner, CommandSettings};
use crate::config::{self, Config, Limits, Problems};
use crate::directory;
use crate::handlers::{self, Start};
use crate::hypha;
use crate::locations::LocationFile;
use crate::mailer;
use crate::others;
use crate::random::SystemRandom;
use crate::secrets::key_files;
use crate::setup::Setup;
use crate::start_up::StartUp;

/// The ring that signs Doorward's own tokens.
const RING: &str = "sign:native";
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
    /// Its start-up files, where it has some.
    pub(crate) start_up: Option<StartUp>,
}

impl Assembled {
    /// Lets what was begun be finished and writes what is not written yet.
    pub async fn close(&self) {
        if let Err(error) = self.engine.stop(PATIENCE).await {
            tracing::error!(?error, "the last lines of the audit log could not be written");
        }
    }
}

/// What an engine is made with beside what is configured.
#[derive(Clone)]
pub(crate) struct Around {
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub(crate) random: Arc<dyn Random>,
    /// Functions of this process that are told what happened.
    pub(crate) hooks: Vec<Arc<dyn Hook>>,
    /// The actions there are.
    pub(crate) catalogue: Catalogue,
}

impl Default for Around {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            hooks: Vec::new(),
            catalogue: Catalogue::default(),
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
    assemble_in(setup, start, Around::default()).await
}

/// As [`assemble_with`], for an application that Doorward is part of.
pub(crate) async fn assemble_in(setup: &Setup, start: Start, around: Around) -> Result<Assembled, Failure> {
    let options = Options { now_ms: around.clock.now_ms(), ..Options::default() };
    assemble_on(setup, start, around, &options).await
}

/// As [`assemble_with`], on a store that is there and up to date, and that nothing is written to.
pub(crate) async fn assemble_to_look(setup: &Setup) -> Result<Assembled, Failure> {
    let options = Options { read_only: true, ..Options::default() };
    assemble_on(setup, Start::None, Around::default(), &options).await
}

async fn assemble_on(
    setup: &Setup,
    start: Start,
    around: Around,
    options: &Options,
) -> Result<Assembled, Failure> {
    let handlers = handlers::open(setup, start).await?;
    let hosts = match start {
        Start::All => handlers::open_start_ups(setup).await?,
        Start::None => BTreeMap::new(),
    };
    let config = &setup.config;
    let store = Arc::new(open_store(config, options)?);
    let parts = Parts {
        store: Arc::clone(&store) as Arc<dyn ports::Store>,
        clock: around.clock,
        random: around.random,
        master_key: setup.master_key.clone(),
        runner: runner(setup)?,
        shared: Arc::new(Windows::new()),
        outbound: Arc::new(others::way_out(config)?),
        mailer: mailer::open(setup)?,
        hooks: around.hooks,
    };
    let mut settings = settings(config, around.catalogue)?;
    settings.providers = others::providers(config, &*parts.outbound)?;
    settings.people = directory::open(config)?;
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
    let shared_secrets = &setup.shared_secrets;
    let hooks = BTreeMap::new();
    let tenants = tenant::known(config, engine.outbound())?;
    let mode = setup.mode;
    let mut own =
        Own { engine: &engine, keys, config, issuers, handlers, hooks, shared_secrets, tenants, mode };
    own.hooks = own.hooks_of(&hosts)?;
    let mut mounts = Vec::with_capacity(config.mounts.len());
    for mount in &config.mounts {
        if let Some(handlers) = own.handlers.get(&mount.name) {
            let chain = own.built_in_chain(mount)?;
            handlers.answer_with(Arc::new(Answers::new(engine.clone(), chain)));
        }
        let platform = setup.platforms.get(&mount.name);
        let made = Arc::new(own.mount(mount, platform)?);
        let hooks = own.hooks.get(&mount.name).cloned();
        let start_up = hosts.get(&mount.name).zip(hooks.clone()).map(|(host, hooks)| StartUp {
            mount: mount.name.clone(),
            host: Arc::clone(host),
            hooks,
        });
        if let Some(start_up) = &start_up {
            let all = Answers::new(engine.clone(), own.built_in_chain(mount)?);
            let hooks = Arc::clone(&start_up.hooks);
            let answers = StartUpAnswers::new(hooks, Arc::clone(&made), all);
            start_up.host.answer_with(Arc::new(answers));
        }
        mounts.push(Mounted {
            mount: made,
            start_up,
            assertions: own.assertions(mount),
            config: mount.clone(),
        });
    }
    Ok(Assembled { engine, store, mounts, algorithm })
}

fn runner(setup: &Setup) -> Result<Arc<dyn Runner>, Failure> {
    if let Some(model) = &setup.model {
        return Ok(Arc::new(model.runner(&setup.config)?));
    }
    let agents = &setup.config.agents;
    Ok(match (runner::find(agents.runner), &agents.command) {
        (Some(row), _) => (row.build)(),
        (None, command) => {
            let command =
                command.clone().expect("the configuration demands a program for the command runner");
            let environment = setup.agent_environment.clone();
            Arc::new(CommandRunner::new(CommandSettings { environment, ..command }))
        }
    })
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

fn open_store(config: &Config, options: &Options) -> Result<SqlStore, Failure> {
    SqlStore::open(config.store.address().expose(), options).map_err(|error| unusable(config, &error))
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

fn settings(config: &Config, catalogue: Catalogue) -> Result<Settings, Failure> {
    let roles = Roles::over(catalogue, &config.role_definitions()).map_err(|error| {
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
        failures: failures(&config.limits),
        providers: Vec::new(),
        people: None,
        webhooks: config.webhooks.iter().map(webhook).collect(),
        longest_token_ms: longest_token_s(config).saturating_mul(1000),
    })
}

fn failures(limits: &Limits) -> FailureRules {
    let rule = |allowed, window_s| FailureRule {
        allowed,
        window_ms: i64::from(window_s) * 1000,
        longest_ms: i64::from(limits.longest_window_s) * 1000,
    };
    FailureRules {
        of_address: rule(limits.failures, limits.window_s),
        of_login: rule(limits.login_failures, limits.login_window_s),
    }
}

/// No revocation is forgotten before the last token that it covers.
fn longest_token_s(config: &Config) -> i64 {
    let of_hubs = config.mounts.iter().filter(|mount| hypha::speaks(mount)).map(hypha::longest_life_s);
    of_hubs.fold(LONGEST_TOKEN_S.max(config.tokens.absolute_ttl_s), i64::max)
}
