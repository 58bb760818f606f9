//! Every file of a plug point has a row in the table beside it, and every row a file.

use std::collections::BTreeSet;
use std::fs;

use crate::{hold, root};

/// A directory where things are added, and its files that are the port's own vocabulary rather than a thing.
struct PlugPoint {
    dir: &'static str,
    not_things: &'static [&'static str],
    /// Rows whose thing is kept somewhere else.
    elsewhere: &'static [&'static str],
}

/// Directories that are not born yet are passed over, so that the rule is there before the first file is.
const PLUG_POINTS: &[PlugPoint] = &[
    PlugPoint { dir: "crates/core/src/authn/methods", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/core/src/agents/runners", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/core/src/oauth/grants", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/core/src/events/sinks", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/login/src/methods", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/server/src/surfaces", not_things: &[], elsewhere: &["native"] },
    PlugPoint {
        dir: "crates/store/src/backend",
        not_things: &["answer", "rows", "step", "value"],
        elsewhere: &[],
    },
    PlugPoint { dir: "crates/store/src/shared", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/doorward/src/commands", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/doorward/src/doctor/checks", not_things: &[], elsewhere: &[] },
    PlugPoint { dir: "crates/doorward/src/accounts/formats", not_things: &[], elsewhere: &[] },
];

/// The text of `static BUILTIN … = &[ … ];` without comments.
fn table(module: &str) -> Option<String> {
    let code: String =
        module.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let from = code.find("static BUILTIN")?;
    let (table, _) = code[from..].split_once("];")?;
    Some(table.split_once('=')?.1.to_owned())
}

/// Names that stand before `::` in the table: the modules its rows come from.
fn registered(table: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in table.match_indices("::") {
        let before = &table[..at];
        let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |p| p + 1);
        // `a::b::ROW`: only the first name is a module of this directory.
        if !before[..start].ends_with("::") && before[start..].starts_with(|c: char| c.is_ascii_lowercase()) {
            found.insert(before[start..].to_owned());
        }
    }
    found
}

fn broken(dir: &str, things: &BTreeSet<String>, elsewhere: &[&str], module: &str) -> Vec<String> {
    let Some(table) = table(module) else {
        return vec![format!("{dir}: its module has no `static BUILTIN` with a row for each file")];
    };
    let mut rows = registered(&table);
    rows.retain(|name| !elsewhere.contains(&name.as_str()));
    let absent = things.difference(&rows).map(|name| format!("{dir}/{name}: no row in BUILTIN"));
    let unknown =
        rows.difference(things).map(|name| format!("{dir}: BUILTIN names {name}, which is not there"));
    absent.chain(unknown).collect()
}

#[test]
fn every_file_of_a_plug_point_is_registered() {
    let mut all = Vec::new();
    for point in PLUG_POINTS {
        let dir = root().join(point.dir);
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        let mut things: BTreeSet<String> = entries
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"))
            .map(|path| path.file_stem().expect("has a name").to_string_lossy().into_owned())
            .collect();
        for other in ["mod", "tests"].iter().chain(point.not_things) {
            things.remove(*other);
        }
        let module = fs::read_to_string(dir.join("mod.rs"))
            .or_else(|_| fs::read_to_string(dir.with_extension("rs")))
            .unwrap_or_default();
        all.extend(broken(point.dir, &things, point.elsewhere, &module));
    }
    hold(&all, "add the row `name::DESCRIPTOR` to BUILTIN in the directory's module, or remove the file");
}

#[test]
fn missing_rows_missing_files_and_missing_tables_are_found() {
    let things = BTreeSet::from(["one".to_owned(), "two".to_owned()]);
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "complete",
            "pub static BUILTIN: &[Descriptor] = &[one::DESCRIPTOR, Descriptor { open: two::open, x: std::y }];",
            &["d: BUILTIN names std, which is not there"],
        ),
        ("rows", "static BUILTIN: &[&crate::Descriptor] = &[&one::DESCRIPTOR, &two::sub::DESCRIPTOR];", &[]),
        ("one kept elsewhere", "static BUILTIN: &[D] = &[one::D, two::D, D { routes: far::ROUTES }];", &[]),
        ("one short", "static BUILTIN: &[D] = &[one::D, // two::D\n];", &["d/two: no row in BUILTIN"]),
        (
            "one over",
            "static BUILTIN: &[D] = &[one::D, two::D, three::D];",
            &["d: BUILTIN names three, which is not there"],
        ),
        ("none", "mod one; mod two;", &["d: its module has no `static BUILTIN` with a row for each file"]),
    ];
    for (name, module, expected) in cases {
        assert_eq!(broken("d", &things, &["far"], module), *expected, "{name}");
    }
}
