//! Start-up files of a hub: what their functions say, and what Doorward makes of it.

use std::collections::HashMap;
use std::sync::Arc;

use doorward_core::authn::built_in::Answers;
use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Authenticator, Chain, Headers, Line, NoHeaders, Offered, Place, Presented};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{token, user, workspace};
use doorward_core::error::Result;
use doorward_core::identity::sessions::Which;
use doorward_core::mount::Mount;
use doorward_core::operation::Call;
use doorward_core::ports::Handlers;
use doorward_core::ports::handlers::{BuiltIns, HandlerFault, Refused};
use doorward_core::ports::store::Changes as _;
use doorward_core::principal::PrincipalKind;
use doorward_core::start_up::{NothingFound, Registered, StandsFor, StartUpAnswers, TokenHooks};
use doorward_core::tokens::hub::HUB_TOKEN;
use doorward_core::tokens::{HubToken, HubTokenKind, Keys, TokenProfile};
use doorward_core::workspaces::{Permission, WorkspaceScope, names};
use doorward_protocols::jose::Algorithm;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::{House, NOON, code};

type Says = Box<dyn Fn(&Value) -> std::result::Result<Value, HandlerFault> + Send + Sync>;

/// A file whose functions say what they are told to, and which keeps what it made in a dictionary, as the document's samples do.
#[derive(Default)]
struct File {
    parse: Mutex<Option<Says>>,
    get: Mutex<Option<Says>>,
    made: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<String>>,
}

fn refused(text: &str) -> HandlerFault {
    HandlerFault::Refused(Refused { status: 401, detail: text.into(), headers: Vec::new() })
}

impl Handlers for File {
    fn name(&self) -> &str {
        "file"
    }

    fn places(&self) -> usize {
        64
    }

    fn call<'a>(
        &'a self,
        function: &'static str,
        with: Value,
    ) -> BoxFuture<'a, std::result::Result<Value, HandlerFault>> {
        self.asked.lock().push(function.to_owned());
        let say = |says: &Mutex<Option<Says>>| says.lock().as_ref().map(|says| says(&with));
        let said = match function {
            "get_token" => say(&self.get),
            "parse_token" => say(&self.parse).or_else(|| {
                let user = self.made.lock().get(with["token"].as_str().unwrap_or_default()).cloned();
                Some(user.map(|user| json!({ "user": user })).ok_or_else(|| refused("Invalid token")))
            }),
            "generate_token" => {
                let mut made = self.made.lock();
                let token = format!("custom_{}", made.len());
                made.insert(token.clone(), with["user"].clone());
                Some(Ok(json!({ "token": token })))
            }
            _ => None,
        };
        let said = said.unwrap_or_else(|| Err(HandlerFault::Invalid(function.to_owned())));
        Box::pin(async { said })
    }
}

struct Hub {
    house: House,
    file: Arc<File>,
    hooks: Arc<TokenHooks>,
    mount: Arc<Mount>,
    answers: StartUpAnswers,
}

const ALL: Registered = Registered { get: false, parse: true, generate: true };

impl Hub {
    async fn new(none: NothingFound) -> Self {
        Self::over(House::new().await, Arc::new(File::default()), none).await
    }

    /// The server is started anew over the same store, and its file with what it kept.
    async fn started_anew(&self) -> Self {
        let house = self.house.neighbour().await;
        let hub = Self::over(house, Arc::clone(&self.file), NothingFound::Usual).await;
        hub.hooks.register(self.hooks.registered());
        hub
    }

    async fn over(house: House, file: Arc<File>, none: NothingFound) -> Self {
        let keys = Keys::Ring(house.engine.ring("sign:native", Algorithm::ES256).await.expect("a ring"));
        let base = house.mount_like();
        let methods = || -> Vec<Arc<dyn Authenticator>> {
            let section = |options: Value, keys: Option<&Keys>| Section {
                options: options.as_object().expect("an object").clone(),
                ring: match keys {
                    Some(Keys::Ring(ring)) => Some(Arc::clone(ring)),
                    _ => None,
                },
                keys: match keys {
                    Some(Keys::Fixed { verify, .. }) => Some(Arc::clone(verify)),
                    _ => None,
                },
                ..Section::default()
            };
            let hub = json!({"issuer": "doorward", "audience": "hub", "authority": "hypha"});
            let own = json!({"issuer": "doorward", "audience": ["doorward"]});
            let method = |name, section| build(name, section, &house.engine).expect("built");
            vec![
                method("api_key", section(json!({}), None)),
                method("hub_token", section(hub, Some(&keys))),
                method("own_token", section(own, Some(&base.tokens.keys))),
            ]
        };
        let handlers = Arc::clone(&file) as Arc<dyn Handlers>;
        let hooks =
            TokenHooks::new(house.engine.clone(), "hypha".into(), handlers, Chain::new(methods()), none);
        let hooks = Arc::new(hooks);
        let section = Section { hooks: Some(Arc::clone(&hooks)), ..Section::default() };
        let mut chain = vec![build("start_up", section, &house.engine).expect("built")];
        chain.extend(methods());
        chain.push(build("visitor", Section::default(), &house.engine).expect("built"));
        let tokens = TokenProfile {
            authority: "hypha".into(),
            audience: Some("hub".into()),
            typ: HUB_TOKEN,
            keys: keys.clone(),
            max_ttl_s: 172_800,
            ..base.tokens.clone()
        };
        let chain = Chain::new(chain);
        let mount = Arc::new(Mount { name: "hypha".into(), surface: "hypha", chain, tokens, ..base });
        let all = Answers::new(house.engine.clone(), Chain::new(methods()));
        let answers = StartUpAnswers::new(Arc::clone(&hooks), Arc::clone(&mount), all);
        Self { house, file, hooks, mount, answers }
    }

    async fn of(registered: Registered) -> Self {
        let hub = Self::new(NothingFound::Usual).await;
        hub.hooks.register(registered);
        hub
    }

    async fn present(&self, presented: &Presented<'_>) -> Result<Call> {
        self.house.engine.authenticate(&self.mount, self.house.origin(), presented).await
    }

    async fn show(&self, text: &str) -> Result<Call> {
        let offered = Some(Offered { place: Place::Bearer, text });
        self.present(&Presented { offered, headers: &NoHeaders, ..Presented::nothing() }).await
    }

    /// A person by a token of Doorward's own, whatever the file says.
    async fn ann(&self) -> Call {
        let ann = self.house.person("ann").await;
        let registered = self.hooks.registered();
        self.hooks.register(Registered::default());
        let call = self.show(ann.granted.access.token.expose()).await.expect("let in");
        self.hooks.register(registered);
        call
    }

    async fn token(&self, call: &Call, wanted: HubToken) -> Result<String> {
        let made = self.hooks.token(&self.mount.tokens, call, wanted).await?;
        Ok(made.token.expose().clone())
    }

    fn says(
        &self,
        says: impl Fn(&Value) -> std::result::Result<Value, HandlerFault> + Send + Sync + 'static,
    ) {
        *self.file.parse.lock() = Some(Box::new(says));
    }

    async fn ask(&self, function: &str, with: Value) -> Value {
        self.answers.ask(function, with).await.expect("an answer")
    }
}

fn scope(given: &[(&str, Permission)], current: Option<&str>) -> WorkspaceScope {
    WorkspaceScope {
        given: given.iter().map(|(name, permission)| (Arc::from(*name), *permission)).collect(),
        current: current.map(Arc::from),
        ..WorkspaceScope::default()
    }
}

fn same(workspaces: WorkspaceScope) -> HubToken {
    HubToken { workspaces, ttl_s: None, kind: HubTokenKind::SameSubject, email: None, roles: None }
}

#[tokio::test]
async fn where_nothing_is_registered_callers_are_let_in_as_without_it() {
    let hub = Hub::of(Registered::default()).await;
    let ann = hub.ann().await;
    let token = hub.token(&ann, same(WorkspaceScope::default())).await.expect("made");
    assert!(token.starts_with("ey"), "one of our own");
    assert_eq!(hub.show(&token).await.expect("let in").auth.principal, ann.auth.principal);
    assert!(hub.file.asked.lock().is_empty());
}

#[tokio::test]
async fn what_parse_token_refuses_is_refused_in_its_words_and_nobody_else_is_asked() {
    let hub = Hub::of(ALL).await;
    let ann = hub.house.person("ann").await;
    // One of our own, which the file does not know.
    let error = hub.show(ann.granted.access.token.expose()).await.map(|_| ()).expect_err("refused");
    assert_eq!((error.status(), error.public_message()), (401, "Invalid token"));
    for (fault, status) in [
        (HandlerFault::Away("gone".into()), 503),
        (HandlerFault::Raised("TypeError".into()), 503),
        (HandlerFault::Invalid("no user".into()), 401),
    ] {
        hub.says(move |_| Err(fault.clone()));
        let error = hub.show("x").await.map(|_| ()).expect_err("refused");
        assert_eq!(error.status(), status);
        assert!(!error.public_message().contains("TypeError"), "nothing of it is told");
    }
}

#[tokio::test]
async fn a_user_that_is_none_lets_nobody_in() {
    let hub = Hub::of(ALL).await;
    for user in [
        json!(null),
        json!("x"),
        json!({"id": ""}),
        json!({"id": "x", "scope": {"workspaces": {"a-b": "all"}}}),
    ] {
        hub.says(move |_| Ok(json!({ "user": user })));
        assert_eq!(code(hub.show("x").await), "handler_invalid");
    }
    hub.says(|_| Ok(json!({"user": {"id": "x"}, "of": "no-such-reading"})));
    assert_eq!(code(hub.show("x").await), "handler_invalid");
    hub.says(|_| Ok(json!({"user": {"id": "x", "expires_at": NOON / 1000 - 1}})));
    assert_eq!(code(hub.show("x").await), "token_expired");
}

#[tokio::test]
async fn whom_a_file_vouches_for_has_the_roles_that_can_be_given_and_its_words_for_services() {
    let hub = Hub::of(ALL).await;
    hub.says(|_| {
        let scope = json!({"workspaces": {"api-workspace": "a"}, "current_workspace": "api-workspace"});
        let roles = json!(["read", "admin", "system", "anonymous"]);
        Ok(json!({"user": {"id": "api_user_1", "roles": roles, "email": "a@b.example", "scope": scope}}))
    });
    let call = hub.show("sk_live").await.expect("let in");
    let auth = &call.auth;
    assert_eq!(auth.principal.owner_key(), "hypha|api_user_1");
    let roles: Vec<&str> = auth.roles.iter().map(|role| &**role).collect();
    assert_eq!(roles, ["user", "admin"]);
    let shown = doorward_core::workspaces::UserInfo::of(auth, "hypha", None, None, None);
    assert_eq!(shown.roles, ["read", "admin", "system", "anonymous"]);
    // For one workspace, so for that one alone: not even an administrator's reach.
    assert!(auth.workspaces.confined && !auth.administrative);
    assert!(
        call.permit::<workspace::Manage>(Target {
            id: Some("api-workspace"),
            owner: Some("local|x"),
            mount: "hypha"
        })
        .is_ok()
    );
    assert_eq!(
        code(call.permit::<workspace::Manage>(Target {
            id: Some("team-b"),
            owner: Some("local|x"),
            mount: "hypha"
        })),
        "not_found"
    );
    assert_eq!(code(call.permit::<user::Read>(Target::any())), "scope_missing");
    hub.says(|_| Ok(json!({"user": {"id": "guest", "roles": ["admin"], "is_anonymous": true}})));
    let guest = hub.show("x").await.expect("let in");
    assert_eq!(guest.auth.principal.kind, PrincipalKind::Anonymous);
    assert!(guest.auth.roles.iter().all(|role| &**role == "anonymous") && !guest.auth.administrative);
}

#[tokio::test]
async fn a_text_of_the_files_stands_for_a_token_of_ours() {
    let hub = Hub::of(ALL).await;
    let ann = hub.ann().await;
    let own = names::own(&ann.auth.principal, "hypha");
    let wanted = WorkspaceScope {
        client_id: Some("worker".into()),
        ..scope(&[(&own, Permission::Admin)], Some(&own))
    };
    let token = hub.token(&ann, same(wanted)).await.expect("made");
    assert_eq!(token, "custom_0");
    let back = hub.show(&token).await.expect("let in");
    assert_eq!(back.auth.principal, ann.auth.principal);
    assert_eq!(back.auth.workspaces.client_id.as_deref(), Some("worker"));
    assert_eq!(back.auth.session, ann.auth.session);
    // A file that forgets what it was given does not make it more.
    hub.says(|_| {
        Ok(json!({"user": {"id": "other", "roles": ["admin"], "scope": {"workspaces": {"*": "a"}}}}))
    });
    let other = hub.show(&token).await.expect("let in");
    assert_eq!(other.auth.principal.owner_key(), "hypha|other");
    assert_eq!(other.auth.expires_at_s, back.auth.expires_at_s, "it ends with ours");
    // The log-in that it was made from ends, and it with it: the file is not even asked.
    let id = ann.auth.session.clone().expect("a session");
    let user_id = ann.auth.principal.user_id().expect("a user");
    let permit = hub.house.system().permit(Target::any()).expect("may");
    hub.house.engine.sessions().end(permit, &user_id, Which::One(id)).await.expect("ended");
    let asked = hub.file.asked.lock().len();
    assert_eq!(hub.show(&token).await.map(|_| ()).expect_err("refused").status(), 401);
    assert_eq!(hub.file.asked.lock().len(), asked);
}

#[tokio::test]
async fn nobody_alone_has_all_the_places_for_texts() {
    let hub = Hub::of(ALL).await;
    let ann = hub.ann().await;
    let back = || same(WorkspaceScope::default());
    for n in 0..512 {
        assert_eq!(code(hub.token(&ann, back()).await), "ok", "{n}");
    }
    assert_eq!(code(hub.token(&ann, back()).await), "too_many_stand_ins");
    let bob = hub.house.person("bob").await;
    hub.hooks.register(Registered::default());
    let bob = hub.show(bob.granted.access.token.expose()).await.expect("let in");
    hub.hooks.register(ALL);
    assert_eq!(code(hub.token(&bob, back()).await), "ok", "another has his");
    hub.house.clock.advance_s(2 * 86_400);
    hub.hooks.register(Registered::default());
    let ann = hub.house.login("ann").await;
    let ann = hub.show(ann.access.token.expose()).await.expect("let in");
    hub.hooks.register(ALL);
    assert_eq!(code(hub.token(&ann, back()).await), "ok", "once they have ended");
}

#[tokio::test]
async fn a_child_stays_confined_whatever_the_file_makes_of_its_text() {
    let hub = Hub::of(ALL).await;
    let ann = hub.ann().await;
    let own = names::own(&ann.auth.principal, "hypha");
    let workspaces = WorkspaceScope { confined: true, ..scope(&[(&own, Permission::Read)], Some(&own)) };
    let wanted = HubToken { kind: HubTokenKind::Child, ..same(workspaces) };
    let token = hub.token(&ann, wanted).await.expect("made");
    let plain = hub.show(&token).await.expect("let in");
    assert!(plain.auth.workspaces.confined && plain.auth.principal.kind == PrincipalKind::Service);
    let id = names::own(&plain.auth.principal, "hypha")[names::OWN.len()..].to_owned();
    let wide = json!({"workspaces": {&*own: "a", "team-b": "a", "*": "a"}});
    hub.says(move |_| Ok(json!({"user": {"id": id.clone(), "roles": ["admin"], "scope": wide.clone()}})));
    let call = hub.show(&token).await.expect("let in");
    assert!(call.auth.workspaces.confined && !call.auth.administrative);
    let given: Vec<_> = call.auth.workspaces.given.iter().map(|(name, one)| (&**name, *one)).collect();
    assert_eq!(given, [(&*own, Permission::Read)]);
}

#[tokio::test]
async fn what_a_text_stands_for_is_known_after_a_restart_and_beyond_its_end() {
    let first = Hub::of(ALL).await;
    let ann = first.ann().await;
    let own = names::own(&ann.auth.principal, "hypha");
    let child = || {
        let workspaces = WorkspaceScope { confined: true, ..scope(&[(&own, Permission::Read)], Some(&own)) };
        HubToken { kind: HubTokenKind::Child, ..same(workspaces) }
    };
    let (one, two) =
        (first.token(&ann, child()).await.expect("made"), first.token(&ann, child()).await.expect("made"));
    let hub = first.started_anew().await;
    hub.says(|_| {
        Ok(json!({"user": {"id": "other", "roles": ["admin"], "scope": {"workspaces": {"*": "a"}}}}))
    });
    let call = hub.show(&one).await.expect("let in");
    assert!(call.auth.workspaces.confined && call.auth.workspaces.given.is_empty(), "as it was made");
    // Ending it ends what was made of it, whatever the text says by then.
    let Ok(Some(StandsFor::Ours(ours))) = hub.hooks.stands_for(&one).await else { panic!("a token of ours") };
    let permit = call.permit::<token::Surrender>(Target::any()).expect("may");
    let tokens = hub.house.engine.tokens();
    tokens.surrender_with(permit, ours.expose(), TokenHooks::handle_of(&one)).await.expect("ended");
    assert_eq!(code(hub.show(&one).await), "token_revoked");
    assert!(call.is_revoked(), "of whoever is connected by it");
    // It runs out in the middle of the file's own dream of it, and is cleared out: it stays ended.
    assert_eq!(code(hub.show(&two).await), "ok");
    hub.house.clock.advance_s(2 * 86_400);

    hub.house.store.prune(hub.house.engine.now_ms()).await.expect("pruned");
    let again = hub.started_anew().await;
    assert_eq!(code(again.show(&two).await), "token_expired");
    assert_eq!(code(again.show("a text of the file's own").await), "ok");
}

#[tokio::test]
async fn a_reading_of_ours_that_the_file_hands_on_is_what_it_was() {
    let hub = Hub::of(Registered { generate: false, ..ALL }).await;
    let ann = hub.ann().await;
    let token = hub.token(&ann, same(WorkspaceScope::default())).await.expect("made");
    let read = hub.ask("parse_token", json!({ "token": token })).await;
    let (user, handle) = (read["user"].clone(), read["handle"].clone());
    let (unchanged, of) = (user.clone(), handle.clone());
    hub.says(move |_| Ok(json!({"user": unchanged.clone(), "of": of.clone(), "changed": false})));
    let call = hub.show(&token).await.expect("let in");
    assert_eq!((call.auth.method, &call.auth.principal), ("hub_token", &ann.auth.principal));
    let mut changed = user;
    changed["roles"] = json!(["developer"]);
    hub.says(move |_| Ok(json!({"user": changed.clone(), "of": handle.clone(), "changed": true})));
    let call = hub.show(&token).await.expect("let in");
    assert_eq!((call.auth.method, &call.auth.principal), ("hub_token", &ann.auth.principal));
    assert_eq!(call.auth.words.as_ref().expect("words").roles, ["developer"]);
    let refused = hub.ask("parse_token", json!({"token": "junk"})).await;
    assert_eq!(refused["refused"]["status"], 401);
}

#[tokio::test]
async fn a_token_for_whom_a_file_vouches_says_what_it_said() {
    let hub = Hub::of(Registered::default()).await;
    let user = json!({
        "id": "user_1", "roles": ["user", "editor"], "email": "a@b.example", "is_anonymous": false,
        "scope": {"workspaces": {"ws-user-user_1": "a"}, "current_workspace": "ws-user-user_1"},
    });
    let made = hub.ask("issue_token", json!({"user": user, "expires_in": 86_400})).await;
    let token = made["token"].as_str().expect("a token").to_owned();
    let read = hub.ask("parse_token", json!({ "token": token })).await;
    for name in ["id", "roles", "email", "is_anonymous"] {
        assert_eq!(read["user"][name], user[name], "{name}");
    }
    assert_eq!(read["user"]["scope"]["workspaces"], user["scope"]["workspaces"]);
    assert_eq!(read["user"]["scope"]["current_workspace"], "ws-user-user_1");
    let call = hub.show(&token).await.expect("let in");
    assert_eq!(call.auth.principal.owner_key(), "hypha|user_1");
    assert_eq!(call.auth.expires_at_s, Some(NOON / 1000 + 86_400));
    // Nobody of ours is meant, and nobody takes a name that looks as if.
    let ann = hub.ann().await;
    for id in [&*ann.auth.principal.subject, "root", "anonymouz-calm-owl-12345678"] {
        let twin = hub.ask("issue_token", json!({"user": { "id": id }, "expires_in": 60})).await;
        assert_eq!(twin["refused"]["status"], 400, "{id}");
        let id = id.to_owned();
        hub.says(move |_| Ok(json!({"user": { "id": id }})));
        hub.hooks.register(ALL);
        assert_eq!(code(hub.show("x").await), "handler_invalid");
        hub.hooks.register(Registered::default());
    }
    for (what, with) in [
        ("too long", json!({"user": user, "expires_in": 172_801})),
        ("no time", json!({"user": user, "expires_in": 0})),
        ("nobody", json!({"user": {}, "expires_in": 60})),
    ] {
        assert!(hub.ask("issue_token", with).await["refused"]["status"].as_u64() >= Some(400), "{what}");
    }
    hub.house.clock.advance_s(86_401);
    assert_eq!(code(hub.show(&token).await), "token_expired");
}

struct With(&'static str, &'static str);

impl Headers for With {
    fn get(&self, name: &str) -> Option<&str> {
        (name == self.0).then_some(self.1)
    }

    fn each(&self, each: &mut dyn FnMut(&str, &str)) {
        each(self.0, self.1);
    }
}

#[tokio::test]
async fn get_token_finds_a_token_and_nothing_found_is_as_the_setting_says() {
    for (none, method) in [(NothingFound::Usual, "start_up"), (NothingFound::Nobody, "visitor")] {
        let hub = Hub::new(none).await;
        hub.hooks.register(Registered { get: true, ..ALL });
        hub.says(|with| {
            Ok(json!({"user": {"id": format!("of-{}", with["token"].as_str().unwrap_or_default())}}))
        });
        *hub.file.get.lock() = Some(Box::new(|with| {
            let found = with["scope"]["headers"]
                .as_array()
                .and_then(|all| all.iter().find(|one| one[0] == "x-custom-token").map(|one| one[1].clone()));
            Ok(json!({ "token": found }))
        }));
        let line = Some(Line { method: "GET", path: "/x", query: "", websocket: false });
        let offered = Some(Offered { place: Place::Bearer, text: "usual" });
        let headers = With("x-custom-token", "own");
        let found =
            hub.present(&Presented { line, offered, headers: &headers, ..Presented::nothing() }).await;
        assert_eq!(found.expect("let in").auth.principal.owner_key(), "hypha|of-own");
        let none =
            hub.present(&Presented { line, offered, headers: &NoHeaders, ..Presented::nothing() }).await;
        assert_eq!(none.expect("let in").auth.method, method);
    }
}
