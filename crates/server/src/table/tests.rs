use doorward_protocols::path::canonical;

use super::*;
use crate::http::respond::no_content;

macro_rules! routes {
    ($($method:ident $pattern:literal),*) => {{
        static ROUTES: &[Route] =
            &[$(Route::open(Method::$method, $pattern, |_| Box::pin(async { Ok(no_content()) }))),*];
        ROUTES
    }};
}

fn part(name: &str, prefix: &str, routes: &'static [Route]) -> Part {
    Part { name: name.into(), prefix: prefix.into(), routes }
}

fn found(table: &Table, method: Method, path: &str) -> String {
    match table.find(&method, &canonical(path.as_bytes()).unwrap()) {
        Found::Route { part, route, params } => format!("{part} {} {params:?}", route.pattern),
        Found::Methods { part, methods } => format!("{part} allows {methods:?}"),
        Found::Nothing { part } => format!("nothing in {part:?}"),
    }
}

#[test]
fn a_request_means_one_row() {
    let table = Table::new(&[
        part(
            "native",
            "",
            routes![GET "/v1/threads/{id}", DELETE "/v1/threads/{id}", GET "/v1/threads/search"],
        ),
        part("flow", "/flow", routes![GET "/ping", POST "/v1/threads", GET "/v1/graph:StateSchema"]),
    ])
    .unwrap();
    for (method, path, expected) in [
        (Method::GET, "/v1/threads/t%201", r#"0 /v1/threads/{id} [("id", "t 1")]"#),
        (Method::HEAD, "/v1/threads/a", r#"0 /v1/threads/{id} [("id", "a")]"#),
        (Method::GET, "/v1/threads/search", "0 /v1/threads/search []"),
        (Method::DELETE, "/v1/threads/search", r#"0 /v1/threads/{id} [("id", "search")]"#),
        (Method::POST, "/v1/threads/a", "0 allows [GET, DELETE]"),
        (Method::GET, "/v1/threads/", "nothing in Some(0)"),
        (Method::GET, "/flow/ping", "1 /ping []"),
        (Method::GET, "/flow/v1/graph:StateSchema", "1 /v1/graph:StateSchema []"),
        (Method::GET, "/flow/v1/threads", "1 allows [POST]"),
        (Method::GET, "/flow/nothing", "nothing in Some(1)"),
        (Method::GET, "/flower", "nothing in Some(0)"),
        (Method::GET, "/", "nothing in Some(0)"),
    ] {
        assert_eq!(found(&table, method.clone(), path), expected, "{method} {path}");
    }
}

#[test]
fn a_row_may_be_the_root_alone() {
    let table = Table::new(&[
        part("native", "", routes![GET "/v1/me"]),
        part("hub", "/hub", routes![GET "/{ws}/apps/{app}/{path*}"]),
        part("root", "", routes![GET "/"]),
    ])
    .unwrap();
    for (path, expected) in [
        ("/", "2 / []"),
        ("/v1/me", "0 /v1/me []"),
        ("/other", "nothing in Some(0)"),
        ("/hub", "nothing in Some(1)"),
    ] {
        assert_eq!(found(&table, Method::GET, path), expected, "{path}");
    }
    let both = [part("a", "", routes![GET "/"]), part("b", "", routes![GET "/"])];
    assert!(Table::new(&both).is_err());
}

#[test]
fn clashes_are_refused_and_name_both() {
    let clash = |parts: &[Part]| Table::new(parts).err().map(|clash| clash.to_string());
    let text = clash(&[
        part("native", "", routes![POST "/v1/threads"]),
        part("agentflow", "", routes![GET "/v1/threads", POST "/v1/threads"]),
    ])
    .expect("the same route twice");
    assert!(
        text.contains("native: POST /v1/threads") && text.contains("agentflow: POST /v1/threads"),
        "{text}"
    );
    let text =
        clash(&[part("native", "", routes![GET "/v1/{any}"]), part("flow", "/v1", routes![GET "/ping"])]);
    assert!(text.is_some_and(|text| text.contains("GET /v1/{any}") && text.contains("GET /v1/ping")));
    let twice = clash(&[part("a", "", routes![GET "/x/{a}", GET "/x/{b}"])]);
    assert!(twice.is_some());
    let apart =
        clash(&[part("a", "", routes![GET "/x", POST "/y"]), part("b", "", routes![POST "/x", GET "/y"])]);
    assert_eq!(apart, None);
}

#[test]
fn a_row_may_take_whatever_is_left_after_every_row_that_is_spelled_whole() {
    let table = Table::new(&[
        part("native", "", routes![GET "/v1/me"]),
        part(
            "hub",
            "/hub",
            routes![GET "/{ws}/apps/{app}/{path*}", GET "/{ws}/apps/login/", POST "/{ws}/apps/login/"],
        ),
    ])
    .unwrap();
    for (method, path, expected) in [
        (
            Method::GET,
            "/hub/a/apps/b/",
            r#"1 /{ws}/apps/{app}/{path*} [("ws", "a"), ("app", "b"), ("path", "")]"#,
        ),
        (
            Method::GET,
            "/hub/a/apps/b/c/d",
            r#"1 /{ws}/apps/{app}/{path*} [("ws", "a"), ("app", "b"), ("path", "c/d")]"#,
        ),
        (Method::GET, "/hub/a/apps/login/", r#"1 /{ws}/apps/login/ [("ws", "a")]"#),
        (Method::GET, "/hub/a/apps/b", "nothing in Some(1)"),
        (Method::DELETE, "/hub/a/apps/login/", "1 allows [GET, POST]"),
    ] {
        assert_eq!(found(&table, method, path), expected, "{path}");
    }
    for clashing in [
        [part("a", "", routes![GET "/x/{rest*}"]), part("b", "/x", routes![GET "/y"])],
        [part("a", "/x", routes![GET "/y"]), part("b", "", routes![GET "/x/{rest*}"])],
        [part("a", "", routes![GET "/{a*}"]), part("b", "/b", routes![GET "/c/{d*}"])],
    ] {
        assert!(Table::new(&clashing).is_err());
    }
    assert!(
        Table::new(&[part("a", "/x", routes![GET "/{rest*}"]), part("b", "/y", routes![GET "/{rest*}"])])
            .is_ok()
    );
}
