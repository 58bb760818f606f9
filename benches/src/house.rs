//! An engine over a file store, wired as the binary wires it.

use std::path::Path;
use std::sync::Arc;

use doorward_core::Engine;
use doorward_core::agents::runner;
use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Chain, NoHeaders, Offered, Place, Presented};
use doorward_core::authz::{Roles, Target};
use doorward_core::clock::ManualClock;
use doorward_core::engine::{Parts, Settings};
use doorward_core::identity::model::User;
use doorward_core::identity::password::{HashingSettings, PasswordPolicy};
use doorward_core::identity::users::NewUser;
use doorward_core::limits::windows::Windows;
use doorward_core::mount::{Mount, SessionRules, SignUp};
use doorward_core::random::SeededRandom;
use doorward_core::secret::SecretBytes;
use doorward_core::tokens::issue::{Subject, issue};
use doorward_core::tokens::{Keys, RefreshRules, TokenProfile};
use doorward_protocols::jose::Algorithm;
use doorward_store::{Options, SqlStore};

use crate::keys::NOW_S;

/// A place for stores, removed at the end.
pub(crate) fn directory() -> tempfile::TempDir {
    // Under the build directory, because a temporary directory may be memory and then syncs cost nothing.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the bench stands in the repository");
    let target = root.join("target");
    std::fs::create_dir_all(&target).expect("can be made");
    tempfile::tempdir_in(target).expect("can be made")
}

/// The engine and a mount.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) mount: Arc<Mount>,
    pub(crate) store: SqlStore,
}

impl House {
    pub(crate) async fn open(path: &Path, algorithm: Algorithm) -> Self {
        Self::over(SqlStore::open_path(path, &Options::default()).expect("opens"), algorithm).await
    }

    /// As [`House::open`], on this store.
    pub(crate) async fn over(store: SqlStore, algorithm: Algorithm) -> Self {
        let parts = Parts {
            store: Arc::new(store.clone()),
            clock: Arc::new(ManualClock::new(NOW_S * 1000)),
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
            limits: Vec::new(),
            anomalies: Default::default(),
            providers: Vec::new(),
            people: None,
            failures: Default::default(),
            webhooks: Vec::new(),
            longest_token_ms: 86_400_000,
        };
        let engine = Engine::open(parts, settings).await.expect("opens");
        let ring = engine.ring(&format!("sign:{algorithm}"), algorithm).await.expect("a ring");
        let own = serde_json::json!({"issuer": "doorward", "audience": ["doorward"]});
        let options = own.as_object().expect("an object").clone();
        let section = Section { options, ring: Some(Arc::clone(&ring)), ..Section::default() };
        let chain = Chain::new(vec![
            build("api_key", Section::default(), &engine).expect("built"),
            build("own_token", section, &engine).expect("built"),
        ]);
        let mount = Arc::new(Mount {
            name: "native".into(),
            surface: "native",
            chain,
            tokens: TokenProfile {
                authority: "local".into(),
                issuer: Some("doorward".into()),
                audience: Some("doorward".into()),
                identity_claim: "sub".into(),
                typ: "at+jwt",
                keys: Keys::Ring(ring),
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
        });
        Self { engine, mount, store }
    }

    /// A user without a password.
    pub(crate) async fn user(&self, name: &str) -> User {
        let permit = self.engine.system_call(&self.mount, "bench").permit(Target::any()).expect("may");
        let new = NewUser { username: Some(name.into()), ..NewUser::default() };
        self.engine.users().create(permit, new).await.expect("made")
    }

    /// A token for a user.
    pub(crate) fn token(&self, user: &User) -> String {
        let subject = Subject { subject: user.id.as_str().to_owned(), ..Subject::default() };
        issue(&self.engine, &self.mount.tokens, subject).expect("issued").token.expose().clone()
    }
}

/// A Bearer credential.
pub(crate) fn bearer(text: &str) -> Presented<'_> {
    Presented {
        offered: Some(Offered { place: Place::Bearer, text }),
        headers: &NoHeaders,
        ..Presented::nothing()
    }
}

/// A runtime of its own for a bench.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
