//! The AgentFlow surface with the embedded agent server.

use doorward_server::{CountBy, RateLimit};
use serde_json::{Value, json};

use crate::house::{House, Plan};
use crate::wire::{Actor, Answer};

fn assert_refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!((body["error"]["code"].as_str(), body["detail"].as_str()), (Some(code), Some(detail)));
    assert_eq!(body["metadata"]["request_id"].as_str(), answer.header("x-request-id"));
    assert!(answer.header("x-timestamp").is_some());
    if status == 401 {
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"auth_required\""));
    }
}

fn said(text: &str, thread: Option<&str>) -> Value {
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": text}]}]);
    match thread {
        Some(id) => json!({"messages": messages, "config": {"thread_id": id}}),
        None => json!({"messages": messages}),
    }
}

async fn thread_of(actor: &Actor) -> String {
    let made = actor.send("POST", "/threads", &[("Content-Type", "application/json")], b"").await;
    assert_eq!(made.status, 200, "{made:?}");
    made.json()["thread_id"].as_str().map(str::to_owned).unwrap_or_default()
}

#[tokio::test]
async fn refusals_speak_to_both_readers() {
    let house = House::new().await;
    assert_refused(&house.stranger().get("/threads").await, 401, "REVOKED_TOKEN", "Not authenticated");
    let junk = Actor { token: Some("junk".into()), ..house.stranger() };
    assert_refused(&junk.get("/threads").await, 401, "INVALID_TOKEN", "Could not validate credentials");
    let broken = house
        .stranger()
        .send("POST", "/v1/graph/invoke", &[("Content-Type", "application/json")], b"{")
        .await;
    assert_refused(&broken, 401, "REVOKED_TOKEN", "Not authenticated");
    let alice = house.visitor("alice");
    assert_eq!(
        alice.send("POST", "/v1/graph/invoke", &[("Content-Type", "application/json")], b"{").await.status,
        400
    );
    assert_eq!(house.stranger().get("/ping").await.json()["data"], "pong");
    assert_eq!(junk.get("/v1/ping").await.json()["data"], "pong");
}

#[tokio::test]
async fn the_documents_routes_answer_at_the_top_level() {
    let house = House::new().await;
    let alice = house.visitor("alice");
    let thread = thread_of(&alice).await;
    let answer = alice.post(&format!("/threads/{thread}/messages"), &json!({"content": "Hello"})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (&answer.json()["thread_id"], &answer.json()["content"]),
        (&json!(thread), &json!("Echo: Hello"))
    );
    let messages = alice.get(&format!("/threads/{thread}/messages")).await.json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(alice.get("/threads").await.json()["threads"][0]["thread_id"], json!(thread));
    assert_eq!(alice.get(&format!("/threads/{thread}")).await.json()["user_id"], "alice");
    assert_eq!(alice.delete(&format!("/threads/{thread}")).await.status, 200);
    assert_eq!(alice.get(&format!("/threads/{thread}")).await.status, 404);
}

#[tokio::test]
async fn todays_routes_answer_in_an_envelope() {
    let house = House::new().await;
    let alice = house.visitor("alice");
    let made = alice.post("/v1/graph/invoke", &said("Hello", None)).await.json();
    assert_eq!(made["data"]["messages"][1]["content"][0]["text"], "Echo: Hello");
    assert_eq!(made["data"]["meta"]["is_new_thread"], true);
    let thread = made["data"]["meta"]["thread_id"].as_str().map(str::to_owned).unwrap_or_default();
    let stream = alice.post("/v1/graph/stream", &said("one two", Some(&thread))).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let lines: Vec<Value> =
        stream.text().lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let deltas: String = lines
        .iter()
        .filter(|line| line["message"]["delta"] == true)
        .filter_map(|line| line["message"]["content"][0]["text"].as_str())
        .collect();
    assert_eq!(deltas, "Echo: one two");
    let last = lines.last().cloned().unwrap_or_default();
    assert_eq!(
        (&last["message"]["content"][0]["text"], &last["thread_id"]),
        (&json!("Echo: one two"), &json!(thread))
    );
    let kept = alice.get(&format!("/v1/threads/{thread}/messages")).await.json();
    assert_eq!(kept["data"]["messages"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        kept["data"]["messages"][3]["message_id"], last["message"]["message_id"],
        "one id for the answer"
    );
    let state = json!({"config": {}, "state": {"context_summary": "short"}});
    assert_eq!(alice.json("PUT", &format!("/v1/threads/{thread}/state"), &state).await.status, 200);
    let state = alice.get(&format!("/v1/threads/{thread}/state")).await.json();
    assert_eq!(state["data"]["state"]["context_summary"], "short");
    let stopped = alice.post("/v1/graph/stop", &json!({"thread_id": thread})).await;
    assert_eq!(stopped.json()["data"]["running"], false, "{stopped:?}");
    assert_eq!(alice.get("/v1/threads?limit=1&offset=1").await.json()["data"]["threads"], json!([]));
    assert_eq!(alice.get("/v1/threads?limit=0").await.status, 400);
}

#[tokio::test]
async fn somebody_elses_thread_is_like_none() {
    let house = House::new().await;
    let (alice, bob) = (house.visitor("alice"), house.visitor("bob"));
    let thread = thread_of(&alice).await;
    alice.post(&format!("/threads/{thread}/messages"), &json!({"content": "secret"})).await;
    for id in [thread.as_str(), "thr_unknown"] {
        for (method, path, body) in [
            ("GET", format!("/threads/{id}"), None),
            ("GET", format!("/threads/{id}/messages"), None),
            ("POST", format!("/threads/{id}/messages"), Some(json!({"content": "x"}))),
            ("GET", format!("/v1/threads/{id}/state"), None),
            ("DELETE", format!("/v1/threads/{id}"), Some(json!({"config": {}}))),
            ("POST", "/v1/graph/invoke".to_owned(), Some(said("x", Some(id)))),
            ("POST", "/v1/graph/stream".to_owned(), Some(said("x", Some(id)))),
            ("POST", "/v1/graph/stop".to_owned(), Some(json!({"thread_id": id}))),
            ("POST", "/v1/graph/fix".to_owned(), Some(json!({"thread_id": id}))),
        ] {
            let answer = match body {
                None => bob.send(method, &path, &[], b"").await,
                Some(body) => bob.json(method, &path, &body).await,
            };
            assert_refused(&answer, 404, "RESOURCE_NOT_FOUND", "There is no such thing.");
        }
    }
    let own = thread_of(&bob).await;
    let disagreeing =
        json!({"messages": said("x", None)["messages"], "config": {"thread_id": own}, "thread_id": thread});
    assert_eq!(bob.post("/v1/graph/invoke", &disagreeing).await.status, 400);
    assert!(!bob.get("/v1/threads").await.text().contains(&thread));
    let messages = alice.get(&format!("/threads/{thread}/messages")).await.json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(2), "nothing happened to it");
}

#[tokio::test]
async fn auth_null_leaves_every_route_open() {
    let house = House::with(Plan { open: true, ..Plan::default() }).await;
    let anyone = house.stranger();
    let thread = thread_of(&anyone).await;
    assert_eq!(
        anyone.post(&format!("/threads/{thread}/messages"), &json!({"content": "Hi"})).await.status,
        200
    );
    assert_eq!(house.visitor("alice").get("/threads").await.status, 200);
}

#[tokio::test]
async fn the_rate_limit_block_is_kept() {
    let limit =
        RateLimit { requests: 2, window_s: 60, by: CountBy::Address, exclude_paths: vec!["/ping".into()] };
    let house = House::with(Plan { rate_limit: Some(limit), ..Plan::default() }).await;
    let alice = house.visitor("alice");
    let first = alice.get("/threads").await;
    assert_eq!(
        (first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")),
        (Some("2"), Some("1"))
    );
    assert_eq!(alice.get("/threads").await.status, 200);
    let third = alice.get("/threads").await;
    assert_refused(&third, 429, "RATE_LIMIT_EXCEEDED", "Too many requests");
    assert_eq!((third.header("retry-after"), third.header("x-ratelimit-remaining")), (Some("60"), Some("0")));
    assert_eq!(alice.get("/ping").await.status, 200, "excluded");
    assert_eq!(house.nobody().get("/.well-known/jwks.json").await.status, 200, "another mount");
}
