//! The native API: the main job by requests.

use serde_json::{Value, json};

use crate::house::{House, PASSWORD};
use crate::wire::Actor;

fn assert_problem(answer: &crate::wire::Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{answer:?}");
    assert_eq!(answer.json()["status"], status);
}

#[tokio::test]
async fn people_sign_up_log_in_and_reach_what_is_theirs() {
    let house = House::new().await;
    let alice = house.person("alice").await;
    let me = alice.get("/v1/me").await;
    assert_eq!((me.status, me.header("cache-control")), (200, Some("no-store")));
    assert_eq!(me.json()["username"], "alice");
    assert_problem(&house.nobody().get("/v1/me").await, 401, "credentials_missing");
    let thread = alice.post("/v1/threads", &json!({"name": "first"})).await;
    assert_eq!(thread.status, 201, "{thread:?}");
    let path = format!("/v1/threads/{}", thread.json()["id"].as_str().unwrap_or_default());
    let bob = house.person("bob").await;
    for (method, path, body) in [
        ("GET", path.clone(), json!(null)),
        ("PATCH", path.clone(), json!({"name": "mine now"})),
        ("DELETE", path.clone(), json!(null)),
        ("GET", format!("{path}/messages"), json!(null)),
        ("POST", format!("{path}/messages"), json!({"content": "intruder"})),
        ("POST", format!("{path}/runs"), json!({"messages": [{"content": "intruder"}]})),
    ] {
        let answer = if body.is_null() {
            bob.send(method, &path, &[], b"").await
        } else {
            bob.json(method, &path, &body).await
        };
        assert_problem(&answer, 404, "not_found");
    }
    assert_eq!(bob.get("/v1/threads").await.json()["threads"], json!([]));
    assert_eq!(alice.get(&path).await.json()["name"], "first");
}

#[tokio::test]
async fn a_form_gets_a_token_too_and_repetitions_are_refused() {
    let house = House::new().await;
    house.person("former").await;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("grant_type=password&username=former&password={}", PASSWORD.replace(' ', "+"));
    let granted = house.nobody().send("POST", "/v1/token", &form, body.as_bytes()).await;
    assert_eq!(granted.status, 200, "{granted:?}");
    assert_eq!(
        (granted.json()["token_type"].as_str(), granted.json()["expires_in"].as_i64()),
        (Some("Bearer"), Some(3600))
    );
    let twice =
        house.nobody().send("POST", "/v1/token", &form, format!("{body}&username=other").as_bytes()).await;
    assert_problem(&twice, 400, "bad_request");
    for (body, code) in [
        (json!({}), "bad_field"),
        (json!({"grant_type": "magic"}), "unsupported_grant_type"),
        (json!({"grant_type": "password", "username": "former"}), "bad_field"),
        (json!({"grant_type": "refresh_token", "refresh_token": 7}), "bad_json"),
    ] {
        assert_problem(&house.nobody().post("/v1/token", &body).await, 400, code);
    }
}

#[tokio::test]
async fn refresh_rotates_and_logging_out_ends_it() {
    let house = House::new().await;
    house.person("roamer").await;
    let login = json!({"grant_type": "password", "username": "roamer", "password": PASSWORD});
    let first = house.nobody().post("/v1/token", &login).await.json();
    let exchange = json!({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]});
    let second = house.nobody().post("/v1/token", &exchange).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_ne!(second.json()["refresh_token"], first["refresh_token"]);
    let token = second.json()["access_token"].as_str().map(str::to_owned);
    let roamer = Actor { token, ..house.nobody() };
    assert_eq!(roamer.send("POST", "/v1/logout", &[], b"").await.status, 204);
    assert_eq!(roamer.get("/v1/me").await.status, 401);
    let spent = json!({"grant_type": "refresh_token", "refresh_token": second.json()["refresh_token"]});
    assert_eq!(house.nobody().post("/v1/token", &spent).await.status, 401);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let house = House::new().await;
    let here = house.person("stayer").await;
    let there = house.login("stayer").await;
    let sessions = here.get("/v1/sessions").await.json();
    let sessions = sessions["sessions"].as_array().cloned().unwrap_or_default();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session["address"] == "127.0.0.1"), "{sessions:?}");
    let kept: Vec<&Value> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(kept.len(), 1);
    assert_problem(&here.delete("/v1/sessions?keep=some").await, 400, "bad_field");
    assert_eq!(here.delete("/v1/sessions?keep=current").await.json()["ended"], 1);
    assert_eq!((here.get("/v1/me").await.status, there.get("/v1/me").await.status), (200, 401));
    let stranger = house.person("stranger").await;
    let path = format!("/v1/sessions/{}", kept[0]["id"].as_str().unwrap_or_default());
    assert_problem(&stranger.delete(&path).await, 404, "not_found");
    assert_problem(&stranger.delete("/v1/sessions/ses_unknown").await, 404, "not_found");
    assert_problem(&house.nobody().delete(&path).await, 401, "credentials_missing");
    assert_eq!(here.delete(&path).await.status, 204);
    assert_eq!(here.get("/v1/me").await.status, 401);
}

#[tokio::test]
async fn keys_are_shown_once_limited_and_revoked() {
    let house = House::new().await;
    let owner = house.person("keeper").await;
    let new = |scopes: Value| json!({"name": "k", "scopes": scopes, "expires_in": 60});
    let made = owner.post("/v1/api-keys", &new(json!(["read"]))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json()["key"].as_str().map(str::to_owned).unwrap_or_default();
    let id = made.json()["id"].as_str().map(str::to_owned).unwrap_or_default();
    let listed = owner.get("/v1/api-keys").await;
    assert!(listed.text().contains(&id) && !listed.text().contains(&key));
    let reader = Actor { token: Some(key.clone()), ..house.nobody() };
    assert_eq!(reader.get("/v1/threads").await.status, 200);
    assert_problem(&reader.post("/v1/threads", &json!({})).await, 403, "scope_missing");
    let by_header = house.nobody().send("GET", "/v1/me", &[("X-API-Key", &key)], b"").await;
    assert_eq!(by_header.status, 200);
    assert_problem(
        &owner.post("/v1/api-keys", &json!({"name": "k", "scopes": ["*"]})).await,
        400,
        "bad_json",
    );
    let admin_key = json!({"name": "k", "kind": "admin", "scopes": ["*"], "expires_in": "never"});
    assert_eq!(owner.post("/v1/api-keys", &admin_key).await.status, 403);
    let other = house.person("other").await;
    assert_problem(&other.delete(&format!("/v1/api-keys/{id}")).await, 404, "not_found");
    assert_problem(&other.get("/v1/api-keys?all=true").await, 403, "forbidden");
    assert_eq!(owner.delete(&format!("/v1/api-keys/{id}")).await.status, 204);
    assert_problem(&reader.get("/v1/threads").await, 401, "api_key_revoked");
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let house = House::new().await;
    let admin = house.admin().await;
    let person = house.person("subject").await;
    let id = person.get("/v1/me").await.json()["id"].as_str().map(str::to_owned).unwrap_or_default();
    let account = format!("/v1/users/{id}");
    for (method, path) in
        [("GET", "/v1/users"), ("GET", "/v1/audit"), ("GET", "/v1/signing-keys"), ("PATCH", &account)]
    {
        let answer = person.send(method, path, &[], b"").await;
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
    assert_eq!(admin.get("/v1/users?limit=1").await.json()["users"].as_array().map(Vec::len), Some(1));
    let granted =
        admin.json("PATCH", &account, &json!({"roles": ["premium"], "admin_metadata": {"plan": 1}})).await;
    assert_eq!((granted.status, granted.json()["roles"].clone()), (200, json!(["premium"])));
    assert_problem(
        &admin.json("PATCH", &account, &json!({"roles": ["nobility"]})).await,
        400,
        "unknown_role",
    );
    assert_eq!(admin.json("PATCH", &account, &json!({"disabled": true})).await.status, 200);
    assert_eq!(person.get("/v1/me").await.status, 401);
    assert_eq!(admin.json("PATCH", &account, &json!({"disabled": false})).await.status, 200);
    let back = house.login("subject").await;
    assert_eq!(admin.post("/v1/tokens/revoke", &json!({"user_id": id})).await.status, 204);
    assert_eq!(back.get("/v1/me").await.status, 401);
    let both = json!({"user_id": id, "all": true});
    assert_problem(&admin.post("/v1/tokens/revoke", &both).await, 400, "bad_field");
    let entries = admin.get("/v1/audit?limit=200").await.json()["entries"].clone();
    let entries = entries.as_array().cloned().unwrap_or_default();
    assert!(entries.iter().any(|line| line["action"] == "token:revoke_any"), "{entries:?}");
    let issued = admin.post("/v1/tokens", &json!({"user_id": id, "expires_in": 60})).await;
    assert_eq!(issued.status, 201);
    assert!(
        issued.json()["expires_in"].as_i64().is_some_and(|s| (60..=62).contains(&s)),
        "{:?}",
        issued.json()
    );
    assert_eq!(admin.delete(&account).await.status, 204);
    assert_problem(&admin.get(&account).await, 404, "not_found");
    let ghost = admin.post("/v1/tokens", &json!({"user_id": id, "expires_in": 60})).await;
    assert_problem(&ghost, 404, "not_found");
}

#[tokio::test]
async fn keys_rotate_and_retire_and_old_tokens_with_them() {
    let house = House::new().await;
    let admin = house.admin().await;
    let person = house.person("signed").await;
    let published = house.nobody().get("/.well-known/jwks.json").await.json();
    let old = published["keys"][0]["kid"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(published["keys"][0].get("d").is_none());
    assert_eq!(admin.send("POST", "/v1/signing-keys", &[], b"").await.status, 201);
    assert_eq!(
        house.nobody().get("/.well-known/jwks.json").await.json()["keys"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(person.get("/v1/me").await.status, 200, "old keys go on verifying");
    assert_eq!(admin.delete(&format!("/v1/signing-keys/{old}")).await.status, 204);
    assert_eq!(person.get("/v1/me").await.status, 401);
    assert_eq!(house.login("signed").await.get("/v1/me").await.status, 200);
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    let house = House::new().await;
    let secret = house.engine.setup().secret().await.expect("a secret").expect("nobody administers yet");
    let body = |secret: &str| json!({"secret": secret, "username": "first", "password": PASSWORD});
    assert_problem(&house.nobody().post("/v1/setup", &body("guess")).await, 401, "code_spent");
    assert_eq!(house.nobody().post("/v1/setup", &body(secret.expose())).await.status, 201);
    assert_problem(&house.nobody().post("/v1/setup", &body(secret.expose())).await, 403, "setup_closed");
}

#[tokio::test]
async fn a_person_changes_its_own_account() {
    let house = House::new().await;
    let person = house.person("changer").await;
    let changed =
        person.json("PATCH", "/v1/me", &json!({"display_name": "New", "user_metadata": {"a": 1}})).await;
    assert_eq!((changed.status, changed.json()["display_name"].as_str()), (200, Some("New")));
    assert_eq!(
        person.json("PATCH", "/v1/me", &json!({"display_name": null})).await.json()["display_name"],
        Value::Null
    );
    assert_problem(&person.json("PATCH", "/v1/me", &json!({"roles": ["admin"]})).await, 400, "bad_json");
    let wrong = json!({"password": "another good password", "current_password": "wrong"});
    assert_eq!(person.json("PATCH", "/v1/me", &wrong).await.status, 401);
    let right = json!({"password": "another good password", "current_password": PASSWORD});
    assert_eq!(person.json("PATCH", "/v1/me", &right).await.status, 200);
    assert_eq!(person.delete("/v1/me").await.status, 204);
    assert_eq!(person.get("/v1/me").await.status, 401);
}

#[tokio::test]
async fn an_agent_answers_at_once_or_as_events() {
    let house = House::new().await;
    let person = house.person("talker").await;
    let thread = person.post("/v1/threads", &json!({})).await.json()["id"]
        .as_str()
        .map(str::to_owned)
        .unwrap_or_default();
    let runs = format!("/v1/threads/{thread}/runs");
    assert_problem(&person.post(&runs, &json!({})).await, 400, "bad_field");
    let answered = person.post(&runs, &json!({"messages": [{"content": "one two"}]})).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(answered.json()["message"]["content"], "Echo: one two");
    assert_eq!(answered.json()["run"]["status"], "success");
    let headers = [("Content-Type", "application/json"), ("Accept", "text/event-stream")];
    let body = br#"{"messages":[{"content":"three four"}]}"#;
    let events = person.send("POST", &runs, &headers, body).await;
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let text = events.text();
    let spoken: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|data| data["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(spoken, "Echo: three four");
    assert!(text.contains("event: end\n"), "{text}");
    let messages = person.get(&format!("/v1/threads/{thread}/messages")).await.json()["messages"].clone();
    let roles: Vec<&str> =
        messages.as_array().map_or(Vec::new(), |all| all.iter().filter_map(|m| m["role"].as_str()).collect());
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
}

#[tokio::test]
async fn guessing_is_stopped_and_the_right_password_is_not() {
    let house = House::new().await;
    house.person("guessed").await;
    let guess = json!({"grant_type": "password", "username": "guessed", "password": "wrong wrong wrong"});
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(house.nobody().post("/v1/token", &guess).await);
    }
    assert!(statuses[..5].iter().all(|answer| answer.status == 401));
    assert_problem(&statuses[5], 429, "too_many_failures");
    assert!(statuses[5].header("retry-after").is_some());
    house.login("guessed").await;
}

/// What a log-in answers.
async fn logged_in(house: &House, name: &str, client: Option<&str>) -> Value {
    let mut body = json!({"grant_type": "password", "username": name, "password": PASSWORD});
    if let Some(client) = client {
        body["client_id"] = client.into();
    }
    let answer = house.nobody().post("/v1/token", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Whoever came with an access token.
fn bearer(house: &House, granted: &Value) -> Actor {
    Actor { token: Some(text(&granted["access_token"]).to_owned()), ..house.nobody() }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[tokio::test]
async fn a_token_is_introspected_by_its_owner_and_by_nobody_else() {
    let house = House::new().await;
    let alice = house.person("alice").await;
    let bob = house.person("bob").await;
    let granted = logged_in(&house, "alice", Some("app")).await;
    for hint in [json!(null), json!("access_token"), json!("refresh_token"), json!("unheard-of")] {
        let ask = |token: &Value| json!({"token": token, "token_type_hint": hint});
        let access = alice.post("/v1/introspect", &ask(&granted["access_token"])).await.json();
        assert_eq!((&access["active"], &access["token_type"]), (&json!(true), &json!("Bearer")), "{access}");
        assert_eq!((&access["username"], &access["sub"]), (&json!("alice"), &granted["user_id"]));
        assert!(access["exp"].is_i64() && access["jti"].is_string(), "{access}");
        let refresh = alice.post("/v1/introspect", &ask(&granted["refresh_token"])).await.json();
        assert_eq!((&refresh["active"], &refresh["client_id"]), (&json!(true), &json!("app")), "{refresh}");
    }
    let inactive = json!({"active": false});
    for token in [&granted["access_token"], &granted["refresh_token"]] {
        assert_eq!(bob.post("/v1/introspect", &json!({"token": token})).await.json(), inactive);
    }
    let huge = "x".repeat(100_000);
    for junk in ["", "x", "a.b.c", "dwr_a.1.b", huge.as_str()] {
        let answer = alice.post("/v1/introspect", &json!({"token": junk})).await;
        assert_eq!((answer.status, answer.json()), (200, inactive.clone()), "{junk:.20}");
    }
    assert_problem(
        &house.nobody().post("/v1/introspect", &json!({"token": "x"})).await,
        401,
        "credentials_missing",
    );
    let empty = alice
        .send("POST", "/v1/introspect", &[("Content-Type", "application/x-www-form-urlencoded")], b"")
        .await;
    assert_eq!((empty.status, &empty.json()["error"]), (400, &json!("invalid_request")), "{empty:?}");
}

#[tokio::test]
async fn a_spent_refresh_token_is_not_active_and_asking_ends_nothing() {
    let house = House::new().await;
    let alice = house.person("alice").await;
    let first = logged_in(&house, "alice", None).await;
    let exchange = json!({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]});
    let second = house.nobody().post("/v1/token", &exchange).await.json();
    let third = house
        .nobody()
        .post("/v1/token", &json!({"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}))
        .await
        .json();
    for (granted, active) in [(&first, false), (&second, false), (&third, true)] {
        let told = alice.post("/v1/introspect", &json!({"token": granted["refresh_token"]})).await.json();
        assert_eq!(told["active"], active, "{told}");
    }
}

#[tokio::test]
async fn whoever_has_a_token_may_end_it_whatever_the_hint() {
    let house = House::new().await;
    house.person("alice").await;
    for hint in ["access_token", "refresh_token", "unheard-of"] {
        let granted = logged_in(&house, "alice", None).await;
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let body = format!("token={}&token_type_hint={hint}", text(&granted["access_token"]));
        let answer = house.nobody().send("POST", "/v1/revoke", &form, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let me = bearer(&house, &granted).get("/v1/me").await;
        assert_problem(&me, 401, "token_revoked");
        let exchange = json!({"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]});
        let renewed = house.nobody().post("/v1/token", &exchange).await;
        assert_eq!(renewed.status, 200, "the session goes on: {renewed:?}");
        let renewed = renewed.json();
        let body = json!({"token": renewed["refresh_token"], "token_type_hint": hint});
        assert_eq!(house.nobody().post("/v1/revoke", &body).await.status, 200);
        let me = bearer(&house, &renewed).get("/v1/me").await;
        assert_eq!(me.status, 401, "the session ended with its refresh token: {me:?}");
        assert_eq!(house.nobody().post("/v1/revoke", &body).await.status, 200, "twice is as good as once");
    }
}

#[tokio::test]
async fn a_named_clients_refresh_token_is_not_ended_by_another_client() {
    let house = House::new().await;
    house.person("alice").await;
    let granted = logged_in(&house, "alice", Some("app")).await;
    let body = |client: &str| json!({"token": granted["refresh_token"], "client_id": client});
    let other = house.nobody().post("/v1/revoke", &body("other")).await;
    assert_eq!((other.status, &other.json()["error"]), (400, &json!("unauthorized_client")), "{other:?}");
    assert_eq!(bearer(&house, &granted).get("/v1/me").await.status, 200);
    assert_eq!(house.nobody().post("/v1/revoke", &body("app")).await.status, 200);
    assert_eq!(bearer(&house, &granted).get("/v1/me").await.status, 401);
    for junk in ["x", "dwr_a.1.b"] {
        assert_eq!(house.nobody().post("/v1/revoke", &json!({"token": junk})).await.status, 200);
    }
    let missing = house.nobody().post("/v1/revoke", &json!({})).await;
    assert_eq!((missing.status, &missing.json()["error"]), (400, &json!("invalid_request")));
}
