//! `langgraph.json`, as far as it says whose code decides who somebody is (langgraph-cli 0.4.40).

use std::path::Path;

use doorward_core::secret::SecretText;
use serde_json::{Map, Value};

use super::dotenv::Dotenv;
use super::{HandlerFile, directory_of, read_object};
use crate::config::{Problem, Problems};

/// Endings of files that are not Python's.
const JAVASCRIPT: &[&str] = &[".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];

/// The file that `auth.path` names.
///
/// # Errors
/// What is wrong; that nothing is named.
pub fn handler_file(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<HandlerFile, Problems> {
    let refused = |key: &str, what: String, mend: &str| {
        Problems(vec![Problem::of(format!("{key} of {}", path.display()), what, mend)])
    };
    let content = read_object(path, EXAMPLE).map_err(|problem| Problems(vec![problem]))?;
    let target = content.get("auth").and_then(|auth| auth.get("path")).and_then(Value::as_str);
    let target = target.filter(|target| !target.is_empty()).ok_or_else(|| {
        let mend = "write \"auth\": {\"path\": \"./auth.py:auth\"}";
        refused("auth", "it names no file of handlers".to_owned(), mend)
    })?;
    let file = target.rsplit_once(':').map_or(target, |(file, _)| file);
    if JAVASCRIPT.iter().any(|ending| file.ends_with(ending)) {
        let what = format!("{file} is JavaScript, whose handlers cannot run yet");
        return Err(refused("auth.path", what, "write the handlers in Python"));
    }
    let directory = directory_of(path).map_err(|error| {
        refused("auth", error.to_string(), "put the file into a directory that can be read")
    })?;
    let variables = match content.get("env") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(variables)) => given(variables),
        Some(Value::String(name)) if name.is_empty() => Vec::new(),
        Some(Value::String(name)) => {
            let text = std::fs::read_to_string(directory.join(name)).map_err(|error| {
                refused("env", format!("{name}: {error}"), "name a readable .env, or leave env out")
            })?;
            let all = Dotenv::parse(&text).all(environment).map_err(|missing| {
                let what = format!("a variable refers to {missing}, which is not set");
                refused("env", what, "set it, or write the value itself")
            })?;
            all.into_iter().map(|(name, value)| (name, SecretText::from(value.as_str()))).collect()
        }
        Some(_) => {
            return Err(refused("env", "it is no path and no object".to_owned(), "write \"env\": \".env\""));
        }
    };
    Ok(HandlerFile { kind: "langgraph", target: target.to_owned(), directory, environment: variables })
}

const EXAMPLE: &str = "write it like {\"graphs\": {\"agent\": \"./agent.py:graph\"}, \"auth\": {\"path\": \"./auth.py:auth\"}, \"env\": \".env\"}";

fn given(variables: &Map<String, Value>) -> Vec<(String, SecretText)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    variables.iter().map(|(name, value)| (name.clone(), SecretText::new(text(value)))).collect()
}
