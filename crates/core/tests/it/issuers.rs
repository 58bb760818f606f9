//! Issuers that publish their keys, as far as no network is needed: the fetched document itself is hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Answer, Authenticator, NoHeaders, Offered, Outcome, Place, Presented};
use doorward_core::error::Result;
use doorward_core::ports::{Ask, Outbound, OutboundError, Reply};
use doorward_core::principal::AuthContext;
use doorward_core::tokens::{RemoteKeys, Source};
use doorward_protocols::jose::{Algorithm, Jwk, SecretRule, SigningKey, sign_compact};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::{House, code};

const ISSUER: &str = "https://idp.example";

/// An issuer that answers what it is told to.
#[derive(Default)]
struct Published {
    document: Mutex<Value>,
    asked: AtomicUsize,
}

impl Outbound for Published {
    fn send(&self, ask: Ask) -> BoxFuture<'_, std::result::Result<Reply, OutboundError>> {
        assert_eq!(ask.url, "https://idp.example/jwks");
        self.asked.fetch_add(1, Ordering::Relaxed);
        let body = self.document.lock().to_string().into_bytes();
        Box::pin(async { Ok(Reply { status: 200, body, max_age_s: None, retry_after_s: None }) })
    }

    fn check(&self, url: &str) -> std::result::Result<String, OutboundError> {
        Ok(url.to_owned())
    }
}

struct Door {
    house: House,
    method: Arc<dyn Authenticator>,
    published: Arc<Published>,
}

impl Door {
    async fn of(keys: Value) -> Self {
        let published = Arc::new(Published::default());
        *published.document.lock() = json!({ "keys": keys });
        let house = House::asking(Arc::clone(&published) as _).await;
        let source = Source::KeySet(format!("{ISSUER}/jwks"));
        let remote = RemoteKeys::new("company".to_owned(), source, Algorithm::RS256);
        let options = json!({
            "authority": "company", "issuer": [ISSUER], "audience": ["us"], "only_listed": true, "max_life_s": 3600,
        });
        let options = options.as_object().expect("an object").clone();
        let section = Section { options, remote: Some(remote), ..Section::default() };
        let method = build("external_jwt", section, &house.engine).expect("built");
        Self { house, method, published }
    }

    async fn show(&self, token: &str) -> Option<Result<Arc<AuthContext>>> {
        let offered = Some(Offered { place: Place::Bearer, text: token });
        let presented = Presented { offered, headers: &NoHeaders, ..Presented::nothing() };
        let outcome = match self.method.authenticate(&presented) {
            Answer::Now(outcome) => outcome,
            Answer::Later(later) => later.await,
        };
        match outcome {
            Outcome::NotPresent => None,
            Outcome::Accepted(auth) => Some(Ok(auth)),
            Outcome::Rejected(error) => Some(Err(error)),
        }
    }

    fn token(&self, key: &SigningKey, change: &[(&str, Value)]) -> String {
        let now_s = self.house.engine.now_ms() / 1000;
        let mut claims = json!({"iss": ISSUER, "sub": "ann", "aud": "us", "iat": now_s, "exp": now_s + 600});
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        sign_compact(key, "at+jwt", &claims).expect("signed")
    }
}

fn key_called(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::ES256).expect("a key").0.with_kid(Some(kid.to_owned()))
}

fn public(key: &SigningKey) -> Value {
    serde_json::to_value(key.to_public_jwk().expect("asymmetric")).expect("JSON")
}

#[tokio::test]
async fn a_token_of_a_published_key_is_its_subjects_under_the_issuers_name() {
    let key = key_called("a");
    let door = Door::of(json!([public(&key)])).await;
    let auth = door.show(&door.token(&key, &[])).await.expect("mine").expect("accepted");
    assert_eq!(auth.principal.owner_key(), "company|ann");
    assert_eq!(auth.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["user"]);
}

#[tokio::test]
async fn tokens_of_other_issuers_are_declined_and_nothing_is_fetched_for_them() {
    let key = key_called("a");
    let door = Door::of(json!([public(&key)])).await;
    for other in [json!("https://idp.example/"), json!("https://evil.example"), Value::Null] {
        assert!(door.show(&door.token(&key, &[("iss", other.clone())])).await.is_none(), "{other}");
    }
    for noise in ["", "a.b.c", "dw_live_key", "....."] {
        assert!(door.show(noise).await.is_none(), "{noise}");
    }
    assert_eq!(door.published.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_symmetric_key_in_a_published_set_verifies_nothing() {
    let honest = key_called("a");
    let secret = [7; 32];
    let shared = SigningKey::from_secret(&secret, Algorithm::HS256, Some("b".into()), SecretRule::Strict)
        .expect("one");
    let oct =
        json!({"kty": "oct", "alg": "HS256", "kid": "b", "k": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"});
    assert!(Jwk::parse(oct.to_string().as_bytes()).is_ok());
    for set in [json!([public(&honest), oct]), json!([oct])] {
        let door = Door::of(set).await;
        assert_ne!(code(door.show(&door.token(&shared, &[])).await.expect("mine")), "ok");
    }
}

#[tokio::test]
async fn a_document_that_is_no_key_set_is_503_and_does_not_replace_the_keys_there_are() {
    let key = key_called("a");
    for bad in [
        json!({}),
        json!([]),
        json!("x"),
        json!({"keys": []}),
        json!({"keys": [{"kty": "oct", "k": "AAAA"}]}),
    ] {
        let door = Door::of(json!([])).await;
        *door.published.document.lock() = bad.clone();
        let refused = door.show(&door.token(&key, &[])).await.expect("mine");
        assert_eq!(code(refused), "issuer_unavailable", "{bad}");
    }
    let door = Door::of(json!([public(&key)])).await;
    assert_eq!(code(door.show(&door.token(&key, &[])).await.expect("mine")), "ok");
    *door.published.document.lock() = json!({});
    let other = key_called("unknown");
    assert_eq!(code(door.show(&door.token(&other, &[])).await.expect("mine")), "token_invalid");
    assert_eq!(door.published.asked.load(Ordering::Relaxed), 2);
    assert_eq!(code(door.show(&door.token(&key, &[("sub", json!("bob"))])).await.expect("mine")), "ok");
}

#[tokio::test]
async fn a_hundred_first_tokens_at_once_fetch_the_keys_once() {
    let key = key_called("a");
    let door = Door::of(json!([public(&key)])).await;
    let tokens: Vec<_> = (0..100).map(|n| door.token(&key, &[("sub", json!(format!("p{n}")))])).collect();
    let shown = futures_util::future::join_all(tokens.iter().map(|token| door.show(token))).await;
    assert!(shown.into_iter().all(|outcome| outcome.expect("mine").is_ok()));
    assert_eq!(door.published.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stranger_who_asks_for_a_fetch_and_leaves_does_not_take_it_along() {
    let (old, new) = (key_called("a"), key_called("b"));
    let door = Door::of(json!([public(&old)])).await;
    assert_eq!(code(door.show(&door.token(&old, &[])).await.expect("mine")), "ok");
    *door.published.document.lock() = json!({ "keys": [public(&old), public(&new)] });
    // The stranger's token names a key nobody has; they leave before the fetch is over.
    let made_up = door.token(&key_called("made-up"), &[]);
    assert!(futures_util::FutureExt::now_or_never(door.show(&made_up)).is_none(), "a fetch is under way");
    assert_eq!(code(door.show(&door.token(&new, &[])).await.expect("mine")), "ok");
    assert_eq!(door.published.asked.load(Ordering::Relaxed), 2);
}
