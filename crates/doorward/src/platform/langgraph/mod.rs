//! `langgraph.json`, as far as it says whose code decides who somebody is, and what its graphs are called (langgraph-cli 0.4.40).
//!
//! ```text
//! langgraph.json ─┬─ auth.path ─► HandlerFile ─┐
//!                 ├─ env ─► .env ──────────────┴─► Auth::Custom, or Auth::Open without auth
//!                 ├─ env ─► the key of a model ─► ProjectModel, whom the embedded agent asks
//!                 └─ graphs ─► the names that clients may ask for
//! ```

mod model;

use std::io;
use std::path::{Path, PathBuf};

use doorward_core::secret::SecretText;
use doorward_handlers::Runtime;
use serde_json::{Map, Value};

use super::dotenv::Dotenv;
use super::{Auth, Environment, HandlerFile, Platform, directory_of, read_object};
use crate::config::nearest::nearest;
use crate::config::{Problem, Problems};

pub use model::ProjectModel;

#[cfg(test)]
pub(crate) use model::known_variables;

/// Keys that say what the agent server itself is made of and how it is built.
const SERVER_KEYS: &[&str] = &[
    "dependencies",
    "node_version",
    "python_version",
    "pip_config_file",
    "pip_installer",
    "dockerfile_lines",
    "base_image",
    "image_distro",
    "store",
    "checkpointer",
    "ui",
    "ui_config",
    "keep_pkg_tools",
    "api_version",
    "webhooks",
    "source",
    "$schema",
];

/// Keys that have an effect here.
const USED: &[&str] = &["auth", "env", "graphs"];

/// Keys of langgraph-cli that have none, and that somebody may rely on: each is told by itself.
const UNUSED: &[&str] = &["http", "encryption", "priority"];

/// Keys within `auth`.
#[cfg(test)]
const AUTH_KEYS: &[&str] = &["path", "openapi", "disable_studio_auth", "allow_langsmith_api_keys"];

/// Every key that is known, those within `auth` behind a dot.
#[cfg(test)]
pub(crate) fn known_keys() -> Vec<String> {
    let top = [USED, SERVER_KEYS, UNUSED].concat();
    let within = AUTH_KEYS.iter().map(|key| format!("auth.{key}"));
    top.iter().map(ToString::to_string).chain(within).collect()
}

/// The used key that somebody meant who wrote another one. An `auth` that is not read would open the server.
fn meant(name: &str) -> Option<&'static str> {
    let known = || [USED, SERVER_KEYS, UNUSED].concat();
    if known().contains(&name) {
        return None;
    }
    let small = name.to_ascii_lowercase();
    let begins = USED.iter().copied().find(|used| *used == "auth" && small.starts_with(used));
    begins
        .or_else(|| nearest(&small, known()).and_then(|near| USED.iter().copied().find(|used| *used == near)))
}

/// Reads the file at `path` and the `.env` it names. `passed` knows those of the process's variables that user code is given.
///
/// # Errors
/// What is wrong. Never holds a secret.
pub fn read(
    path: &Path,
    environment: Environment<'_>,
    passed: Environment<'_>,
) -> Result<Platform, Problems> {
    let content = contents(path)?;
    let auth = match content.get("auth") {
        None | Some(Value::Null) => Auth::Open,
        Some(_) => Auth::Custom(handler_file(path, environment)?),
    };
    let wrong = |key: &str, what: &str, mend: &str| {
        Problems(vec![Problem::of(format!("{key} of {}", path.display()), what, mend)])
    };
    let graphs = match content.get("graphs") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(graphs)) => graphs.keys().cloned().collect(),
        Some(_) => {
            let mend = "write \"graphs\": {\"agent\": \"./agent.py:graph\"}";
            return Err(wrong("graphs", "it is no object of names and places", mend));
        }
    };
    for name in ["disable_studio_auth", "allow_langsmith_api_keys"] {
        let given = content.get("auth").and_then(|auth| auth.get(name));
        if given.is_some_and(|given| !given.is_boolean()) {
            return Err(wrong(
                &format!("auth.{name}"),
                "it is neither true nor false",
                "write true or false",
            ));
        }
    }
    let mut warnings = warnings(path, &content);
    let model = model::find(path, &env_of(&content, path)?, environment, passed, &mut warnings)?;
    Ok(Platform { auth, rate_limit: None, graphs, model, warnings })
}

/// What `env` says: the variables themselves, or the file that holds them.
enum Env<'c> {
    Nothing,
    Given(&'c Map<String, Value>),
    File(PathBuf),
}

fn env_of<'c>(content: &'c Map<String, Value>, path: &Path) -> Result<Env<'c>, Problems> {
    match content.get("env") {
        None | Some(Value::Null) => Ok(Env::Nothing),
        Some(Value::Object(variables)) => Ok(Env::Given(variables)),
        Some(Value::String(name)) if name.is_empty() => Ok(Env::Nothing),
        Some(Value::String(name)) => Ok(Env::File(path.parent().unwrap_or(Path::new("")).join(name))),
        Some(_) => {
            let place = format!("env of {}", path.display());
            Err(Problems(vec![Problem::of(place, "it is no path and no object", "write \"env\": \".env\"")]))
        }
    }
}

fn env_file(path: &Path) -> io::Result<Dotenv> {
    std::fs::read_to_string(path).map(|text| Dotenv::parse(&text))
}

/// The file's members.
///
/// # Errors
/// What is wrong with it; a key that is one of ours in another spelling.
fn contents(path: &Path) -> Result<Map<String, Value>, Problems> {
    let content = read_object(path, EXAMPLE).map_err(|problem| Problems(vec![problem]))?;
    let slips = content.keys().filter_map(|name| Some((name, meant(name)?)));
    let slips: Vec<Problem> = slips
        .map(|(name, used)| {
            let place = format!("{name} of {}", path.display());
            Problem::of(place, "unknown key", format!("did you mean {used}?"))
        })
        .collect();
    if slips.is_empty() { Ok(content) } else { Err(Problems(slips)) }
}

/// What of the file has no effect here, so that nothing is lost in silence.
fn warnings(path: &Path, content: &Map<String, Value>) -> Vec<String> {
    let place = path.display();
    let mut told = Vec::new();
    let known = |name: &&String| !USED.contains(&name.as_str());
    let others: Vec<&str> = content.keys().filter(known).map(String::as_str).collect();
    let (servers, unknown): (Vec<&str>, Vec<&str>) =
        others.into_iter().partition(|name| SERVER_KEYS.contains(name));
    let used: Vec<&str> = USED.iter().copied().filter(|name| content.contains_key(*name)).collect();
    if !servers.is_empty() {
        told.push(format!(
            "{place}: used here are {}; {} are the agent server's own and have no effect here",
            used.join(", "),
            servers.join(", ")
        ));
    }
    for name in unknown {
        told.push(format!("{place}: the key {name:?} has no effect here"));
    }
    let Some(Value::Object(auth)) = content.get("auth") else { return told };
    for (name, value) in auth {
        match (name.as_str(), value) {
            // The header that would skip the handlers is never believed, so there is nothing to switch off.
            ("path", _) | ("disable_studio_auth", Value::Bool(true)) => {}
            ("openapi", _) => {
                told.push(format!(
                    "{place}: auth.openapi describes the server to people; nothing here reads it"
                ));
            }
            ("disable_studio_auth", _) => told.push(format!(
                "{place}: auth.disable_studio_auth is off, but x-auth-scheme never skips handlers here"
            )),
            ("allow_langsmith_api_keys", Value::Bool(false)) => {}
            ("allow_langsmith_api_keys", _) => told.push(format!(
                "{place}: auth.allow_langsmith_api_keys: such keys are the cloud's and open nothing here"
            )),
            (other, _) => told.push(format!("{place}: auth.{other} has no effect here")),
        }
    }
    told
}

/// The file that `auth.path` names.
///
/// # Errors
/// What is wrong; that nothing is named.
pub fn handler_file(path: &Path, environment: Environment<'_>) -> Result<HandlerFile, Problems> {
    let refused = |key: &str, what: String, mend: &str| {
        Problems(vec![Problem::of(format!("{key} of {}", path.display()), what, mend)])
    };
    let content = contents(path)?;
    let target = content.get("auth").and_then(|auth| auth.get("path")).and_then(Value::as_str);
    let target = target.filter(|target| !target.is_empty()).ok_or_else(|| {
        let mend = "write \"auth\": {\"path\": \"./auth.py:auth\"}";
        refused("auth", "it names no file of handlers".to_owned(), mend)
    })?;
    let file = target.split_once(':').map_or(target, |(file, _)| file);
    let directory = directory_of(path).map_err(|error| {
        refused("auth", error.to_string(), "put the file into a directory that can be read")
    })?;
    let variables = match env_of(&content, path)? {
        Env::Nothing => Vec::new(),
        Env::Given(variables) => given(variables),
        Env::File(file) => {
            let read = env_file(&file).map_err(|error| {
                let what = format!("{}: {error}", file.display());
                refused("env", what, "name a readable .env, or leave env out")
            })?;
            let all = read.all(environment).map_err(|missing| {
                let what = format!("a variable refers to {missing}, which is not set");
                refused("env", what, "set it, or write the value itself")
            })?;
            all.into_iter().map(|(name, value)| (name, SecretText::from(value.as_str()))).collect()
        }
    };
    Ok(HandlerFile {
        named_in: path.to_path_buf(),
        kind: "langgraph",
        runtime: Runtime::of_file(file),
        targets: vec![target.to_owned()],
        directory,
        environment: variables,
    })
}

const EXAMPLE: &str = "write it like {\"graphs\": {\"agent\": \"./agent.py:graph\"}, \"auth\": {\"path\": \"./auth.py:auth\"}, \"env\": \".env\"}";

fn given(variables: &Map<String, Value>) -> Vec<(String, SecretText)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    variables.iter().map(|(name, value)| (name.clone(), SecretText::new(text(value)))).collect()
}
