//! WebSockets through the gateway, judged by what an echoing upstream received.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::authz::Target;
use doorward_core::limits::rules::{By, LimitRule};
use doorward_core::tokens::model::Revoked;
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::house::{House, Plan};
use crate::wire::{Actor, raw, request};

const PATIENCE: Duration = Duration::from_secs(10);

/// What the upstream saw.
#[derive(Clone, Default)]
struct Seen {
    heads: Arc<Mutex<Vec<String>>>,
    messages: Arc<Mutex<Vec<String>>>,
    probes: Arc<Mutex<usize>>,
}

struct Noting(Seen);

impl Callback for Noting {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let mut head = format!("{}\n", request.uri());
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\n", value.to_str().unwrap_or("?")));
        }
        self.0.heads.lock().push(head);
        Ok(response)
    }
}

/// An upstream that says everything twice: once as it came and once with a mark. `bye` makes it leave.
async fn echo() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let notes = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, notes.clone()));
        }
    });
    (address, seen)
}

async fn serve(stream: TcpStream, seen: Seen) {
    let mut peeked = [0; 15];
    let length = stream.peek(&mut peeked).await.unwrap_or(0);
    if peeked[..length].starts_with(b"GET /v1/threads") {
        // The question whether a thread exists: it never does.
        *seen.probes.lock() += 1;
        let body = br#"{"data":{"thread_data":{"thread":null}}}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let mut stream = stream;
        let mut sink = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut sink).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &[head.as_bytes(), body].concat()).await;
        return;
    }
    let Ok(mut socket) = accept_hdr_async(stream, Noting(seen.clone())).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        seen.messages.lock().push(text.to_string());
        if text.contains("bye") {
            let _ = socket.close(None).await;
            return;
        }
        let _ = socket.send(Message::Text(text)).await;
        let _ = socket.send(Message::binary(&b"again"[..])).await;
    }
}

type Client = WebSocketStream<TcpStream>;

async fn connect(actor: &Actor, more: &[(&'static str, &str)]) -> Result<Client, Error> {
    let stream = TcpStream::connect(actor.address).await.expect("connects");
    let url = format!("ws://{}{}/v1/graph/ws", actor.address, actor.prefix);
    let mut request = url.into_client_request().expect("a request");
    if let Some(token) = &actor.token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    }
    for (name, value) in more {
        request.headers_mut().append(*name, value.parse().expect("a value"));
    }
    client_async(request, stream).await.map(|(client, _)| client)
}

async fn next(client: &mut Client) -> Message {
    tokio::time::timeout(PATIENCE, client.next())
        .await
        .expect("in time")
        .expect("a message")
        .expect("no error")
}

async fn close_of(client: &mut Client) -> (CloseCode, String) {
    loop {
        match next(client).await {
            Message::Close(Some(frame)) => return (frame.code, frame.reason.to_string()),
            Message::Close(None) => return (CloseCode::Status, String::new()),
            _ => {}
        }
    }
}

async fn say(client: &mut Client, message: &Value) {
    client.send(Message::text(message.to_string())).await.expect("sent");
}

async fn error_of(client: &mut Client) -> Value {
    let text = next(client).await.into_text().expect("a text");
    let chunk: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(chunk["event"], "error", "{chunk}");
    chunk["data"].clone()
}

#[tokio::test]
async fn messages_pass_with_a_thread_of_the_callers_and_the_upstream_learns_who_asks() {
    let (upstream, seen) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let mut socket =
        connect(&alice, &[("x-forwarded-user", "mallory"), ("cookie", "a=b")]).await.expect("opens");
    say(&mut socket, &json!({"messages": [], "config": {"user_id": "mallory", "own": 1}})).await;
    let text = next(&mut socket).await.into_text().expect("a text");
    let sent: Value = serde_json::from_str(&text).expect("JSON");
    let thread = sent["config"]["thread_id"].as_str().expect("an id was made up").to_owned();
    assert_eq!(sent, json!({"messages": [], "config": {"own": 1, "thread_id": thread}}));
    assert_eq!(next(&mut socket).await, Message::binary(&b"again"[..]));
    for word in ["new", "", " new "] {
        say(&mut socket, &json!({"config": {"thread_id": word}})).await;
        let text = next(&mut socket).await.into_text().expect("a text");
        let sent: Value = serde_json::from_str(&text).expect("JSON");
        assert!(
            sent["config"]["thread_id"].as_str().is_some_and(|id| id.len() == 36 && id != thread),
            "{sent}"
        );
        next(&mut socket).await;
    }
    let head = seen.heads.lock()[0].clone();
    assert!(head.starts_with("/v1/graph/ws\n"), "{head}");
    assert!(
        head.contains("x-forwarded-user: alice\n")
            && head.contains("x-doorward-principal: agentflow|alice\n")
    );
    for hidden in ["authorization", "cookie", "mallory", alice.token.as_deref().expect("a token")] {
        assert!(!head.contains(hidden), "{hidden}: {head}");
    }
}

#[tokio::test]
async fn a_thread_of_somebody_elses_is_refused_by_a_message_and_never_reaches_the_upstream() {
    let (upstream, seen) = echo().await;
    let house = House::before(upstream).await;
    let (alice, bob) = (house.visitor("alice"), house.visitor("bob"));
    let mut hers = connect(&alice, &[]).await.expect("opens");
    say(&mut hers, &json!({"config": {"thread_id": "t1"}})).await;
    next(&mut hers).await;
    let mut his = connect(&bob, &[]).await.expect("opens");
    for message in [
        json!({"config": {"thread_id": "t1"}}),
        json!({"thread_id": "t1"}),
        json!({"config": {"thread_id": "t2"}, "thread_id": "t1"}),
        json!({"config": {"thread_id": " t1"}}),
        json!({"config": {"thread_id": ["t1"]}}),
    ] {
        let before = seen.messages.lock().len();
        say(&mut his, &message).await;
        let error = error_of(&mut his).await;
        assert!(error["reason"].is_string() && error["code"].is_string(), "{error}");
        assert_eq!(seen.messages.lock().len(), before, "{message}");
    }
    his.send(Message::text("{\"config\":{},\"config\":{\"thread_id\":\"t1\"}}")).await.expect("sent");
    assert_eq!(error_of(&mut his).await["code"], "bad_json");
    his.send(Message::text("no JSON")).await.expect("sent");
    assert_eq!(error_of(&mut his).await["code"], "bad_json");
    say(&mut his, &json!({"config": {"thread_id": "t3"}})).await;
    assert!(matches!(next(&mut his).await, Message::Text(_)), "the connection goes on");
}

#[tokio::test]
async fn who_may_not_is_told_by_a_close_frame_and_the_upstream_hears_nothing() {
    let (upstream, seen) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let bad = Actor { token: Some("nonsense".into()), ..alice.clone() };
    let mut refused = connect(&bad, &[]).await.expect("agreed to");
    assert_eq!(close_of(&mut refused).await, (CloseCode::Policy, "token_invalid".to_owned()));
    let nobody = Actor { token: None, ..alice.clone() };
    let mut refused = connect(&nobody, &[]).await.expect("agreed to");
    assert_eq!(close_of(&mut refused).await, (CloseCode::Policy, "credentials_missing".to_owned()));
    assert!(seen.heads.lock().is_empty());
}

#[tokio::test]
async fn a_browser_puts_its_token_behind_the_subprotocol_and_only_on_a_websocket() {
    let (upstream, seen) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let token = alice.token.clone().expect("a token");
    let nobody = Actor { token: None, ..alice.clone() };
    let offered = format!("agentflow-bearer, {token}");
    let mut socket = connect(&nobody, &[("sec-websocket-protocol", &offered)]).await.expect("opens");
    say(&mut socket, &json!({})).await;
    assert!(matches!(next(&mut socket).await, Message::Text(_)));
    assert!(!seen.heads.lock()[0].contains(&token), "the token stays here");
    let twice = connect(&alice, &[("sec-websocket-protocol", "agentflow-bearer, other")]).await;
    let mut twice = twice.expect("agreed to");
    assert_eq!(close_of(&mut twice).await, (CloseCode::Policy, "bad_header".to_owned()));
    let plain = nobody.send("GET", "/v1/threads", &[("Sec-WebSocket-Protocol", &offered)], b"").await;
    assert_eq!(plain.status, 401, "on plain HTTP it is no token");
}

#[tokio::test]
async fn what_is_no_handshake_is_400_and_an_upstream_that_is_away_502() {
    let (upstream, _) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let key = ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
    let upgrade = ("Upgrade", "websocket");
    let version = ("Sec-WebSocket-Version", "13");
    for headers in [
        &[][..],
        &[upgrade],
        &[upgrade, key],
        &[upgrade, version],
        &[upgrade, ("Sec-WebSocket-Version", "8"), key],
        &[upgrade, version, ("Sec-WebSocket-Key", "short")],
        &[("Upgrade", "h2c"), version, key],
        &[upgrade, version, key, key],
        &[upgrade, version, key, ("Content-Length", "0")],
        &[upgrade, version, key, ("Transfer-Encoding", "chunked")],
        &[upgrade, version, key, ("Expect", "100-continue")],
    ] {
        let mut all = headers.to_vec();
        let bearer = format!("Bearer {}", alice.token.as_deref().expect("a token"));
        all.push(("Authorization", &bearer));
        let bytes = request("GET", "/agentflow/v1/graph/ws", &all, b"");
        let bytes = String::from_utf8(bytes)
            .expect("text")
            .replace("Connection: close", "Connection: upgrade, close");
        let answer = raw(house.address, bytes.as_bytes()).await;
        assert_eq!(answer.status, 400, "{headers:?}: {answer:?}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let house = House::before(gone).await;
    let away = connect(&house.visitor("alice"), &[]).await;
    assert!(matches!(away, Err(Error::Http(answer)) if answer.status() == 502));
}

#[tokio::test]
async fn revocation_closes_an_open_websocket_and_so_does_expiry() {
    let (upstream, _) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let mut socket = connect(&alice, &[]).await.expect("opens");
    let system = house.engine.system_call(&house.agentflow, "test");
    let revoked = Revoked::Principal("agentflow|alice".into());
    let permit = system.permit(Target::any()).expect("may");
    house.engine.tokens().revoke_any(permit, revoked).await.expect("revoked");
    assert_eq!(close_of(&mut socket).await, (CloseCode::Policy, "token_revoked".to_owned()));
    let mut socket = connect(&house.visitor_with("bob", Some(1)), &[]).await.expect("opens");
    assert_eq!(close_of(&mut socket).await.0, CloseCode::Policy);
}

#[tokio::test]
async fn each_message_counts_as_a_request_by_the_operators_limits() {
    let (upstream, seen) = echo().await;
    let limits = vec![LimitRule {
        name: "runs".into(),
        actions: vec!["graph:stream".into()],
        by: By::Account,
        requests: 3,
        window_s: 60,
    }];
    let house = House::with(Plan { upstream: Some(upstream), limits, ..Plan::default() }).await;
    let alice = house.visitor("alice");
    let mut socket = connect(&alice, &[]).await.expect("opens, which is one");
    for _ in 0..2 {
        say(&mut socket, &json!({})).await;
        next(&mut socket).await;
        next(&mut socket).await;
    }
    say(&mut socket, &json!({})).await;
    let error = error_of(&mut socket).await;
    assert_eq!(error["code"], "rate_limited");
    assert!(error["retry_after_seconds"].as_i64().is_some_and(|s| (1..=60).contains(&s)), "{error}");
    assert_eq!(seen.messages.lock().len(), 2);
    let mut refused = connect(&alice, &[]).await.expect("agreed to");
    assert_eq!(close_of(&mut refused).await, (CloseCode::Again, "rate_limited".to_owned()));
}

#[tokio::test]
async fn too_large_binary_or_broken_messages_end_it_with_their_code() {
    let (upstream, seen) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let mut binary = connect(&alice, &[]).await.expect("opens");
    binary.send(Message::binary(&b"x"[..])).await.expect("sent");
    assert_eq!(close_of(&mut binary).await.0, CloseCode::Unsupported);
    let mut large = connect(&alice, &[]).await.expect("opens");
    // The other side may have had enough before all of it is sent.
    let _ = large.send(Message::text("x".repeat((1 << 20) + 1))).await;
    assert_eq!(close_of(&mut large).await.0, CloseCode::Size);
    let mut unmasked = connect(&alice, &[]).await.expect("opens");
    tokio::io::AsyncWriteExt::write_all(unmasked.get_mut(), b"\x81\x02{}").await.expect("sent");
    assert_eq!(close_of(&mut unmasked).await.0, CloseCode::Protocol);
    assert!(seen.messages.lock().is_empty());
}

#[tokio::test]
async fn each_side_hears_of_the_others_end_and_of_the_servers() {
    let (upstream, _) = echo().await;
    let mut house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let mut left = connect(&alice, &[]).await.expect("opens");
    say(&mut left, &json!({"say": "bye"})).await;
    assert_eq!(close_of(&mut left).await.0, CloseCode::Normal);
    let mut open = connect(&alice, &[]).await.expect("opens");
    say(&mut open, &json!({})).await;
    next(&mut open).await;
    house.tell_to_stop();
    assert_eq!(close_of(&mut open).await.0, CloseCode::Away);
    house.stop().await;
}

#[tokio::test]
async fn another_sites_page_opens_no_socket_to_a_mount_that_is_open_to_everybody() {
    let (upstream, seen) = echo().await;
    let house = House::with(Plan { upstream: Some(upstream), open: true, ..Plan::default() }).await;
    let anybody = Actor { prefix: "/agentflow", ..house.nobody() };
    let mut program = connect(&anybody, &[]).await.expect("opens");
    say(&mut program, &json!({})).await;
    assert!(matches!(next(&mut program).await, Message::Text(_)), "a program says nothing of a page");
    let evil = ("origin", "https://evil.example");
    // A page can offer a token in the handshake; an open mount does not read it, so it proves nothing.
    let offers = ("sec-websocket-protocol", "agentflow-bearer, anything");
    for headers in [&[evil][..], &[("sec-fetch-site", "cross-site")], &[evil, offers]] {
        let mut page = connect(&anybody, headers).await.expect("agreed to");
        assert_eq!(close_of(&mut page).await, (CloseCode::Policy, "cross_site".to_owned()), "{headers:?}");
    }
    assert_eq!(seen.heads.lock().len(), 1);
    let elsewhere = [("Origin", "https://evil.example"), ("Content-Type", "application/json")];
    let form = anybody.send("POST", "/v1/graph/stop", &elsewhere, br#"{"thread_id":"t"}"#).await;
    assert_eq!((form.status, form.code().as_str()), (403, "PERMISSION_ERROR"), "{form:?}");
}

#[tokio::test]
async fn a_page_that_has_a_token_may_open_a_socket_from_anywhere() {
    let (upstream, _) = echo().await;
    let house = House::before(upstream).await;
    let alice = house.visitor("alice");
    let mut page = connect(&alice, &[("origin", "https://app.example")]).await.expect("opens");
    say(&mut page, &json!({})).await;
    assert!(matches!(next(&mut page).await, Message::Text(_)));
}
