//! A running engine for tests, and actors that use it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::agents::runner::{self, Runner};
use doorward_core::anomalies::Anomalies;
use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Chain, Glanced, NoHeaders, Offered, Place, Presented};
use doorward_core::authz::{RoleDef, Roles, Target};
use doorward_core::clock::ManualClock;
use doorward_core::engine::{Parts, Settings};
use doorward_core::events::{Hook, Webhook};
use doorward_core::id::RequestId;
use doorward_core::identity::model::User;
use doorward_core::identity::password::{HashingSettings, PasswordPolicy};
use doorward_core::identity::proofs::EmailRules;
use doorward_core::identity::sessions::{Granted, Login};
use doorward_core::identity::users::NewUser;
use doorward_core::limits::failures::FailureRules;
use doorward_core::limits::windows::Windows;
use doorward_core::login::People;
use doorward_core::login::Provider;
use doorward_core::mount::{Mount, SessionRules, SignUp};
use doorward_core::operation::{Call, Origin};
use doorward_core::ports::{Mailer, NoMailer, NoWayOut, Outbound};
use doorward_core::random::{Random, SeededRandom};
use doorward_core::secret::SecretBytes;
use doorward_core::tokens::{KeyRing, Keys, RefreshRules, TokenProfile};
use doorward_core::{Engine, Error, Result};
use doorward_protocols::jose::Algorithm;
use doorward_store::SqlStore;

pub(crate) const NOON: i64 = 1_800_000_000_000;
pub(crate) const PASSWORD: &str = "correct horse battery";

/// An engine, its clock, and a native mount.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) mount: Arc<Mount>,
    pub(crate) store: SqlStore,
    /// What is drawn, counted.
    pub(crate) random: Arc<Counting>,
    ring: Arc<KeyRing>,
}

/// Reproducible bytes, and how often a salt was among them: each password that is hashed draws one.
pub(crate) struct Counting {
    inner: SeededRandom,
    salts: AtomicUsize,
}

impl Counting {
    pub(crate) fn salts(&self) -> usize {
        self.salts.load(Ordering::Relaxed)
    }
}

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) {
        if out.len() == 16 {
            self.salts.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.fill(out);
    }
}

impl House {
    /// How many passwords were hashed, compared or judged so far.
    pub(crate) fn hashings(&self) -> u64 {
        self.engine.vitals().hashings
    }

    pub(crate) async fn new() -> Self {
        Self::over(SqlStore::memory().expect("a scratch store"), Arc::new(ManualClock::new(NOON)), 1).await
    }

    /// A house with other keys and another store.
    pub(crate) async fn elsewhere() -> Self {
        Self::over(SqlStore::memory().expect("a scratch store"), Arc::new(ManualClock::new(NOON + 7)), 3)
            .await
    }

    /// Another process on the same store.
    pub(crate) async fn neighbour(&self) -> Self {
        Self::over(self.store.clone(), Arc::clone(&self.clock), 2).await
    }

    /// A house whose engine asks others this way.
    pub(crate) async fn asking(outbound: Arc<dyn Outbound>) -> Self {
        Self::with(Around { outbound, ..Around::default() }).await
    }

    /// A house in these surroundings.
    pub(crate) async fn with(around: Around) -> Self {
        let store = SqlStore::memory().expect("a scratch store");
        Self::built(store, Arc::new(ManualClock::new(NOON)), 1, around).await
    }

    /// Another process on the same store, in these surroundings.
    pub(crate) async fn neighbour_with(&self, around: Around) -> Self {
        Self::built(self.store.clone(), Arc::clone(&self.clock), 5, around).await
    }

    async fn over(store: SqlStore, clock: Arc<ManualClock>, seed: u64) -> Self {
        Self::built(store, clock, seed, Around::default()).await
    }

    async fn built(store: SqlStore, clock: Arc<ManualClock>, seed: u64, around: Around) -> Self {
        let random = Arc::new(Counting { inner: SeededRandom::new(seed), salts: AtomicUsize::new(0) });
        let parts = Parts {
            store: Arc::new(store.clone()),
            clock: Arc::clone(&clock) as _,
            random: Arc::clone(&random) as _,
            master_key: SecretBytes::new(vec![7; 32]),
            runner: around.runner.unwrap_or_else(runner::BUILTIN[0].build),
            shared: Arc::new(Windows::new()),
            outbound: around.outbound,
            mailer: around.mailer,
            hooks: around.hooks,
        };
        let settings = Settings {
            roles: Roles::new(&around.roles).expect("a policy"),
            hashing: HashingSettings { memory_kib: 64, ..HashingSettings::default() },
            limits: Vec::new(),
            failures: FailureRules::default(),
            anomalies: around.anomalies,
            providers: around.providers,
            people: around.people,
            webhooks: around.webhooks,
            longest_token_ms: 86_400_000,
        };
        let engine = Engine::open(parts, settings).await.expect("opens");
        let ring = engine.ring("sign:native", Algorithm::ES256).await.expect("a ring");
        let mount = Arc::new(Mount { email: around.email, ..mount(&engine, &ring) });
        Self { engine, clock, mount, store, random, ring }
    }

    /// A mount like the house's own, to be changed.
    pub(crate) fn mount_like(&self) -> Mount {
        mount(&self.engine, &self.ring)
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin_at("192.0.2.1")
    }

    pub(crate) fn origin_at(&self, address: &str) -> Origin {
        Origin {
            request: RequestId::new(self.engine.clock(), self.engine.random()),
            address: Some(address.parse::<IpAddr>().expect("an address")),
            user_agent: Some("test".into()),
        }
    }

    pub(crate) async fn present_at(&self, address: &str, place: Place, text: &str) -> Result<Call> {
        let presented =
            Presented { offered: Some(Offered { place, text }), headers: &NoHeaders, ..Presented::nothing() };
        let glanced = Glanced { offered: Some((place, text.as_bytes())), cookie: false };
        let known = self.mount.chain.known(&glanced, self.engine.now_ms());
        let found = self.engine.authenticate(&self.mount, self.origin_at(address), &presented).await;
        if let Some(known) = known {
            let found = found.as_ref().expect("whom memory lets in is let in");
            assert_eq!(format!("{known:?}"), format!("{:?}", found.auth), "who it is that memory lets in");
        }
        found
    }

    /// Whether a look-up in memory lets a Bearer credential in.
    pub(crate) fn knows(&self, text: &str) -> bool {
        let glanced = Glanced { offered: Some((Place::Bearer, text.as_bytes())), cookie: false };
        self.engine.known(&self.mount, || self.origin(), &glanced, self.engine.now_ms()).is_some()
    }

    /// A request with a Bearer credential.
    pub(crate) async fn bearer(&self, text: &str) -> Result<Call> {
        self.present_at("192.0.2.1", Place::Bearer, text).await
    }

    /// A request without a credential.
    pub(crate) async fn nobody(&self) -> Call {
        let presented = Presented::nothing();
        self.engine.authenticate(&self.mount, self.origin(), &presented).await.expect("nobody is somebody")
    }

    /// Doorward itself.
    pub(crate) fn system(&self) -> Call {
        self.engine.system_call(&self.mount, "test")
    }

    pub(crate) async fn sign_up(&self, name: &str) -> Result<User> {
        let permit = self.nobody().await.permit(Target::any())?;
        let new = NewUser {
            email: Some(format!("{name}@example.org")),
            password: Some(PASSWORD.into()),
            ..NewUser::default()
        };
        self.engine.users().sign_up(permit, new).await
    }

    pub(crate) async fn admin(&self, name: &str) -> User {
        let permit = self.system().permit(Target::any()).expect("the system may");
        let new = NewUser {
            email: Some(format!("{name}@example.org")),
            password: Some(PASSWORD.into()),
            roles: vec!["admin".into()],
            ..NewUser::default()
        };
        self.engine.users().create(permit, new).await.expect("made")
    }

    pub(crate) async fn login_as(
        &self,
        login: &str,
        password: &str,
        client: Option<&str>,
    ) -> Result<Granted> {
        let permit = self.nobody().await.permit(Target::any())?;
        let login = Login {
            login: login.to_owned(),
            password: password.into(),
            client: client.map(str::to_owned),
            scope: None,
            source: None,
            device: None,
        };
        self.engine.sessions().login(permit, login).await
    }

    pub(crate) async fn login(&self, name: &str) -> Granted {
        self.login_as(&format!("{name}@example.org"), PASSWORD, Some("app")).await.expect("logs in")
    }

    /// Signs up, logs in, and is ready to ask for things.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let user = self.sign_up(name).await.expect("signs up");
        let granted = self.login(name).await;
        Person { user, granted }
    }

    pub(crate) async fn refresh(&self, token: &str, client: &str) -> Result<Granted> {
        let permit = self.nobody().await.permit(Target::any())?;
        self.engine.sessions().refresh(permit, &token.into(), Some(client)).await
    }
}

fn mount(engine: &Engine, ring: &Arc<KeyRing>) -> Mount {
    let section = |json: serde_json::Value| Section {
        options: json.as_object().expect("an object").clone(),
        keys: None,
        remote: None,
        asking: None,
        handlers: None,
        hooks: None,
        ring: Some(Arc::clone(ring)),
    };
    let own = serde_json::json!({"issuer": "doorward", "audience": ["doorward"]});
    let chain = Chain::new(vec![
        build("api_key", section(serde_json::json!({})), engine).expect("built"),
        build("own_token", section(own), engine).expect("built"),
        build("session_cookie", section(serde_json::json!({})), engine).expect("built"),
    ]);
    Mount {
        name: "native".into(),
        surface: "native",
        chain,
        tokens: TokenProfile {
            authority: "local".into(),
            issuer: Some("doorward".into()),
            audience: Some("doorward".into()),
            identity_claim: "sub".into(),
            typ: "at+jwt",
            keys: Keys::Ring(Arc::clone(ring)),
            access_ttl_s: 3_600,
            max_ttl_s: 86_400,
            refresh: RefreshRules::default(),
            claims: doorward_core::tokens::PersonClaims::Roles,
        },
        passwords: PasswordPolicy::default(),
        sign_up: SignUp::Open,
        email: None,
        distinct_refusals: false,
        sessions: SessionRules::default(),
        policy: None,
        tenant: None,
    }
}

/// What an engine may have around it.
pub(crate) struct Around {
    /// Who answers; whoever says it again where nobody is named.
    pub(crate) runner: Option<Arc<dyn Runner>>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) email: Option<EmailRules>,
    pub(crate) hooks: Vec<Arc<dyn Hook>>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) roles: BTreeMap<String, RoleDef>,
    pub(crate) anomalies: Anomalies,
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) people: Option<People>,
}

impl Default for Around {
    fn default() -> Self {
        Self {
            runner: None,
            outbound: Arc::new(NoWayOut),
            mailer: Arc::new(NoMailer),
            email: None,
            hooks: Vec::new(),
            webhooks: Vec::new(),
            roles: BTreeMap::new(),
            anomalies: Anomalies::default(),
            providers: Vec::new(),
            people: None,
        }
    }
}

/// Somebody who is logged in.
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) granted: Granted,
}

impl Person {
    pub(crate) fn token(&self) -> &str {
        self.granted.access.token.expose()
    }

    pub(crate) async fn call(&self, house: &House) -> Call {
        house.bearer(self.token()).await.expect("let in")
    }
}

/// The code of an expected refusal.
pub(crate) fn code<T>(result: Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => name(&error),
    }
}

pub(crate) fn name(error: &Error) -> &'static str {
    error.code().name
}
