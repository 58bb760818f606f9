//! Where pages are on the site, and the links between them.
//!
//! A page of `docs/` keeps its place. Pages of the project beside it (`../SECURITY.md` in the summary) come under `project/`, the README in
//! front of all. A link to a page leads to it; one to a directory to its first page; one to any other file leads to the repository where
//! `book.toml` names one, and is plain text otherwise, because the site has nothing there.

use std::collections::BTreeMap;
use std::path::Path;

use mdbook_driver::book::Book;
use pulldown_cmark::{Event, Options, Parser, Tag};

/// Where the summary's pages lie in the project.
const DOCS: &str = "docs";
/// Where pages from elsewhere come to.
const PROJECT: &str = "project";
const FRONT: &str = "README.md";

/// Puts every page where it belongs and makes its links lead there.
pub(crate) fn settle(book: &mut Book, root: &Path, repository: Option<&str>) {
    let mut site = Site { places: BTreeMap::new(), order: Vec::new(), repository };
    for chapter in book.chapters() {
        if let Some(path) = &chapter.source_path {
            let source = normal(DOCS, &path.to_string_lossy());
            site.places.insert(source.clone(), place(&source));
            site.order.push(source);
        }
    }
    book.for_each_chapter_mut(|chapter| {
        let Some(path) = chapter.source_path.clone() else { return };
        let source = normal(DOCS, &path.to_string_lossy());
        let is_file = |target: &str| root.join(target).is_file();
        chapter.content = site.linked(&source, &chapter.content, &is_file);
        chapter.path = Some(place(&source).into());
    });
}

/// Where a page of the project is on the site.
fn place(source: &str) -> String {
    let place = match source.strip_prefix("docs/") {
        Some(inside) => inside.to_owned(),
        None if source == FRONT => source.to_owned(),
        None => format!("{PROJECT}/{source}"),
    };
    // What a server shows for a directory.
    place.to_lowercase().replace("readme.md", "index.md")
}

/// `target` as seen from the directory, from the project's root: `..` and `.` are followed.
fn normal(directory: &str, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The way from one page of the site to another.
fn way(from: &str, to: &str) -> String {
    format!("{}{to}", "../".repeat(from.matches('/').count()))
}

struct Site<'s> {
    /// A page's file in the project, and its place on the site.
    places: BTreeMap<String, String>,
    order: Vec<String>,
    repository: Option<&'s str>,
}

impl Site<'_> {
    /// The page's text with its links as they are on the site.
    fn linked(&self, source: &str, text: &str, is_file: &dyn Fn(&str) -> bool) -> String {
        let mut out = text.to_owned();
        let parser = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
        let links: Vec<_> = parser
            .filter_map(|(event, range)| match event {
                Event::Start(Tag::Link { dest_url, .. }) => Some((dest_url.to_string(), range)),
                _ => None,
            })
            .collect();
        // From the end, so that what stands before keeps its place.
        for (target, range) in links.into_iter().rev() {
            let whole = &text[range.clone()];
            let Some(at) = whole.rfind(&format!("]({target}")) else { continue };
            let replaced = match self.target(source, &target, is_file) {
                Target::Same => continue,
                Target::There(new) => format!("{}]({new}{}", &whole[..at], &whole[at + 2 + target.len()..]),
                Target::Nowhere => whole[1..at].to_owned(),
            };
            out.replace_range(range, &replaced);
        }
        out
    }

    fn target(&self, source: &str, target: &str, is_file: &dyn Fn(&str) -> bool) -> Target {
        if target.starts_with('#') || target.contains("://") || target.starts_with("mailto:") {
            return Target::Same;
        }
        let (path, anchor) = target
            .split_once('#')
            .map_or((target, String::new()), |(path, anchor)| (path, format!("#{anchor}")));
        let there = normal(directory(source), path);
        let page = self.places.get(&there).or_else(|| {
            let inside = format!("{there}/");
            let first = self.order.iter().find(|page| page.starts_with(&inside))?;
            self.places.get(first)
        });
        match (page, self.repository) {
            (Some(page), _) => Target::There(format!("{}{anchor}", way(&place(source), page))),
            (None, Some(repository)) if !repository.is_empty() => {
                let kind = if is_file(&there) { "blob" } else { "tree" };
                Target::There(format!("{}/{kind}/main/{there}", repository.trim_end_matches('/')))
            }
            (None, _) => Target::Nowhere,
        }
    }
}

enum Target {
    Same,
    There(String),
    Nowhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(repository: Option<&str>) -> Site<'_> {
        let order: Vec<String> =
            ["README.md", "docs/a.md", "docs/in/b.md", "SECURITY.md", "examples/x/README.md"]
                .map(str::to_owned)
                .to_vec();
        Site { places: order.iter().map(|page| (page.clone(), place(page))).collect(), order, repository }
    }

    #[test]
    fn links_lead_to_pages_wherever_these_are_on_the_site() {
        let site = site(None);
        let cases = [
            ("docs/in/b.md", "[a](../a.md#c)", "[a](../a.md#c)"),
            ("docs/in/b.md", "[s](../../SECURITY.md)", "[s](../project/security.md)"),
            ("README.md", "| [a](docs/a.md) | `[x](docs/a.md)` |", "| [a](a.md) | `[x](docs/a.md)` |"),
            ("README.md", "[in](docs/in/) [e](examples/)", "[in](in/b.md) [e](project/examples/x/index.md)"),
            ("examples/x/README.md", "[up](../../README.md)", "[up](../../../index.md)"),
            (
                "docs/a.md",
                "[o](https://e.example/) [m](mailto:a@b) [h](#h)",
                "[o](https://e.example/) [m](mailto:a@b) [h](#h)",
            ),
            ("docs/a.md", "see [the *code*](../crates/x.rs), so", "see the *code*, so"),
            ("docs/a.md", "```\n[a](../crates/x.rs)\n```\n", "```\n[a](../crates/x.rs)\n```\n"),
        ];
        for (page, text, expected) in cases {
            assert_eq!(site.linked(page, text, &|_| true), expected, "{page}: {text}");
        }
    }

    #[test]
    fn with_a_repository_other_files_are_there() {
        let site = site(Some("https://host.example/doorward/"));
        let linked =
            site.linked("docs/a.md", "[x](../crates/x.rs) [y](../crates/)", &|path| path.ends_with(".rs"));
        assert_eq!(
            linked,
            "[x](https://host.example/doorward/blob/main/crates/x.rs) [y](https://host.example/doorward/tree/main/crates)"
        );
    }
}
