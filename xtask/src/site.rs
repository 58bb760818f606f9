//! `cargo xtask site`: the documentation as a site, by the program in `site/`.

use std::path::Path;
use std::process::Command as Process;

use crate::failure::Failure;
use crate::process::{answer, cargo, require};
use crate::{Command, repo};

pub(crate) const COMMAND: Command = Command {
    name: "site",
    summary: "the documentation as a site, into target/site",
    help: "
Usage: cargo xtask site [--open | --test]

Builds docs/ and the project's own pages, as docs/SUMMARY.md lists them, with mdBook as a library (site/). A dead
link, a warning or anything that a page would fetch from elsewhere is a failure. The first time it builds mdBook,
which takes about a minute. The pages need no server: open target/site/index.html.

  --open   shows the site in the browser
  --test   also runs the tests of the program that builds it

Examples:
  cargo xtask site
  cargo xtask site --open
",
    run: site,
};

fn site(arguments: &[String]) -> Result<(), Failure> {
    let (mut open, mut test) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--open" => open = true,
            "--test" => test = true,
            other => {
                return Err(Failure::new(format!("site takes no `{other}`; see `cargo xtask site --help`")));
            }
        }
    }
    let root = repo::root()?;
    if test {
        tested(&root)?
    } else {
        build(&root)?
    }
    if open {
        let shown = ["xdg-open", "open"]
            .iter()
            .any(|name| answer(Process::new(name).arg(root.join("target/site/index.html"))).is_some());
        if !shown {
            return Err(Failure::new("no program opens a browser here: open target/site/index.html"));
        }
    }
    Ok(())
}

/// Tests the program that builds the site, and builds it.
///
/// # Errors
/// A test fails, or the site does not build.
pub(crate) fn tested(root: &Path) -> Result<(), Failure> {
    require(&mut program(root, "test"), "the program in site/ is not right: see above")?;
    build(root)
}

/// Builds the site of the project; something on its pages that leads nowhere is a failure.
fn build(root: &Path) -> Result<(), Failure> {
    require(&mut program(root, "run"), "mend what is named: a page, a link, or docs/SUMMARY.md")
}

/// Cargo with the site's program, which is a workspace of its own beside ours.
fn program(root: &Path, what: &str) -> Process {
    let mut process = cargo(root);
    process.args([
        what,
        "--quiet",
        "--locked",
        "--manifest-path",
        "site/Cargo.toml",
        "--target-dir",
        "target/site-tool",
    ]);
    process
}
