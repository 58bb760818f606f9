//! The gateway, judged by what a recording upstream received.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::house::House;
use crate::wire::{Actor, raw};

/// A request as it arrived upstream: every byte of it.
#[derive(Debug, Clone)]
struct Seen {
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

type Reply = Arc<dyn Fn(&Seen) -> Vec<u8> + Send + Sync>;

struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

fn ok(value: &Value) -> Vec<u8> {
    let body = value.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// An envelope for any route.
fn plausible(seen: &Seen) -> Vec<u8> {
    let thread = seen.json()["config"]["thread_id"].clone();
    let data = if seen.line().starts_with("GET /v1/threads ") || seen.line().starts_with("GET /v1/threads?") {
        json!({"threads": [{"thread_id": "stray"}]})
    } else {
        json!({"messages": [{"role": "assistant", "content": "heard"}], "meta": {"thread_id": thread}})
    };
    ok(&json!({"data": data, "metadata": {}}))
}

impl Upstream {
    async fn new() -> Self {
        Self::answering(Arc::new(plausible)).await
    }

    async fn answering(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let taken = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&taken), Arc::clone(&reply)));
            }
        });
        Self { address, seen }
    }

    fn taken(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock())
    }
}

async fn answer(mut stream: TcpStream, taken: Arc<Mutex<Vec<Seen>>>, reply: Reply) {
    let mut all = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..end]).into_owned();
            let seen = Seen { head, body: all[end + 4..].to_vec() };
            let length = seen.all("content-length").first().and_then(|text| text.parse().ok()).unwrap_or(0);
            if seen.body.len() >= length {
                taken.lock().push(seen.clone());
                let _ = stream.write_all(&reply(&seen)).await;
                return;
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => all.extend_from_slice(&chunk[..bytes]),
        }
    }
}

fn said(text: &str, thread: Option<&str>) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]});
    if let Some(id) = thread {
        body["config"] = json!({"thread_id": id});
    }
    body
}

async fn fresh(actor: &Actor) -> String {
    actor.send("POST", "/threads", &[], b"").await.json()["thread_id"]
        .as_str()
        .map(str::to_owned)
        .unwrap_or_default()
}

#[tokio::test]
async fn a_request_is_rebuilt_and_says_who_asks() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let alice = house.visitor("alice");
    let forged = [
        ("X-Forwarded-User", "mallory"),
        ("X_Forwarded_User", "mallory"),
        ("X-Doorward-Principal", "mallory"),
        ("x-doorward_roles", "mallory"),
        ("X-User-Id", "mallory"),
        ("Remote-User", "mallory"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
        ("X-Original-URL", "/elsewhere"),
        ("Cookie", "session=secret"),
        ("Connection", "X-Forwarded-User"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
    ];
    assert_eq!(alice.send("GET", "/v1/graph", &forged, b"").await.status, 200);
    let seen = upstream.taken().remove(0);
    assert_eq!(seen.line(), "GET /v1/graph HTTP/1.1");
    for absent in
        ["mallory", "203.0.113.9", "elsewhere", "secret", "trailers", "h2c", "authorization", "Bearer"]
    {
        assert!(!seen.head.contains(absent), "{absent}: {}", seen.head);
    }
    assert_eq!(seen.all("x-forwarded-user"), ["alice"]);
    assert_eq!(seen.all("x-doorward-principal"), ["agentflow|alice"]);
    assert_eq!(seen.all("host"), [upstream.address.to_string()]);
    assert!(seen.body.is_empty());
}

#[tokio::test]
async fn what_the_upstream_says_about_itself_stays_there() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let answer = house.visitor("alice").get("/v1/graph").await;
    assert_eq!(
        (answer.header("set-cookie"), answer.header("content-type")),
        (None, Some("application/json"))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn refused_requests_never_reach_the_upstream() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let alice = house.visitor("alice");
    let json_type = [("Content-Type", "application/json")];
    for (name, answer, status) in [
        ("nobody", house.stranger().get("/v1/graph").await, 401),
        ("unknown thread", alice.get("/v1/threads/not-mine").await, 404),
        ("undeclared route", alice.get("/openapi.json").await, 404),
        ("undeclared store", alice.get("/v1/store/memories").await, 404),
        ("broken body", alice.send("POST", "/v1/graph/invoke", &json_type, b"{broken").await, 400),
        (
            "duplicate id",
            alice
                .send(
                    "POST",
                    "/v1/graph/invoke",
                    &json_type,
                    br#"{"config":{"thread_id":"a","thread_id":"b"}}"#,
                )
                .await,
            400,
        ),
        ("spaced id", alice.post("/v1/graph/invoke", &said("x", Some(" a"))).await, 400),
        (
            "id of another type",
            alice.post("/v1/graph/invoke", &json!({"config": {"thread_id": 42}})).await,
            400,
        ),
        (
            "two ids",
            alice.post("/v1/graph/invoke", &json!({"thread_id": "a", "config": {"thread_id": "b"}})).await,
            400,
        ),
        (
            "id elsewhere in the body",
            alice.json("PUT", "/v1/threads/a/state", &json!({"thread_id": "b"})).await,
            400,
        ),
        ("no id to stop", alice.post("/v1/graph/stop", &json!({})).await, 400),
        ("body on a read", alice.send("GET", "/v1/graph", &json_type, b"{}").await, 400),
        ("walked path", alice.get("/v1/graph/../threads").await, 400),
        (
            "compressed",
            alice.send("POST", "/v1/graph/invoke", &[("Content-Encoding", "gzip")], b"\x1f\x8b").await,
            415,
        ),
    ] {
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    assert!(upstream.taken().is_empty());
}

#[tokio::test]
async fn ambiguous_messages_never_become_two() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let token = house.visitor("alice").token.unwrap_or_default();
    let hidden = "GET /v1/graph/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for (name, lengths) in [
        ("both lengths", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("list", "Content-Length: 5, 6\r\n"),
        ("spaced name", "Content-Length : 5\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked, chunked\r\n"),
        ("not last", "Transfer-Encoding: chunked, identity\r\n"),
        ("unknown", "Transfer-Encoding: xchunked\r\n"),
        ("folded", "Transfer-Encoding:\r\n chunked\r\n"),
        ("line feed", "X: y\nTransfer-Encoding: chunked\r\n"),
    ] {
        let message = format!(
            "POST /agentflow/v1/graph/invoke HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{lengths}\r\n0\r\n\r\n{hidden}"
        );
        let answer = raw(house.address, message.as_bytes()).await;
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
    assert!(upstream.taken().is_empty());
}

#[tokio::test]
async fn the_first_to_name_a_thread_owns_it() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let (alice, bob) = (house.visitor("alice"), house.visitor("bob"));
    assert_eq!(alice.post("/v1/graph/invoke", &said("hi", Some("mine"))).await.status, 200);
    assert_eq!(bob.post("/v1/graph/invoke", &said("hi", Some("mine"))).await.status, 404);
    assert_eq!(alice.get("/v1/threads/mine").await.status, 200);
    assert_eq!(bob.get("/v1/threads/mine").await.status, 404);
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..8 {
        let racer = house.visitor(&format!("racer-{n}"));
        racing.spawn(async move { racer.post("/v1/graph/invoke", &said("me", Some("raced"))).await.status });
    }
    let mut statuses = racing.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
}

#[tokio::test]
async fn a_run_without_a_thread_gets_one_of_its_callers() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let (alice, bob) = (house.visitor("alice"), house.visitor("bob"));
    let mut body = said("hi", None);
    body["config"] = json!({"user_id": "mallory", "authz": {}, "_node": 1, "own": 1});
    let made = alice.post("/v1/graph/invoke", &body).await.json();
    let thread = made["data"]["meta"]["thread_id"].as_str().map(str::to_owned).unwrap_or_default();
    assert_eq!(upstream.taken()[0].json()["config"], json!({"own": 1, "thread_id": thread}));
    assert_eq!(alice.get(&format!("/v1/threads/{thread}")).await.status, 200);
    assert_eq!(bob.get(&format!("/v1/threads/{thread}")).await.status, 404);
}

#[tokio::test]
async fn lists_hold_the_callers_threads_only() {
    let upstream = Upstream::answering(Arc::new(|seen| match seen.line().contains("/v1/threads") {
        true => ok(&json!({"data": {"threads": [{"thread_id": "stray"}, {"thread_id": "bobs", "a": 1}]}, "metadata": {}})),
        false => plausible(seen),
    }))
    .await;
    let house = House::before(upstream.address).await;
    let (alice, bob) = (house.visitor("alice"), house.visitor("bob"));
    bob.post("/v1/graph/invoke", &said("hi", Some("bobs"))).await;
    let unused = fresh(&alice).await;
    assert_eq!(alice.get("/v1/threads").await.json()["data"]["threads"], json!([{"thread_id": unused}]));
    assert_eq!(alice.get("/threads").await.json()["threads"], json!([{"thread_id": unused}]));
    assert_eq!(
        bob.get("/v1/threads").await.json()["data"]["threads"],
        json!([{"thread_id": "bobs", "a": 1}])
    );
}

#[tokio::test]
async fn a_list_that_cannot_be_filtered_is_not_shown() {
    for shape in [
        json!(["stray"]),
        json!({"data": "stray"}),
        json!({"data": {"threads": {"id": "stray"}}}),
        json!({"data": {"threads": ["stray"]}}),
    ] {
        let said = shape.clone();
        let upstream = Upstream::answering(Arc::new(move |_| ok(&said))).await;
        let house = House::before(upstream.address).await;
        let answer = house.visitor("alice").get("/v1/threads").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "UPSTREAM_INVALID"), "{shape}");
        assert!(!answer.text().contains("stray"));
    }
}

#[tokio::test]
async fn the_documents_routes_are_made_of_the_servers() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let alice = house.visitor("alice");
    let thread = fresh(&alice).await;
    let answer = alice.post(&format!("/threads/{thread}/messages"), &json!({"content": "Hello"})).await;
    assert_eq!((answer.status, answer.json()["content"].as_str()), (200, Some("heard")), "{answer:?}");
    let seen = upstream.taken().remove(0);
    assert_eq!(seen.line(), "POST /v1/graph/invoke HTTP/1.1");
    assert_eq!(seen.json(), said("Hello", Some(&thread)));
    assert_eq!(alice.get(&format!("/threads/{thread}")).await.json()["thread_id"], json!(thread));
    assert_eq!(alice.get(&format!("/threads/{thread}/messages")).await.json()["thread_id"], json!(thread));
    assert_eq!(alice.delete(&format!("/threads/{thread}")).await.status, 200);
    assert_eq!(
        upstream.taken().last().map(|seen| seen.line().to_owned()),
        Some(format!("DELETE /v1/threads/{thread} HTTP/1.1"))
    );
    assert_eq!(alice.get(&format!("/threads/{thread}")).await.status, 404, "nobody's after that");
    let again = alice.post("/v1/graph/invoke", &said("again", Some(&thread))).await;
    assert_eq!(again.status, 404, "and nobody's to claim");
    let none =
        house.visitor("bob").post(&format!("/threads/{thread}/messages"), &json!({"content": "x"})).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_claim_does_not_outlive_a_failure() {
    let failing = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&failing);
    let upstream = Upstream::answering(Arc::new(move |seen| {
        match broken.load(Ordering::SeqCst) && seen.line().starts_with("POST") {
            true => b"HTTP/1.1 500 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno".to_vec(),
            false => plausible(seen),
        }
    }))
    .await;
    let house = House::before(upstream.address).await;
    let (alice, bob) = (house.visitor("alice"), house.visitor("bob"));
    assert_eq!(alice.post("/v1/graph/invoke", &said("hi", Some("contested"))).await.status, 500);
    failing.store(false, Ordering::SeqCst);
    assert_eq!(bob.post("/v1/graph/invoke", &said("hi", Some("contested"))).await.status, 200);
    assert_eq!(alice.get("/v1/threads/contested").await.status, 404);
}

#[tokio::test]
async fn an_upstream_that_lies_or_is_away_is_a_502() {
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; 1 << 20], b"\r\n\r\n"].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no HTTP", b"nonsense\r\n\r\n".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!".to_vec()),
        ("negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_vec()),
        ("strange status", b"HTTP/1.1 999999 OK\r\n\r\n".to_vec()),
        ("endless head", endless),
        (
            "upgrade",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec(),
        ),
        (
            "redirect",
            b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
    ];
    for (name, reply) in cases {
        let upstream = Upstream::answering(Arc::new(move |_| reply.clone())).await;
        let house = House::before(upstream.address).await;
        let answer = house.visitor("alice").get("/v1/graph").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "UPSTREAM_INVALID"), "{name}: {answer:?}");
        assert!(!answer.text().contains(&upstream.address.to_string()), "{name}");
    }
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        listener.local_addr().expect("bound")
    };
    let answer = House::before(away).await.visitor("alice").get("/v1/graph").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "UPSTREAM_UNREACHABLE"), "{answer:?}");
}

#[tokio::test]
async fn a_stream_passes_as_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let go = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&go);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("asked");
        let mut chunk = [0; 65536];
        let _ = stream.read(&mut chunk).await;
        let head =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.expect("sent");
        stream.write_all(b"6\r\nfirst\n\r\n").await.expect("sent");
        gate.notified().await;
        stream.write_all(b"7\r\nsecond\n\r\n0\r\n\r\n").await.expect("sent");
    });
    let house = House::before(address).await;
    let token = house.visitor("alice").token.unwrap_or_default();
    let body = said("hi", None).to_string();
    let request = format!(
        "POST /agentflow/v1/graph/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(house.address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&all).contains("first\n") {
        let bytes = stream.read(&mut chunk).await.expect("reads");
        assert_ne!(bytes, 0, "the first part comes before the second exists");
        all.extend_from_slice(&chunk[..bytes]);
    }
    go.notify_one();
    stream.read_to_end(&mut all).await.expect("reads");
    let answer = crate::wire::parse(&all);
    assert_eq!((answer.status, answer.text().as_str()), (200, "first\nsecond\n"));
}

/// An upstream that says `first` and then nothing more, and a caller who has heard it.
async fn begun_stream(ttl_s: Option<i64>) -> (House, TcpStream, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("asked");
        let mut chunk = [0; 65536];
        let _ = stream.read(&mut chunk).await;
        let head =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.expect("sent");
        stream.write_all(b"6\r\nfirst\n\r\n").await.expect("sent");
        // Says nothing more, and notices when nobody listens any longer.
        let _ = stream.read(&mut chunk).await;
    });
    let house = House::before(address).await;
    let token = house.visitor_with("alice", ttl_s).token.unwrap_or_default();
    let body = said("hi", None).to_string();
    let request = format!(
        "POST /agentflow/v1/graph/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(house.address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&all).contains("first\n") {
        let bytes = stream.read(&mut chunk).await.expect("reads");
        assert_ne!(bytes, 0, "the stream has begun");
        all.extend_from_slice(&chunk[..bytes]);
    }
    (house, stream, all)
}

async fn is_cut(mut stream: TcpStream, mut all: Vec<u8>) {
    let ending = stream.read_to_end(&mut all);
    let _ =
        tokio::time::timeout(std::time::Duration::from_secs(10), ending).await.expect("the stream is ended");
    assert!(!String::from_utf8_lossy(&all).ends_with("0\r\n\r\n"), "and not as if it were whole");
}

#[tokio::test]
async fn revocation_ends_a_stream_that_passes() {
    let (house, stream, heard) = begun_stream(None).await;
    let admin = house.admin().await;
    assert_eq!(admin.post("/v1/tokens/revoke", &json!({"principal": "agentflow|alice"})).await.status, 204);
    is_cut(stream, heard).await;
}

#[tokio::test]
async fn a_stream_that_passes_ends_when_the_callers_token_does() {
    let (_house, stream, heard) = begun_stream(Some(1)).await;
    is_cut(stream, heard).await;
}

#[tokio::test]
async fn what_stands_upstream_already_cannot_be_claimed() {
    let upstream =
        Upstream::answering(Arc::new(|seen| match seen.line().starts_with("GET /v1/threads/str%20ay ") {
            true => {
                ok(&json!({"data": {"thread_data": {"thread": {"thread_id": "str ay"}}}, "metadata": {}}))
            }
            false => plausible(seen),
        }))
        .await;
    let house = House::before(upstream.address).await;
    let alice = house.visitor("alice");
    assert_eq!(alice.post("/v1/graph/invoke", &said("hi", Some("str ay"))).await.status, 404);
    assert_eq!(alice.get("/v1/threads/str%20ay").await.status, 404, "and no claim is left");
    assert!(upstream.taken().iter().all(|seen| !seen.line().starts_with("POST")), "nothing ran in it");
    assert_eq!(alice.post("/v1/graph/invoke", &said("hi", Some("new"))).await.status, 200);
}

#[tokio::test]
async fn nobody_reads_what_stands_upstream_while_it_is_being_asked_for() {
    let upstream =
        Upstream::answering(Arc::new(|seen| match seen.line().starts_with("GET /v1/threads/old ") {
            true => ok(&json!({"data": {"thread_data": {"thread": {"thread_id": "old"}}}, "metadata": {}})),
            false => plausible(seen),
        }))
        .await;
    let house = House::before(upstream.address).await;
    let alice = house.visitor("alice");
    let body = said("hi", Some("old"));
    for round in 0..20 {
        let (first, second, read, again) = tokio::join!(
            alice.post("/v1/graph/invoke", &body),
            alice.post("/v1/graph/invoke", &body),
            alice.get("/v1/threads/old/messages"),
            alice.get("/v1/threads/old"),
        );
        let statuses = [first.status, second.status, read.status, again.status];
        assert_eq!(statuses, [404; 4], "round {round}");
    }
    assert!(
        upstream.taken().iter().all(|seen| seen.line().starts_with("GET /v1/threads/old ")),
        "only asked"
    );
}

#[tokio::test]
async fn asking_the_upstream_carries_nothing_a_client_could_bend_the_answer_with() {
    let upstream = Upstream::new().await;
    let house = House::before(upstream.address).await;
    let headers = [("Range", "bytes=1-6"), ("If-None-Match", "*"), ("Content-Type", "application/json")];
    let body = said("hi", Some("new")).to_string();
    let alice = house.visitor("alice");
    assert_eq!(alice.send("POST", "/v1/graph/invoke", &headers, body.as_bytes()).await.status, 200);
    let asked = upstream.taken().remove(0);
    assert!(asked.line().starts_with("GET /v1/threads/new "), "{}", asked.line());
    assert!(asked.all("range").is_empty() && asked.all("if-none-match").is_empty(), "{}", asked.head);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_a_502_on_the_documents_routes_too() {
    let odd = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&odd);
    let upstream = Upstream::answering(Arc::new(move |seen| match told.load(Ordering::Relaxed) {
        true => ok(&json!({"data": "text"})),
        false => plausible(seen),
    }))
    .await;
    let house = House::before(upstream.address).await;
    let alice = house.visitor("alice");
    let thread = fresh(&alice).await;
    odd.store(true, Ordering::Relaxed);
    for (method, path) in [
        ("GET", format!("/threads/{thread}")),
        ("GET", format!("/threads/{thread}/messages")),
        ("POST", format!("/threads/{thread}/messages")),
        ("GET", "/threads".to_owned()),
    ] {
        let body = if method == "POST" { json!({"content": "x"}).to_string() } else { String::new() };
        let headers: &[(&str, &str)] =
            if method == "POST" { &[("Content-Type", "application/json")] } else { &[] };
        let answer = alice.send(method, &path, headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "UPSTREAM_INVALID"), "{method} {path}");
    }
}

/// An upstream that hangs up on the first `times` requests it reads.
async fn moody(times: usize) -> Upstream {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let reply = move |seen: &Seen| match asked.fetch_add(1, Ordering::SeqCst) {
        n if n < times => Vec::new(),
        _ => plausible(seen),
    };
    Upstream::answering(Arc::new(reply)).await
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again_once_and_nothing_else_is() {
    let upstream = moody(1).await;
    let house = House::before(upstream.address).await;
    assert_eq!(house.visitor("alice").get("/v1/graph").await.status, 200);
    assert_eq!(upstream.taken().len(), 2, "asked again");
    let upstream = moody(1).await;
    let house = House::before(upstream.address).await;
    let answer = house.visitor("alice").post("/v1/graph/invoke", &said("hi", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "UPSTREAM_INVALID"), "{answer:?}");
    assert_eq!(upstream.taken().len(), 1, "a run is never begun twice");
}

#[tokio::test]
async fn an_agent_server_that_is_away_is_not_asked_for_a_while() {
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        listener.local_addr().expect("bound")
    };
    let house = House::before(away).await;
    let alice = house.visitor("alice");
    for _ in 0..5 {
        let answer = alice.get("/v1/graph").await;
        assert_eq!((answer.status, answer.header("retry-after")), (502, None), "{answer:?}");
    }
    let answer = alice.get("/v1/graph").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "UPSTREAM_UNREACHABLE"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("5"), "{answer:?}");
    assert_eq!(house.nobody().get("/.well-known/jwks.json").await.status, 200, "the rest goes on");
}

/// An upstream that keeps its connections, and notes for each request on which one it came and how many came there before.
async fn keeping(reply: fn(usize) -> &'static str) -> (SocketAddr, Arc<Mutex<Vec<(usize, usize)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let seen: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let (noted, connection) = (Arc::clone(&noted), connections);
            connections += 1;
            tokio::spawn(async move {
                let (mut all, mut before) = (Vec::new(), 0);
                let mut chunk = [0; 65536];
                while let Ok(bytes @ 1..) = stream.read(&mut chunk).await {
                    all.extend_from_slice(&chunk[..bytes]);
                    // Requests without a body alone come here.
                    while let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
                        all.drain(..end + 4);
                        noted.lock().push((connection, before));
                        before += 1;
                        let said = reply(before);
                        let head = format!(
                            "HTTP/1.1 {said}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
                        );
                        let _ = stream.write_all(head.as_bytes()).await;
                    }
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_connection_that_brought_an_error_of_the_upstreams_carries_nothing_more() {
    for (reply, reused) in [
        ((|_| "200 OK") as fn(usize) -> &'static str, true),
        (|_| "500 Internal Server Error", false),
        (|_| "503 Service Unavailable", false),
    ] {
        let (address, seen) = keeping(reply).await;
        let house = House::before(address).await;
        let alice = house.visitor("alice");
        for _ in 0..5 {
            alice.get("/v1/graph").await;
        }
        let seen = seen.lock().clone();
        assert_eq!(seen.iter().any(|(_, before)| *before > 0), reused, "{} {seen:?}", reply(1));
    }
}
