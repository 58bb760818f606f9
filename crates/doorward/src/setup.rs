//! Everything a server or a command is to be made from, read and judged, before anything is made.
//!
//! ```text
//! flags, environment, file ─► Config ─┐
//! agentflow.json, langgraph.json, .env ──► Platform ─┼─► Setup ─ refusals ─► assemble
//! master key ─────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::path::{Path, PathBuf};

use doorward_core::random::{Random, bytes};
use doorward_core::secret::SecretBytes;

use crate::cli::{Failure, Surroundings};
use crate::client_scripts;
use crate::config::{Config, Flag, Problem, Problems, Sources, SurfaceKind};
use crate::hypha::{self, SharedSecrets};
use crate::model::{self, ChosenModel};
use crate::platform::{self, HandlerFile, Platform};
use crate::refusals::{self, Judged};
use crate::secrets::{create_master_key, parse_master_key};
use crate::start_up;
use doorward_server::ClientScripts;

mod embedded;

pub(crate) use embedded::Embedded;

/// Where `dev` keeps its data unless told otherwise.
pub const DEV_DIRECTORY: &str = ".doorward";
/// The file of variables that is read beside the environment, in the directory where a command is started.
pub(crate) const DOTENV: &str = ".env";
/// The configuration file that is read when none is named.
pub const CONFIG_FILE: &str = "doorward.toml";

const DATABASE: &str = "doorward.db";
const MASTER_KEY: &str = "master.key";

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On this machine alone: doubtful things are warned about.
    Dev,
    /// For others: doubtful things are refused.
    Serve,
}

/// Everything a server or a command is made from.
pub struct Setup {
    /// How strict to be.
    pub mode: Mode,
    /// The configuration.
    pub config: Config,
    /// The platform files, by mount.
    pub platforms: BTreeMap<String, Platform>,
    /// Start-up files of hubs, by mount.
    pub(crate) start_ups: BTreeMap<String, HandlerFile>,
    /// Secrets that mounts share with other servers, by mount.
    pub(crate) shared_secrets: SharedSecrets,
    /// Clients as pages load them, of the mounts that say where they are.
    pub(crate) client_scripts: BTreeMap<String, ClientScripts>,
    /// The model that answers in threads, where one does.
    pub(crate) model: Option<ChosenModel>,
    /// The key everything at rest is sealed under.
    pub master_key: SecretBytes,
    /// Variables of this process that `[agents] pass_environment` names, with PATH and LANG.
    pub agent_environment: Vec<(String, String)>,
    /// Variables of this process that user code finds in its own environment.
    pub passed: Vec<(String, String)>,
    /// What the operator should know; each a sentence.
    pub warnings: Vec<String>,
}

/// What the command line says about mounts and places.
#[derive(Default)]
pub(crate) struct Placement {
    pub(crate) config: Option<PathBuf>,
    pub(crate) flags: Vec<Flag>,
}

impl Placement {
    /// Notes a flag that sets `key`.
    pub(crate) fn set(&mut self, flag: &'static str, key: impl Into<String>, value: impl Into<String>) {
        self.flags.push(Flag { key: key.into(), value: value.into(), flag });
    }
}

impl Setup {
    /// For `dev`: data in `directory`, every surface mounted, a master key made when there is none.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn dev(
        placement: Placement,
        directory: &Path,
        surroundings: &Surroundings,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        let sources = dev_sources(placement, directory, surroundings)?;
        private_directory(directory)?;
        let given = sources.environment.iter().any(|(name, _)| name.starts_with("DOORWARD__SECRETS__"));
        if !given {
            create_master_key(&directory.join(MASTER_KEY), random).map_err(|error| {
                Failure::refused(error.to_string(), "give a --data-dir that can be written")
            })?;
        }
        Self::read(Mode::Dev, &sources, surroundings).map_err(Failure::from)
    }

    /// For `serve`: what the operator configured and nothing else, judged as [`crate::refusals`] does.
    ///
    /// # Errors
    /// Everything that is wrong and everything that is refused, at once.
    pub(crate) fn serve(placement: Placement, surroundings: &Surroundings) -> Result<Self, Problems> {
        let sources = serve_sources(placement, surroundings);
        let mut gathered = Gathered::read(&sources, surroundings)?;
        let judged = Judged {
            config: &gathered.config,
            platforms: &gathered.platforms,
            shared_secrets: &gathered.shared_secrets,
            model: gathered.model.as_ref(),
        };
        gathered.problems.extend(refusals::judge(judged));
        gathered.complete(Mode::Serve, surroundings)
    }

    /// For a command on the store of a server, running or not: the data directory of `dev`, or the configuration
    /// of `serve`; whichever is named, else whichever is there. Only one that may `create` the configured store goes
    /// on without one: a mistyped path must not look like an empty store.
    ///
    /// # Errors
    /// Everything that is wrong; that there is no store.
    pub(crate) fn beside(
        placement: Placement,
        data_dir: Option<&Path>,
        create: bool,
        surroundings: &Surroundings,
    ) -> Result<Self, Failure> {
        let dev = match data_dir {
            Some(directory) => Some(directory.to_path_buf()),
            None if placement.config.is_some() || Path::new(CONFIG_FILE).exists() => None,
            None => Some(PathBuf::from(DEV_DIRECTORY)),
        };
        let setup = match &dev {
            Some(directory) => {
                // A directory that is named may hold nothing but the key of what is to be put there.
                let may_lack_one = create && data_dir.is_some() && directory.join(MASTER_KEY).exists();
                if !directory.join(DATABASE).exists() && !may_lack_one {
                    return Err(no_store(directory, create && data_dir.is_some(), data_dir.is_none()));
                }
                Self::read(Mode::Dev, &dev_sources(placement, directory, surroundings)?, surroundings)?
            }
            None => Self::read(Mode::Serve, &serve_sources(placement, surroundings), surroundings)?,
        };
        if create || setup.config.store.is_there() {
            return Ok(setup);
        }
        Err(Failure::refused(
            format!("there is no store at {}", setup.config.store.name()),
            "correct store.path, or make it with `doorward migrate apply`",
        ))
    }

    /// For trying start-up functions: a hub on a store that is gone afterwards, under a key that nobody knows.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn for_start_up(
        functions: &str,
        python: Option<&Path>,
        surroundings: &Surroundings,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        let key: String = bytes::<32>(random).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut placement = Placement::default();
        placement.set("FILE", "mounts.hypha.startup_functions", functions);
        if let Some(python) = python.and_then(Path::to_str) {
            placement.set("--python", "handlers.python", python);
        }
        let default = |name: &str, value: String| (name.to_owned(), value);
        let sources = Sources {
            defaults: vec![
                default("mounts.hypha.surface", "hypha".to_owned()),
                default("secrets.master_key", key),
                default("server.listen", "127.0.0.1:0".to_owned()),
            ],
            file: None,
            environment: surroundings.environment.clone(),
            flags: placement.flags,
            dotenv: None,
            ..Sources::default()
        };
        let mut setup = Self::read(Mode::Dev, &sources, surroundings)?;
        setup.config.store = crate::config::Store::in_memory();
        Ok(setup)
    }

    /// From sources of one's own choice. Nothing is made yet; [`crate::refusals`] judges what was read.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(mode: Mode, sources: &Sources, surroundings: &Surroundings) -> Result<Self, Problems> {
        Gathered::read(sources, surroundings)?.complete(mode, surroundings)
    }

    /// Whether a platform's handlers say what callers may do at this mount.
    pub(crate) fn asks_handlers(&self, mount: &str) -> bool {
        let found = self.config.mounts.iter().find(|one| one.name == mount).zip(self.platforms.get(mount));
        found.is_some_and(|(mount, platform)| platform.decides_at(mount.surface))
    }
}

/// What was read, whole or not: what is missing must not keep the rest from being judged.
struct Gathered {
    config: Config,
    platforms: BTreeMap<String, Platform>,
    start_ups: BTreeMap<String, HandlerFile>,
    shared_secrets: SharedSecrets,
    client_scripts: BTreeMap<String, ClientScripts>,
    model: Option<ChosenModel>,
    warnings: Vec<String>,
    problems: Vec<Problem>,
    master_key: Option<SecretBytes>,
}

impl Gathered {
    /// Fails only where the configuration itself cannot be read.
    fn read(sources: &Sources, surroundings: &Surroundings) -> Result<Self, Problems> {
        let config = sources.read()?;
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut platforms = BTreeMap::new();
        for mount in &config.mounts {
            let environment = |name: &str| surroundings.variable(name);
            let passed = |name: &str| {
                let is_named = config.handlers.pass_environment.iter().any(|named| named == name);
                is_named.then(|| surroundings.variable(name)).flatten()
            };
            let read = match (mount.surface, &mount.agentflow, &mount.langgraph) {
                (SurfaceKind::AgentFlow, Some(path), _) => platform::agentflow::read(path, &environment),
                (SurfaceKind::LangGraph, _, Some(path)) => {
                    platform::langgraph::read(path, &environment, &passed)
                }
                _ => continue,
            };
            match read {
                Ok(mut platform) => {
                    warnings.append(&mut platform.warnings);
                    platforms.insert(mount.name.clone(), platform);
                }
                Err(mut found) => problems.append(&mut found.0),
            }
        }
        let start_ups = start_up::files(&config, &|name| surroundings.variable(name), &mut problems);
        let shared_secrets = hypha::secrets(&config, &|name| surroundings.variable(name), &mut problems);
        let client_scripts = client_scripts::read(&config, &mut problems);
        let model = model::choose(&config, &platforms, &mut problems, &mut warnings);
        let master_key = master_key(&config).map_err(|problem| problems.push(problem)).ok();
        Ok(Self {
            config,
            platforms,
            start_ups,
            shared_secrets,
            client_scripts,
            model,
            warnings,
            problems,
            master_key,
        })
    }

    fn complete(self, mode: Mode, surroundings: &Surroundings) -> Result<Setup, Problems> {
        let Self {
            config,
            platforms,
            start_ups,
            shared_secrets,
            client_scripts,
            model,
            warnings,
            problems,
            master_key,
        } = self;
        let Some(master_key) = master_key.filter(|_| problems.is_empty()) else {
            return Err(Problems(problems));
        };
        let passed = config.agents.pass_environment.iter().map(String::as_str);
        let agent_environment = passed
            .chain(["PATH", "LANG"])
            .filter_map(|name| Some((name.to_owned(), surroundings.variable(name)?)))
            .collect();
        let passed = crate::handlers::passed(&config.handlers, |name| surroundings.variable(name));
        Ok(Setup {
            mode,
            config,
            platforms,
            start_ups,
            shared_secrets,
            client_scripts,
            model,
            master_key,
            agent_environment,
            passed,
            warnings,
        })
    }
}

fn master_key(config: &Config) -> Result<SecretBytes, Problem> {
    const MEND: &str = "make one with: openssl rand -hex 32";
    match &config.secrets.master_key {
        Some(text) => {
            parse_master_key(text).map_err(|error| Problem::of("secrets.master_key", error.to_string(), MEND))
        }
        None => Err(Problem::of(
            "secrets.master_key",
            "there is no master key, so nothing could be kept sealed",
            format!("set secrets.master_key_file or secrets.master_key; {MEND}"),
        )),
    }
}

/// `anew` for a command that makes one there, `unnamed` where nobody said which directory.
fn no_store(directory: &Path, anew: bool, unnamed: bool) -> Failure {
    let place = directory.display();
    if anew {
        return Failure::refused(
            format!("there is no master key in {place}"),
            format!("put the one there that the store was sealed with, as {place}/{MASTER_KEY}"),
        );
    }
    let what = if unnamed {
        format!("there is no store in {place}, and no {CONFIG_FILE} here")
    } else {
        format!("there is no store in {place}")
    };
    Failure::refused(what, "name its place with --data-dir or --config, or start `doorward dev` first")
}

fn dev_sources(
    placement: Placement,
    directory: &Path,
    surroundings: &Surroundings,
) -> Result<Sources, Failure> {
    let place = |name: &str| {
        directory.join(name).into_os_string().into_string().map_err(|_| {
            Failure::usage(format!("{} is not UTF-8", directory.display()), "give another --data-dir")
        })
    };
    let mut defaults = vec![
        ("store.path".to_owned(), place(DATABASE)?),
        ("mounts.native.sign_up".to_owned(), "open".to_owned()),
        ("mounts.muxi.sign_up".to_owned(), "open".to_owned()),
        ("mounts.muxi.docs".to_owned(), "true".to_owned()),
        ("mounts.supabase.sign_up".to_owned(), "open".to_owned()),
        ("mounts.hypha.sign_up".to_owned(), "open".to_owned()),
    ];
    for (name, _) in SurfaceKind::ALL {
        defaults.push((format!("mounts.{name}.surface"), (*name).to_owned()));
    }
    let given = surroundings.environment.iter().any(|(name, _)| name.starts_with("DOORWARD__SECRETS__"));
    if !given {
        defaults.push(("secrets.master_key_file".to_owned(), place(MASTER_KEY)?));
    }
    Ok(Sources {
        defaults,
        file: placement.config,
        environment: surroundings.environment.clone(),
        dotenv: Some(DOTENV.into()),
        flags: placement.flags,
        ..Sources::default()
    })
}

fn serve_sources(placement: Placement, surroundings: &Surroundings) -> Sources {
    let usual = Path::new(CONFIG_FILE);
    let file = placement.config.or_else(|| usual.exists().then(|| usual.to_path_buf()));
    Sources {
        defaults: Vec::new(),
        file,
        environment: surroundings.environment.clone(),
        dotenv: Some(DOTENV.into()),
        flags: placement.flags,
        ..Sources::default()
    }
}

/// Makes `dev`'s directory for its owner alone, and keeps it out of version control.
fn private_directory(directory: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::refused(
            format!("{}: {error}", directory.display()),
            "give a --data-dir that can be made and written",
        )
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(failed)?;
    let ignore = directory.join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&ignore).map_err(failed)?;
    std::io::Write::write_all(&mut file, b"*\n").map_err(failed)
}
