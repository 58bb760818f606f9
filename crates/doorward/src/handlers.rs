//! Which processes of user code a setup asks for, and starting them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::ports::Handlers;
use doorward_core::ports::handlers::HandlerFault;
use doorward_handlers::{Host, Loaded, PYTHON, Settings};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::cli::Failure;
use crate::config;
use crate::platform::{Auth, HandlerFile};
use crate::setup::{Mode, Setup};
use crate::start_up;

/// Variables that every process of user code finds, beside those that are named and those of its platform's file.
const PASSED: &[&str] = &["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV"];

/// What user code finds of this process's own environment.
pub(crate) fn passed(
    configured: &config::Handlers,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let named = configured.pass_environment.iter().map(String::as_str);
    let named = named.filter(|name| !PASSED.contains(name)).chain(PASSED.iter().copied());
    named.filter_map(|name| Some((name.to_owned(), variable(name)?))).collect()
}

/// Whether user code is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// For servers, and for judging a configuration.
    All,
    /// For commands on the store, which ask nobody who they are.
    None,
}

/// The processes, by mount.
pub(crate) async fn open(
    setup: &Setup,
    start: Start,
) -> Result<BTreeMap<String, Arc<dyn Handlers>>, Failure> {
    let mut all: BTreeMap<String, Arc<dyn Handlers>> = BTreeMap::new();
    for (mount, platform) in &setup.platforms {
        let Auth::Custom(file) = &platform.auth else { continue };
        let handlers: Arc<dyn Handlers> = match start {
            Start::None => Arc::new(NotStarted),
            Start::All => {
                let settings = settings(mount, file, &setup.config.handlers, &setup.passed);
                let host = Host::open(Settings { reload: setup.mode == Mode::Dev, ..settings }).await;
                let host = host.map_err(|error| broken(file, &error))?;
                let loaded = host.loaded();
                for registers in &loaded.registers {
                    tracing::info!(handler = %mount, file = %file.target(), "handlers: {registers}");
                }
                if let Some(why) = not_remembered(file, &setup.config.handlers, &loaded) {
                    tracing::warn!(handler = %mount, "{why}");
                }
                Arc::new(host)
            }
        };
        all.insert(mount.clone(), handlers);
    }
    if start == Start::All && setup.config.handlers.remember_ms > 0 && all.is_empty() {
        tracing::warn!("handlers.remember_s has no effect: no platform's file names handlers");
    }
    Ok(all)
}

/// That it is asked each time who somebody is although `handlers.remember_s` says otherwise, and why; for people.
pub(crate) fn not_remembered(
    file: &HandlerFile,
    configured: &config::Handlers,
    loaded: &Loaded,
) -> Option<String> {
    let remembered = file.kind == "langgraph" && loaded.by_authorization;
    (configured.remember_ms > 0 && !remembered).then(|| {
        format!(
            "handlers.remember_s has no effect on {}: what is remembered is a LangGraph authenticate that asks for authorization and nothing \
             else",
            file.target()
        )
    })
}

/// The processes of start-up files, by mount. They are begun later, once there is a hub.
pub(crate) async fn open_start_ups(setup: &Setup) -> Result<BTreeMap<String, Arc<Host>>, Failure> {
    let mut all = BTreeMap::new();
    for (mount, file) in &setup.start_ups {
        // What they keep in variables is there once: one process.
        let settings = Settings {
            workers: 1,
            channel: true,
            reload: setup.mode == Mode::Dev,
            ..settings(mount, file, &setup.config.handlers, &setup.passed)
        };
        let host = Host::open(settings).await.map_err(|error| start_up::broken(mount, &error))?;
        all.insert(mount.clone(), Arc::new(host));
    }
    Ok(all)
}

/// A process of this file, as configured.
pub(crate) fn settings(
    name: &str,
    file: &HandlerFile,
    configured: &config::Handlers,
    passed: &[(String, String)],
) -> Settings {
    let mut environment = passed.to_vec();
    environment.retain(|(name, _)| !file.environment.iter().any(|(own, _)| own == name));
    environment.extend(file.environment.iter().map(|(name, value)| (name.clone(), value.expose().clone())));
    Settings {
        runtime: file.runtime,
        interpreter: interpreter(file, configured, passed),
        environment,
        workers: configured.workers,
        queue: configured.queue,
        threads: configured.threads,
        within: configured.within,
        start_within: configured.start_within,
        memory_bytes: configured.memory_bytes,
        one_time_codes: configured.one_time_codes,
        targets: file.targets.clone(),
        ..Settings::new(name, file.kind, "", file.directory.clone())
    }
}

pub(crate) fn broken(file: &HandlerFile, error: &doorward_handlers::StartError) -> Failure {
    Failure::refused(
        format!("auth of {}: {}: {error}", file.named_in.display(), file.target()),
        "correct the file, then look at it with: doorward handlers check FILE",
    )
}

/// What the file runs in, as configured or found.
fn interpreter(file: &HandlerFile, configured: &config::Handlers, passed: &[(String, String)]) -> PathBuf {
    if std::ptr::eq(file.runtime, &PYTHON) {
        return python(configured, &file.directory, passed);
    }
    configured.node.clone().unwrap_or_else(|| PathBuf::from(file.runtime.program))
}

/// The interpreter that most likely has what the file imports.
fn python(configured: &config::Handlers, directory: &Path, passed: &[(String, String)]) -> PathBuf {
    if let Some(python) = &configured.python {
        return python.clone();
    }
    let active = passed.iter().find(|(name, _)| name == "VIRTUAL_ENV").map(|(_, path)| PathBuf::from(path));
    let around = active.into_iter().chain([directory.join(".venv"), directory.join("venv")]);
    let mut pythons = around.map(|place| place.join("bin/python"));
    pythons.find(|python| python.exists()).unwrap_or_else(|| PathBuf::from(PYTHON.program))
}

/// Stands where no user code is started.
struct NotStarted;

impl Handlers for NotStarted {
    fn name(&self) -> &str {
        "not started"
    }

    fn places(&self) -> usize {
        0
    }

    fn call<'a>(&'a self, _: &'static str, _: Value) -> BoxFuture<'a, Result<Value, HandlerFault>> {
        async { Err(HandlerFault::Away("commands start no handlers".to_owned())) }.boxed()
    }
}
