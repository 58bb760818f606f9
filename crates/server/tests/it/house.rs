//! A running server for tests: its own store, its own ports, a clock that stands still.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::Engine;
use doorward_core::agents::runner;
use doorward_core::authn::Chain;
use doorward_core::authn::methods::{Section, build};
use doorward_core::authz::{Roles, Target};
use doorward_core::clock::ManualClock;
use doorward_core::engine::{Parts, Settings};
use doorward_core::identity::password::{HashingSettings, PasswordPolicy};
use doorward_core::identity::users::NewUser;
use doorward_core::limits::failures::FailureRules;
use doorward_core::limits::rules::LimitRule;
use doorward_core::limits::windows::Windows;
use doorward_core::mount::{Mount, SessionRules, SignUp};
use doorward_core::random::SeededRandom;
use doorward_core::secret::SecretBytes;
use doorward_core::tokens::issue::{Subject, issue};
use doorward_core::tokens::{KeyRing, Keys, RefreshRules, TokenProfile};
use doorward_protocols::jose::Algorithm;
use doorward_server::{At, ClientScripts, Graphs, Listening, MountAt, RateLimit, ServerSettings, bind};
use doorward_store::SqlStore;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wire::Actor;

pub(crate) const NOON: i64 = 1_800_000_000_000;
pub(crate) const PASSWORD: &str = "correct horse battery";

/// How a house is set up.
#[derive(Default)]
pub(crate) struct Plan {
    /// The agent server behind the AgentFlow mount.
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) rate_limit: Option<RateLimit>,
    /// The operator's limits.
    pub(crate) limits: Vec<LimitRule>,
    /// `auth: null` on the AgentFlow mount.
    pub(crate) open: bool,
    pub(crate) settings: ServerSettings,
}

/// A running server.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) native: Arc<Mount>,
    pub(crate) agentflow: Arc<Mount>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

pub(crate) async fn engine() -> Engine {
    engine_with(Vec::new()).await
}

async fn engine_with(limits: Vec<LimitRule>) -> Engine {
    let parts = Parts {
        store: Arc::new(SqlStore::memory().expect("a scratch store")),
        clock: Arc::new(ManualClock::new(NOON)),
        random: Arc::new(SeededRandom::new(1)),
        master_key: SecretBytes::new(vec![7; 32]),
        runner: (runner::BUILTIN[0].build)(),
        shared: Arc::new(Windows::new()),
        outbound: Arc::new(doorward_core::ports::NoWayOut),
        mailer: Arc::new(doorward_core::ports::NoMailer),
        hooks: Vec::new(),
    };
    let settings = Settings {
        roles: Roles::new(&Default::default()).expect("the defaults"),
        hashing: HashingSettings { memory_kib: 64, ..HashingSettings::default() },
        limits,
        anomalies: Default::default(),
        providers: Vec::new(),
        people: None,
        failures: FailureRules::default(),
        webhooks: Vec::new(),
        longest_token_ms: 86_400_000,
    };
    Engine::open(parts, settings).await.expect("opens")
}

fn section(options: Value, ring: &Arc<KeyRing>) -> Section {
    let options = options.as_object().expect("an object").clone();
    Section { options, ring: Some(Arc::clone(ring)), ..Section::default() }
}

fn mount(name: &str, surface: &'static str, claim: &str, chain: Chain, ring: Arc<KeyRing>) -> Arc<Mount> {
    Arc::new(Mount {
        name: name.into(),
        surface,
        chain,
        tokens: TokenProfile {
            authority: if surface == "native" { "local".into() } else { name.into() },
            issuer: Some(name.into()),
            audience: Some(name.into()),
            identity_claim: claim.into(),
            typ: "at+jwt",
            keys: Keys::Ring(ring),
            access_ttl_s: 3_600,
            max_ttl_s: 86_400,
            refresh: RefreshRules::default(),
            claims: doorward_core::tokens::PersonClaims::Roles,
        },
        passwords: PasswordPolicy::default(),
        distinct_refusals: false,
        sign_up: SignUp::Open,
        email: None,
        sessions: SessionRules::default(),
        policy: None,
        tenant: None,
    })
}

pub(crate) async fn native_mount(engine: &Engine) -> Arc<Mount> {
    let ring = engine.ring("sign:native", Algorithm::ES256).await.expect("a ring");
    let own = json!({"issuer": "native", "audience": ["native"]});
    let chain = Chain::new(vec![
        build("api_key", section(json!({}), &ring), engine).expect("built"),
        build("own_token", section(own, &ring), engine).expect("built"),
        build("session_cookie", section(json!({}), &ring), engine).expect("built"),
    ]);
    mount("native", "native", "sub", chain, ring)
}

pub(crate) async fn agentflow_mount(engine: &Engine, open: bool) -> Arc<Mount> {
    let ring = engine.ring("sign:agentflow", Algorithm::ES256).await.expect("a ring");
    let method = if open {
        build("anonymous", section(json!({"roles": ["user"], "ignore_credentials": true}), &ring), engine)
    } else {
        let options =
            json!({"authority": "agentflow", "identity_claim": "user_id", "audience": ["agentflow"]});
        let section = Section { keys: Some(ring.verifying()), ..section(options, &ring) };
        build("external_jwt", section, engine)
    };
    mount("agentflow", "agentflow", "user_id", Chain::new(vec![method.expect("built")]), ring)
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        Self::with(Plan { upstream: Some(upstream), ..Plan::default() }).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let engine = engine_with(plan.limits).await;
        let native = native_mount(&engine).await;
        let agentflow = agentflow_mount(&engine, plan.open).await;
        let upstream = plan.upstream.map(|address| format!("http://{address}").parse().expect("an address"));
        let mounts = vec![
            MountAt {
                mount: Arc::clone(&native),
                at: At::Root,
                upstream: None,
                assertions: None,
                rate_limit: None,
                cors_origins: Vec::new(),
                token_sources: Vec::new(),
                message_rate: doorward_server::MessageRate::default(),
                waiting_bytes: 64 << 20,
                docs: false,
                graphs: Graphs::default(),
                hooks: None,
                oauth_callback: None,
                client_scripts: ClientScripts::default(),
            },
            MountAt {
                mount: Arc::clone(&agentflow),
                at: At::Prefix("/agentflow".into()),
                upstream,
                assertions: None,
                rate_limit: plan.rate_limit,
                cors_origins: Vec::new(),
                token_sources: Vec::new(),
                message_rate: doorward_server::MessageRate::default(),
                waiting_bytes: 64 << 20,
                docs: false,
                graphs: Graphs::default(),
                hooks: None,
                oauth_callback: None,
                client_scripts: ClientScripts::default(),
            },
        ];
        let any_port = Listening { address: ([127, 0, 0, 1], 0).into(), mounts };
        let bound = bind(&engine, vec![any_port], &plan.settings).await.expect("binds");
        let address = bound.addresses()[0];
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(bound.run(async move {
            let _ = stopped.await;
        }));
        Self { engine, address, native, agentflow, stop: Some(stop), running }
    }

    /// Stops, and returns when everything that was taken is answered.
    pub(crate) async fn stop(mut self) {
        self.tell_to_stop();
        tokio::time::timeout(Duration::from_secs(10), self.running).await.expect("it ends").expect("well");
    }

    pub(crate) fn tell_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("it runs");
        }
    }

    /// Nobody, at the native API.
    pub(crate) fn nobody(&self) -> Actor {
        Actor { address: self.address, prefix: "", token: None }
    }

    /// Nobody, at the AgentFlow mount.
    pub(crate) fn stranger(&self) -> Actor {
        Actor { prefix: "/agentflow", ..self.nobody() }
    }

    /// A user of the AgentFlow mount, by a token like those its own clients make.
    pub(crate) fn visitor(&self, user_id: &str) -> Actor {
        self.visitor_with(user_id, None)
    }

    pub(crate) fn visitor_with(&self, user_id: &str, ttl_s: Option<i64>) -> Actor {
        let subject =
            Subject { subject: user_id.to_owned(), ttl_s, claims: Map::new(), ..Subject::default() };
        let issued = issue(&self.engine, &self.agentflow.tokens, subject).expect("issues");
        Actor { token: Some(issued.token.expose().clone()), ..self.stranger() }
    }

    /// Signs up and logs in at the native API.
    pub(crate) async fn person(&self, name: &str) -> Actor {
        let body = json!({"username": name, "password": PASSWORD});
        let made = self.nobody().post("/v1/users", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        self.login(name).await
    }

    pub(crate) async fn login(&self, name: &str) -> Actor {
        let body = json!({"grant_type": "password", "username": name, "password": PASSWORD});
        let granted = self.nobody().post("/v1/token", &body).await;
        assert_eq!(granted.status, 200, "{granted:?}");
        let token = granted.json()["access_token"].as_str().map(str::to_owned);
        Actor { token, ..self.nobody() }
    }

    /// An administrator with an admin API key.
    pub(crate) async fn admin(&self) -> Actor {
        let system = self.engine.system_call(&self.native, "test");
        let new = NewUser {
            username: Some("root".into()),
            password: Some(PASSWORD.into()),
            roles: vec!["admin".into()],
            ..NewUser::default()
        };
        let user =
            self.engine.users().create(system.permit(Target::any()).expect("may"), new).await.expect("made");
        let key = self
            .engine
            .api_keys()
            .create_for(
                system.permit(Target::any()).expect("may"),
                &user.id,
                doorward_core::identity::model::ApiKeyKind::Admin,
                doorward_core::identity::api_keys::NewApiKey {
                    name: "test".into(),
                    scopes: vec!["*".into()],
                    expiry: doorward_core::identity::api_keys::Expiry::Never,
                },
            )
            .await
            .expect("made");
        Actor { token: Some(key.secret.expose().clone()), ..self.nobody() }
    }
}
