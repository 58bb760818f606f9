//! A hub's tokens: made, shown, renewed, handed on and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Chain, NoHeaders, Offered, Place, Presented};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{hub_service, service, thread, token, workspace};
use doorward_core::identity::api_keys::{Created, Expiry, NewApiKey};
use doorward_core::identity::model::User;
use doorward_core::identity::users::Administration;
use doorward_core::memory::feed;
use doorward_core::mount::Mount;
use doorward_core::operation::Call;
use doorward_core::ports::Batch;
use doorward_core::ports::store::{Change, Write};
use doorward_core::principal::PrincipalKind;
use doorward_core::tokens::hub::HUB_TOKEN;
use doorward_core::tokens::model::Revoked;
use doorward_core::tokens::{HubToken, HubTokenKind, Issued, Keys, TokenProfile};
use doorward_core::workspaces::{NewWorkspace, Permission, WorkspaceScope, names};
use doorward_core::{Error, Result};
use doorward_protocols::jose::{Algorithm, KeySet, SecretRule, SigningKey, sign_compact};
use serde_json::{Map, Value, json};

use crate::house::{House, NOON, code};

const SECRET: &[u8] = b"0123456789abcdef0123456789ABCDEF-shared";
const WEEK_S: i64 = 7 * 86_400;

/// A house with a mount for a hub.
pub(crate) struct Hub {
    pub(crate) house: House,
    pub(crate) mount: Arc<Mount>,
    /// Each request comes from an address of its own, so that refusals are not counted together.
    asked: AtomicU8,
}

fn fixed(secret: &[u8]) -> Keys {
    let signer = SigningKey::from_secret(secret, Algorithm::HS256, None, SecretRule::Strict).expect("a key");
    let verify = KeySet::new([signer.verifying_key()]).expect("a set");
    Keys::Fixed { signer: Some(Arc::new(signer)), verify: Arc::new(verify) }
}

impl Hub {
    pub(crate) async fn new() -> Self {
        let house = House::new().await;
        let keys = Keys::Ring(house.engine.ring("sign:native", Algorithm::ES256).await.expect("a ring"));
        Self::over(house, keys)
    }

    fn over(house: House, keys: Keys) -> Self {
        let own = json!({"issuer": "doorward", "audience": ["doorward"]});
        let hub = json!({"issuer": "doorward", "audience": "hub", "authority": "hypha"});
        let section = |options: Value, keys: Option<&Keys>| {
            let mut section =
                Section { options: options.as_object().expect("an object").clone(), ..Section::default() };
            match keys {
                Some(Keys::Ring(ring)) => section.ring = Some(Arc::clone(ring)),
                Some(Keys::Fixed { verify, .. }) => section.keys = Some(Arc::clone(verify)),
                None => {}
            }
            section
        };
        let base = house.mount_like();
        let method = |name, section| build(name, section, &house.engine).expect("built");
        let chain = Chain::new(vec![
            method("api_key", section(json!({}), None)),
            method("hub_token", section(hub, Some(&keys))),
            method("own_token", section(own, Some(&base.tokens.keys))),
            method("visitor", section(json!({}), None)),
        ]);
        let tokens = TokenProfile {
            authority: "hypha".into(),
            audience: Some("hub".into()),
            typ: HUB_TOKEN,
            keys,
            max_ttl_s: 172_800,
            ..base.tokens.clone()
        };
        let mount = Arc::new(Mount { name: "hypha".into(), surface: "hypha", chain, tokens, ..base });
        Self { house, mount, asked: AtomicU8::new(0) }
    }

    pub(crate) async fn show(&self, text: &str) -> Result<Call> {
        let offered = Some(Offered { place: Place::Bearer, text });
        let presented = Presented { offered, headers: &NoHeaders, ..Presented::nothing() };
        let origin = self.house.origin_at(&format!("192.0.2.{}", self.asked.fetch_add(1, Ordering::Relaxed)));
        self.house.engine.authenticate(&self.mount, origin, &presented).await
    }

    pub(crate) async fn visitor(&self) -> Call {
        let presented = Presented::nothing();
        self.house
            .engine
            .authenticate(&self.mount, self.house.origin(), &presented)
            .await
            .expect("somebody new")
    }

    pub(crate) async fn make(&self, call: &Call, wanted: HubToken) -> Result<Issued> {
        self.house.engine.hub_token(&self.mount.tokens, call, wanted).await
    }

    /// A token to come back with.
    pub(crate) async fn back(&self, call: &Call) -> String {
        self.make(call, same()).await.expect("made").token.expose().clone()
    }

    /// A token for one workspace.
    pub(crate) async fn child(&self, call: &Call, id: &str, permission: Permission) -> Result<String> {
        self.make(call, child(id, permission)).await.map(|issued| issued.token.expose().clone())
    }

    /// Notes that somebody opened the letter to their address.
    async fn prove(&self, user: &User) {
        let proven = User { email_confirmed_at_ms: Some(NOON), version: user.version + 1, ..user.clone() };
        let news = Write::Announce(Change::User(user.id.clone()));
        let batch = Batch::durable(vec![Write::UpdateUser(proven), news]);
        self.house.engine.commit(batch).await.expect("noted");
    }

    async fn key(&self, name: &str, expiry: Expiry) -> Created {
        let ann = self.house.person(name).await;
        let call = ann.call(&self.house).await;
        let new = NewApiKey { name: "robot".into(), scopes: vec!["*".into()], expiry };
        self.house
            .engine
            .api_keys()
            .create(call.permit(Target::any()).expect("may"), new)
            .await
            .expect("made")
    }

    async fn revoke(&self, revoked: Revoked) {
        let permit = self.house.system().permit(Target::any()).expect("the system may");
        self.house.engine.tokens().revoke_any(permit, revoked).await.expect("revoked");
    }

    async fn surrender(&self, text: &str) {
        let permit =
            self.visitor().await.permit::<token::Surrender>(Target::any()).expect("whoever has it may");
        self.house.engine.tokens().surrender(permit, text, None).await.expect("done");
    }
}

pub(crate) fn same() -> HubToken {
    HubToken {
        workspaces: WorkspaceScope::default(),
        ttl_s: None,
        kind: HubTokenKind::SameSubject,
        email: None,
        roles: None,
    }
}

pub(crate) fn given(id: &str, permission: Permission) -> WorkspaceScope {
    WorkspaceScope {
        current: Some(id.into()),
        given: [(id.into(), permission)].into(),
        ..WorkspaceScope::default()
    }
}

pub(crate) fn child(id: &str, permission: Permission) -> HubToken {
    HubToken { kind: HubTokenKind::Child, workspaces: given(id, permission), ..same() }
}

pub(crate) fn own(call: &Call) -> String {
    names::own(&call.auth.principal, "hypha")
}

fn words(result: Result<Call>) -> (&'static str, String) {
    let error: Error = result.err().expect("refused");
    (error.code().name, error.public_message().to_owned())
}

fn payload(token: &str) -> Map<String, Value> {
    let part = token.split('.').nth(1).expect("three parts");
    let bytes = doorward_protocols::encoding::base64url_decode(part.as_bytes()).expect("base64url");
    serde_json::from_slice(&bytes).expect("claims")
}

#[tokio::test]
async fn each_stranger_is_somebody_new_in_a_room_of_their_own() {
    let hub = Hub::new().await;
    let (one, two) = (hub.visitor().await, hub.visitor().await);
    assert_ne!(one.auth.principal, two.auth.principal);
    let name = &one.auth.principal.subject;
    let parts: Vec<_> = name.split('-').collect();
    assert!(
        matches!(parts[..], ["anonymouz", _, _, number] if number.len() == 8 && number.parse::<u32>().is_ok()),
        "{name}"
    );
    assert_eq!(one.auth.expires_at_s, Some(hub.house.engine.now_ms() / 1000 + 600));
    let (mine, theirs) = (own(&one), own(&two));
    let owner = two.auth.principal.owner_key();
    assert_eq!(
        code(one.permit::<workspace::Manage>(Target::owned(&mine, &one.auth.principal.owner_key()))),
        "ok"
    );
    assert_eq!(code(one.permit::<hub_service::Register>(Target::owned(&mine, "x"))), "ok", "given it");
    assert_eq!(code(one.permit::<workspace::Read>(Target::owned(&theirs, &owner))), "not_found");
    assert_eq!(code(one.permit::<workspace::Create>(Target::any())), "credentials_missing");
    assert_eq!(code(one.permit::<thread::Create>(Target::any())), "credentials_missing");
    for (name, text) in [("rubbish", "rubbish"), ("an empty token", ""), ("a broken one", "a.b.c")] {
        assert_eq!(code(hub.show(text).await), "token_invalid", "{name}");
    }
}

#[tokio::test]
async fn who_comes_back_with_a_token_is_the_same_and_bound_as_it_says() {
    let hub = Hub::new().await;
    let ann = hub.house.person("ann").await;
    let call = hub.show(ann.token()).await.expect("our own tokens are taken");
    let scope = WorkspaceScope { client_id: Some("worker".into()), ..given(&own(&call), Permission::Admin) };
    let issued = hub
        .make(&call, HubToken { workspaces: scope.clone(), ttl_s: Some(172_800), ..same() })
        .await
        .expect("made");
    assert!(issued.expires_in_s <= 3_600, "not past the log-in's token: {}", issued.expires_in_s);
    let back = hub.show(issued.token.expose()).await.expect("let in");
    assert_eq!(back.auth.principal, call.auth.principal);
    assert_eq!(back.auth.workspaces, scope);
    assert_eq!((back.auth.method, back.auth.session.as_ref()), ("hub_token", Some(&ann.granted.session)));
    assert!(!back.auth.claims.contains_key("email"), "nobody has proven the address");
    hub.prove(&ann.user).await;
    let proven = hub.show(issued.token.expose()).await.expect("let in");
    assert_eq!(proven.auth.claims["email"], json!("ann@example.org"));
    assert_eq!(back.auth.roles, ["user".into()]);
    assert!(back.auth.administrative, "as the log-in was");
    assert_eq!(back.auth.descent.handles, [call.auth.credential.clone().expect("a jti")]);
    let claims = payload(issued.token.expose());
    assert_eq!(claims["scope"], json!(format!("ws:{0}#a wid:{0} cid:worker", own(&call))));
    // A renewal is of the same line, and bound to the same client.
    assert_eq!(code(hub.make(&back, same()).await), "forbidden", "not to another client");
    let renewed = hub.make(&back, HubToken { workspaces: scope, ..same() }).await.expect("renewed");
    assert_eq!(renewed.id, issued.id);
    hub.show(renewed.token.expose()).await.expect("let in");
    // At other mounts it is nothing.
    assert_eq!(code(hub.house.bearer(issued.token.expose()).await), "token_invalid");
}

#[tokio::test]
async fn a_log_in_through_the_mount_gives_a_token_of_the_hub() {
    let hub = Hub::new().await;
    hub.house.sign_up("ann").await.expect("signs up");
    let permit = hub.visitor().await.permit(Target::any()).expect("anybody may log in");
    let login = doorward_core::identity::sessions::Login {
        login: "ann@example.org".into(),
        password: crate::house::PASSWORD.into(),
        client: None,
        scope: Some("workspace:* hub_service:*".into()),
        source: None,
        device: None,
    };
    let granted = hub.house.engine.sessions().login(permit, login).await.expect("logs in");
    let call = hub.show(granted.access.token.expose()).await.expect("let in");
    assert_eq!(call.auth.method, "hub_token");
    assert_eq!(call.auth.roles, ["user".into()]);
    assert_eq!(code(call.permit::<thread::Create>(Target::any())), "scope_missing");
    let back = hub.show(&hub.back(&call).await).await.expect("let in");
    assert_eq!(code(back.permit::<thread::Create>(Target::any())), "scope_missing", "a limit is handed on");
    assert_eq!(code(back.permit::<workspace::Create>(Target::any())), "ok");
    hub.revoke(Revoked::Session(granted.session.as_str().into())).await;
    assert_eq!(code(hub.show(&hub_text(&granted)).await), "token_revoked");
}

fn hub_text(granted: &doorward_core::identity::sessions::Granted) -> String {
    granted.access.token.expose().clone()
}

#[tokio::test]
async fn a_child_reaches_what_it_was_given_and_nothing_else() {
    let hub = Hub::new().await;
    let ann = hub.house.person("ann").await;
    let call = hub.show(ann.token()).await.expect("let in");
    let new = NewWorkspace { id: "team-a".into(), persistent: true, ..NewWorkspace::default() };
    let permit = call.permit(Target::any()).expect("may");
    hub.house.engine.workspaces().create(permit, new, false).await.expect("made");
    let token = hub.child(&call, "team-a", Permission::ReadWrite).await.expect("made");
    let made = hub.show(&token).await.expect("let in");
    let owner = call.auth.principal.owner_key();
    assert_eq!(made.auth.principal.kind, PrincipalKind::Service);
    assert_eq!(
        (&*made.auth.principal.authority, made.auth.actors.as_slice()),
        ("hypha", [call.auth.principal.clone()].as_slice())
    );
    assert!(made.auth.workspaces.confined && !made.auth.administrative);
    let claims = payload(&token);
    assert_eq!((&claims["gty"], &claims["parent"]), (&json!("client-credentials"), &json!([owner])));
    let team = Target::owned("team-a", &owner);
    assert_eq!(code(made.permit::<workspace::Read>(team)), "ok");
    assert_eq!(code(made.permit::<hub_service::Register>(team)), "ok");
    assert_eq!(code(made.permit::<workspace::Token>(team)), "not_found");
    assert_eq!(code(made.permit::<workspace::Delete>(team)), "not_found");
    let mine = own(&made);
    assert_eq!(
        code(made.permit::<workspace::Use>(Target::owned(&mine, &made.auth.principal.owner_key()))),
        "not_found"
    );
    let anns = own(&call);
    assert_eq!(code(made.permit::<workspace::Read>(Target::owned(&anns, &owner))), "not_found");
    for refused in [
        code(made.permit::<workspace::Create>(Target::any())),
        code(made.permit::<thread::Create>(Target::any())),
        code(made.permit::<doorward_core::authz::catalogue::user::Read>(Target::any())),
        code(made.permit::<token::Revoke>(Target::any())),
    ] {
        assert_eq!(refused, "scope_missing");
    }
    assert_eq!(code(made.permit::<service::Ping>(Target::any())), "ok");
    assert_eq!(code(made.permit::<token::Surrender>(Target::any())), "ok");
    let list = made.permit::<workspace::List>(Target::any()).expect("its own list");
    let listed = hub
        .house
        .engine
        .workspaces()
        .list(list, doorward_core::ports::store::Page { after: None, limit: 50 })
        .await;
    assert_eq!(listed.expect("a list").iter().map(|one| &*one.id).collect::<Vec<_>>(), ["team-a"]);
}

#[tokio::test]
async fn nothing_is_given_that_the_maker_has_not() {
    let hub = Hub::new().await;
    let (ann, bob) = (hub.house.person("ann").await, hub.house.person("bob").await);
    hub.prove(&bob.user).await;
    let (ann, bob) = (hub.show(ann.token()).await.expect("in"), hub.show(bob.token()).await.expect("in"));
    let new = NewWorkspace { id: "team-a".into(), persistent: true, ..NewWorkspace::default() };
    hub.house
        .engine
        .workspaces()
        .create(ann.permit(Target::any()).expect("may"), new, false)
        .await
        .expect("made");
    let lent = hub.child(&ann, "team-a", Permission::ReadWrite).await.expect("made");
    let lent = hub.show(&lent).await.expect("let in");
    let admin_child = hub.child(&ann, "team-a", Permission::Admin).await.expect("made");
    let admin_child = hub.show(&admin_child).await.expect("let in");
    let every = |kind| HubToken { kind, workspaces: given("*", Permission::Read), ..same() };
    for (name, call, wanted, expected) in [
        ("somebody else's workspace", &bob, child("team-a", Permission::Read), "not_found"),
        ("somebody's own", &bob, child(&own(&ann), Permission::Read), "not_found"),
        ("one there is not", &bob, child("no-such", Permission::Read), "not_found"),
        ("more than was lent", &lent, child("team-a", Permission::Admin), "not_found"),
        ("its maker's own", &lent, child(&own(&ann), Permission::Read), "not_found"),
        ("every workspace", &bob, every(HubTokenKind::SameSubject), "not_found"),
        ("every workspace, for a child", &ann, every(HubTokenKind::Child), "forbidden"),
        ("a role", &bob, HubToken { roles: Some(vec!["admin".into()]), ..same() }, "forbidden"),
        (
            "an extra scope for oneself",
            &bob,
            HubToken {
                workspaces: WorkspaceScope { extra: vec!["x:y".into()], ..WorkspaceScope::default() },
                ..same()
            },
            "forbidden",
        ),
        (
            "a current workspace that is not given",
            &ann,
            HubToken {
                workspaces: WorkspaceScope {
                    current: Some(own(&ann).into()),
                    ..given("team-a", Permission::Read)
                },
                ..child("team-a", Permission::Read)
            },
            "forbidden",
        ),
        (
            "somebody's address",
            &bob,
            HubToken { email: Some("ann@example.org".into()), ..same() },
            "forbidden",
        ),
        (
            "one's own address that nobody has proven",
            &ann,
            HubToken { email: Some("ann@example.org".into()), ..same() },
            "forbidden",
        ),
        ("no address", &bob, HubToken { email: Some("nobody".into()), ..same() }, "bad_field"),
        ("too long a life", &bob, HubToken { ttl_s: Some(WEEK_S), ..same() }, "bad_field"),
        ("no life", &bob, HubToken { ttl_s: Some(0), ..same() }, "bad_field"),
        (
            "a client's name that says more",
            &bob,
            HubToken {
                workspaces: WorkspaceScope {
                    client_id: Some("a ws:team-a#a".into()),
                    ..WorkspaceScope::default()
                },
                ..same()
            },
            "bad_field",
        ),
    ] {
        assert_eq!(code(hub.make(call, wanted).await), expected, "{name}");
    }
    for (name, call, wanted) in [
        ("what was lent, handed on", &admin_child, child("team-a", Permission::ReadWrite)),
        ("one's own address", &bob, HubToken { email: Some("bob@example.org".into()), ..same() }),
        ("fewer roles", &bob, HubToken { roles: Some(Vec::new()), ..same() }),
    ] {
        assert_eq!(code(hub.make(call, wanted).await), "ok", "{name}");
    }
    let none = hub.make(&bob, HubToken { roles: Some(Vec::new()), ..same() }).await.expect("made");
    let none = hub.show(none.token.expose()).await.expect("let in");
    assert!(none.auth.roles.is_empty());
    assert!(none.now().await.expect("goes on").auth.roles.is_empty(), "and gets none later");
    let nobody = hub.house.nobody().await;
    assert_eq!(code(hub.make(&nobody, same()).await), "forbidden", "nobody in particular");
    assert_eq!(code(hub.make(&hub.house.system(), same()).await), "forbidden", "Doorward itself");
    assert_eq!(code(hub.house.engine.hub_token(&hub.house.mount.tokens, &bob, same()).await), "internal");
}

#[tokio::test]
async fn every_workspace_is_an_administrators_while_they_are_one() {
    let hub = Hub::new().await;
    let root = hub.house.admin("root").await;
    hub.house.admin("other").await;
    let granted = hub.house.login("root").await;
    let call = hub.show(granted.access.token.expose()).await.expect("let in");
    let wanted = HubToken { workspaces: given("*", Permission::Admin), ..same() };
    let token = hub.make(&call, wanted).await.expect("made").token.expose().clone();
    let back = hub.show(&token).await.expect("let in");
    assert_eq!(back.auth.workspaces.permission("whatever-1"), Some(Permission::Admin));
    assert_eq!(code(back.permit::<workspace::Manage>(Target::owned("whatever-1", "local|usr_x"))), "ok");
    let permit = hub.house.system().permit(Target::any()).expect("the system may");
    let changes = Administration { roles: Some(vec!["user".into()]), ..Administration::default() };
    hub.house.engine.users().administer(permit, &root.id, changes).await.expect("demoted");
    let back = hub.show(&token).await.expect("still somebody");
    assert_eq!(back.auth.workspaces.permission("whatever-1"), None);
    assert!(back.auth.roles.is_empty(), "it was made with the role admin alone");
}

#[tokio::test]
async fn what_a_token_was_made_from_ends_it() {
    for (name, how) in ["the key", "the user", "everything of the user", "the account", "all"]
        .iter()
        .enumerate()
        .map(|(n, name)| (*name, n))
    {
        let hub = Hub::new().await;
        let key = hub.key("ann", Expiry::Never).await;
        let call = hub.show(key.secret.expose()).await.expect("let in");
        let back = hub.back(&call).await;
        let returned = hub.show(&back).await.expect("let in");
        let renewed = hub.back(&returned).await;
        let lent = hub.child(&returned, &own(&call), Permission::Admin).await.expect("made");
        let lent_call = hub.show(&lent).await.expect("let in");
        let lent_on = hub.child(&lent_call, &own(&call), Permission::Read).await.expect("made");
        let mut live = [hub.house.engine.watch(&returned.auth), hub.house.engine.watch(&lent_call.auth)];
        for token in [&renewed, &lent_on] {
            hub.show(token).await.expect("let in");
        }
        let system = || hub.house.system();
        let user = key.key.owner.clone();
        match how {
            0 => {
                let permit = system().permit(Target::any()).expect("the system may");
                hub.house.engine.api_keys().revoke(permit, &key.key.id).await.expect("revoked");
            }
            1 => {
                let changes = Administration { disabled: Some(true), ..Administration::default() };
                let permit = system().permit(Target::any()).expect("the system may");
                hub.house.engine.users().administer(permit, &user, changes).await.expect("disabled");
            }
            2 => hub.revoke(Revoked::Principal(format!("local|{user}"))).await,
            3 => {
                let permit = system().permit(Target::any()).expect("the system may");
                hub.house.engine.users().delete(permit, &user).await.expect("deleted");
            }
            _ => hub.revoke(Revoked::All).await,
        }
        for (which, token) in
            [("back", &back), ("renewed", &renewed), ("a child", &lent), ("its child", &lent_on)]
        {
            let (code, text) = words(hub.show(token).await);
            assert_eq!(code, "token_revoked", "{name}: {which}");
            assert_eq!(text, "Token has been revoked");
        }
        for guard in &mut live {
            let told = tokio::time::timeout(std::time::Duration::from_secs(5), guard.ended()).await;
            assert!(told.is_ok(), "{name}: who is connected is told");
        }
        assert!(returned.is_revoked() && lent_call.is_revoked(), "{name}");
        assert_eq!(code(lent_call.now().await), "token_revoked", "{name}");
        assert_eq!(code(hub.make(&returned, same()).await), "token_revoked", "{name}: and no more are made");
    }
}

#[tokio::test]
async fn a_line_ends_with_any_token_of_it_and_a_child_with_its_maker() {
    let hub = Hub::new().await;
    let key = hub.key("ann", Expiry::Never).await;
    let call = hub.show(key.secret.expose()).await.expect("let in");
    let first = hub.back(&call).await;
    let second = hub.back(&hub.show(&first).await.expect("in")).await;
    let lent =
        hub.child(&hub.show(&second).await.expect("in"), &own(&call), Permission::Read).await.expect("made");
    let other = hub.back(&call).await;
    hub.surrender("no token").await;
    hub.surrender(&first).await;
    for (name, token, expected) in [
        ("the token itself", &first, "token_revoked"),
        ("what renewed it", &second, "token_revoked"),
        ("a child of that", &lent, "token_revoked"),
        ("another of the same key", &other, "ok"),
    ] {
        assert_eq!(code(hub.show(token).await), expected, "{name}");
    }
    let there = hub.house.neighbour().await;
    feed::catch_up(&there.engine).await.expect("reads");
    let there = Hub::over(there, hub.mount.tokens.keys.clone());
    assert_eq!(code(there.show(&second).await), "token_revoked", "in another process too");
    assert_eq!(code(there.show(&other).await), "ok");
}

#[tokio::test]
async fn nothing_outlives_what_it_was_made_from() {
    let hub = Hub::new().await;
    let key = hub.key("ann", Expiry::InSeconds(7_200)).await;
    let now_s = hub.house.engine.now_ms() / 1000;
    let call = hub.show(key.secret.expose()).await.expect("let in");
    let long = |workspaces| HubToken { workspaces, ttl_s: Some(172_800), ..same() };
    let back = hub.make(&call, long(WorkspaceScope::default())).await.expect("made");
    assert_eq!(back.expires_at_s, now_s + 7_200);
    hub.house.clock.advance_ms(3_600_000);
    let returned = hub.show(back.token.expose()).await.expect("in");
    let renewed = hub.make(&returned, long(WorkspaceScope::default())).await.expect("renewed");
    assert_eq!(renewed.expires_at_s, now_s + 7_200, "renewing makes nothing longer");
    let lent = hub.make(&returned, child(&own(&call), Permission::Read)).await.expect("made");
    assert_eq!(lent.expires_at_s, now_s + 7_200);
    let visitor = hub.visitor().await;
    assert_eq!(hub.make(&visitor, long(WorkspaceScope::default())).await.expect("made").expires_in_s, 600);
    hub.house.clock.advance_ms(3_600_000);
    let (code_of, text) = words(hub.show(renewed.token.expose()).await);
    assert_eq!((code_of, &*text), ("token_expired", "The token has expired. Please fetch a new one"));
    assert_eq!(code(hub.make(&returned, same()).await), "session_ended");
    // Without an end of its own, what comes back may be renewed for as long as the key stands; a child may not.
    let key = hub.key("bob", Expiry::Never).await;
    let call = hub.show(key.secret.expose()).await.expect("let in");
    let mut back = hub.make(&call, long(WorkspaceScope::default())).await.expect("made");
    let lent = hub.make(&call, child(&own(&call), Permission::Read)).await.expect("made");
    for _ in 0..3 {
        hub.house.clock.advance_ms(86_400_000);
        let returned = hub.show(back.token.expose()).await.expect("in");
        back = hub.make(&returned, long(WorkspaceScope::default())).await.expect("renewed");
        assert_eq!(back.expires_in_s, 172_800);
    }
    assert_eq!(code(hub.show(lent.token.expose()).await), "token_expired");
}

#[tokio::test]
async fn a_visitor_comes_back_as_the_same() {
    let hub = Hub::new().await;
    let visitor = hub.visitor().await;
    let scope = given(&own(&visitor), Permission::Admin);
    let token = hub.make(&visitor, HubToken { workspaces: scope, ..same() }).await.expect("made");
    let back = hub.show(token.token.expose()).await.expect("let in");
    assert_eq!(back.auth.principal, visitor.auth.principal);
    assert!(back.auth.is_anonymous() && !back.auth.administrative);
    assert_eq!(back.auth.roles, ["anonymous".into()]);
    let lent = hub.child(&back, &own(&visitor), Permission::Read).await.expect("made");
    let lent = hub.show(&lent).await.expect("let in");
    assert_eq!(lent.auth.roles, ["anonymous".into()]);
    assert_eq!(lent.auth.actors, std::slice::from_ref(&visitor.auth.principal));
    hub.revoke(Revoked::Principal(visitor.auth.principal.owner_key())).await;
    assert_eq!(code(hub.show(token.token.expose()).await), "token_revoked");
}

#[tokio::test]
async fn a_shared_secret_is_shared_trust_and_another_is_none() {
    let here = Hub::over(House::new().await, fixed(SECRET));
    let there = Hub::over(House::elsewhere().await, fixed(SECRET));
    let stranger = Hub::over(House::elsewhere().await, fixed(b"another secret of thirty-two bytes or more"));
    let root = here.house.admin("root").await;
    let granted = here.house.login("root").await;
    let call = here.show(granted.access.token.expose()).await.expect("let in");
    let every = WorkspaceScope {
        given: [("*".into(), Permission::Admin)].into(),
        ..given(&own(&call), Permission::Admin)
    };
    let token = here
        .make(&call, HubToken { workspaces: every, ..same() })
        .await
        .expect("made")
        .token
        .expose()
        .clone();
    here.show(&token).await.expect("at home");
    let abroad = there.show(&token).await.expect("taken there");
    assert_eq!(
        (&*abroad.auth.principal.authority, &*abroad.auth.principal.subject),
        ("hypha", root.id.as_str())
    );
    assert_eq!(abroad.auth.roles, ["admin".into()], "for services to see");
    assert!(!abroad.auth.administrative, "but nobody administers another server");
    assert_eq!(abroad.auth.workspaces.permission("whatever-1"), None);
    assert_eq!(code(abroad.permit::<workspace::Use>(Target::owned("team-x", "local|usr_x"))), "not_found");
    assert_eq!(own(&abroad), own(&call), "its own room is called alike");
    assert_eq!(code(stranger.show(&token).await), "token_invalid");
    // A workspace of one name on both is two: its owner there gave nothing here. The own one is its own there too.
    let there_admin = there.house.admin("admin").await;
    let admin = there.house.login("admin").await;
    let admin = there.show(admin.access.token.expose()).await.expect("let in");
    for (house, call) in [(&here.house, &call), (&there.house, &admin)] {
        let new = NewWorkspace { id: "team-a".into(), persistent: true, ..NewWorkspace::default() };
        house
            .engine
            .workspaces()
            .create(call.permit(Target::any()).expect("may"), new, false)
            .await
            .expect("made");
    }
    let owner = format!("local|{}", there_admin.id);
    let lent = here.child(&call, "team-a", Permission::Admin).await.expect("made");
    let lent = there.show(&lent).await.expect("taken there");
    assert_eq!(code(lent.permit::<workspace::Read>(Target::owned("team-a", &owner))), "not_found");
    let lent = here.child(&call, &own(&call), Permission::ReadWrite).await.expect("made");
    let lent = there.show(&lent).await.expect("taken there");
    assert_eq!(lent.auth.actors, std::slice::from_ref(&abroad.auth.principal));
    let owner = abroad.auth.principal.owner_key();
    assert_eq!(code(lent.permit::<workspace::Use>(Target::owned(&own(&call), &owner))), "ok");
    // Nobody is anybody of this store by a token of another, whatever its id.
    let twin = there.show(&there.back(&abroad).await).await.expect("renewed there");
    assert_eq!(twin.auth.principal, abroad.auth.principal);
    // Where the store's own keys sign, nothing of others is taken, and a user who is gone is not a stranger here.
    let permit = here.house.system().permit(Target::any()).expect("the system may");
    here.house.admin("second").await;
    here.house.engine.users().delete(permit, &root.id).await.expect("deleted");
    assert_eq!(code(here.show(&token).await), "token_revoked");
}

#[tokio::test]
async fn bad_tokens_are_refused_in_the_words_of_hypha() {
    let hub = Hub::over(House::new().await, fixed(SECRET));
    let ann = hub.house.person("ann").await;
    let call = hub.show(ann.token()).await.expect("let in");
    let good = hub.back(&call).await;
    let signer = |secret: &[u8], algorithm| {
        SigningKey::from_secret(secret, algorithm, None, SecretRule::Compat).expect("a key")
    };
    let ours = signer(SECRET, Algorithm::HS256);
    let claims = payload(&good);
    let with = |changes: Value| {
        let mut claims = claims.clone();
        for (name, value) in changes.as_object().expect("an object").clone() {
            if value.is_null() {
                claims.remove(&name)
            } else {
                claims.insert(name, value)
            };
        }
        sign_compact(&ours, HUB_TOKEN, &claims).expect("signed")
    };
    assert_eq!(code(hub.show(&with(json!({}))).await), "ok", "as it is");
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", good.split('.').nth(1).expect("a payload"));
    let none_signed = none.trim_end_matches('.').to_owned() + ".AA";
    let other_hash = sign_compact(&signer(SECRET, Algorithm::HS512), HUB_TOKEN, &claims).expect("signed");
    for (name, token, expected, text) in [
        ("no algorithm", none_signed, "invalid_algorithm", "Invalid algorithm: none"),
        ("another algorithm", other_hash, "invalid_algorithm", "Invalid algorithm: HS512"),
        (
            "a wrong signature",
            good[..good.len() - 4].to_owned() + "AAAA",
            "token_invalid",
            "The token is not valid.",
        ),
        (
            "expired",
            with(json!({"exp": 1_800_000_000_i64 - 1, "iat": 1_799_999_000_i64})),
            "token_expired",
            "The token has expired. Please fetch a new one",
        ),
        ("without an end", with(json!({"exp": null})), "token_invalid", "The token is not valid."),
        (
            "for another audience",
            with(json!({"aud": "doorward"})),
            "token_invalid",
            "The token is not valid.",
        ),
        ("of another issuer", with(json!({"iss": "other"})), "token_invalid", "The token is not valid."),
        ("without an id", with(json!({"jti": null})), "token_invalid", "The token is not valid."),
        ("of nobody", with(json!({"sub": ""})), "token_invalid", "The token is not valid."),
        (
            "vouched for by nobody",
            with(json!({"authority": null})),
            "token_invalid",
            "The token is not valid.",
        ),
        (
            "a scope that cannot be read",
            with(json!({"scope": "ws:a"})),
            "token_invalid",
            "The token is not valid.",
        ),
        ("roles that are none", with(json!({"roles": "admin"})), "token_invalid", "The token is not valid."),
        (
            "a child without a parent",
            with(json!({"gty": "client-credentials"})),
            "token_invalid",
            "The token is not valid.",
        ),
        (
            "a parent without a child",
            with(json!({"parent": ["local|x"]})),
            "token_invalid",
            "The token is not valid.",
        ),
        (
            "a child of another authority",
            with(json!({"gty": "client-credentials", "parent": ["local|x"]})),
            "token_invalid",
            "The token is not valid.",
        ),
        ("another grant", with(json!({"gty": "password"})), "token_invalid", "The token is not valid."),
        (
            "of a user there is not",
            with(json!({"sub": "usr_gone"})),
            "token_invalid",
            "The token is not valid.",
        ),
        (
            "of a key there is not",
            with(json!({"par": "key_gone"})),
            "token_revoked",
            "Token has been revoked",
        ),
        (
            "of too many",
            with(json!({"par": "x x x x x x x x x"})),
            "token_invalid",
            "The token is not valid.",
        ),
        ("oversized", with(json!({"x": "y".repeat(9_000)})), "token_invalid", "The token is not valid."),
    ] {
        let (code, said) = words(hub.show(&token).await);
        assert_eq!((code, &*said), (expected, text), "{name}");
    }
    // Where the store's own keys sign, another store's mark is refused though the signature holds.
    assert_eq!(
        code(hub.show(&with(json!({"home": "elsewhere", "administrative": true}))).await),
        "ok",
        "shared: a stranger"
    );
    let ringed = Hub::new().await;
    let bob = ringed.house.person("bob").await;
    let call = ringed.show(bob.token()).await.expect("in");
    let Keys::Ring(ring) = &ringed.mount.tokens.keys else { unreachable!("it has a ring") };
    let mut claims = payload(&ringed.back(&call).await);
    claims.insert("home".into(), "elsewhere".into());
    let token = sign_compact(&ring.signer(), HUB_TOKEN, &claims).expect("signed");
    assert_eq!(code(ringed.show(&token).await), "token_invalid");
}

#[tokio::test]
async fn a_token_held_up_is_told_to_whom_it_is_of_alone() {
    let hub = Hub::new().await;
    let (ann, bob) = (hub.house.person("ann").await, hub.house.person("bob").await);
    let (ann, bob) = (hub.show(ann.token()).await.expect("in"), hub.show(bob.token()).await.expect("in"));
    let back = hub.back(&ann).await;
    let lent = hub.child(&ann, &own(&ann), Permission::Read).await.expect("made");
    let ask = async |call: &Call, text: &str| {
        let permit = call.permit::<token::Introspect>(Target::any()).expect("may ask");
        hub.house
            .engine
            .tokens()
            .introspect(permit, text)
            .await
            .expect("an answer")
            .map(|facts| facts.username)
    };
    assert_eq!(ask(&ann, &back).await, Some(Some("ann@example.org".into())));
    assert_eq!(ask(&ann, &lent).await, Some(None), "a child is nobody's name");
    assert_eq!((ask(&bob, &back).await, ask(&bob, &lent).await), (None, None));
    hub.surrender(&back).await;
    assert_eq!(ask(&ann, &back).await, None);
}
