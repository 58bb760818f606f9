//! What must not stand in any file of the project.

use crate::{files, hold, text};

/// Directories of a machine. They are put together here so that this file does not contain them itself.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Where packages come from is a matter of the machine that fetches them.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("deb.debian", ".org"),
];
/// Cargo itself writes this into the lock file, whichever mirror it used.
const LOCK_SOURCE: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

fn broken(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = if is_lock(path) { line.replace(LOCK_SOURCE, "") } else { line.to_owned() };
        let machine = MACHINE.iter().filter(|word| begins_a_path(&line, word));
        let registry = REGISTRIES.iter().filter(|word| line.contains(*word));
        found.extend(machine.chain(registry).map(|word| format!("{path}:{}: {word}", at + 1)));
    }
    if is_lock(path) {
        let sources =
            text.lines().filter(|line| line.starts_with("source = ") && !line.contains(LOCK_SOURCE));
        found.extend(sources.map(|line| format!("{path}: {line}")));
    }
    found
}

/// A workspace's lock file.
fn is_lock(path: &str) -> bool {
    path.rsplit('/').next() == Some("Cargo.lock")
}

/// Whether the directory stands at the beginning of a path, not inside a longer one.
fn begins_a_path(line: &str, directory: &str) -> bool {
    line.match_indices(directory)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~})*".contains(c)))
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let all = files();
    assert!(all.len() > 50, "the tree was read");
    let broken: Vec<String> =
        all.iter().flat_map(|path| text(path).map_or_else(Vec::new, |text| broken(path, &text))).collect();
    hold(&broken, "say it relative to the project, or by the package's name");
}

#[test]
fn paths_hosts_and_foreign_sources_are_found() {
    let [home, _] = MACHINE else { unreachable!("two directories") };
    assert_eq!(broken("a.md", &format!("see {home}x")), [format!("a.md:1: {home}")]);
    assert!(broken("a.md", &format!("in frame{home}x and .{home}y")).is_empty(), "inside a longer path");
    assert_eq!(broken("a.sh", &format!("ok\nget {}/x", REGISTRIES[0])).len(), 1);
    assert!(broken("Cargo.lock", &format!("source = \"{LOCK_SOURCE}\"")).is_empty());
    assert_eq!(broken("Cargo.lock", "source = \"git+https://example.com/x\"").len(), 1);
}
