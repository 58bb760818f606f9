//! `cargo xtask structure`: only the rules of the tree.

use crate::failure::Failure;
use crate::process::{cargo, require};
use crate::{Command, repo};

pub(crate) const COMMAND: Command = Command {
    name: "structure",
    summary: "only the rules of the tree: layers, sizes, registration, status, links",
    help: "
Usage: cargo xtask structure [NAME]

Runs the tests of xtask/tests/it, or those whose name contains NAME.

Examples:
  cargo xtask structure
  cargo xtask structure layers
",
    run: structure,
};

fn structure(arguments: &[String]) -> Result<(), Failure> {
    let root = repo::root()?;
    let mut process = cargo(&root);
    process.args(["test", "--quiet", "--package", "xtask", "--test", "it", "--"]).args(arguments);
    require(&mut process, "each failure names the file, the rule, and how to keep it")
}
