//! The two servers: ours, and the real one with its limits lifted.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::text;
use crate::caller::{Caller, PASSWORD};
use crate::house::directory;
use crate::measure::wall;
use crate::process::{Running, cpu_s, resident_mb, start_as};

const PATIENCE: Duration = Duration::from_secs(60);
/// At least 32 characters, and none of the words that the real server refuses.
const ROOT: &str = "qz7XkV9bN2mL5pR8tW3yU6hJ4gF0dSxC";
/// Everything that bounds how much one may ask is out of the way.
const LIFTED: &[&str] = &[
    "HYPHA_WS_MSG_RATE_LIMIT",
    "HYPHA_WS_MSG_BURST_LIMIT",
    "HYPHA_HTTP_RATE_LIMIT",
    "HYPHA_HTTP_BURST_LIMIT",
    "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT",
    "HYPHA_HTTP_AUTHENTICATED_BURST_LIMIT",
    "HYPHA_MAX_CONNECTIONS_PER_USER",
    "HYPHA_MAX_CLIENTS_PER_WORKSPACE",
    "HYPHA_MAX_CONCURRENT_CONNECTIONS",
];

/// A server that runs.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) at: SocketAddr,
    /// Where the hub stands.
    pub(super) prefix: &'static str,
    pub(super) token: String,
    /// From the start of the process to its first answer.
    pub(super) start_ms: f64,
    runs: Runs,
    _data: tempfile::TempDir,
}

enum Runs {
    Ours(Running),
    Real(Real),
}

/// `python -m hypha.server`.
struct Real(Child);

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Side {
    /// Ours.
    pub(super) fn ours(binary: &Path) -> Result<Self, String> {
        let data = directory();
        let config = data.path().join("doorward.toml");
        let lifted = "[mounts.hypha]\nmessages_per_s = 1000000\nmessage_burst = 1000000\n";
        std::fs::write(&config, lifted).map_err(text)?;
        let arguments = ["--config", &config.display().to_string()];
        // The store, its keys and the person are made by a first start. Hashing the password takes memory that is none of the hub's.
        let token = {
            let (_running, address, _) = start_as(binary, data.path(), &arguments, &[])?;
            let mut ann = Caller::new(&address)?;
            let body = serde_json::json!({"username": "ann", "password": PASSWORD}).to_string();
            let (status, answer) = ann.ask("POST", "/v1/users", "", &body)?;
            if status != 201 {
                return Err(format!("signing up was answered {status}: {answer}"));
            }
            ann.log_in()?
        };
        let (running, address, start_ms) = start_as(binary, data.path(), &arguments, &[])?;
        let at = address.parse().map_err(text)?;
        Ok(Self {
            name: "Doorward",
            at,
            prefix: "/hypha",
            token,
            start_ms,
            runs: Runs::Ours(running),
            _data: data,
        })
    }

    /// The real one.
    pub(super) fn real() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
        let python = root.join(".venvs/hypha-server/bin/python");
        if !python.exists() {
            return Err("the real server is not installed: cargo xtask bench -- hypha installs it".to_owned());
        }
        let at = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(text)?;
        let data = directory();
        let begun = wall();
        let child = Command::new(python)
            .args(["-m", "hypha.server", "--host", "127.0.0.1", "--port", &at.port().to_string()])
            .args(["--root-token", ROOT, "--public-base-url", &format!("http://{at}")])
            .current_dir(data.path())
            .env("HYPHA_JWT_SECRET", "8f3b1c77e5d94a0fb2c6d1e09a7754c3aa10")
            .envs(LIFTED.iter().map(|name| (*name, "1000000")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let real = Real(child);
        while wall() - begun < PATIENCE {
            if let Ok(mut caller) = Caller::new(&at.to_string())
                && matches!(caller.ask("GET", "/health/readiness", "", ""), Ok((200, _)))
            {
                let start_ms = (wall() - begun).as_secs_f64() * 1000.0;
                let token = ROOT.to_owned();
                return Ok(Self {
                    name: "Hypha",
                    at,
                    prefix: "",
                    token,
                    start_ms,
                    runs: Runs::Real(real),
                    _data: data,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the real server is not ready in time".to_owned())
    }

    fn id(&self) -> u32 {
        match &self.runs {
            Runs::Ours(running) => running.id(),
            Runs::Real(real) => real.0.id(),
        }
    }

    /// CPU time it has used, in seconds.
    pub(super) fn cpu_s(&self) -> Result<f64, String> {
        cpu_s(self.id()).ok_or_else(|| "the system does not tell".to_owned())
    }

    /// Memory it holds.
    pub(super) fn resident_mb(&self) -> Result<f64, String> {
        resident_mb(self.id()).ok_or_else(|| "the system does not tell".to_owned())
    }
}
