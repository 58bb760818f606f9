//! `cargo xtask generate`: pages of `docs/reference/` that are read from the code.
//!
//! ```text
//! PAGES ─ each: source files ─► text ─► docs/reference/<page>.md      the structure tests compare instead of writing
//! ```
//!
//! To add a page: a file here with a function from the sources to the text, and a row in [`PAGES`]. Sources are read
//! as text: linking the engine would make every `cargo xtask` wait for it.

mod actions;
mod errors;
mod events;

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::process::say;
use crate::{Command, repo};

pub(crate) const COMMAND: Command = Command {
    name: "generate",
    summary: "write the pages of docs/reference that are read from the code",
    help: "
Usage: cargo xtask generate

Writes docs/reference/errors.md from the table of error codes, docs/reference/actions.md from the catalogue of
actions and docs/reference/events.md from the catalogue of events. The structure tests fail when a page is not what this command would write.

Examples:
  cargo xtask generate
  cargo xtask generate && git diff docs/reference
",
    run: generate,
};

/// A generated page.
struct Page {
    /// Where it stands.
    path: &'static str,
    /// What it is made from.
    sources: &'static [&'static str],
    /// Its text, from the sources' texts in that order; what is wrong with them otherwise.
    write: fn(&[String]) -> Result<String, String>,
}

const PAGES: &[Page] = &[
    Page {
        path: "docs/reference/errors.md",
        sources: &["crates/core/src/error/codes.rs", "crates/core/src/error/mod.rs"],
        write: errors::page,
    },
    Page {
        path: "docs/reference/actions.md",
        sources: &["crates/core/src/authz/catalogue.rs"],
        write: actions::page,
    },
    Page {
        path: "docs/reference/events.md",
        sources: &["crates/core/src/events/catalogue.rs"],
        write: events::page,
    },
];

fn generate(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::new(format!(
            "generate takes no `{unknown}`; see `cargo xtask generate --help`"
        )));
    }
    let root = repo::root()?;
    for (path, text) in pages(&root)? {
        fs::write(root.join(path), text)?;
        say(path);
    }
    Ok(())
}

/// Every generated page: where it stands, and what should stand there.
///
/// # Errors
/// A source that is absent or does not look as expected.
pub fn pages(root: &Path) -> Result<Vec<(&'static str, String)>, Failure> {
    let one = |page: &Page| {
        let sources = page.sources.iter().map(|source| {
            fs::read_to_string(root.join(source)).map_err(|e| Failure::new(format!("{source}: {e}")))
        });
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let text = (page.write)(&sources).map_err(|why| Failure::new(format!("{}: {why}", page.path)))?;
        Ok((page.path, text))
    };
    PAGES.iter().map(one).collect()
}

/// The first line of a generated page, after its title.
fn origin(source: &str) -> String {
    format!("Written by `cargo xtask generate` from `{source}`.\n")
}

/// The texts between quotes in a line, and what stands between them.
fn quoted(line: &str) -> (Vec<String>, Vec<String>) {
    let (mut texts, mut between) = (Vec::new(), vec![String::new()]);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        if c != '"' {
            between.last_mut().expect("never empty").push(c);
            continue;
        }
        let mut text = String::new();
        while let Some(c) = characters.next() {
            match c {
                '"' => break,
                '\\' => text.extend(characters.next()),
                c => text.push(c),
            }
        }
        texts.push(text);
        between.push(String::new());
    }
    (texts, between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_and_what_is_between_are_told_apart() {
        let (texts, between) = quoted(r#"A = "a", Kind, "say \"b\"";"#);
        assert_eq!(texts, ["a", "say \"b\""]);
        assert_eq!(between, ["A = ", ", Kind, ", ";"]);
    }
}
