//! Every route that a surface answers stands on the surface's page.

use std::collections::BTreeSet;

use crate::{files, hold, text};

/// A route as the table writes it: `Route::guarded(GET, "/v1/me", …)`.
fn routes(code: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for kind in ["Route::open(", "Route::guarded(", "Route::upstream("] {
        for rest in code.split(kind).skip(1) {
            let Some((method, rest)) = rest.split_once(',') else { continue };
            let method = method.trim();
            let mut quoted = rest.splitn(3, '"');
            let (Some(before), Some(pattern)) = (quoted.next(), quoted.next()) else { continue };
            if before.trim().is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()) {
                found.insert((method.to_owned(), pattern.to_owned()));
            }
        }
    }
    found
}

/// The page of a file of the server: `native/…` or `surfaces/<name>/…`.
fn page_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("crates/server/src/")?;
    let name = match inside.strip_prefix("surfaces/") {
        Some(rest) => rest.split_once('/')?.0,
        None => inside.strip_prefix("native/").map(|_| "native")?,
    };
    Some(format!("docs/surfaces/{name}.md"))
}

fn absent(path: &str, code: &str, page: &str) -> Vec<String> {
    let missing = routes(code).into_iter().filter(|(method, pattern)| {
        let spelled = format!("`{method} {pattern}`");
        !page.contains(&spelled)
    });
    missing.map(|(method, pattern)| format!("{path}: `{method} {pattern}`")).collect()
}

#[test]
fn every_route_stands_on_its_surfaces_page() {
    let mut all = Vec::new();
    for path in files().iter().filter(|path| path.ends_with(".rs")) {
        let Some(page) = page_of(path) else { continue };
        let code = text(path).unwrap_or_default();
        if routes(&code).is_empty() {
            continue;
        }
        if files().contains(&page) {
            all.extend(absent(path, &code, &text(&page).unwrap_or_default()));
        } else {
            all.push(format!("{page} is not there"));
        }
    }
    hold(&all, "add the route to the page, with what it takes and gives");
}

#[test]
fn routes_are_read_from_the_table_and_missed_on_a_page() {
    let code = "Route::open(GET, \"/ping\", |r| x(r)),\nRoute::guarded(\n    POST,\n    \"/v1/a/{id}\",\n    &[a::B::DEF],\n    f,\n),\nRoute::open(method, other, h)";
    let found = routes(code);
    assert_eq!(found, BTreeSet::from([("GET".into(), "/ping".into()), ("POST".into(), "/v1/a/{id}".into())]));
    assert_eq!(absent("x.rs", code, "| `GET /ping` | open |"), ["x.rs: `POST /v1/a/{id}`"]);
    assert_eq!(page_of("crates/server/src/surfaces/one/routes.rs").as_deref(), Some("docs/surfaces/one.md"));
    assert_eq!(page_of("crates/server/src/native/mod.rs").as_deref(), Some("docs/surfaces/native.md"));
    assert_eq!(page_of("crates/server/src/surfaces/mod.rs"), None);
}
