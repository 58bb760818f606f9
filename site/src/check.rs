//! Whether a built site holds together: every link leads to a page and a heading of it, and nothing is fetched from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Everything that is wrong with the site in this directory.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn site(place: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = BTreeMap::new();
    gather(place, place, &mut files)?;
    let mut broken = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".html") || name.ends_with(".css")) {
        broken.extend(elsewhere(text).into_iter().map(|what| format!("{name}: fetches {what}")));
        for target in targets(text) {
            if let Some(what) = dead(name, &target, &files) {
                broken.push(format!("{name}: {target}: {what}"));
            }
        }
    }
    Ok(broken)
}

/// Every file with its path; the text of those that hold links.
fn gather(place: &Path, directory: &Path, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            gather(place, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(place)?.to_string_lossy().replace('\\', "/");
        let text = if name.ends_with(".html") || name.ends_with(".css") {
            fs::read_to_string(&path).with_context(|| name.clone())?
        } else {
            String::new()
        };
        files.insert(name, text);
    }
    Ok(())
}

/// The values of an attribute; in text quotes are escaped, so what looks like one is one.
fn attributes<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let begin = format!(" {name}=\"");
    text.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn targets(text: &str) -> BTreeSet<String> {
    let all = attributes(text, "href").into_iter().chain(attributes(text, "src"));
    all.map(|target| target.replace("&amp;", "&")).collect()
}

/// What a page would fetch from another server: links of people's own choosing are no such thing.
fn elsewhere(text: &str) -> Vec<String> {
    let fetches =
        |tag: &&str| ["link ", "script ", "img ", "iframe "].iter().any(|name| tag.starts_with(name));
    let tags = text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest)).filter(fetches);
    let named = tags.flat_map(|tag| attributes(tag, "href").into_iter().chain(attributes(tag, "src")));
    let styled = text.split("url(").skip(1).filter_map(|rest| rest.split(')').next());
    named
        .chain(styled)
        .map(|target| target.trim_matches(['"', '\'']))
        .filter(|target| {
            target.starts_with("http:") || target.starts_with("https:") || target.starts_with("//")
        })
        .map(str::to_owned)
        .collect()
}

/// Why a link leads nowhere, if it does.
fn dead(page: &str, target: &str, files: &BTreeMap<String, String>) -> Option<&'static str> {
    if ["http://", "https://", "mailto:", "data:", "javascript:"]
        .iter()
        .any(|outside| target.starts_with(outside))
    {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let there = if path.is_empty() { page.to_owned() } else { follow(page, path) };
    let Some(text) = files.get(&there) else { return Some("nothing is there") };
    let heading = |id: &str| text.contains(&format!(" id=\"{id}\""));
    (!anchor.is_empty() && !heading(anchor)).then_some("no such heading")
}

fn follow(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_and_things_from_elsewhere_are_found() {
        let page = "<a href=\"b.html#one\">1</a><a href=\"b.html#two\">2</a><a href=\"../c.html\">3</a><a href=\"#top\">4</a>\
                    <a href=\"https://e.example/\">5</a><p>&lt;a href=&quot;no.html&quot;&gt;</p>";
        let other = "<h1 id=\"one\">One</h1><script src=\"https://cdn.example/x.js\"></script>";
        let place = std::env::temp_dir().join(format!("doorward-site-{}", std::process::id()));
        fs::create_dir_all(place.join("in")).expect("a directory");
        fs::write(place.join("in/a.html"), page).expect("written");
        fs::write(place.join("in/b.html"), other).expect("written");
        fs::write(place.join("x.css"), "@font-face { src: url('//fonts.example/f.woff2') }")
            .expect("written");
        let found = site(&place).expect("read");
        fs::remove_dir_all(&place).expect("ours");
        assert_eq!(
            found,
            [
                "in/a.html: #top: no such heading",
                "in/a.html: ../c.html: nothing is there",
                "in/a.html: b.html#two: no such heading",
                "in/b.html: fetches https://cdn.example/x.js",
                "x.css: fetches //fonts.example/f.woff2",
            ]
        );
    }
}
