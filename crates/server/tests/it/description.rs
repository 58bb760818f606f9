//! The native API described: one document and one page for everybody.

use doorward_server::ServerSettings;

use crate::house::{House, Plan};

#[tokio::test]
async fn everybody_reads_the_same_description_and_asks_only_once() {
    let house = House::new().await;
    let alice = house.person("alice").await;
    let (mine, anybodys) =
        (alice.get("/v1/openapi.json").await, house.nobody().get("/v1/openapi.json").await);
    assert_eq!((mine.status, &mine.body), (200, &anybodys.body));
    assert_eq!(anybodys.header("content-type"), Some("application/json"));
    assert_eq!(anybodys.json()["openapi"], "3.1.0");
    assert_eq!(anybodys.json()["servers"][0]["url"], "/");
    // A credential is not looked at, so a bad one is not refused either.
    let bad = house.nobody().send("GET", "/v1/openapi.json", &[("Authorization", "Bearer x")], b"").await;
    assert_eq!(bad.status, 200);
}

#[tokio::test]
async fn who_has_the_document_or_the_page_is_not_sent_it_again() {
    let house = House::new().await;
    for path in ["/v1/openapi.json", "/v1/docs"] {
        let first = house.nobody().get(path).await;
        assert_eq!(first.header("cache-control"), Some("no-cache"), "{path}");
        let etag = first.header("etag").expect("one").to_owned();
        assert_eq!(house.nobody().get(path).await.body, first.body, "{path}");
        for (name, sent, status) in [
            ("the same", etag.clone(), 304),
            ("weakly", format!("W/{etag}"), 304),
            ("among others", format!("\"x\", {etag}"), 304),
            ("whatever it is", "*".to_owned(), 304),
            ("another", "\"x\"".to_owned(), 200),
        ] {
            let answer = house.nobody().send("GET", path, &[("If-None-Match", &sent)], b"").await;
            assert_eq!((answer.status, answer.header("etag")), (status, Some(&*etag)), "{name}");
            assert_eq!(answer.body.is_empty(), status == 304, "{name}");
        }
    }
}

#[tokio::test]
async fn the_page_runs_nothing_and_is_shown_in_no_frame() {
    let house = House::new().await;
    let page = house.nobody().get("/v1/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("one").to_owned();
    for part in ["form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    let text = page.text();
    let style = text.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style");
    let only = format!("default-src 'none'; style-src {};", doorward_protocols::html::hash_source(style));
    assert!(policy.starts_with(&only), "its one style is the one that is let in: {policy}");
    assert_eq!(text.matches("<style").count(), 1);
}

#[tokio::test]
async fn behind_a_public_address_the_description_says_that_one() {
    let settings = ServerSettings {
        public_origin: Some("https://auth.example".into()),
        public_path: "/door".into(),
        ..ServerSettings::default()
    };
    let house = House::with(Plan { settings, ..Plan::default() }).await;
    let document = house.nobody().get("/v1/openapi.json").await.json();
    assert_eq!(document["servers"][0]["url"], "https://auth.example/door");
    let page = house.nobody().get("/v1/docs").await.text();
    assert!(page.contains("DOORWARD=https://auth.example/door"), "{page}");
}
