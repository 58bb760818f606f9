//! Which crate may use which. The table is the one of ARCHITECTURE.md; it is held against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{files, hold, root, text};

/// A crate of ours: whom of ours it may name, and what must not be reachable from it at all.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    must_not_reach: &'static [&'static [&'static str]],
}

const RUNTIME: &[&str] = &["tokio", "async-std", "smol"];
const HTTP_SERVER: &[&str] = &["axum", "axum-core", "hyper", "hyper-util", "tower-http", "actix-web"];
const HTTP_CLIENT: &[&str] = &["reqwest", "ureq", "hyper-rustls", "hyper-tls", "isahc", "curl"];
const SQL: &[&str] =
    &["rusqlite", "libsqlite3-sys", "sqlx", "sqlx-core", "tokio-postgres", "postgres", "diesel"];
const SHARED_STATE: &[&str] = &["redis", "fred"];
const WASM: &[&str] = &["wasmtime", "wasmer"];

const LAYERS: &[Layer] = &[
    Layer {
        name: "doorward-protocols",
        may_use: &[],
        must_not_reach: &[RUNTIME, HTTP_SERVER, HTTP_CLIENT, SQL, SHARED_STATE, WASM],
    },
    Layer {
        name: "doorward-core",
        may_use: &["doorward-protocols"],
        must_not_reach: &[HTTP_SERVER, HTTP_CLIENT, SQL, SHARED_STATE, WASM],
    },
    Layer {
        name: "doorward-store",
        may_use: &["doorward-core", "doorward-protocols"],
        must_not_reach: &[HTTP_SERVER, HTTP_CLIENT, WASM],
    },
    Layer {
        name: "doorward-outbound",
        may_use: &["doorward-core", "doorward-protocols"],
        must_not_reach: &[&["axum", "axum-core"], SQL, SHARED_STATE, WASM],
    },
    Layer {
        name: "doorward-handlers",
        may_use: &["doorward-core", "doorward-protocols"],
        must_not_reach: &[HTTP_SERVER, HTTP_CLIENT, SQL, SHARED_STATE, WASM],
    },
    Layer {
        name: "doorward-hub",
        may_use: &["doorward-core", "doorward-protocols"],
        must_not_reach: &[HTTP_SERVER, HTTP_CLIENT, SQL, SHARED_STATE, WASM],
    },
    Layer {
        name: "doorward-server",
        may_use: &["doorward-core", "doorward-hub", "doorward-protocols"],
        must_not_reach: &[SQL, SHARED_STATE, WASM],
    },
    Layer {
        name: "doorward",
        may_use: &[
            "doorward-core",
            "doorward-handlers",
            "doorward-hub",
            "doorward-outbound",
            "doorward-protocols",
            "doorward-server",
            "doorward-store",
        ],
        must_not_reach: &[],
    },
    Layer {
        name: "doorward-bench",
        may_use: &[
            "doorward",
            "doorward-core",
            "doorward-handlers",
            "doorward-protocols",
            "doorward-server",
            "doorward-store",
        ],
        must_not_reach: &[],
    },
    // As an application would: by the library alone.
    Layer { name: "doorward-examples", may_use: &["doorward"], must_not_reach: &[] },
    Layer { name: "xtask", may_use: &[], must_not_reach: &[] },
];

/// A second crypto or TLS stack: two of them is one to forget when a flaw is found.
const NOWHERE: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "boring", "boring-sys"];

/// Who depends on whom: normal dependencies, and normal with build dependencies.
struct Graph {
    members: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
    with_build: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(metadata: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names: BTreeMap<String, String> =
            list(&metadata["packages"]).iter().map(|p| (word(&p["id"]), word(&p["name"]))).collect();
        let name_of = |id: &Value| names.get(&word(id)).cloned().unwrap_or_default();
        let mut graph = Self {
            members: list(&metadata["workspace_members"]).iter().map(name_of).collect(),
            normal: BTreeMap::new(),
            with_build: BTreeMap::new(),
        };
        let packages: BTreeMap<String, Value> =
            list(&metadata["packages"]).into_iter().map(|package| (word(&package["id"]), package)).collect();
        for node in list(&metadata["resolve"]["nodes"]) {
            let from = name_of(&node["id"]);
            let package = packages.get(&word(&node["id"])).cloned().unwrap_or_default();
            for dependency in list(&node["deps"]) {
                if !is_built(&package, &node, &name_of(&dependency["pkg"])) {
                    continue;
                }
                let kinds: Vec<Value> = list(&dependency["dep_kinds"]);
                let to = name_of(&dependency["pkg"]);
                if kinds.iter().any(|k| k["kind"].is_null()) {
                    graph.normal.entry(from.clone()).or_default().insert(to.clone());
                }
                if kinds.iter().any(|k| k["kind"].is_null() || k["kind"] == "build") {
                    graph.with_build.entry(from.clone()).or_default().insert(to);
                }
            }
        }
        graph
    }

    /// A shortest way from one crate to another, `a > b > c`.
    fn way(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> Option<String> {
        let mut came: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            if at == to && at != from {
                let mut way = vec![at];
                while let Some(before) = came.get(way[way.len() - 1]) {
                    way.push(before);
                }
                way.reverse();
                return Some(way.join(" > "));
            }
            for next in edges.get(at).into_iter().flatten() {
                if next != from && !came.contains_key(next.as_str()) {
                    came.insert(next, at);
                    open.push_back(next);
                }
            }
        }
        None
    }
}

/// Whether a package really builds with a dependency. The resolver lists optional ones too that a feature only mentions
/// weakly (`ring?/std`); those are built when another active feature asks for them outright.
fn is_built(package: &Value, node: &Value, dependency: &str) -> bool {
    let entries = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let rows = entries(&package["dependencies"]);
    let mut rows = rows.iter().filter(|row| row["name"] == dependency).peekable();
    if rows.peek().is_none() || rows.clone().any(|row| row["optional"] == false) {
        return true;
    }
    rows.any(|row| {
        let name = row["rename"].as_str().unwrap_or(dependency);
        entries(&node["features"]).iter().filter_map(Value::as_str).any(|feature| {
            feature == name
                || entries(&package["features"][feature]).iter().filter_map(Value::as_str).any(|asked| {
                    asked.strip_prefix("dep:") == Some(name)
                        || asked.split_once('/').is_some_and(|(crate_name, _)| crate_name == name)
                })
        })
    })
}

fn broken_layers(graph: &Graph) -> Vec<String> {
    let mut broken = Vec::new();
    for member in &graph.members {
        let Some(layer) = LAYERS.iter().find(|l| l.name == member) else {
            broken.push(format!("{member} has no row in the table of layers"));
            continue;
        };
        for to in graph.normal.get(member).into_iter().flatten() {
            if graph.members.contains(to) && !layer.may_use.contains(&to.as_str()) {
                broken.push(format!("{member} must not use {to}"));
            }
        }
        for forbidden in layer.must_not_reach.iter().copied().flatten() {
            broken.extend(Graph::way(&graph.normal, member, forbidden));
        }
        for forbidden in NOWHERE {
            broken.extend(Graph::way(&graph.with_build, member, forbidden));
        }
    }
    broken
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let told = Command::new(&cargo).arg("-vV").output().expect("cargo starts");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let ask = |more: &[&str]| {
        Command::new(&cargo)
            .current_dir(root())
            .args(["metadata", "--format-version=1", "--filter-platform", host])
            .args(more)
            .output()
            .expect("cargo starts")
    };
    // A machine that has only built has not fetched what the lock file merely names; then cargo fetches it now.
    let offline = ask(&["--offline"]);
    let output = if offline.status.success() { offline } else { ask(&[]) };
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

#[test]
fn crates_use_only_what_their_layer_allows() {
    let graph = Graph::of(&metadata());
    assert!(graph.members.len() >= LAYERS.len(), "every layer is a member: {:?}", graph.members);
    assert!(
        Graph::way(&graph.normal, "doorward", "aws-lc-rs").is_some(),
        "the graph was read: doorward reaches its crypto"
    );
    hold(&broken_layers(&graph), "move the code to the layer that may, or put a port into core");
}

#[test]
fn a_weakly_mentioned_dependency_is_not_built_and_one_asked_for_is() {
    let package = serde_json::json!({
        "dependencies": [{"name": "ring", "optional": true, "rename": null}, {"name": "libc", "optional": false}],
        "features": {"std": ["ring?/std"], "ring": ["dep:ring"], "ring_std": ["ring/std"], "aws": []},
    });
    for (features, dependency, built) in [
        (&["std", "aws"][..], "ring", false),
        (&["std", "ring"], "ring", true),
        (&["ring_std"], "ring", true),
        (&[], "libc", true),
    ] {
        let node = serde_json::json!({ "features": features });
        assert_eq!(is_built(&package, &node, dependency), built, "{features:?} {dependency}");
    }
}

#[test]
fn forbidden_edges_and_crates_are_found_with_the_way_to_them() {
    let edges = |list: &[(&str, &str)]| {
        let mut map: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in list {
            map.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        map
    };
    let graph = |normal: &[(&str, &str)], build: &[(&str, &str)]| Graph {
        members: LAYERS.iter().map(|l| l.name.to_owned()).collect(),
        normal: edges(normal),
        with_build: edges(&[normal, build].concat()),
    };
    let cases: &[(&str, Graph, &[&str])] = &[
        ("allowed", graph(&[("doorward-core", "doorward-protocols"), ("doorward-core", "tokio")], &[]), &[]),
        (
            "upward",
            graph(&[("doorward-core", "doorward-store")], &[]),
            &["doorward-core must not use doorward-store"],
        ),
        (
            "through a third crate",
            graph(&[("doorward-server", "x"), ("x", "y"), ("y", "x"), ("y", "rusqlite")], &[]),
            &["doorward-server > x > y > rusqlite"],
        ),
        (
            "at build time",
            graph(&[("doorward", "x")], &[("x", "openssl-sys")]),
            &["doorward > x > openssl-sys"],
        ),
    ];
    for (name, graph, expected) in cases {
        assert_eq!(broken_layers(graph), *expected, "{name}");
    }
    let mut stranger = graph(&[], &[]);
    stranger.members.insert("doorward-new".to_owned());
    assert_eq!(broken_layers(&stranger), ["doorward-new has no row in the table of layers"]);
}

/// What the two lowest layers must not even spell: everything they need arrives as an argument.
const AMBIENT: &[&str] = &["std::env", "std::process", "std::fs"];
/// Of `std::net` the addresses are plain values; these open sockets or ask the resolver.
const SOCKETS: &[&str] = &["TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs"];

fn ambient(text: &str) -> Option<&'static str> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let code: Vec<&str> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
    let names =
        |line: &&str, name: &str| line.contains(&format!("{name}::")) || line.contains(&format!("{name};"));
    let ambient = AMBIENT.iter().copied().find(|name| code.iter().any(|line| names(line, name)));
    ambient.or_else(|| SOCKETS.iter().copied().find(|name| code.iter().any(|line| line.contains(name))))
}

#[test]
fn engine_and_codecs_take_nothing_from_their_surroundings() {
    let mut broken = Vec::new();
    let lowest = ["crates/protocols/src/", "crates/core/src/"];
    for path in files().iter().filter(|p| lowest.iter().any(|dir| p.starts_with(dir)) && p.ends_with(".rs")) {
        if crate::sizes::is_test(path) {
            continue;
        }
        if let Some(name) = ambient(&text(path).unwrap_or_default()) {
            broken.push(format!("{path}: {name}"));
        }
    }
    hold(&broken, "take it as an argument; the composition root reads the surroundings");
}

#[test]
fn ambient_use_is_found_in_code_and_not_in_comments_or_tests() {
    assert_eq!(ambient("let home = std::env::var(\"HOME\");"), Some("std::env"));
    assert_eq!(ambient("use std::process;"), Some("std::process"));
    assert_eq!(ambient("use std::net::IpAddr;"), None, "an address is a value");
    assert_eq!(ambient("use std::net::{IpAddr, TcpStream};"), Some("TcpStream"));
    assert_eq!(
        ambient("// std::env::var is not used\nfn a() {}\n#[cfg(test)]\nmod t { use std::env::var; }"),
        None
    );
}
