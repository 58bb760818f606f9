//! Logging in through a provider that may lie: what is refused, and whose account is opened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::Result;
use doorward_core::authn::Presented;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::identity;
use doorward_core::id::{IdentityId, UserId};
use doorward_core::identity::browser::Stay;
use doorward_core::identity::sessions::Login;
use doorward_core::identity::users::{Administration, NewUser};
use doorward_core::login::methods::{BUILTIN, Client, ClientAuth, Endpoints, Section};
use doorward_core::login::{Answered, Arrived, Begun, Provider, Way};
use doorward_core::operation::Call;
use doorward_core::ports::store::AuditQuery;
use doorward_core::ports::store::{AuditLog as _, Identities as _, Users as _};
use doorward_core::ports::{Ask, Outbound, OutboundError, Reply};
use doorward_core::secret::SecretText;
use doorward_protocols::jose::{Algorithm, SigningKey, sign_compact};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::{Around, House, PASSWORD, code, name};

const ISSUER: &str = "https://idp.example";
const BACK: &str = "https://auth.example/v1/login/idp/callback";

/// Path, body and headers.
type Asked = (String, String, Vec<(&'static str, String)>);

/// A provider that says what it is told to, and notes what it is asked.
struct Idp {
    key: SigningKey,
    said: Mutex<BTreeMap<&'static str, Value>>,
    /// Changes of the ID token's claims; null takes one away.
    claims: Mutex<Vec<(&'static str, Value)>>,
    asked: Mutex<Vec<Asked>>,
    exchanges: AtomicUsize,
    nonce: Mutex<String>,
    now_s: Mutex<i64>,
    /// Whether it takes its time, so that others come meanwhile.
    slow: Mutex<bool>,
}

impl Idp {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::ES256).expect("a key").0.with_kid(Some("a".into()));
        let public = serde_json::to_value(key.to_public_jwk().expect("asymmetric")).expect("JSON");
        let about = json!({
            "issuer": ISSUER, "jwks_uri": "https://idp.example/jwks",
            "authorization_endpoint": "https://idp.example/authorize", "token_endpoint": "https://idp.example/token",
            "userinfo_endpoint": "https://idp.example/userinfo", "authorization_response_iss_parameter_supported": true,
        });
        let said = [
            ("/.well-known/openid-configuration", about),
            ("/jwks", json!({ "keys": [public] })),
            ("/userinfo", json!({"sub": "ann", "email": "ann@idp.example", "email_verified": true})),
        ];
        Self {
            key,
            said: Mutex::new(said.into()),
            claims: Mutex::default(),
            asked: Mutex::default(),
            exchanges: AtomicUsize::new(0),
            nonce: Mutex::default(),
            now_s: Mutex::new(crate::house::NOON / 1000),
            slow: Mutex::default(),
        }
    }

    fn id_token(&self) -> String {
        let now_s = *self.now_s.lock();
        let mut claims = json!({
            "iss": ISSUER, "sub": "ann", "aud": "client", "iat": now_s, "exp": now_s + 300,
            "nonce": *self.nonce.lock(), "email": "ann@idp.example", "email_verified": true, "name": "Ann",
        });
        for (name, value) in &*self.claims.lock() {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(*name)),
                value => claims[*name] = value.clone(),
            }
        }
        sign_compact(&self.key, "JWT", &claims).expect("signed")
    }
}

impl Outbound for Idp {
    fn send(&self, ask: Ask) -> BoxFuture<'_, std::result::Result<Reply, OutboundError>> {
        let path = ask.url.strip_prefix(ISSUER).expect("the provider's own").to_owned();
        let body = ask.body.map(|(_, body)| String::from_utf8(body).expect("text")).unwrap_or_default();
        self.asked.lock().push((path.clone(), body, ask.headers));
        let told = self.said.lock().get(path.as_str()).cloned();
        let said = match told {
            Some(said) => said,
            None if path == "/token" => {
                self.exchanges.fetch_add(1, Ordering::Relaxed);
                json!({"access_token": "at", "token_type": "Bearer", "id_token": self.id_token()})
            }
            None => return Box::pin(async { Err(OutboundError::TimedOut) }),
        };
        let status = said.get("status").and_then(Value::as_u64).unwrap_or(200) as u16;
        let body = said.to_string().into_bytes();
        let pauses = if *self.slow.lock() { 50 } else { 0 };
        Box::pin(async move {
            for _ in 0..pauses {
                tokio::task::yield_now().await;
            }
            Ok(Reply { status, body, max_age_s: None, retry_after_s: None })
        })
    }

    fn check(&self, url: &str) -> std::result::Result<String, OutboundError> {
        if url.starts_with("https://idp.example") {
            return Ok(url.to_owned());
        }
        Err(OutboundError::Refused("not the provider".into()))
    }
}

struct Door {
    house: House,
    idp: Arc<Idp>,
}

/// A browser on its way: its ticket and what the provider was given.
struct Away {
    ticket: String,
    state: String,
    location: String,
}

impl Door {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl Fn(&mut Provider)) -> Self {
        let idp = Arc::new(Idp::new());
        let section = Section {
            client: Client {
                id: "client".into(),
                secret: Some("s3cret:&".into()),
                auth: ClientAuth::Basic,
                scopes: vec!["openid".into(), "email".into()],
            },
            issuer: Some(ISSUER.into()),
            domain_claim: None,
            endpoints: Endpoints::default(),
            ..Section::default()
        };
        let row = BUILTIN.iter().find(|row| row.name == "oidc").expect("there");
        let method = (row.build)(section, &*idp).expect("built");
        let mut provider = Provider::new("idp", "IdP".into(), method);
        change(&mut provider);
        let around = Around {
            outbound: Arc::clone(&idp) as _,
            providers: vec![Arc::new(provider)],
            ..Around::default()
        };
        Self { house: House::with(around).await, idp }
    }

    async fn leave(&self) -> Away {
        let permit = self.house.nobody().await.permit(Target::any()).expect("anybody may");
        let begun = self.house.engine.logins().begin(permit, "idp", Way::new(BACK, "/home")).await;
        self.gone(begun.expect("begins"))
    }

    /// Notes what a provider would note.
    fn gone(&self, begun: Begun) -> Away {
        let Begun { location, ticket } = begun;
        let value = |name: &str| {
            let (_, query) = location.split_once('?').expect("a query");
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.unwrap_or_else(|| unreachable!("{name} in {location}")).to_owned()
        };
        *self.idp.nonce.lock() = value("nonce");
        Away { ticket: ticket.text.expose().clone(), state: value("state"), location }
    }

    async fn back(&self, away: &Away) -> Result<Arrived> {
        self.back_with(away, said("code", None, Some(ISSUER))).await
    }

    async fn back_with(&self, away: &Away, answered: Answered) -> Result<Arrived> {
        let logins = self.house.engine.logins();
        let attempt = logins.attempt(&self.house.mount, "idp", Some(&away.ticket), Some(&away.state))?;
        let permit = self.house.nobody().await.permit(Target::any())?;
        logins.finish(permit, &attempt, &answered).await
    }

    /// There and back, with an account for strangers.
    async fn log_in(&self) -> Result<Stay> {
        let away = self.leave().await;
        match self.back(&away).await? {
            Arrived::Known(came) => Ok(came.stay),
            Arrived::Stranger(stranger) => {
                let (newcomer, permit) = *stranger;
                let sign_up = self.house.nobody().await.permit(Target::any())?;
                Ok(self.house.engine.logins().welcome(permit, sign_up, newcomer).await?.stay)
            }
        }
    }

    /// What comes of a log-in when the ID token's claims are changed so.
    async fn told(&self, changes: &[(&'static str, Value)]) -> &'static str {
        *self.idp.claims.lock() = changes.to_vec();
        let away = self.leave().await;
        // Each stands for a client of its own, so that none waits for the others' failures.
        self.house.clock.advance_s(120);
        *self.idp.now_s.lock() = self.house.engine.now_ms() / 1000;
        code(self.back(&away).await.map(drop))
    }

    async fn call_of(&self, stay: &Stay) -> Call {
        let presented = Presented { cookie: Some(stay.cookie.expose()), ..Presented::nothing() };
        self.house
            .engine
            .authenticate(&self.house.mount, self.house.origin(), &presented)
            .await
            .expect("let in")
    }
}

fn said(code: &str, error: Option<&str>, iss: Option<&str>) -> Answered {
    Answered {
        code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        error: error.map(str::to_owned),
        iss: iss.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_stranger_gets_an_account_and_comes_back_to_it() {
    let door = Door::new().await;
    let first = door.log_in().await.expect("an account");
    let again = door.log_in().await.expect("the same");
    assert_eq!(first.user, again.user);
    assert_ne!(first.session, again.session);
    let user = door.house.store.user(&first.user).await.expect("a read").expect("there");
    assert_eq!((user.email.as_deref(), user.display_name.as_deref()), (Some("ann@idp.example"), Some("Ann")));
    assert_eq!(user.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["user"]);
}

#[tokio::test]
async fn what_goes_to_the_provider_is_bound_to_this_log_in_and_tells_no_secret_to_the_browser() {
    let door = Door::new().await;
    let away = door.leave().await;
    for part in [
        "https://idp.example/authorize?response_type=code&client_id=client&",
        "redirect_uri=https%3A%2F%2Fauth.example%2Fv1%2Flogin%2Fidp%2Fcallback",
        "code_challenge_method=S256",
        "scope=openid%20email",
    ] {
        assert!(away.location.contains(part), "{part} in {}", away.location);
    }
    door.back(&away).await.map(drop).expect("comes back");
    let asked = door.idp.asked.lock();
    let (_, form, headers) = asked.iter().find(|(path, ..)| path == "/token").expect("the exchange");
    // client:s3cret%3A%26 (RFC 6749 §2.3.1 escapes both before they are joined)
    assert_eq!(headers[..], [("authorization", "Basic Y2xpZW50OnMzY3JldCUzQSUyNg==".to_owned())]);
    assert!(
        form.contains("grant_type=authorization_code&code=code&redirect_uri=https%3A%2F%2Fauth"),
        "{form}"
    );
    let verifier = form.split("code_verifier=").nth(1).expect("a verifier");
    assert!(verifier.len() >= 43 && !away.location.contains(verifier) && !away.ticket.contains(verifier));
    assert!(!away.location.contains("s3cret"));
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_log_in_opens_nothing() {
    let door = Door::new().await;
    assert_eq!(door.told(&[]).await, "ok");
    let now_s = door.house.engine.now_ms() / 1000;
    for (name, changes) in [
        ("another issuer", vec![("iss", json!("https://evil.example"))]),
        ("no issuer", vec![("iss", Value::Null)]),
        ("another client", vec![("aud", json!("other"))]),
        ("two audiences, no party", vec![("aud", json!(["client", "other"]))]),
        ("another party", vec![("azp", json!("other"))]),
        ("another log-in", vec![("nonce", json!("x"))]),
        ("no nonce", vec![("nonce", Value::Null)]),
        ("over", vec![("exp", json!(now_s - 3_600))]),
        ("no end", vec![("exp", Value::Null)]),
        ("no subject", vec![("sub", Value::Null)]),
        ("an empty subject", vec![("sub", json!(""))]),
        ("a subject with a line end", vec![("sub", json!("a\nb"))]),
    ] {
        assert_eq!(door.told(&changes).await, "provider_refused", "{name}");
    }
    let parties = vec![("aud", json!(["client", "other"])), ("azp", json!("client"))];
    assert_eq!(door.told(&parties).await, "ok", "ours, among others");
}

#[tokio::test]
async fn an_id_token_of_another_key_opens_nothing() {
    let door = Door::new().await;
    let other = SigningKey::generate(Algorithm::ES256).expect("a key").0.with_kid(Some("a".into()));
    let public = serde_json::to_value(other.to_public_jwk().expect("asymmetric")).expect("JSON");
    door.idp.said.lock().insert("/jwks", json!({ "keys": [public] }));
    let away = door.leave().await;
    assert_eq!(code(door.back(&away).await.map(drop)), "provider_refused");
}

#[tokio::test]
async fn an_attempt_is_good_once_for_its_browser_its_provider_and_ten_minutes() {
    let door = Door::new().await;
    let away = door.leave().await;
    let logins = door.house.engine.logins();
    let attempt =
        |provider, ticket, state| code(logins.attempt(&door.house.mount, provider, ticket, state).map(drop));
    let (ticket, state) = (Some(away.ticket.as_str()), Some(away.state.as_str()));
    let other = door.leave().await;
    assert_eq!(attempt("idp", None, state), "login_expired", "another browser");
    assert_eq!(attempt("idp", ticket, None), "login_expired");
    assert_eq!(attempt("idp", Some(&other.ticket), state), "login_expired", "another tab's ticket");
    assert_eq!(attempt("evil", ticket, state), "login_expired", "another provider");
    assert_eq!(attempt("idp", ticket, state), "ok");
    let door_nonce = away.location.split("nonce=").nth(1).expect("a nonce").to_owned();
    *door.idp.nonce.lock() = door_nonce;
    door.back(&away).await.map(drop).expect("the first time");
    assert_eq!(code(door.back(&away).await.map(drop)), "login_expired", "the second time");
    assert_eq!(door.idp.exchanges.load(Ordering::Relaxed), 1, "and its code is not tried again");
    let late = door.leave().await;
    door.house.clock.advance_s(600);
    assert_eq!(code(door.back(&late).await.map(drop)), "login_expired", "too late");
}

#[tokio::test]
async fn a_restored_store_takes_no_attempt_that_was_begun_before_used_or_not() {
    let door = Door::new().await;
    let (used, begun) = (door.leave().await, door.leave().await);
    let nonce = |away: &Away| away.location.split("nonce=").nth(1).expect("a nonce").to_owned();
    *door.idp.nonce.lock() = nonce(&used);
    door.back(&used).await.map(drop).expect("the first time");
    let permit = door.house.system().permit(Target::any()).expect("may");
    door.house.engine.tokens().begin_anew(permit, None).await.expect("done");
    for (away, why) in [(&used, "used before the backup, or after it"), (&begun, "nobody knows")] {
        *door.idp.nonce.lock() = nonce(away);
        assert_eq!(code(door.back(away).await.map(drop)), "login_expired", "{why}");
    }
    assert_eq!(door.idp.exchanges.load(Ordering::Relaxed), 1, "and no code is tried again");
    door.house.clock.advance_s(1);
    door.log_in().await.map(drop).expect("begun since");
}

#[tokio::test]
async fn raced_callbacks_log_in_once() {
    let door = Door::new().await;
    door.log_in().await.expect("an account");
    let away = door.leave().await;
    let racers = futures_util::future::join_all((0..8).map(|_| door.back(&away))).await;
    let won = racers.into_iter().filter(|arrived| matches!(arrived, Ok(Arrived::Known(_)))).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn answers_that_are_refusals_or_of_another_issuer_are_not_exchanged() {
    let door = Door::new().await;
    for answered in [
        said("", Some("access_denied"), Some(ISSUER)),
        said("code", Some("server_error"), Some(ISSUER)),
        said("", None, Some(ISSUER)),
        said("code", None, Some("https://evil.example")),
        said("code", None, None),
    ] {
        let away = door.leave().await;
        assert_eq!(
            code(door.back_with(&away, answered.clone()).await.map(drop)),
            "provider_refused",
            "{answered:?}"
        );
    }
    assert_eq!(door.idp.exchanges.load(Ordering::Relaxed), 0);
    door.house.engine.flush(true).await.expect("written");
    let lines =
        door.house.store.audit(AuditQuery { limit: 100, ..AuditQuery::default() }).await.expect("a read");
    let reasons: Vec<_> = lines.iter().filter_map(|line| line.entry.reason.as_deref()).collect();
    assert!(reasons.contains(&"provider_refused: the answer is of another issuer"), "{reasons:?}");
}

#[tokio::test]
async fn an_account_is_never_opened_by_its_address_alone() {
    let door = Door::new().await;
    let permit = door.house.nobody().await.permit(Target::any()).expect("anybody may");
    let new = NewUser {
        email: Some("ann@idp.example".into()),
        password: Some(PASSWORD.into()),
        ..NewUser::default()
    };
    door.house.engine.users().sign_up(permit, new).await.expect("an account");
    assert_eq!(code(door.log_in().await.map(drop)), "account_exists");
    door.house.login_as("ann@idp.example", PASSWORD, Some("app")).await.expect("by password as before");
}

#[tokio::test]
async fn the_first_password_is_set_by_a_log_in_a_moment_old_alone() {
    for (minutes, said) in [(20, "login_too_old"), (0, "ok")] {
        let door = Door::new().await;
        let stay = door.log_in().await.expect("an account");
        door.house.clock.advance_ms(minutes * 60_000);
        let call = door.house.nobody().await.staying(&stay).await.expect("signed in");
        let owner = call.auth.principal.owner_key();
        let permit = call.permit(Target::owned(stay.user.as_str(), &owner)).expect("one's own");
        let set = door.house.engine.users().set_password(permit, &stay.user, None, &PASSWORD.into()).await;
        assert_eq!(set.map_or_else(|error| error.code().name, |()| "ok"), said);
    }
}

#[tokio::test]
async fn an_address_that_was_not_confirmed_is_nobodys() {
    let door = Door::new().await;
    for unconfirmed in [json!(false), json!("no"), Value::Null] {
        let subject = format!("with {unconfirmed}");
        let changes = vec![("email_verified", unconfirmed), ("sub", json!(subject))];
        *door.idp.claims.lock() = changes;
        let stay = door.log_in().await.expect("an account");
        let user = door.house.store.user(&stay.user).await.expect("a read").expect("there");
        assert_eq!(user.email, None);
        assert!(user.username.is_some_and(|name| name.starts_with("idp-with")));
    }
}

#[tokio::test]
async fn userinfo_of_another_subject_is_not_taken_for_this_ones() {
    let door = Door::new().await;
    let without = vec![("email", Value::Null)];
    assert_eq!(door.told(&without).await, "ok");
    door.idp.said.lock().insert("/userinfo", json!({"sub": "eve", "email": "eve@idp.example"}));
    assert_eq!(door.told(&without).await, "provider_refused");
}

#[tokio::test]
async fn who_may_come_is_the_operators_to_say() {
    let closed = Door::with(|provider| provider.sign_up = Some(false)).await;
    assert_eq!(code(closed.log_in().await.map(drop)), "sign_up_closed");
    let elsewhere = Door::with(|provider| provider.allowed_domains = vec!["example.com".into()]).await;
    assert_eq!(code(elsewhere.log_in().await.map(drop)), "email_not_allowed");
    let here = Door::with(|provider| provider.allowed_domains = vec!["idp.example".into()]).await;
    assert_eq!(code(here.log_in().await.map(drop)), "ok");
}

#[tokio::test]
async fn a_disabled_account_is_not_opened() {
    let door = Door::new().await;
    let stay = door.log_in().await.expect("an account");
    let permit = door.house.system().permit(Target::any()).expect("the system may");
    let changes = Administration { disabled: Some(true), ..Administration::default() };
    door.house.engine.users().administer(permit, &stay.user, changes).await.expect("disabled");
    assert_eq!(code(door.log_in().await.map(drop)), "user_disabled");
}

#[tokio::test]
async fn a_provider_that_is_away_or_talks_nonsense_is_an_error_of_its_own() {
    for (path, answer) in [
        ("/.well-known/openid-configuration", json!({"issuer": "https://evil.example"})),
        ("/.well-known/openid-configuration", json!({"status": 500})),
        (
            "/.well-known/openid-configuration",
            json!({"issuer": ISSUER, "authorization_endpoint": "javascript:alert(1)", "token_endpoint": "https://idp.example/token"}),
        ),
    ] {
        let door = Door::new().await;
        door.idp.said.lock().insert(path, answer.clone());
        let permit = door.house.nobody().await.permit(Target::any()).expect("anybody may");
        let begun = door.house.engine.logins().begin(permit, "idp", Way::new(BACK, "/")).await;
        assert_eq!(code(begun.map(drop)), "provider_unavailable", "{answer}");
    }
    for (answer, expected) in [
        (json!({"status": 503}), "provider_unavailable"),
        (json!({"error": "invalid_grant"}), "provider_refused"),
        (json!({"status": 400, "error": "invalid_client"}), "provider_refused"),
        (json!({"access_token": "at", "token_type": "bearer"}), "provider_refused"),
        (json!({"id_token": "a.b.c"}), "provider_refused"),
        (json!([]), "provider_refused"),
    ] {
        let door = Door::new().await;
        door.idp.said.lock().insert("/token", answer.clone());
        let away = door.leave().await;
        assert_eq!(code(door.back(&away).await.map(drop)), expected, "{answer}");
    }
}

#[tokio::test]
async fn one_comes_back_to_a_path_of_ours_only() {
    let door = Door::new().await;
    for bad in ["https://evil.example", "//evil.example", "/\\evil.example", ""] {
        let permit = door.house.nobody().await.permit(Target::any()).expect("anybody may");
        let begun = door.house.engine.logins().begin(permit, "idp", Way::new(BACK, bad)).await;
        assert_eq!(code(begun.map(drop)), "bad_field", "{bad}");
    }
}

impl Door {
    /// Whoever is logged in adds what the provider says to their account.
    async fn link_with(&self, began: &Call, came_back: &Call, password: Option<&str>) -> Result<()> {
        let target = |call: &Call| call.auth.principal.owner_key();
        let permit = began.permit::<identity::Link>(Target::owned("x", &target(began)))?;
        let password = password.map(SecretText::from);
        let where_to = ("idp", Way::new(BACK, "/"));
        let begun = self.house.engine.identities().begin(permit, where_to, password.as_ref()).await;
        let away = self.gone(begun?);
        let logins = self.house.engine.logins();
        let attempt = logins.attempt(&self.house.mount, "idp", Some(&away.ticket), Some(&away.state))?;
        assert!(attempt.links());
        let permit = came_back.permit::<identity::Link>(Target::owned("x", &target(came_back)))?;
        let answered = said("code", None, Some(ISSUER));
        self.house.engine.identities().link(permit, &attempt, &answered).await.map(drop)
    }

    async fn link(&self, began: &Call, came_back: &Call) -> Result<()> {
        self.link_with(began, came_back, Some(PASSWORD)).await
    }

    async fn unlink(
        &self,
        call: &Call,
        user: &UserId,
        id: &IdentityId,
        password: Option<&str>,
    ) -> Result<()> {
        let permit = call.permit(Target::owned("x", &call.auth.principal.owner_key()))?;
        let password = password.map(SecretText::from);
        self.house.engine.identities().unlink(permit, user, id, password.as_ref()).await
    }

    /// The identities of an account, of which there is one.
    async fn only(&self, user: &UserId) -> IdentityId {
        let all = self.house.store.identities_of(user).await.expect("a list");
        assert_eq!(all.len(), 1);
        all[0].id.clone()
    }
}

#[tokio::test]
async fn an_owner_adds_a_provider_and_it_opens_the_account_until_it_is_removed() {
    let door = Door::new().await;
    let (bob, eve) = (door.house.person("bob").await, door.house.person("eve").await);
    let (bob_call, eve_call) = (bob.call(&door.house).await, eve.call(&door.house).await);
    assert_eq!(code(door.link(&bob_call, &eve_call).await), "login_expired", "another account came back");
    door.link(&bob_call, &bob_call).await.expect("added");
    door.link(&bob_call, &bob_call).await.expect("added already");
    assert_eq!(code(door.link(&eve_call, &eve_call).await), "identity_taken");
    let by_provider = door.log_in().await.expect("opens");
    assert_eq!(by_provider.user, bob.user.id);
    let own = door.only(&bob.user.id).await;
    let foreign = door.unlink(&eve_call, &bob.user.id, &own, Some(PASSWORD)).await;
    assert_eq!(code(foreign), "not_found");
    door.unlink(&bob_call, &bob.user.id, &own, Some(PASSWORD)).await.expect("removed: the password is left");
    let presented = Presented { cookie: Some(by_provider.cookie.expose()), ..Presented::nothing() };
    let late = door.house.engine.authenticate(&door.house.mount, door.house.origin(), &presented).await;
    assert!(late.is_ok_and(|call| call.auth.is_anonymous()), "whoever came in by it is out");
    assert_eq!(code(door.house.bearer(bob.token()).await), "ok", "and its owner is not");
    let other = door.log_in().await.expect("a stranger now");
    assert_ne!(other.user, bob.user.id);
}

#[tokio::test]
async fn a_stolen_token_adds_and_removes_no_way_in() {
    let door = Door::new().await;
    let bob = door.house.person("bob").await;
    let stolen = bob.call(&door.house).await;
    for wrong in [None, Some("wrong")] {
        assert_eq!(code(door.link_with(&stolen, &stolen, wrong).await), "bad_credentials");
    }
    let elsewhere = door.house.login("bob").await;
    let elsewhere = door.house.bearer(elsewhere.access.token.expose()).await.expect("let in");
    assert_eq!(code(door.link(&elsewhere, &stolen).await), "login_expired", "another log-in came back");
    door.link(&elsewhere, &elsewhere).await.expect("the owner, with the password");
    let own = door.only(&bob.user.id).await;
    assert_eq!(code(door.unlink(&stolen, &bob.user.id, &own, None).await), "bad_credentials");
}

#[tokio::test]
async fn an_account_without_a_password_changes_its_ways_in_from_a_fresh_log_in() {
    let door = Door::new().await;
    let stay = door.log_in().await.expect("an account");
    let own = door.only(&stay.user).await;
    let call = door.call_of(&stay).await;
    assert_eq!(code(door.unlink(&call, &stay.user, &own, None).await), "last_way_in");
    door.house.clock.advance_s(301);
    *door.idp.now_s.lock() = door.house.engine.now_ms() / 1000;
    assert_eq!(code(door.unlink(&call, &stay.user, &own, None).await), "login_too_old");
    assert_eq!(code(door.link_with(&call, &call, None).await), "login_too_old");
    let fresh = door.log_in().await.expect("again");
    let fresh = door.call_of(&fresh).await;
    door.link_with(&fresh, &fresh, None).await.expect("added already");
}

#[tokio::test]
async fn an_administrator_sees_and_removes_anybodys_identities_the_last_one_too() {
    let door = Door::new().await;
    let stay = door.log_in().await.expect("an account");
    let own = door.only(&stay.user).await;
    let system = door.house.system();
    let permit = system.permit(Target::any()).expect("the system may");
    let seen = door.house.engine.identities().list(permit, &stay.user).await.expect("a list");
    assert_eq!(seen.len(), 1);
    door.unlink(&system, &stay.user, &own, None).await.expect("removed");
    let presented = Presented { cookie: Some(stay.cookie.expose()), ..Presented::nothing() };
    let late = door.house.engine.authenticate(&door.house.mount, door.house.origin(), &presented).await;
    assert!(late.is_ok_and(|call| call.auth.is_anonymous()));
}

#[tokio::test]
async fn a_limited_credential_adds_no_way_in() {
    let door = Door::new().await;
    let ann = door.house.person("ann").await;
    let permit = door.house.nobody().await.permit(Target::any()).expect("anybody may");
    let login = Login {
        login: "ann@example.org".into(),
        password: PASSWORD.into(),
        client: Some("app".into()),
        scope: Some("identity:*".into()),
        source: None,
        device: None,
    };
    let limited = door.house.engine.sessions().login(permit, login).await.expect("logs in");
    let limited = door.house.bearer(limited.access.token.expose()).await.expect("let in");
    assert_eq!(code(door.link(&limited, &limited).await), "forbidden");
    let whole = ann.call(&door.house).await;
    assert_eq!(code(door.link(&whole, &limited).await), "forbidden");
}

#[tokio::test]
async fn one_network_leaves_room_for_others_at_a_provider_that_is_slow() {
    let door = Door::new().await;
    door.log_in().await.expect("an account");
    let aways = futures_util::future::join_all((0..12).map(|_| door.leave())).await;
    let honest = door.leave().await;
    *door.idp.slow.lock() = true;
    let many = aways.iter().map(|away| door.back(away));
    let elsewhere = async {
        let logins = door.house.engine.logins();
        let attempt = logins.attempt(&door.house.mount, "idp", Some(&honest.ticket), Some(&honest.state));
        let origin = door.house.origin_at("203.0.113.9");
        let presented = Presented::nothing();
        let call = door.house.engine.authenticate(&door.house.mount, origin, &presented).await?;
        logins.finish(call.permit(Target::any())?, &attempt?, &said("code", None, Some(ISSUER))).await
    };
    let (many, other) = futures_util::future::join(futures_util::future::join_all(many), elsewhere).await;
    let busy = many.into_iter().filter(|one| matches!(one, Err(error) if name(error) == "provider_busy"));
    assert_eq!(busy.count(), 4, "eight of one network at once");
    assert_eq!(code(other.map(drop)), "ok");
}

#[tokio::test]
async fn a_provider_that_is_away_fills_no_log() {
    let door = Door::new().await;
    door.idp.said.lock().insert("/.well-known/openid-configuration", json!({"status": 500}));
    for _ in 0..200 {
        let permit = door.house.nobody().await.permit(Target::any()).expect("anybody may");
        let begun = door.house.engine.logins().begin(permit, "idp", Way::new(BACK, "/")).await;
        assert_eq!(code(begun.map(drop)), "provider_unavailable");
    }
    door.house.engine.flush(true).await.expect("written");
    let lines = door.house.store.audit(AuditQuery { limit: 1_000, ..AuditQuery::default() }).await;
    let lines = lines.expect("a read");
    let failed: Vec<_> = lines.iter().filter(|line| line.entry.action == "login:begin").collect();
    assert!(failed.len() <= 2, "{} lines", failed.len());
    assert_eq!(failed.iter().map(|line| line.entry.count).sum::<i64>(), 200, "and none is lost");
}

#[tokio::test]
async fn the_log_says_what_was_wrong_with_an_answer_and_of_which_provider() {
    let door = Door::new().await;
    let away = door.leave().await;
    let refused = door.back_with(&away, said("", Some("access_denied"), Some(ISSUER))).await;
    assert_eq!(code(refused.map(drop)), "provider_refused");
    door.house.engine.flush(true).await.expect("written");
    let lines =
        door.house.store.audit(AuditQuery { limit: 100, ..AuditQuery::default() }).await.expect("a read");
    let line = lines.iter().find(|line| line.entry.action == "session:login").expect("a line");
    assert_eq!(line.entry.reason.as_deref(), Some("provider_refused: it answered access_denied"));
    assert_eq!(line.entry.resource.as_deref(), Some("idp"));
}
