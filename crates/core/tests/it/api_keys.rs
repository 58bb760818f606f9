//! API keys.

use doorward_core::Result;
use doorward_core::authn::Place;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{api_key, thread, user};
use doorward_core::identity::api_keys::{Created, Expiry, NewApiKey};
use doorward_core::identity::model::ApiKeyKind;
use doorward_core::identity::users::Administration;
use doorward_core::operation::Call;
use doorward_core::tokens::model::Revoked;

use crate::house::{House, PASSWORD, code};

fn new(scopes: &[&str], expiry: Expiry) -> NewApiKey {
    NewApiKey { name: "robot".into(), scopes: scopes.iter().map(|&s| s.to_owned()).collect(), expiry }
}

async fn create(house: &House, call: &Call, scopes: &[&str], expiry: Expiry) -> Result<Created> {
    house.engine.api_keys().create(call.permit(Target::any())?, new(scopes, expiry)).await
}

#[tokio::test]
async fn a_key_is_accepted_in_each_of_its_three_places() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = create(&house, &ann.call(&house).await, &["*"], Expiry::Never).await.expect("made");
    for place in [Place::Bearer, Place::ApiKeyScheme, Place::ApiKeyHeader] {
        for round in ["first", "remembered"] {
            let call = house.present_at("192.0.2.1", place, made.secret.expose()).await.expect("let in");
            assert_eq!(call.auth.principal.user_id(), Some(ann.user.id.clone()), "{place:?} {round}");
        }
    }
    assert_eq!(
        code(house.present_at("192.0.2.1", Place::ApiKeyHeader, ann.token()).await),
        "api_key_invalid"
    );
}

#[tokio::test]
async fn typing_errors_unknown_and_revoked_keys_are_refused() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = create(&house, &ann.call(&house).await, &["read"], Expiry::Never).await.expect("made");
    let mut typo = made.secret.expose().clone();
    typo.replace_range(20..21, if &typo[20..21] == "x" { "y" } else { "x" });
    assert_eq!(code(house.bearer(&typo).await), "api_key_invalid");
    let elsewhere = House::elsewhere().await;
    let stranger = elsewhere.person("bob").await;
    let foreign =
        create(&elsewhere, &stranger.call(&elsewhere).await, &["*"], Expiry::Never).await.expect("made");
    assert_eq!(code(house.bearer(foreign.secret.expose()).await), "api_key_invalid");

    assert!(!house.knows(made.secret.expose()), "never seen");
    house.bearer(made.secret.expose()).await.expect("good so far");
    assert!(house.knows(made.secret.expose()));
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.api_keys().revoke(permit, &made.key.id).await.expect("revoked");
    assert!(!house.knows(made.secret.expose()), "revoked");
    assert_eq!(code(house.bearer(made.secret.expose()).await), "api_key_revoked");
}

#[tokio::test]
async fn a_key_costs_no_hashing_of_a_password_whether_it_is_one_or_not() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = create(&house, &ann.call(&house).await, &["read"], Expiry::Never).await.expect("made");
    let elsewhere = House::elsewhere().await;
    let bob = elsewhere.person("bob").await;
    let foreign =
        create(&elsewhere, &bob.call(&elsewhere).await, &["read"], Expiry::Never).await.expect("made");
    let before = house.hashings();
    for (secret, says) in
        [(&made, "ok"), (&made, "ok"), (&foreign, "api_key_invalid"), (&foreign, "api_key_invalid")]
    {
        assert_eq!(code(house.bearer(secret.secret.expose()).await), says);
    }
    assert_eq!(house.hashings(), before);
}

#[tokio::test]
async fn a_remembered_caller_is_what_its_owner_is_now() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = create(&house, &ann.call(&house).await, &["*"], Expiry::Never).await.expect("made");
    let used = || house.bearer(made.secret.expose());
    let administer = async |changes: Administration| {
        let permit = house.system().permit(Target::any()).expect("the system may");
        house.engine.users().administer(permit, &ann.user.id, changes).await.expect("changed");
    };
    for _ in 0..2 {
        assert_eq!(used().await.expect("let in").auth.roles, ["user".into()]);
    }
    administer(Administration { roles: Some(vec!["premium".into()]), ..Administration::default() }).await;
    for _ in 0..2 {
        assert_eq!(used().await.expect("let in").auth.roles, ["premium".into()]);
    }
    administer(Administration { disabled: Some(true), ..Administration::default() }).await;
    for _ in 0..2 {
        assert_eq!(code(used().await), "user_disabled");
    }
}

#[tokio::test]
async fn a_ban_keeps_out_keys_and_log_ins_until_it_is_over() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = create(&house, &ann.call(&house).await, &["*"], Expiry::Never).await.expect("made");
    let used = || house.bearer(made.secret.expose());
    used().await.expect("let in");
    let until_ms = house.engine.now_ms() + 60_000;
    let permit = house.system().permit(Target::any()).expect("the system may");
    let changes = Administration { banned_until_ms: Some(Some(until_ms)), ..Administration::default() };
    house.engine.users().administer(permit, &ann.user.id, changes).await.expect("banned");
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "user_disabled");
    assert_ne!(code(house.bearer(ann.token()).await), "ok", "nobody who is in stays");
    house.clock.advance_ms(59_999);
    assert_eq!(code(used().await), "user_disabled", "a millisecond before it is over");
    house.clock.advance_ms(1);
    assert_eq!(code(used().await), "api_key_revoked", "as after disabling");
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "ok");
    assert_ne!(code(house.bearer(ann.token()).await), "ok", "what was ended stays so");
}

#[tokio::test]
async fn a_key_ends_when_it_said_it_would() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    assert_eq!(code(create(&house, &call, &["read"], Expiry::InSeconds(0)).await), "bad_field");
    assert_eq!(code(create(&house, &call, &["read"], Expiry::InSeconds(i64::MAX)).await), "bad_field");
    let made = create(&house, &call, &["read"], Expiry::InSeconds(60)).await.expect("made");
    house.bearer(made.secret.expose()).await.expect("good for a minute");
    house.clock.advance_s(60);
    assert_eq!(code(house.bearer(made.secret.expose()).await), "api_key_expired");
}

#[tokio::test]
async fn scopes_take_away_and_never_grow() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    assert_eq!(code(create(&house, &call, &["fly"], Expiry::Never).await), "unknown_scope");
    assert_eq!(code(create(&house, &call, &[], Expiry::Never).await), "bad_field");
    let made = create(&house, &call, &["thread:read", "api_key:create"], Expiry::Never).await.expect("made");
    let key = house.bearer(made.secret.expose()).await.expect("let in");
    assert_eq!(code(key.permit::<thread::Read>(Target::any())), "ok");
    assert_eq!(code(key.permit::<thread::Create>(Target::any())), "scope_missing");
    assert_eq!(code(create(&house, &key, &["*"], Expiry::Never).await), "scope_missing");
    assert_eq!(code(create(&house, &key, &["thread:read"], Expiry::Never).await), "ok");
}

#[tokio::test]
async fn only_an_administrators_admin_key_administers() {
    let house = House::new().await;
    let boss = house.admin("boss").await;
    let ann = house.sign_up("ann").await.expect("signs up");
    let make = async |owner, kind| {
        let permit = house.system().permit::<api_key::CreateAdmin>(Target::any()).expect("the system may");
        house
            .engine
            .api_keys()
            .create_for(permit, owner, kind, new(&["*"], Expiry::Never))
            .await
            .expect("made")
    };
    for (name, owner, kind, allowed) in [
        ("admin's admin key", &boss.id, ApiKeyKind::Admin, "ok"),
        ("admin's user key", &boss.id, ApiKeyKind::User, "forbidden"),
        ("user's admin key", &ann.id, ApiKeyKind::Admin, "forbidden"),
    ] {
        let made = make(owner, kind).await;
        let call = house.bearer(made.secret.expose()).await.expect("let in");
        assert_eq!(code(call.permit::<user::List>(Target::any())), allowed, "{name}");
    }
    let everyday =
        house.bearer(make(&boss.id, ApiKeyKind::User).await.secret.expose()).await.expect("let in");
    let theirs = Target::owned("usr_x", "local|usr_x");
    assert_eq!(code(everyday.permit::<user::Read>(theirs)), "not_found", "reaches the owner's own things");
}

#[tokio::test]
async fn revoking_everything_of_a_user_or_of_all_ends_keys_made_until_then() {
    for all in [false, true] {
        let house = House::new().await;
        let ann = house.person("ann").await;
        let call = ann.call(&house).await;
        let made = create(&house, &call, &["*"], Expiry::Never).await.expect("made");
        house.bearer(made.secret.expose()).await.expect("good so far");
        let owner = doorward_core::principal::Principal::local(&ann.user.id).owner_key();
        let revoked = if all { Revoked::All } else { Revoked::Principal(owner) };
        let permit = house.system().permit(Target::any()).expect("the system may");
        house.engine.tokens().revoke_any(permit, revoked).await.expect("revoked");
        assert_eq!(code(house.bearer(made.secret.expose()).await), "api_key_revoked", "all: {all}");
        house.clock.advance_s(2);
        let again = house.login("ann").await;
        let call = house.bearer(again.access.token.expose()).await.expect("let in");
        let newer = create(&house, &call, &["*"], Expiry::Never).await.expect("made");
        assert_eq!(code(house.bearer(newer.secret.expose()).await), "ok", "all: {all}");
    }
}

#[tokio::test]
async fn a_revoked_key_ends_the_streams_it_opened() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = create(&house, &ann.call(&house).await, &["*"], Expiry::Never).await.expect("made");
    let mut guard = house.engine.watch(&house.bearer(made.secret.expose()).await.expect("let in").auth);
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.api_keys().revoke(permit, &made.key.id).await.expect("revoked");
    guard.ended().await;
}
