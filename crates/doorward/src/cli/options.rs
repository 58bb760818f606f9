//! Options that several commands share, and the process around them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::setup::{Placement, Setup};

/// What a command sees of the process it runs in.
pub struct Surroundings {
    /// Every variable whose name and value are UTF-8.
    pub environment: Vec<(String, String)>,
}

impl Surroundings {
    /// This process's.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { environment: std::env::vars_os().filter_map(text).collect() }
    }

    /// One variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// Which store a command works on.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StoreOptions {
    /// The configuration file [default: doorward.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory of `doorward dev` [default: .doorward, if there is no configuration file]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The AgentFlow configuration file of the mount `agentflow`
    #[arg(long, value_name = "FILE")]
    pub(crate) agentflow: Option<PathBuf>,
    /// The LangGraph configuration file of the mount `langgraph`
    #[arg(long, value_name = "FILE")]
    pub(crate) langgraph: Option<PathBuf>,
}

impl StoreOptions {
    /// The store these options mean, with the configuration of the server that uses it.
    pub(crate) fn setup(&self, surroundings: &Surroundings) -> Result<Setup, Failure> {
        self.read(false, surroundings)
    }

    /// As [`StoreOptions::setup`], for a store that need not be there yet.
    pub(crate) fn setup_anew(&self, surroundings: &Surroundings) -> Result<Setup, Failure> {
        self.read(true, surroundings)
    }

    fn read(&self, create: bool, surroundings: &Surroundings) -> Result<Setup, Failure> {
        let mut placement = Placement { config: self.config.clone(), flags: Vec::new() };
        if let Some(path) = &self.agentflow {
            placement.set("--agentflow", "mounts.agentflow.agentflow", text_of(path)?);
        }
        if let Some(path) = &self.langgraph {
            placement.set("--langgraph", "mounts.langgraph.langgraph", text_of(path)?);
        }
        Setup::beside(placement, self.data_dir.as_deref(), create, surroundings)
    }
}

/// Where a server listens and what stands behind it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerOptions {
    /// The address and port to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The AgentFlow configuration file of the mount `agentflow`
    #[arg(long, value_name = "FILE")]
    agentflow: Option<PathBuf>,
    /// The LangGraph configuration file of the mount `langgraph`
    #[arg(long, value_name = "FILE")]
    langgraph: Option<PathBuf>,
    /// Functions that the mount `hypha` runs before anybody is let in, such as my_auth.py:hypha_startup
    #[arg(long, value_name = "FILE:FUNCTION", num_args = 1..)]
    startup_functions: Vec<String>,
    /// The agent server behind the mount that --surface names
    #[arg(long, value_name = "URL", requires = "surface")]
    upstream: Option<String>,
    /// The mount that has the upstream
    #[arg(long, value_name = "NAME", requires = "upstream")]
    surface: Option<String>,
    /// Give a mount a listener of its own, at the root path; may be repeated
    #[arg(long = "mount", value_name = "NAME=ADDR:PORT", value_parser = named_address)]
    mounts: Vec<(String, SocketAddr)>,
}

/// When a server is up, where it says so.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReadyOptions {
    /// When ready, write where everything is to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

impl ServerOptions {
    /// These options as settings.
    pub(crate) fn placement(&self, config: Option<PathBuf>) -> Result<Placement, Failure> {
        let mut placement = Placement { config, flags: Vec::new() };
        if let Some(address) = self.listen {
            placement.set("--listen", "server.listen", address.to_string());
        }
        if let Some(path) = &self.agentflow {
            placement.set("--agentflow", "mounts.agentflow.agentflow", text_of(path)?);
        }
        if let Some(path) = &self.langgraph {
            placement.set("--langgraph", "mounts.langgraph.langgraph", text_of(path)?);
        }
        if !self.startup_functions.is_empty() {
            let all = self.startup_functions.join(",");
            placement.set("--startup-functions", "mounts.hypha.startup_functions", all);
        }
        if let (Some(upstream), Some(surface)) = (&self.upstream, &self.surface) {
            placement.set("--upstream", format!("mounts.{surface}.upstream"), upstream.as_str());
        }
        for (name, address) in &self.mounts {
            placement.set("--mount", format!("mounts.{name}.listen"), address.to_string());
        }
        Ok(placement)
    }
}

fn named_address(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("write it like agentflow=127.0.0.1:0")?;
    if name.is_empty() || name.contains('.') {
        return Err("the mount's name comes first, like agentflow=127.0.0.1:0".to_owned());
    }
    let address = address
        .parse()
        .map_err(|_| format!("{address:?} is not an address and port, such as 127.0.0.1:9527"))?;
    Ok((name.to_owned(), address))
}

fn text_of(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::usage(format!("{} is not UTF-8", path.display()), "rename it"))
}
