//! The operator's limits: by address, account, key and altogether.

use doorward_core::limits::rules::{By, LimitRule};
use serde_json::json;

use crate::house::{House, PASSWORD, Plan};
use crate::wire::{Actor, Answer};

fn rule(name: &str, action: &str, by: By, requests: u32) -> LimitRule {
    LimitRule { name: name.into(), actions: vec![action.into()], by, requests, window_s: 60 }
}

async fn house(limits: Vec<LimitRule>) -> House {
    House::with(Plan { limits, ..Plan::default() }).await
}

fn told(answer: &Answer) -> [Option<&str>; 4] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-policy"]
        .map(|name| answer.header(name))
}

fn assert_limited(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("60"), "{answer:?}");
}

#[tokio::test]
async fn a_limit_by_address_counts_before_anybody_is_known_and_tells_what_is_left() {
    let house = house(vec![rule("logins", "session:login", By::Address, 2)]).await;
    let log_in = || async {
        let body = json!({"grant_type": "password", "username": "nobody", "password": PASSWORD});
        house.nobody().post("/v1/token", &body).await
    };
    let first = log_in().await;
    assert_eq!(first.status, 401);
    assert_eq!(told(&first), [Some("2"), Some("1"), Some("60"), Some("2;w=60")]);
    assert_eq!(log_in().await.status, 401);
    let third = log_in().await;
    assert_limited(&third);
    assert_eq!(told(&third), [Some("2"), Some("0"), Some("60"), Some("2;w=60")]);
    let other = house.nobody().get("/.well-known/jwks.json").await;
    assert_eq!((other.status, other.header("ratelimit-limit")), (200, None), "another route");
}

#[tokio::test]
async fn a_limit_by_account_follows_the_account_and_no_other() {
    let house = house(vec![rule("threads", "thread:list", By::Account, 2)]).await;
    let alice = house.person("alice").await;
    let again = house.login("alice").await;
    let bob = house.person("bob").await;
    for client in [&alice, &again] {
        assert_eq!(client.get("/v1/threads").await.status, 200);
    }
    for client in [&alice, &again] {
        assert_limited(&client.get("/v1/threads").await);
    }
    assert_eq!(bob.get("/v1/threads").await.status, 200);
    assert_eq!(alice.get("/v1/me").await.status, 200, "another action");
    let anonymous = house.nobody().get("/v1/threads").await;
    assert_eq!(anonymous.status, 401, "{anonymous:?}");
}

#[tokio::test]
async fn a_limit_by_key_counts_each_key_and_nothing_else() {
    let house = house(vec![rule("keys", "*", By::Key, 1)]).await;
    let alice = house.person("alice").await;
    let mut keys = Vec::new();
    for name in ["one", "two"] {
        let made = alice
            .post("/v1/api-keys", &json!({"name": name, "scopes": ["read"], "expires_in": "never"}))
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        let token = made.json()["key"].as_str().map(str::to_owned);
        keys.push(Actor { token, ..house.nobody() });
    }
    for key in &keys {
        assert_eq!(key.get("/v1/me").await.status, 200);
        assert_limited(&key.get("/v1/me").await);
    }
    for _ in 0..3 {
        assert_eq!(alice.get("/v1/me").await.status, 200, "a token is no key");
    }
}

#[tokio::test]
async fn of_several_limits_the_one_with_least_left_is_told_and_any_of_them_refuses() {
    let house = house(vec![
        rule("all", "*", By::Everything, 100),
        rule("me", "user:read", By::Account, 3),
        rule("reads", "read", By::Address, 50),
    ])
    .await;
    let alice = house.person("alice").await;
    assert_eq!(told(&alice.get("/v1/me").await)[..2], [Some("3"), Some("2")]);
    for _ in 0..2 {
        assert_eq!(alice.get("/v1/me").await.status, 200);
    }
    assert_limited(&alice.get("/v1/me").await);
    assert_eq!(told(&alice.get("/v1/threads").await)[0], Some("50"));
}
