//! The documentation as a site, by mdBook as a library.
//!
//! ```text
//! docs/SUMMARY.md ─► pages of docs/ and of the project ─ pages ─► links between them ─► mdBook ─► target/site ─ check ─► no dead link,
//!                                                                                                       nothing from elsewhere
//! ```
//!
//! `cargo xtask site` runs it in the project's directory. A warning of mdBook's is a failure.

#![allow(clippy::print_stdout, reason = "the terminal is what this speaks to")]

mod check;
mod pages;
mod warnings;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use mdbook_driver::MDBook;

fn main() -> ExitCode {
    match build(Path::new(".")) {
        Ok(place) => {
            println!("site: {place}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("site: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the site of the project at `root` and answers where it begins.
fn build(root: &Path) -> anyhow::Result<String> {
    let told = warnings::listen()?;
    let mut book = MDBook::load(root).context("docs/SUMMARY.md names what cannot be read")?;
    let repository = book.config.html_config().unwrap_or_default().git_repository_url;
    pages::settle(&mut book.book, root, repository.as_deref());
    book.build()?;
    let place = book.build_dir_for("html");
    let broken = check::site(&place)?;
    let warned = told.all();
    for line in broken.iter().chain(&warned) {
        eprintln!("site: {line}");
    }
    if !broken.is_empty() || !warned.is_empty() {
        bail!("{} of its pages' links and {} warnings are to be mended", broken.len(), warned.len());
    }
    Ok(place.join("index.html").display().to_string())
}
