//! `cargo xtask bench`: the published figures.

use crate::failure::Failure;
use crate::process::{cargo, require};
use crate::{Command, repo, setup};

/// Benches whose peer is a server that nothing else needs; it is installed when they are first run.
const WITH_PEERS: &[&str] = &["hypha"];

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    summary: "measure the figures of docs/evidence.md, each beside its peer",
    help: "
Usage: cargo xtask bench [ARGUMENTS]

Builds the bench program with optimisation and runs it; the arguments are its own. A server that only a bench needs is installed into
.venvs/ before that bench is run.

Examples:
  cargo xtask bench
  cargo xtask bench -- --help
",
    run: bench,
};

fn bench(arguments: &[String]) -> Result<(), Failure> {
    let root = repo::root()?;
    let own = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let wanted = |peer: &&str| own.is_empty() || own.iter().any(|name| name == peer);
    for peer in WITH_PEERS.iter().copied().filter(wanted) {
        setup::install_peer(&root, peer)?;
    }
    let mut process = cargo(&root);
    process.args(["run", "--release", "--package", "doorward-bench", "--"]).args(own);
    require(&mut process, "the figure or the build that failed is named above")
}
