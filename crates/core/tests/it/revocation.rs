//! Revocation by token, session, user and all: effective on the next request.

use doorward_core::authz::Target;
use doorward_core::principal::Principal;
use doorward_core::tokens::model::Revoked;

use crate::house::{House, code};

async fn revoke(house: &House, revoked: Revoked) {
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.tokens().revoke_any(permit, revoked).await.expect("revoked");
}

#[tokio::test]
async fn each_revocation_refuses_a_token_that_was_just_accepted() {
    for kind in ["token", "session", "principal", "all"] {
        let house = House::new().await;
        let (ann, bob) = (house.person("ann").await, house.person("bob").await);
        let call = ann.call(&house).await;
        bob.call(&house).await;
        revoke(
            &house,
            match kind {
                "token" => Revoked::Token(call.auth.credential.clone().expect("has one").to_string()),
                "session" => Revoked::Session(ann.granted.session.as_str().into()),
                "principal" => Revoked::Principal(Principal::local(&ann.user.id).owner_key()),
                _ => Revoked::All,
            },
        )
        .await;
        assert_eq!(code(house.bearer(ann.token()).await), "token_revoked", "{kind}");
        let others = if kind == "all" { "token_revoked" } else { "ok" };
        assert_eq!(code(house.bearer(bob.token()).await), others, "{kind}: somebody else");
        let again = house.login("ann").await;
        assert_eq!(code(house.bearer(again.access.token.expose()).await), "ok", "{kind}: a new log-in");
    }
}

#[tokio::test]
async fn a_caller_revokes_the_token_it_came_with() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let permit = ann.call(&house).await.permit(Target::any()).expect("may");
    house.engine.tokens().revoke_own(permit).await.expect("revoked");
    assert_eq!(code(house.bearer(ann.token()).await), "token_revoked");
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "ok",
        "the session goes on"
    );
}

#[tokio::test]
async fn a_stream_ends_when_its_callers_session_does() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let mut guard = house.engine.watch(&ann.call(&house).await.auth);
    revoke(&house, Revoked::Session(ann.granted.session.as_str().into())).await;
    guard.ended().await;
}

#[tokio::test]
async fn expired_and_foreign_tokens_are_refused_each_with_its_code() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let elsewhere = House::elsewhere().await;
    let foreign = elsewhere.person("ann").await;
    assert_eq!(code(house.bearer(foreign.token()).await), "token_invalid");
    house.clock.advance_s(3_600);
    assert_eq!(code(house.bearer(ann.token()).await), "token_expired");
}

#[tokio::test]
async fn a_name_that_is_nobodys_is_refused_instead_of_quietly_revoking_nothing() {
    let house = House::new().await;
    let permit = house.system().permit(Target::any()).expect("the system may");
    let ghost = Revoked::Principal("local|usr_ghost".into());
    assert_eq!(code(house.engine.tokens().revoke_any(permit, ghost).await), "not_found");
    let subject = doorward_core::tokens::Subject { subject: "usr_ghost".into(), ..Default::default() };
    let permit = house.system().permit(Target::any()).expect("the system may");
    assert_eq!(code(house.engine.tokens().issue(permit, &house.mount.tokens, subject).await), "not_found");
}

#[tokio::test]
async fn revoking_a_session_a_user_or_all_ends_refresh_tokens_too() {
    for kind in ["session", "principal", "all"] {
        let house = House::new().await;
        let ann = house.person("ann").await;
        revoke(
            &house,
            match kind {
                "session" => Revoked::Session(ann.granted.session.as_str().into()),
                "principal" => Revoked::Principal(Principal::local(&ann.user.id).owner_key()),
                _ => Revoked::All,
            },
        )
        .await;
        let refused =
            code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await);
        assert_eq!(refused, "refresh_token_invalid", "{kind}");
        let again = house.login("ann").await;
        assert_eq!(
            code(house.refresh(again.refresh.as_ref().expect("a token").expose(), "app").await),
            "ok",
            "{kind}: a new log-in"
        );
    }
}

#[tokio::test]
async fn revoking_all_covers_a_token_dated_past_another_revocation_of_the_same_second() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    revoke(&house, Revoked::Principal(Principal::local(&ann.user.id).owner_key())).await;
    let again = house.login("ann").await;
    assert_eq!(code(house.bearer(again.access.token.expose()).await), "ok");
    revoke(&house, Revoked::All).await;
    assert_eq!(code(house.bearer(again.access.token.expose()).await), "token_revoked");
}
