//! The authentication methods there are. To add one: a file here, and a row in [`BUILTIN`].

pub mod anonymous;
pub mod api_key;
pub mod custom;
pub mod external_jwt;
pub mod hub_token;
pub mod own_token;
pub mod project_key;
pub mod remote_token;
pub mod session_cookie;
pub mod start_up;
pub mod trusted_header;
pub mod visitor;

use std::sync::Arc;

use doorward_protocols::jose::KeySet;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Authenticator;
use crate::engine::Engine;
use crate::ports::Handlers;
use crate::start_up::TokenHooks;
use crate::tokens::{KeyRing, RemoteKeys};

/// A method's part of a mount's configuration.
#[derive(Default)]
pub struct Section {
    /// What the method's own documentation names; unknown members are refused.
    pub options: Map<String, Value>,
    /// Keys that configuration has read from files or variables.
    pub keys: Option<Arc<KeySet>>,
    /// Keys that an issuer publishes.
    pub remote: Option<Arc<RemoteKeys>>,
    /// Who is asked whose a token is.
    pub asking: Option<remote_token::Asking>,
    /// User code that is asked.
    pub handlers: Option<Arc<dyn Handlers>>,
    /// What a hub's start-up files registered.
    pub hooks: Option<Arc<TokenHooks>>,
    /// Our own signing keys.
    pub ring: Option<Arc<KeyRing>>,
}

/// Why a method could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("authentication method {method}: {problem}")]
pub struct ConfigError {
    /// The method.
    pub method: &'static str,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

/// A method, or why it could not be built.
pub type Built = Result<Arc<dyn Authenticator>, ConfigError>;

/// A row of the table.
pub struct Descriptor {
    /// The name in configuration and audit log.
    pub name: &'static str,
    /// Builds it from a mount's configuration.
    pub build: fn(Section, &Engine) -> Built,
}

/// Every method.
pub static BUILTIN: &[Descriptor] = &[
    anonymous::DESCRIPTOR,
    api_key::DESCRIPTOR,
    custom::DESCRIPTOR,
    external_jwt::DESCRIPTOR,
    hub_token::DESCRIPTOR,
    own_token::DESCRIPTOR,
    project_key::DESCRIPTOR,
    remote_token::DESCRIPTOR,
    session_cookie::DESCRIPTOR,
    start_up::DESCRIPTOR,
    trusted_header::DESCRIPTOR,
    visitor::DESCRIPTOR,
];

/// Builds the method of this name.
///
/// # Errors
/// An unknown name, or the method's own [`ConfigError`].
pub fn build(name: &str, section: Section, engine: &Engine) -> Built {
    let Some(descriptor) = BUILTIN.iter().find(|descriptor| descriptor.name == name) else {
        let known: Vec<_> = BUILTIN.iter().map(|descriptor| descriptor.name).collect();
        let problem = format!("there is no method {name:?}; known are {}", known.join(", "));
        return Err(ConfigError { method: "?", problem });
    };
    (descriptor.build)(section, engine)
}

fn options<T: DeserializeOwned>(method: &'static str, section: &Section) -> Result<T, ConfigError> {
    serde_json::from_value(Value::Object(section.options.clone()))
        .map_err(|error| ConfigError { method, problem: error.to_string() })
}
