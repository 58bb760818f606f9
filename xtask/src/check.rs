//! `cargo xtask check`: what must hold before every commit; under a minute when warm.

use std::process::Command as Process;

use crate::failure::Failure;
use crate::process::{cargo, run, say};
use crate::{Command, repo};

pub(crate) const COMMAND: Command = Command {
    name: "check",
    summary: "formatting, lints, the crate's documentation and the rules of the tree; run it before every commit",
    help: "
Usage: cargo xtask check

Runs cargo fmt --check, clippy and rustdoc with warnings as errors, and the structure tests (layers,
registration, file sizes, status, links). All of them run even when one fails; the end names each failed step and what to do.

Examples:
  cargo xtask check
  printf '#!/bin/sh\\nexec cargo xtask check\\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit
",
    run: check,
};

/// A step: its name, the arguments to cargo, and what to do when it fails.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    advice: &'static str,
}

const STEPS: &[Step] = &[
    Step { name: "formatting", arguments: &["fmt", "--all", "--check"], advice: "run `cargo fmt --all`" },
    Step {
        name: "lints",
        arguments: &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        advice: "mend what clippy names; an `allow` needs a reason beside it",
    },
    Step {
        name: "the crate's documentation",
        arguments: &["rustdoc", "--quiet", "--package", "doorward", "--lib", "--", "-D", "warnings"],
        advice: "mend what rustdoc names: it is what the developers of services read",
    },
    Step {
        name: "structure",
        arguments: &["test", "--quiet", "--package", "xtask"],
        advice: "each failure names the file, the rule, and how to keep it",
    },
];

fn check(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::new(format!("check takes no `{unknown}`; see `cargo xtask check --help`")));
    }
    let root = repo::root()?;
    let mut failed = Vec::new();
    for (at, step) in STEPS.iter().enumerate() {
        say(&format!("── {} of {}: {}", at + 1, STEPS.len(), step.name));
        let process: &mut Process = &mut cargo(&root);
        if !run(process.args(step.arguments))?.success() {
            failed.push(step);
        }
    }
    if failed.is_empty() {
        say("check: all of it holds");
        return Ok(());
    }
    for step in &failed {
        say(&format!("failed: {}: {}", step.name, step.advice));
    }
    Err(Failure::said())
}
