//! `cargo xtask setup`: installs what the tests need, once.
//!
//! ```text
//! programs (apt, by name) ─► .venvs/client ─► .venvs/<suite>-server ─► .tools/node ─► .tools/<suite>-server
//! ```
//!
//! Every suite of `tests/compat/<suite>` names its needs in `requirements-client.txt`, `requirements-server.txt`,
//! `package.json` and `package-server.json`; nothing is listed here a second time.

mod node;
mod programs;
mod python;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::process::say;
use crate::{Command, repo};

pub(crate) use programs::{can_install, install as install_programs};

pub(crate) const COMMAND: Command = Command {
    name: "setup",
    summary: "install what the tests need; what is there already stays",
    help: "
Usage: cargo xtask setup

Installs, by package name, what tests/compat needs: programs by apt (as root on Debian; elsewhere it says what to
install), Python packages into .venvs/, JavaScript packages into .tools/. Git ignores both directories. Run again
it only does what changed. Which server was installed, and for which Python, stands in .venvs/<suite>.txt.

Examples:
  cargo xtask setup
  rm -r .venvs .tools && cargo xtask setup
",
    run: setup,
};

fn setup(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::new(format!("setup takes no `{unknown}`; see `cargo xtask setup --help`")));
    }
    install(&repo::root()?)?;
    say("setup: all of it is there");
    Ok(())
}

/// Installs everything that `tests/compat` names.
pub(crate) fn install(root: &Path) -> Result<(), Failure> {
    programs::install()?;
    let suites = suites(root)?;
    let clients: Vec<PathBuf> = suites.iter().filter_map(|s| s.file("requirements-client.txt")).collect();
    python::client(root, &clients)?;
    for suite in &suites {
        if let Some(requirements) = suite.file("requirements-server.txt") {
            python::server(root, &suite.name, &requirements)?;
        }
    }
    let packages: Vec<PathBuf> = suites.iter().filter_map(|s| s.file("package.json")).collect();
    node::install(root, "node", &packages)?;
    for suite in &suites {
        if let Some(server) = suite.file("package-server.json") {
            node::install(root, &format!("{}-server", suite.name), &[server])?;
        }
    }
    Ok(())
}

/// Installs the server that a bench of this name compares us with, if it has one: `benches/requirements-<name>.txt`.
pub(crate) fn install_peer(root: &Path, bench: &str) -> Result<(), Failure> {
    let requirements = root.join(format!("benches/requirements-{bench}.txt"));
    if requirements.is_file() { python::server(root, bench, &requirements) } else { Ok(()) }
}

/// The interpreter that runs pytest and the clients.
pub(crate) fn client_python(root: &Path) -> PathBuf {
    python::of_venv(&root.join(".venvs/client"))
}

/// `DOORWARD_<SUITE>_PYTHON` and the interpreter of that suite's server, for every suite that has one.
pub(crate) fn server_pythons(root: &Path) -> Vec<(String, PathBuf)> {
    let suites = suites(root).unwrap_or_default();
    let with_server = suites.iter().filter(|s| s.file("requirements-server.txt").is_some());
    with_server
        .map(|s| {
            let variable = format!("DOORWARD_{}_PYTHON", s.name.to_uppercase().replace('-', "_"));
            (variable, python::of_venv(&root.join(".venvs").join(format!("{}-server", s.name))))
        })
        .collect()
}

/// A directory of `tests/compat`: one platform's real clients and servers.
struct Suite {
    name: String,
    dir: PathBuf,
}

impl Suite {
    fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.dir.join(name);
        path.is_file().then_some(path)
    }
}

fn suites(root: &Path) -> Result<Vec<Suite>, Failure> {
    let compat = root.join("tests/compat");
    let mut found = Vec::new();
    for entry in fs::read_dir(&compat).map_err(|e| Failure::new(format!("{}: {e}", compat.display())))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push(Suite { name, dir: entry.path() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Runs `install` unless `stamp` says that exactly `wanted` was installed before; writes the stamp after.
fn once(
    what: &str,
    stamp: &Path,
    wanted: &str,
    install: impl FnOnce(Before) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let before = match fs::read_to_string(stamp) {
        Ok(installed) if installed == wanted => {
            say(&format!("{what}: up to date"));
            return Ok(());
        }
        Ok(_) => Before::Differs,
        Err(_) => Before::Unknown,
    };
    say(&format!("{what}: installing"));
    install(before)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// What is known of an earlier installation when a new one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// No record: whatever is there may be used as far as it fits.
    Unknown,
    /// It was made from another list: it is made anew, so that nothing dropped from the list stays behind.
    Differs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installation_happens_once_per_list_and_not_at_all_after_a_failure_was_not_mended() {
        let dir = std::env::temp_dir().join(format!("xtask-once-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("temporary directory");
        let stamp = dir.join("stamp");
        let mut seen = Vec::new();
        let mut go = |wanted: &str, works: bool| {
            once("test", &stamp, wanted, |before| {
                seen.push(before);
                if works { Ok(()) } else { Err(Failure::new("no")) }
            })
            .is_ok()
        };
        assert!(!go("a", false));
        assert!(go("a", true));
        assert!(go("a", false), "up to date: not run again");
        assert!(go("b", true));
        assert_eq!(seen, [Before::Unknown, Before::Unknown, Before::Differs]);
        fs::remove_dir_all(&dir).expect("ours");
    }
}
