//! The rules of the tree. Each rule is a function over what it checks, with a test that shows it bite and a test
//! that holds it against the project.

mod adr;
mod commands;
mod generated;
mod layers;
mod links;
mod registration;
mod sizes;
mod status;
mod surfaces;
mod words;

use std::path::PathBuf;

/// The project's root.
fn root() -> PathBuf {
    xtask::repo::root().expect("tests run inside the project")
}

/// Every file of the project, relative to the root.
fn files() -> Vec<String> {
    xtask::repo::files(&root()).expect("the tree can be read")
}

/// The text of a file; `None` for one that is not text.
fn text(path: &str) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(path)).expect("listed just before")).ok()
}

/// Fails with one line per broken place, and how to mend them.
fn hold(broken: &[String], mend: &str) {
    assert!(broken.is_empty(), "\n  {}\nTo mend: {mend}", broken.join("\n  "));
}
