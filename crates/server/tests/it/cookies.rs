//! Sessions in a browser's cookie: what another site's page cannot do with them.

use serde_json::{Value, json};

use crate::house::{House, PASSWORD};
use crate::wire::Answer;

/// A browser: it sends its cookie with every request, whoever made the page.
struct Browser<'h> {
    house: &'h House,
    cookie: String,
    csrf: String,
    origin: String,
}

fn set_cookie(answer: &Answer) -> &str {
    answer.header("set-cookie").expect("a cookie")
}

async fn log_in(house: &House, name: &str, origin: &str) -> Answer {
    let body = json!({"username": name, "password": PASSWORD}).to_string();
    let headers = [("Origin", origin), ("Content-Type", "application/json")];
    house.nobody().send("POST", "/v1/session", &headers, body.as_bytes()).await
}

impl<'h> Browser<'h> {
    async fn of(house: &'h House, name: &str) -> Self {
        house.person(name).await;
        let origin = "http://localhost".to_owned();
        let answer = log_in(house, name, &origin).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let cookie = set_cookie(&answer).split(';').next().expect("a pair").to_owned();
        let csrf = answer.json()["csrf_token"].as_str().expect("a token").to_owned();
        Self { house, cookie, csrf, origin }
    }

    async fn ask(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let mut headers = vec![("Cookie", self.cookie.as_str())];
        headers.extend_from_slice(more);
        self.house.nobody().send(method, path, &headers, body.as_bytes()).await
    }

    /// As a page of ours does.
    async fn act(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut headers = vec![("Origin", self.origin.as_str()), ("X-CSRF-Token", self.csrf.as_str())];
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        self.ask(method, path, &headers, body).await
    }
}

#[tokio::test]
async fn a_page_of_ours_logs_in_acts_and_logs_out() {
    let house = House::new().await;
    let alice = Browser::of(&house, "alice").await;
    assert!(alice.cookie.starts_with("__Host-doorward-session=ses_"));
    let me = alice.ask("GET", "/v1/me", &[], "").await;
    assert_eq!((me.status, me.json()["username"].clone()), (200, json!("alice")));
    assert_eq!(me.header("set-cookie"), None);
    let again = alice.ask("GET", "/v1/session", &[], "").await;
    assert_eq!(again.json()["csrf_token"], alice.csrf, "a page that was opened later can read it");
    let made = alice.act("POST", "/v1/threads", "{}").await;
    assert_eq!(made.status, 201, "{made:?}");
    let out = alice.act("DELETE", "/v1/session", "").await;
    assert_eq!(out.status, 204, "{out:?}");
    assert!(set_cookie(&out).contains("Max-Age=0"));
    let after = alice.ask("GET", "/v1/me", &[], "").await;
    assert_eq!(after.status, 401);
    assert!(set_cookie(&after).contains("Max-Age=0"), "a stale cookie is taken back");
}

#[tokio::test]
async fn the_cookie_is_for_this_host_alone_and_hidden_from_scripts() {
    let house = House::new().await;
    house.person("alice").await;
    let answer = log_in(&house, "alice", "http://localhost").await;
    let attributes: Vec<_> = set_cookie(&answer).split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(
        answer.json().get("access_token").is_none(),
        "a page that is run through gets no token to take along"
    );
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let house = House::new().await;
    let alice = Browser::of(&house, "alice").await;
    let own = alice.origin.clone();
    let csrf = alice.csrf.clone();
    let json_body = ("Content-Type", "application/json");
    let evil = ("Origin", "https://evil.example");
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(&str, Headers<'_>, u16)> = vec![
        ("another origin, with the token", vec![evil, ("X-CSRF-Token", &csrf), json_body], 403),
        ("no origin", vec![("X-CSRF-Token", &csrf), json_body], 403),
        ("an opaque origin", vec![("Origin", "null"), ("X-CSRF-Token", &csrf), json_body], 403),
        ("no token", vec![("Origin", &own), json_body], 403),
        ("a wrong token", vec![("Origin", &own), ("X-CSRF-Token", "AAAA"), json_body], 403),
        (
            "a sibling site",
            vec![("Origin", &own), ("Sec-Fetch-Site", "same-site"), ("X-CSRF-Token", &csrf), json_body],
            403,
        ),
        (
            "a form",
            vec![
                ("Origin", &own),
                ("X-CSRF-Token", &csrf),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ],
            415,
        ),
        (
            "text, as a form can send it",
            vec![("Origin", &own), ("X-CSRF-Token", &csrf), ("Content-Type", "text/plain")],
            415,
        ),
        ("no type", vec![("Origin", &own), ("X-CSRF-Token", &csrf)], 415),
    ];
    for (name, headers, status) in cases {
        let answer = alice.ask("POST", "/v1/threads", &headers, "{}").await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert_eq!(answer.header("set-cookie"), None, "{name}: the visitor stays logged in");
    }
    assert_eq!(alice.ask("GET", "/v1/threads", &[], "").await.json()["threads"], json!([]));
    let logged_out = alice.ask("POST", "/v1/logout", &[evil], "").await;
    assert_eq!(logged_out.status, 403, "nobody is logged out from elsewhere");
}

#[tokio::test]
async fn another_sites_page_logs_nobody_in() {
    let house = House::new().await;
    house.person("mallory").await;
    for origin in ["https://evil.example", "null"] {
        let answer = log_in(&house, "mallory", origin).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{origin}");
        assert_eq!(answer.code(), "cross_site");
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_makes_nobody_of_its_sender() {
    let house = House::new().await;
    let alice = Browser::of(&house, "alice").await;
    let bob = Browser::of(&house, "bob").await;
    let (_, value) = alice.cookie.split_once('=').expect("a pair");
    let (session, mac) = value.rsplit_once('.').expect("a mac");
    let (_, of_bob) = bob.cookie.rsplit_once('.').expect("a mac");
    let name = "__Host-doorward-session";
    for forged in [
        format!("{name}={session}"),
        format!("{name}={session}."),
        format!("{name}={session}.{of_bob}"),
        format!("{name}={session}.{}", &alice.csrf),
        format!("{name}={session}.{mac}x"),
        format!(
            "{name}={}.{mac}",
            bob.cookie.split_once('=').and_then(|(_, v)| v.rsplit_once('.')).expect("one").0
        ),
        format!("{name}={}", "x".repeat(4_000)),
        format!("{name}={value}; {name}={value}"),
    ] {
        let answer = house.nobody().send("GET", "/v1/me", &[("Cookie", &forged)], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "credentials_missing"), "{forged}");
    }
    let explicit = alice.ask("GET", "/v1/me", &[("Authorization", "Bearer nonsense")], "").await;
    assert_eq!(explicit.code(), "token_invalid", "an explicit credential is not made good by a cookie");
}

#[tokio::test]
async fn a_stay_that_was_ended_or_whose_user_was_disabled_opens_nothing() {
    let house = House::new().await;
    let alice = Browser::of(&house, "alice").await;
    let token = house.login("alice").await;
    let sessions = token.get("/v1/sessions").await.json();
    let browsers: Vec<&Value> = sessions["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["source"] == "browser")
        .collect();
    assert_eq!(browsers.len(), 1, "it stands in the list of stays like every other");
    let path = format!("/v1/sessions/{}", browsers[0]["id"].as_str().expect("an id"));
    assert_eq!(token.send("DELETE", &path, &[], b"").await.status, 204);
    assert_eq!(alice.ask("GET", "/v1/me", &[], "").await.status, 401);
}

#[tokio::test]
async fn a_mount_without_the_method_ignores_the_cookie() {
    let house = House::new().await;
    let alice = Browser::of(&house, "alice").await;
    let answer = alice.ask("GET", "/agentflow/v1/threads", &[], "").await;
    assert_ne!(answer.status, 200);
    assert_eq!(answer.header("set-cookie"), None, "and does not take it away from the others");
}
