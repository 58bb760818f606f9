//! Everything malformed, oversized, deep, repeated or contradictory gets a 4xx with a code, and the server lives on.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::House;
use crate::wire::{Answer, raw, request};

fn assert_refused(answer: &Answer, name: &str) {
    assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    assert!(!answer.code().is_empty(), "{name}");
    assert!(answer.header("x-request-id").is_some(), "{name}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{name}");
}

async fn assert_alive(house: &House) {
    assert_eq!(house.nobody().get("/.well-known/jwks.json").await.status, 200);
    assert_eq!(house.stranger().get("/ping").await.status, 200);
}

#[tokio::test]
async fn heads_with_two_readings_are_refused_on_every_mount() {
    let house = House::new().await;
    for path in ["/v1/me", "/agentflow/threads"] {
        for (name, head) in [
            ("no host", format!("GET {path} HTTP/1.1\r\n\r\n")),
            ("two hosts", format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")),
            ("bare line feeds", format!("GET {path} HTTP/1.1\nHost: a\n\n")),
            ("folded", format!("GET {path} HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n")),
            ("NUL", format!("GET {path} HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n")),
            ("strange version", format!("GET {path} HTTP/9.9\r\nHost: a\r\n\r\n")),
            ("absolute form", format!("GET http://evil.example{path} HTTP/1.1\r\nHost: a\r\n\r\n")),
            ("asterisk", "GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()),
            (
                "both lengths",
                format!(
                    "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                ),
            ),
            ("oversized", format!("GET {path} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(17_000))),
            ("101 headers", format!("GET {path} HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: x\r\n".repeat(101))),
            ("not HTTP", "hello?\r\n\r\n".to_owned()),
        ] {
            assert_refused(&raw(house.address, head.as_bytes()).await, name);
        }
    }
    assert_alive(&house).await;
}

#[tokio::test]
async fn paths_with_two_readings_are_refused() {
    let house = House::new().await;
    let person = house.person("walker").await;
    for path in [
        "/v1/../v1/me",
        "/v1/./me",
        "//v1/me",
        "/v1//me",
        "/v1%2fme",
        "/v1%5cme",
        "/v1\\me",
        "/v1/threads/%00",
        "/v1/threads/%c0%af",
        "/v1/threads/%ff",
        "/v1/threads/%",
        "/v1/threads/%zz",
        "/v1/threads/%252e%252e",
        "/v1/threads/a%0d%0aX:y",
        "/agentflow/../v1/me",
        "/agentflow/%2e%2e/v1/me",
    ] {
        let answer = person.get(path).await;
        assert_eq!(
            (answer.status, answer.code().to_lowercase().as_str()),
            (400, "bad_path"),
            "{path}: {answer:?}"
        );
    }
    for path in
        ["/v1/me/", "/V1/me", "/v1/threads/;x=1", "/.env", &format!("/v1/threads/{}", "a".repeat(2000))]
    {
        assert_eq!(person.get(path).await.status, 404, "{path}");
    }
    assert_alive(&house).await;
}

#[tokio::test]
async fn bodies_are_strict() {
    let house = House::new().await;
    let person = house.person("writer").await;
    let deep = format!(r#"{{"metadata":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    let cases: &[(&str, &str, &[u8], u16, &str)] = &[
        ("not JSON", "application/json", b"{", 400, "bad_json"),
        ("two values", "application/json", b"{} {}", 400, "bad_json"),
        ("duplicate member", "application/json", br#"{"name":"a","name":"b"}"#, 400, "bad_json"),
        ("escaped duplicate", "application/json", br#"{"name":"a","\u006eame":"b"}"#, 400, "bad_json"),
        ("unknown member", "application/json", br#"{"owner":"me"}"#, 400, "bad_json"),
        ("wrong type", "application/json", br#"{"name":7}"#, 400, "bad_json"),
        ("not UTF-8", "application/json", b"{\"name\":\"\xff\"}", 400, "bad_json"),
        ("lone surrogate", "application/json", br#"{"name":"\ud800"}"#, 400, "bad_json"),
        ("too deep", "application/json", deep.as_bytes(), 400, "bad_json"),
        ("too large", "application/json", long.as_bytes(), 413, "too_large"),
        ("array", "application/json", b"[]", 400, "bad_json"),
        ("form", "application/x-www-form-urlencoded", b"name=a", 415, "unsupported_media_type"),
        ("text", "text/plain", b"{}", 415, "unsupported_media_type"),
        ("UTF-16", "application/json; charset=utf-16", b"{}", 415, "unsupported_media_type"),
    ];
    for (name, media, body, status, code) in cases {
        let answer = person.send("POST", "/v1/threads", &[("Content-Type", media)], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{name}: {answer:?}");
    }
    let compressed = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    assert_eq!(person.send("POST", "/v1/threads", &compressed, b"\x1f\x8b").await.status, 415);
    let token = person.token.clone().unwrap_or_default();
    let broken = format!(
        "POST /v1/threads HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}x\r\n0\r\n\r\n"
    );
    assert_refused(&raw(house.address, broken.as_bytes()).await, "broken chunk");
    assert_eq!(person.get("/v1/threads").await.json()["threads"], json!([]), "nothing was made");
    assert_alive(&house).await;
}

#[tokio::test]
async fn credentials_that_contradict_or_cannot_be_read_are_refused() {
    let house = House::new().await;
    let person = house.person("holder").await;
    let token = person.token.clone().unwrap_or_default();
    let bearer = format!("Bearer {token}");
    let long = format!("Bearer {}", "x".repeat(9_000));
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Headers<'_>, u16)] = &[
        ("two tokens", &[("Authorization", &bearer), ("Authorization", "Bearer other")], 400),
        ("one token twice", &[("Authorization", &bearer), ("Authorization", &bearer)], 400),
        ("token and key", &[("Authorization", &bearer), ("X-API-Key", "dw_other")], 400),
        ("two keys", &[("X-API-Key", "a"), ("X-API-Key", "b")], 400),
        ("not ASCII", &[("Authorization", "Bearer \u{e9}")], 400),
        ("no scheme", &[("Authorization", &token)], 401),
        ("scheme only", &[("Authorization", "Bearer")], 401),
        ("empty", &[("Authorization", "")], 401),
        ("basic", &[("Authorization", "Basic YTpi")], 401),
        ("nine KiB", &[("Authorization", &long)], 401),
        ("dots", &[("Authorization", "Bearer ...")], 401),
        ("empty key", &[("X-API-Key", "")], 401),
        ("quoted", &[("Authorization", &format!("Bearer \"{token}\""))], 401),
    ];
    for (name, headers, status) in cases {
        let answer = raw(house.address, &request("GET", "/v1/me", headers, b"")).await;
        assert!(answer.status == *status || answer.status == 429, "{name}: {answer:?}");
        assert_refused(&answer, name);
        assert!(!answer.text().contains(&token), "{name}: the credential is echoed");
    }
    assert_eq!(person.get("/v1/me").await.status, 200, "a valid credential is never refused");
}

#[tokio::test]
async fn only_declared_methods_and_routes_exist() {
    let house = House::new().await;
    let person = house.person("explorer").await;
    for method in ["DELETE", "PUT", "TRACE", "PROPFIND", "FROBNICATE"] {
        let answer = person.send(method, "/v1/threads", &[], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert_eq!(answer.header("allow"), Some("POST, GET, HEAD, OPTIONS"), "{method}");
    }
    let options = person.send("OPTIONS", "/v1/threads", &[], b"").await;
    assert_eq!((options.status, options.header("allow")), (204, Some("POST, GET, HEAD, OPTIONS")));
    let head = person.send("HEAD", "/v1/threads", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").is_some_and(|length| length != "0"));
    for path in ["/", "/v1", "/v1/unheard-of", "/metrics", "/agentflow", "/agentflow/v1/store/memories"] {
        assert_eq!(person.get(path).await.status, 404, "{path}");
    }
    assert_eq!(person.get("/agentflow/nothing").await.json()["error"]["code"], "RESOURCE_NOT_FOUND");
    assert_eq!(person.get("/nothing").await.code(), "no_route");
}

#[tokio::test]
async fn no_byte_in_any_place_is_answered_without_a_code() {
    let house = House::new().await;
    for byte in 0..=255u8 {
        for (place, before, after) in [
            ("method", "GE", "T /v1/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("path", "GET /v1/me", "x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("query", "GET /v1/me?a=", "x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("version", "GET /v1/me HTTP/1.", "1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("name", "GET /v1/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX", "y: z\r\n\r\n"),
            ("value", "GET /v1/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: y", "z\r\n\r\n"),
            ("host", "GET /v1/me HTTP/1.1\r\nConnection: close\r\nHost: a", "b\r\n\r\n"),
        ] {
            let bytes = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            assert_refused(&raw(house.address, &bytes).await, &format!("{byte:#04x} in the {place}"));
        }
    }
    assert_alive(&house).await;
}

/// Reads one answer off the connection: its head and as much body as it says.
async fn one_answer(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<String> {
    let mut chunk = [0; 8192];
    loop {
        if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let whole = end + 4 + length.unwrap_or(0);
            if held.len() >= whole {
                held.drain(..whole);
                return Some(head);
            }
        }
        match stream.read(&mut chunk).await {
            Ok(bytes @ 1..) => held.extend_from_slice(&chunk[..bytes]),
            _ => return None,
        }
    }
}

#[tokio::test]
async fn a_small_body_that_comes_after_its_refusal_costs_no_connection() {
    let house = House::new().await;
    for (more, bytes, goes_on) in [
        ("", 5, true),
        ("", 64 << 10, true),
        // Beyond what is worth waiting for, and what nobody has sent yet.
        ("", (64 << 10) + 1, false),
        ("expect: 100-continue\r\n", 5, false),
    ] {
        let mut stream = TcpStream::connect(house.address).await.expect("connects");
        let head = format!(
            "POST //twice HTTP/1.1\r\nhost: {}\r\n{more}content-length: {bytes}\r\n\r\n",
            house.address
        );
        stream.write_all(head.as_bytes()).await.expect("writes");
        let mut held = Vec::new();
        let refused = one_answer(&mut stream, &mut held).await.expect("a refusal");
        assert!(refused.starts_with("http/1.1 400"), "{refused}");
        let _ = stream.write_all(&vec![b'x'; bytes]).await;
        let next = format!("GET /.well-known/jwks.json HTTP/1.1\r\nhost: {}\r\n\r\n", house.address);
        let _ = stream.write_all(next.as_bytes()).await;
        let answered = one_answer(&mut stream, &mut held).await;
        let good = answered.as_deref().is_some_and(|head| head.starts_with("http/1.1 200"));
        assert_eq!(good, goes_on, "{bytes} {more:?} {answered:?}");
    }
}
