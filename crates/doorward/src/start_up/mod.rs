//! Start-up files of hubs (`--startup-functions` of `hypha.server`): which there are, and beginning them once there is a hub.

mod channel;

use std::path::Path;
use std::sync::Arc;

use doorward_core::ports::handlers::HandlerFault;
use doorward_core::secret::SecretText;
use doorward_core::start_up::{Registered, TokenHooks};
use doorward_handlers::{Fresh, Host, Loaded, Prepare, StartError};
use doorward_hub::{CustomLogin, Hub};
use doorward_server::Bound;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::assemble::Assembled;
use crate::cli::Failure;
use crate::config::{Config, Mount, Problem};
use crate::platform::HandlerFile;
use crate::platform::dotenv::{Dotenv, MAX_BYTES};

/// What the file with a directory's variables is called.
const DOTENV: &str = ".env";

/// A mount's start-up files.
pub(crate) struct StartUp {
    pub(crate) mount: String,
    pub(crate) host: Arc<Host>,
    pub(crate) hooks: Arc<TokenHooks>,
}

/// The files that mounts name.
pub(crate) fn files(
    config: &Config,
    environment: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, HandlerFile> {
    let mut found = BTreeMap::new();
    for mount in config.mounts.iter().filter(|mount| !mount.startup_functions.is_empty()) {
        match file(mount, environment) {
            Ok(file) => {
                found.insert(mount.name.clone(), file);
            }
            Err(problem) => problems.push(problem),
        }
    }
    found
}

fn file(mount: &Mount, environment: &dyn Fn(&str) -> Option<String>) -> Result<HandlerFile, Problem> {
    let key = format!("mounts.{}.startup_functions", mount.name);
    let unnamed = |one: &&String| {
        one.rsplit_once(':').is_none_or(|(file, function)| file.is_empty() || function.is_empty())
    };
    if let Some(one) = mount.startup_functions.iter().find(unnamed) {
        let mend = "write it like my_auth.py:hypha_startup";
        return Err(Problem::of(key, format!("{one:?} names no file and function"), mend));
    }
    let place = &mount.startup_directory;
    let directory = place.canonicalize().map_err(|error| {
        Problem::of(key.as_str(), format!("{}: {error}", place.display()), "name a directory that is there")
    })?;
    Ok(HandlerFile {
        named_in: directory.clone(),
        kind: "hypha",
        runtime: &doorward_handlers::PYTHON,
        targets: mount.startup_functions.clone(),
        environment: variables(&directory, environment)
            .map_err(|what| Problem::of(key, format!("{DOTENV}: {what}"), "correct it, or take it away"))?,
        directory,
    })
}

/// Those of the directory's `.env`, if it has one; the process's own win over the file's.
fn variables(
    directory: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, SecretText)>, String> {
    let path = directory.join(DOTENV);
    let size = match std::fs::metadata(&path) {
        Ok(about) => about.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    if size > MAX_BYTES as u64 {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let all = Dotenv::parse(&text).all(environment);
    let all = all.map_err(|missing| format!("a variable refers to {missing}, which is not set"))?;
    Ok(all.into_iter().map(|(name, value)| (name, SecretText::from(value.as_str()))).collect())
}

pub(crate) fn broken(mount: &str, error: &StartError) -> Failure {
    let what = format!("mounts.{mount}.startup_functions: {error}");
    // Nothing is wrong with a file whose Python lacks a package.
    let mend = match what.contains("ModuleNotFoundError") || what.contains("No module named") {
        true => {
            "install it for the Python that runs the file, or name another with [handlers] python, and start again"
        }
        false => "correct the file and start again",
    };
    Failure::refused(what, mend)
}

/// Runs the functions of every mount's files. Nobody is answered before they are through.
///
/// # Errors
/// What keeps one of them from it, with its place in the file.
pub(crate) async fn begin(assembled: &Assembled, bound: &Bound) -> Result<Vec<Begun>, Failure> {
    let mut all = Vec::new();
    for start_up in assembled.mounts.iter().filter_map(|mounted| mounted.start_up.as_ref()) {
        let Some(hub) = bound.hub(&start_up.mount) else { continue };
        let beginning = Beginning {
            mount: start_up.mount.clone(),
            hub: hub.clone(),
            hooks: Arc::clone(&start_up.hooks),
            registers: Mutex::default(),
            carrying: Mutex::default(),
        };
        let beginning = Arc::new(beginning);
        let prepare = Arc::clone(&beginning) as Arc<dyn Prepare>;
        let begun = start_up.host.prepare_with(prepare).await;
        begun.map_err(|error| broken(&start_up.mount, &error))?;
        all.push(Begun { loaded: start_up.host.loaded(), registers: beginning.registers.lock().clone() });
    }
    Ok(all)
}

/// What a mount's files came to.
pub(crate) struct Begun {
    pub(crate) loaded: Loaded,
    /// For people.
    pub(crate) registers: Vec<String>,
}

/// What is done with each process of a mount's files.
struct Beginning {
    mount: String,
    hub: Hub,
    hooks: Arc<TokenHooks>,
    registers: Mutex<Vec<String>>,
    /// The line to the hub of the process that is in its place.
    carrying: Mutex<Option<Carrying>>,
}

/// A line between a process and the hub, which ends with this.
struct Carrying(tokio::task::JoinHandle<()>);

impl Drop for Carrying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Prepare for Beginning {
    fn prepare(&self, process: Fresh) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let channel = process.channel().ok_or("it has no channel")?;
            let (link, info) = self.hub.attach().map_err(|refused| refused.message)?;
            let client = link.client_id().to_owned();
            let carrying = Carrying(tokio::spawn(channel::carry(channel, link, info)));
            let said = process.call("startup", &json!({})).await.map_err(why)?;
            let registered = registered(&said);
            let login = CustomLogin::read(&said)?;
            let lines = said.get("registers").and_then(Value::as_array).into_iter().flatten();
            let mut lines: Vec<String> = lines.filter_map(Value::as_str).map(str::to_owned).collect();
            if registered == Registered::default() && login.is_none() {
                lines.push("nothing that lets callers in: they are as without it".to_owned());
            }
            for line in &lines {
                tracing::info!(handler = %self.mount, "start-up: {line}");
            }
            // From here on the new process answers; what the one before offered goes with its line.
            self.hooks.register(registered);
            self.hub.use_login(&client, login);
            *self.registers.lock() = lines;
            *self.carrying.lock() = Some(carrying);
            Ok(())
        }
        .boxed()
    }
}

fn registered(said: &Value) -> Registered {
    let names = said.get("hooks").and_then(Value::as_array);
    let has = |name: &str| names.is_some_and(|names| names.iter().any(|one| one == name));
    Registered { get: has("get_token"), parse: has("parse_token"), generate: has("generate_token") }
}

/// Why a process is of no use, for whoever wrote its files.
fn why(fault: HandlerFault) -> String {
    match fault {
        HandlerFault::Invalid(what) => what,
        HandlerFault::Raised(what) => format!("it raised {what}; the log has the traceback"),
        HandlerFault::Refused(refused) => format!("it refused with {}", refused.status),
        HandlerFault::Away(why) => why,
    }
}
