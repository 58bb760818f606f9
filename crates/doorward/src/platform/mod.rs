//! Configuration files of agent platforms, read as they are.

pub mod agentflow;
pub mod dotenv;
pub mod langgraph;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use agentflow::{Auth, RateLimit};
use doorward_core::secret::SecretText;
use doorward_handlers::Runtime;
use doorward_protocols::json::{self, Limits};
pub use langgraph::ProjectModel;
use serde_json::{Map, Value};

use crate::config::{Problem, SurfaceKind};

/// What a platform's own configuration means for Doorward.
pub struct Platform {
    /// Who is let in.
    pub auth: Auth,
    /// How many requests are let in.
    pub rate_limit: Option<RateLimit>,
    /// The names of its graphs, where the platform's clients ask for one.
    pub graphs: Vec<String>,
    /// The model that its variables give access to.
    pub model: Option<ProjectModel>,
    /// What the operator should know; each a sentence.
    pub warnings: Vec<String>,
}

impl Platform {
    /// Whether its handlers also say what callers may do, at a mount of this surface: LangGraph's do.
    pub(crate) fn decides_at(&self, surface: SurfaceKind) -> bool {
        surface == SurfaceKind::LangGraph && matches!(self.auth, Auth::Custom(_))
    }
}

/// The process's variables.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// User code that a platform's file names.
pub struct HandlerFile {
    /// The platform's file.
    pub named_in: PathBuf,
    /// What it is written for, by the name of its adapter.
    pub kind: &'static str,
    /// What it runs in.
    pub runtime: &'static Runtime,
    /// What to load, as the platform writes it.
    pub targets: Vec<String>,
    /// Where it works: the directory of the platform's file.
    pub directory: PathBuf,
    /// The variables that the platform's file names.
    pub environment: Vec<(String, SecretText)>,
}

impl HandlerFile {
    /// What is loaded, for people.
    #[must_use]
    pub fn target(&self) -> String {
        self.targets.join(", ")
    }
}

/// The directory that a file stands in, whole.
fn directory_of(path: &Path) -> io::Result<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new(".")).canonicalize()
}

/// A platform's file: a JSON object.
fn read_object(path: &Path, example: &str) -> Result<Map<String, Value>, Problem> {
    let place = path.display();
    let bytes = fs::read(path)
        .map_err(|error| Problem::general(format!("{place}: {error}"), "give the path of a readable file"))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match json::parse(text, Limits::STRANGER) {
        Ok(Value::Object(content)) => Ok(content),
        Ok(_) => Err(Problem::general(format!("{place} is not a JSON object"), example)),
        Err(error) => Err(Problem::general(format!("{place}: {error}"), "correct the JSON at that place")),
    }
}

/// The user code that a platform's file names, whichever platform's it is.
///
/// # Errors
/// What is wrong with the file; that it names none.
pub(crate) fn handler_file(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<HandlerFile, crate::cli::Failure> {
    let content = read_object(path, "give an agentflow.json or a langgraph.json")
        .map_err(|problem| crate::config::Problems(vec![problem]))?;
    // AgentFlow says by which method, LangGraph knows one.
    let by_path =
        content.get("auth").is_some_and(|auth| auth.get("path").is_some() && auth.get("method").is_none());
    if by_path || content.contains_key("graphs") {
        return Ok(langgraph::handler_file(path, environment)?);
    }
    match agentflow::read(path, environment)?.auth {
        Auth::Custom(file) => Ok(file),
        _ => Err(crate::cli::Failure::refused(
            format!("{} names no handlers, so there is nothing to load", path.display()),
            "write \"auth\": {\"method\": \"custom\", \"path\": \"auth.custom:MyAuthBackend\"} for AgentFlow, or \"auth\": {\"path\": \
             \"./auth.py:auth\"} for LangGraph",
        )),
    }
}
