//! Accounts.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::identity::users::{Administration, NewUser, UserChanges};

use crate::house::{House, PASSWORD, code};

#[tokio::test]
async fn names_are_unique_across_addresses_and_spellings() {
    let house = House::new().await;
    house.sign_up("ann").await.expect("signs up");
    assert_eq!(code(house.sign_up("ANN").await), "email_taken");
    let permit = house.nobody().await.permit(Target::any()).expect("may");
    let new = NewUser { password: Some(PASSWORD.into()), ..NewUser::default() };
    assert_eq!(code(house.engine.users().sign_up(permit, new).await), "bad_field");
}

#[tokio::test]
async fn nobody_gives_themselves_roles_or_administrators_metadata() {
    let house = House::new().await;
    let permit = house.nobody().await.permit(Target::any()).expect("may");
    let new = NewUser {
        username: Some("eve".into()),
        password: Some(PASSWORD.into()),
        roles: vec!["admin".into()],
        ..NewUser::default()
    };
    assert_eq!(code(house.engine.users().sign_up(permit, new).await), "bad_field");
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    assert_eq!(code(call.permit::<user::Administer>(Target::any())), "forbidden");
    assert_eq!(code(call.permit::<user::Create>(Target::any())), "forbidden");
}

#[tokio::test]
async fn somebody_elses_account_is_as_absent_as_one_that_never_was() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let owner = doorward_core::principal::Principal::local(&bob.user.id).owner_key();
    let target = Target::owned(bob.user.id.as_str(), &owner);
    assert_eq!(code(ann.call(&house).await.permit::<user::Read>(target)), "not_found");
    let own = doorward_core::principal::Principal::local(&ann.user.id).owner_key();
    let permit =
        async || ann.call(&house).await.permit(Target::owned(ann.user.id.as_str(), &own)).expect("own");
    let users = house.engine.users();
    assert_eq!(users.get(permit().await, &ann.user.id).await.expect("there").id, ann.user.id);
    let misspent = users.get(permit().await, &bob.user.id).await;
    assert_eq!(code(misspent), "not_found", "a permit for one account does not open another");
}

#[tokio::test]
async fn disabling_ends_tokens_at_once_and_enabling_does_not_bring_them_back() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    ann.call(&house).await;
    let set = async |disabled| {
        let permit = house.system().permit(Target::any()).expect("the system may");
        let changes = Administration { disabled: Some(disabled), ..Administration::default() };
        house.engine.users().administer(permit, &ann.user.id, changes).await
    };
    set(true).await.expect("disabled");
    assert_ne!(code(house.bearer(ann.token()).await), "ok");
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "user_disabled");
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "refresh_token_invalid"
    );
    set(false).await.expect("enabled");
    assert_eq!(code(house.bearer(ann.token()).await), "token_revoked");
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "refresh_token_invalid"
    );
    let again = house.login("ann").await;
    assert_eq!(code(house.bearer(again.access.token.expose()).await), "ok", "a new token in the same second");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let house = House::new().await;
    let first = house.admin("first").await;
    let demote = async |id| {
        let permit = house.system().permit(Target::any()).expect("the system may");
        let changes = Administration { roles: Some(vec!["user".into()]), ..Administration::default() };
        house.engine.users().administer(permit, id, changes).await
    };
    assert_eq!(code(demote(&first.id).await), "last_admin");
    let permit = house.system().permit(Target::any()).expect("the system may");
    assert_eq!(code(house.engine.users().delete(permit, &first.id).await), "last_admin");
    house.admin("second").await;
    assert_eq!(code(demote(&first.id).await), "ok");
}

#[tokio::test]
async fn changed_roles_count_on_the_next_request_of_an_old_token() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    assert_eq!(code(ann.call(&house).await.permit::<user::List>(Target::any())), "forbidden");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let changes = Administration { roles: Some(vec!["admin".into()]), ..Administration::default() };
    house.engine.users().administer(permit, &ann.user.id, changes).await.expect("promoted");
    assert_eq!(code(ann.call(&house).await.permit::<user::List>(Target::any())), "ok");
}

#[tokio::test]
async fn changing_a_password_proves_the_old_one_and_ends_the_other_sessions() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let elsewhere = house.login("ann").await;
    let owner = doorward_core::principal::Principal::local(&ann.user.id).owner_key();
    let change = async |current: &str, new: &str| {
        let permit = ann.call(&house).await.permit(Target::owned(ann.user.id.as_str(), &owner))?;
        house.engine.users().set_password(permit, &ann.user.id, Some(&current.into()), &new.into()).await
    };
    assert_eq!(code(change("wrong password", "another good one").await), "bad_credentials");
    assert_eq!(code(change(PASSWORD, "short").await), "weak_password");
    change(PASSWORD, "another good one").await.expect("changed");
    assert_eq!(code(house.bearer(ann.token()).await), "ok", "this session goes on");
    assert_ne!(code(house.bearer(elsewhere.access.token.expose()).await), "ok");
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "bad_credentials");
    assert_eq!(code(house.login_as("ann@example.org", "another good one", None).await), "ok");
}

#[tokio::test]
async fn an_update_made_on_old_knowledge_is_refused_rather_than_overwriting() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let owner = doorward_core::principal::Principal::local(&ann.user.id).owner_key();
    let update = async |name: &'static str| {
        let permit = ann.call(&house).await.permit(Target::owned(ann.user.id.as_str(), &owner))?;
        let changes = UserChanges { display_name: Some(Some(name.into())), ..UserChanges::default() };
        house.engine.users().update(permit, &ann.user.id, changes).await
    };
    let both = tokio::join!(update("One"), update("Two"));
    let good = [&both.0, &both.1].into_iter().filter(|done| done.is_ok()).count();
    assert!(good >= 1);
    for refused in [both.0, both.1].into_iter().filter_map(Result::err) {
        assert_eq!(refused.code().name, "conflict");
    }
}

#[tokio::test]
async fn a_deleted_account_takes_its_credentials_with_it() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let owner = doorward_core::principal::Principal::local(&ann.user.id).owner_key();
    let permit = ann.call(&house).await.permit(Target::owned(ann.user.id.as_str(), &owner)).expect("own");
    house.engine.users().delete(permit, &ann.user.id).await.expect("deleted");
    assert_ne!(code(house.bearer(ann.token()).await), "ok");
    assert_ne!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "ok"
    );
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "bad_credentials");
    assert_eq!(code(house.sign_up("ann").await), "ok", "the name is free again");
}

#[tokio::test]
async fn of_two_last_administrators_who_leave_at_once_one_stays() {
    let house = House::new().await;
    let (one, two) = (house.admin("one").await, house.admin("two").await);
    let leave = async |id| {
        let permit = house.system().permit(Target::any()).expect("the system may");
        house.engine.users().delete(permit, id).await
    };
    let both = tokio::join!(leave(&one.id), leave(&two.id));
    let codes = [code(both.0), code(both.1)];
    assert!(codes.contains(&"ok") && codes.contains(&"last_admin"), "{codes:?}");
}

#[tokio::test]
async fn a_limited_credential_sets_no_password_not_even_the_first() {
    let house = House::new().await;
    let permit = house.system().permit(Target::any()).expect("the system may");
    let new = NewUser { username: Some("robot".into()), roles: vec!["admin".into()], ..NewUser::default() };
    let owner = house.engine.users().create(permit, new).await.expect("made");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let new = doorward_core::identity::api_keys::NewApiKey {
        name: "narrow".into(),
        scopes: vec!["user:update".into()],
        expiry: doorward_core::identity::api_keys::Expiry::Never,
    };
    let kind = doorward_core::identity::model::ApiKeyKind::User;
    let made = house.engine.api_keys().create_for(permit, &owner.id, kind, new).await.expect("made");
    let call = house.bearer(made.secret.expose()).await.expect("let in");
    let permit = call.permit(Target::any()).expect("the scope allows updates");
    let set = house.engine.users().set_password(permit, &owner.id, None, &PASSWORD.into()).await;
    assert_eq!(code(set), "forbidden");
    assert_eq!(code(house.login_as("robot", PASSWORD, None).await), "bad_credentials");
}
