//! `cargo xtask test`: every test there is, and one line at the end that says how they went.
//!
//! ```text
//! programs ─► cargo test --workspace ─► the site ─► setup ─► cargo build (doorward) ─► pytest tests/compat ─► "N passed, N failed"
//! ```

mod options;
mod tally;

use std::path::{Path, PathBuf};
use std::process::Command as Process;

use options::{Options, Part};
use tally::Tally;

use crate::failure::Failure;
use crate::process::{cargo, run, run_reading, say};
use crate::{Command, repo, setup, site};

pub(crate) const COMMAND: Command = Command {
    name: "test",
    summary: "everything: installs what tests need, runs all of them, prints one summary line",
    help: "
Usage: cargo xtask test [--only rust|compat] [FILTER]

Installs the programs tests start, runs the Rust tests of the workspace, builds the documentation's site, runs `cargo xtask setup`, then
tests/compat: the platforms' own published clients and servers against the debug build of doorward. The last line is exactly `N passed, N failed`, with
`, N skipped` when any were. The exit code is not 0 when anything failed; with CI=true as root on Debian, where
setup can install everything, also when anything was skipped.

  --only rust      only the Rust tests and the site (needs PostgreSQL's programs, which it installs)
  --only compat    only tests/compat
  FILTER           only tests whose name contains this

Examples:
  cargo xtask test
  cargo xtask test --only rust refresh
  cargo xtask test --only compat gateway
",
    run: test,
};

fn test(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    let root = repo::root()?;
    let mut total = Tally::default();
    if options.includes(Part::Rust) {
        total.add(rust(&root, &options)?);
        if options.filter.is_none() {
            total.add(site(&root));
        }
    }
    if options.includes(Part::Compat) {
        total.add(compat(&root, &options)?);
    }
    let strict = repo::in_ci() && setup::can_install();
    if strict && total.skipped > 0 {
        say("failed: tests were skipped on a machine where everything can be installed");
    }
    say(&total.to_string());
    if total.failed > 0 || (strict && total.skipped > 0) { Err(Failure::said()) } else { Ok(()) }
}

/// The Rust tests, every crate with the one selection of features.
fn rust(root: &Path, options: &Options) -> Result<Tally, Failure> {
    say("── programs the tests start");
    if let Err(failure) = setup::install_programs() {
        // Tests that need none of them still say what they have to say.
        say(&format!("{failure}"));
    }
    say("── Rust tests");
    let mut process = cargo(root);
    process.args(["test", "--workspace", "--no-fail-fast"]).args(&options.filter);
    if repo::in_ci() {
        // Each property of the parsers is tried for a minute; elsewhere a round has to do.
        process.env("DOORWARD_FUZZ_S", "60");
    }
    let mut tally = Tally::default();
    let status = run_reading(&mut process, |line| tally.add(tally::of_cargo_line(line)))?;
    if !status.success() && tally.failed == 0 {
        say("failed: the Rust tests did not build, or one ended without a result; see above");
        tally.failed = 1;
    }
    Ok(tally)
}

/// The documentation builds as a site, without a warning or a dead link.
fn site(root: &Path) -> Tally {
    say("── the documentation's site");
    match site::tested(root) {
        Ok(()) => Tally { passed: 1, ..Tally::default() },
        Err(failure) => {
            say(&format!("failed: site: {failure}"));
            Tally { failed: 1, ..Tally::default() }
        }
    }
}

/// `tests/compat` against a fresh debug build.
fn compat(root: &Path, options: &Options) -> Result<Tally, Failure> {
    let one_failure = Tally { failed: 1, ..Tally::default() };
    say("── what the compatibility tests need");
    if let Err(failure) = setup::install(root) {
        say(&format!("failed: setup: {failure}"));
        return Ok(one_failure);
    }
    say("── the binary under test");
    if !run(cargo(root).args(build_arguments(options.includes(Part::Rust))))?.success() {
        say("failed: doorward does not build; see above");
        return Ok(one_failure);
    }
    say("── compatibility tests");
    let mut pytest = Process::new(setup::client_python(root));
    pytest.current_dir(root).args(["-m", "pytest", "--color=no", "tests/compat"]);
    if let Some(filter) = &options.filter {
        pytest.args(["-k", filter]);
    }
    pytest.env("DOORWARD_BIN", debug_binary(root)).env("PYTHONDONTWRITEBYTECODE", "1");
    for (name, python) in setup::server_pythons(root) {
        pytest.env(name, python);
    }
    let mut tally = Tally::default();
    let status = run_reading(&mut pytest, |line| {
        if let Some(counted) = tally::of_pytest_line(line) {
            tally = counted;
        }
    })?;
    // 5: nothing was collected, which only a filter excuses.
    let nothing_matched = status.code() == Some(5) && options.filter.is_some();
    if !status.success() && !nothing_matched && tally.failed == 0 {
        say(&format!("failed: pytest ended with {status} and no failed test; see above"));
        tally.failed = 1;
    }
    Ok(tally)
}

/// How to build the binary. After the Rust tests the same selection of features is named again, so that what they
/// built is used; without `--tests` cargo leaves out what only tests switch on and builds the heavy crates anew.
fn build_arguments(after_rust_tests: bool) -> Vec<&'static str> {
    // The program, and the Rust examples that tests/compat/examples runs.
    const BUILT: &[&str] = &[
        "build",
        "--workspace",
        "--bin",
        "doorward",
        "--bin",
        "axum-app",
        "--bin",
        "issue-and-verify",
        "--bin",
        "api-keys",
        "--bin",
        "role-hierarchy",
        "--bin",
        "filters",
    ];
    BUILT.iter().copied().chain(after_rust_tests.then_some("--tests")).collect()
}

fn debug_binary(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    root.join(target).join("debug").join(format!("doorward{}", std::env::consts::EXE_SUFFIX))
}
