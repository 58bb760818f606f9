//! Tokens that only their issuer can judge: how often it is asked, what is believed, and what ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::authn::methods::remote_token::{Asking, Way};
use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Answer, Authenticator, NoHeaders, Offered, Outcome, Place, Presented};
use doorward_core::authz::Target;
use doorward_core::error::Result;
use doorward_core::ports::{Ask, Outbound, OutboundError, Reply};
use doorward_core::principal::AuthContext;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::{House, NOON, code};

const URL: &str = "https://idp.example/whose";

/// An issuer that says what it is told to.
struct Issuer {
    says: Mutex<(u16, Value)>,
    asked: AtomicUsize,
    last: Mutex<String>,
}

impl Outbound for Issuer {
    fn send(&self, ask: Ask) -> BoxFuture<'_, std::result::Result<Reply, OutboundError>> {
        assert_eq!(ask.url, URL);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let body = ask.body.map(|(_, body)| String::from_utf8(body).expect("text")).unwrap_or_default();
        *self.last.lock() = format!("{:?} {body}", ask.headers);
        let (status, body) = self.says.lock().clone();
        Box::pin(async move {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if status == 0 {
                return Err(OutboundError::TimedOut);
            }
            Ok(Reply { status, body: body.to_string().into_bytes(), max_age_s: None, retry_after_s: None })
        })
    }

    fn check(&self, url: &str) -> std::result::Result<String, OutboundError> {
        Ok(url.to_owned())
    }
}

struct Door {
    house: House,
    issuer: Arc<Issuer>,
    method: Arc<dyn Authenticator>,
}

impl Door {
    async fn of(way: Way, says: Value) -> Self {
        let issuer = Arc::new(Issuer {
            says: Mutex::new((200, says)),
            asked: AtomicUsize::new(0),
            last: Mutex::default(),
        });
        let house = House::asking(Arc::clone(&issuer) as _).await;
        let options = json!({
            "authority": "company", "identity_claim": "sub", "audience": ["us"], "cache_ms": 30_000, "roles_claim": "roles",
        });
        let options = options.as_object().expect("an object").clone();
        let asking = Some(Asking { url: URL.into(), way });
        let method = build("remote_token", Section { options, asking, ..Section::default() }, &house.engine);
        let method = method.expect("built");
        Self { house, issuer, method }
    }

    async fn userinfo() -> Self {
        let way = Way::Userinfo { api_key: Some("anon".into()) };
        Self::of(way, json!({"sub": "ann", "email": "ann@x.org", "roles": ["premium", "unheard-of"]})).await
    }

    async fn introspection(says: Value) -> Self {
        let way = Way::Introspection { client_id: "us".into(), client_secret: "s3cret:&".into() };
        Self::of(way, says).await
    }

    async fn show_from(&self, token: &str, address: &str) -> Result<Arc<AuthContext>> {
        let offered = Some(Offered { place: Place::Bearer, text: token });
        let client = Some(address.parse().expect("an address"));
        let presented = Presented { offered, client, headers: &NoHeaders, ..Presented::nothing() };
        let outcome = match self.method.authenticate(&presented) {
            Answer::Now(outcome) => outcome,
            Answer::Later(later) => later.await,
        };
        match outcome {
            Outcome::NotPresent => unreachable!("a Bearer token is its own"),
            Outcome::Accepted(auth) => Ok(auth),
            Outcome::Rejected(error) => Err(error),
        }
    }

    async fn show(&self, token: &str) -> Result<Arc<AuthContext>> {
        self.show_from(token, "192.0.2.1").await
    }

    fn says(&self, status: u16, said: Value) {
        *self.issuer.says.lock() = (status, said);
    }

    fn asked(&self) -> usize {
        self.issuer.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn whose_a_token_is_is_asked_once_for_everybody_who_comes_meanwhile_and_kept_for_a_moment() {
    let door = Door::userinfo().await;
    let many = join_all((0..100).map(|_| door.show("opaque"))).await;
    assert!(
        many.iter().all(|one| one.as_ref().is_ok_and(|auth| auth.principal.owner_key() == "company|ann"))
    );
    assert_eq!(door.asked(), 1);
    let auth = door.show("opaque").await.expect("kept");
    assert_eq!(auth.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["user", "premium"]);
    assert_eq!(auth.claims["email"], "ann@x.org");
    assert!(door.issuer.last.lock().contains("Bearer opaque") && door.issuer.last.lock().contains("apikey"));
    door.house.clock.advance_ms(30_000);
    door.show("opaque").await.expect("asked anew");
    assert_eq!(door.asked(), 2);
}

#[tokio::test]
async fn a_token_that_its_issuer_ended_lives_no_longer_than_its_answer_is_kept() {
    let door = Door::userinfo().await;
    door.show("opaque").await.expect("good");
    door.says(401, json!({}));
    door.house.clock.advance_ms(29_999);
    assert_eq!(code(door.show("opaque").await), "ok");
    door.house.clock.advance_ms(1);
    assert_eq!(code(door.show("opaque").await), "token_invalid");
    let asked = door.asked();
    for _ in 0..50 {
        assert_eq!(code(door.show("opaque").await), "token_invalid");
    }
    assert_eq!(door.asked(), asked, "a refusal is remembered too");
    door.says(200, json!({"sub": "ann"}));
    door.house.clock.advance_ms(5_000);
    assert_eq!(code(door.show("opaque").await), "ok", "and not for long");
}

#[tokio::test]
async fn revoking_here_counts_at_once_whatever_is_kept() {
    let door =
        Door::introspection(json!({"active": true, "sub": "ann", "aud": "us", "iat": NOON / 1000})).await;
    door.show("opaque").await.expect("good");
    let permit = door.house.system().permit(Target::any()).expect("the system may");
    let revoked = doorward_core::tokens::model::Revoked::Principal("company|ann".into());
    door.house.engine.tokens().revoke_any(permit, revoked).await.expect("revoked");
    assert_eq!(code(door.show("opaque").await), "token_revoked");
    assert_eq!(code(door.show("another").await), "token_revoked", "asked anew, it is as old");
    door.house.clock.advance_s(10);
    door.says(200, json!({"active": true, "sub": "ann", "aud": "us", "iat": NOON / 1000 + 10}));
    assert_eq!(code(door.show("newer").await), "ok");
}

#[tokio::test]
async fn introspection_is_believed_when_it_says_active_for_us_and_not_over() {
    let now_s = NOON / 1000;
    for (name, said, expected) in [
        ("active", json!({"active": true, "sub": "ann", "aud": "us", "exp": now_s + 60}), "ok"),
        ("for several", json!({"active": true, "sub": "ann", "aud": ["them", "us"]}), "ok"),
        ("a number", json!({"active": true, "sub": 7, "aud": "us"}), "ok"),
        ("not active", json!({"active": false, "sub": "ann", "aud": "us"}), "token_invalid"),
        ("active in words", json!({"active": "true", "sub": "ann", "aud": "us"}), "token_invalid"),
        ("nothing said", json!({}), "token_invalid"),
        ("for others", json!({"active": true, "sub": "ann", "aud": "them"}), "token_invalid"),
        ("for nobody", json!({"active": true, "sub": "ann"}), "token_invalid"),
        ("Bearer", json!({"active": true, "sub": "ann", "aud": "us", "token_type": "bearer"}), "ok"),
        (
            "a refresh token",
            json!({"active": true, "sub": "ann", "aud": "us", "token_type": "refresh_token"}),
            "token_invalid",
        ),
        (
            "bound to a key",
            json!({"active": true, "sub": "ann", "aud": "us", "cnf": {"jkt": "x"}}),
            "token_invalid",
        ),
        ("not yet", json!({"active": true, "sub": "ann", "aud": "us", "nbf": now_s + 60}), "token_invalid"),
        ("since now", json!({"active": true, "sub": "ann", "aud": "us", "nbf": now_s}), "ok"),
        ("over", json!({"active": true, "sub": "ann", "aud": "us", "exp": now_s}), "token_expired"),
        ("no subject", json!({"active": true, "aud": "us"}), "issuer_unavailable"),
        ("an empty subject", json!({"active": true, "sub": "", "aud": "us"}), "issuer_unavailable"),
        ("a list", json!([]), "issuer_unavailable"),
        (
            "too large",
            json!({"active": true, "sub": "ann", "aud": "us", "x": "y".repeat(20_000)}),
            "issuer_unavailable",
        ),
    ] {
        let door = Door::introspection(said).await;
        assert_eq!(code(door.show("opaque").await), expected, "{name}");
    }
    let door = Door::introspection(json!({"active": true, "sub": "ann", "aud": "us"})).await;
    door.show("a b&c=d").await.expect("good");
    let last = door.issuer.last.lock().clone();
    assert!(last.contains("token=a%20b%26c%3Dd&token_type_hint=access_token"), "{last}");
    assert!(last.contains("Basic dXM6czNjcmV0JTNBJTI2"), "{last}");
}

#[tokio::test]
async fn an_issuer_that_is_away_lets_nobody_in_and_is_no_refusal() {
    for status in [0, 400, 404, 429, 500, 503] {
        let door = Door::userinfo().await;
        door.says(status, json!({}));
        assert_eq!(code(door.show("opaque").await), "issuer_unavailable", "{status}");
        door.says(200, json!({"sub": "ann"}));
        assert_eq!(code(door.show("opaque").await), "ok", "nothing of it is kept");
    }
    let door = Door::introspection(json!({})).await;
    door.says(401, json!({}));
    assert_eq!(
        code(door.show("opaque").await),
        "issuer_unavailable",
        "our own secret is wrong, not the token"
    );
}

#[tokio::test]
async fn one_network_asks_so_much_at_once_and_others_are_not_kept_out() {
    let door = Door::userinfo().await;
    let tokens: Vec<String> = (0..20).map(|n| format!("guess {n}")).collect();
    let many = join_all(tokens.iter().map(|token| door.show(token)));
    let (many, other) = futures_util::future::join(many, door.show_from("honest", "203.0.113.9")).await;
    assert_eq!(many.iter().filter(|one| one.is_ok()).count(), 8);
    assert_eq!(code(other), "ok");
    assert_eq!(door.asked(), 9);
}

/// A JWT that nobody here can verify.
fn jwt(claims: &Value) -> String {
    let part = |value: &Value| doorward_protocols::encoding::base64url_encode(value.to_string().as_bytes());
    format!("{}.{}.AAAA", part(&json!({"alg": "HS256"})), part(claims))
}

#[tokio::test]
async fn what_an_answer_leaves_out_is_read_in_the_token_that_it_vouches_for() {
    let door = Door::userinfo().await;
    door.says(200, json!({"sub": "ann"}));
    let now_s = NOON / 1000;
    let (old, bare) = (jwt(&json!({"iat": now_s, "exp": now_s + 60, "sub": "eve"})), jwt(&json!({})));
    assert_eq!(code(door.show(&jwt(&json!({"exp": now_s}))).await), "token_expired");
    let auth = door.show(&old).await.expect("good");
    assert_eq!((&*auth.principal.subject, auth.expires_at_s), ("ann", Some(now_s + 60)));
    door.show(&bare).await.expect("good");
    let permit = door.house.system().permit(Target::any()).expect("the system may");
    door.house
        .engine
        .tokens()
        .revoke_any(permit, doorward_core::tokens::model::Revoked::All)
        .await
        .expect("revoked");
    door.house.clock.advance_s(10);
    assert_eq!(code(door.show(&old).await), "token_revoked");
    assert_eq!(code(door.show(&jwt(&json!({"iat": now_s + 10}))).await), "ok", "whoever logged in again");
    assert_eq!(code(door.show(&bare).await), "token_revoked", "nothing says that it is newer");
    door.says(403, json!({}));
    assert_eq!(
        code(door.show(&jwt(&json!({"iat": now_s + 10, "n": 1}))).await),
        "token_invalid",
        "its issuer decides"
    );
}

#[tokio::test]
async fn several_networks_with_nonsense_do_not_keep_an_honest_caller_out() {
    let door = Door::userinfo().await;
    let guesses: Vec<(String, String)> =
        (0..400).map(|n| (format!("guess {n}"), format!("198.51.{}.7", 100 + n / 8))).collect();
    let many = join_all(guesses.iter().map(|(token, from)| door.show_from(token, from)));
    let (many, honest) = futures_util::future::join(many, door.show_from("honest", "203.0.113.9")).await;
    assert_eq!(code(honest), "ok", "it waited in line");
    assert!(many.iter().all(std::result::Result::is_ok));
}
