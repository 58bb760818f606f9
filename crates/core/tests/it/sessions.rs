//! Logging in and out.

use doorward_core::authn::Presented;
use doorward_core::authz::Target;
use doorward_core::id::UserId;
use doorward_core::identity::sessions::{Granted, Login, Which};
use doorward_core::identity::users::Administration;
use doorward_core::principal::Principal;
use doorward_core::tokens::model::Revoked;

use crate::house::{House, PASSWORD, Person, code};
use crate::stepped::Stepped;

/// A log-in from the `n`th of many networks.
async fn login_from(house: &House, n: usize, login: &str, password: &str) -> doorward_core::Result<Granted> {
    let origin = house.origin_at(&format!("198.51.100.{n}"));
    let nobody = house.engine.authenticate(&house.mount, origin, &Presented::nothing()).await?;
    let login = Login {
        login: login.to_owned(),
        password: password.into(),
        client: None,
        scope: None,
        source: None,
        device: None,
    };
    house.engine.sessions().login(nobody.permit(Target::any())?, login).await
}

async fn end(house: &House, who: &Person, which: Which) -> doorward_core::Result<usize> {
    let owner = Principal::local(&who.user.id).owner_key();
    let permit = who.call(house).await.permit(Target::owned(who.user.id.as_str(), &owner))?;
    house.engine.sessions().end(permit, &who.user.id, which).await
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_are_not_told_apart() {
    let house = House::new().await;
    house.sign_up("ann").await.expect("signs up");
    for login in ["ann@example.org", "nobody@example.org", "", &"x".repeat(5_000)] {
        assert_eq!(code(house.login_as(login, "wrong password", None).await), "bad_credentials");
    }
    assert_eq!(code(house.login_as(" ANN@example.org ", PASSWORD, None).await), "ok");
}

#[tokio::test]
async fn a_wrong_log_in_costs_one_hashing_whoever_it_names() {
    let house = House::new().await;
    house.sign_up("ann").await.expect("signs up");
    let disabled = house.sign_up("eve").await.expect("signs up");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let administration = Administration { disabled: Some(true), ..Administration::default() };
    house.engine.users().administer(permit, &disabled.id, administration).await.expect("disabled");
    let long = "x".repeat(5_000);
    for (login, password) in [
        ("ann@example.org", "wrong password"),
        ("ann@example.org", ""),
        ("ann@example.org", &*long),
        ("nobody@example.org", "wrong password"),
        ("nobody@example.org", &*long),
        ("eve@example.org", "wrong password"),
        ("eve@example.org", PASSWORD),
        ("", "wrong password"),
        (&*long, "wrong password"),
    ] {
        let before = house.hashings();
        assert_ne!(code(house.login_as(login, password, None).await), "ok", "{login:.20} {password:.20}");
        assert_eq!(house.hashings() - before, 1, "{login:.20} {password:.20}");
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_its_tokens_and_its_refresh_tokens_alone() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let other = house.login("ann").await;
    assert_eq!(end(&house, &ann, Which::One(ann.granted.session.clone())).await.expect("ended"), 1);
    assert_eq!(code(house.bearer(ann.token()).await), "token_revoked");
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "refresh_token_invalid"
    );
    assert_eq!(code(house.bearer(other.access.token.expose()).await), "ok");
}

#[tokio::test]
async fn all_or_all_other_sessions_can_be_ended_and_nobody_elses() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let other = house.login("ann").await;
    let missing = end(&house, &ann, Which::One(bob.granted.session.clone())).await;
    assert_eq!(code(missing), "not_found");
    assert_eq!(end(&house, &ann, Which::Others(ann.granted.session.clone())).await.expect("ended"), 1);
    assert_eq!(code(house.bearer(other.access.token.expose()).await), "token_revoked");
    assert_eq!(end(&house, &ann, Which::All).await.expect("ended"), 1);
    assert_eq!(code(house.bearer(ann.token()).await), "token_revoked");
    assert_eq!(code(house.bearer(bob.token()).await), "ok");
}

#[tokio::test]
async fn a_session_ends_when_unused_and_never_outlives_its_limit() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    const DAY_S: i64 = 86_400;
    house.clock.advance_s(29 * DAY_S);
    let granted = house
        .refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("still good");
    house.bearer(granted.access.token.expose()).await.expect("let in");
    house.clock.advance_s(31 * DAY_S);
    assert_ne!(
        code(house.refresh(granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "ok",
        "unused for 31 days"
    );

    let bob = house.person("bob").await;
    let mut granted = bob.granted;
    for _ in 0..4 {
        house.clock.advance_s(20 * DAY_S);
        granted = house
            .refresh(granted.refresh.as_ref().expect("a token").expose(), "app")
            .await
            .expect("used often enough");
    }
    house.clock.advance_s(10 * DAY_S - 60);
    granted = house
        .refresh(granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("a minute left");
    assert!(granted.access.expires_in_s <= 60, "no token outlives its session");
    house.clock.advance_s(61);
    assert_ne!(code(house.refresh(granted.refresh.as_ref().expect("a token").expose(), "app").await), "ok");
}

#[tokio::test]
async fn the_list_shows_where_sessions_came_from_and_not_those_that_ended() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.login("ann").await;
    let list = async || {
        let owner = Principal::local(&ann.user.id).owner_key();
        let permit = ann.call(&house).await.permit(Target::owned(ann.user.id.as_str(), &owner)).expect("own");
        house.engine.sessions().list(permit, &ann.user.id).await.expect("listed")
    };
    let sessions = list().await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].origin.address.as_deref(), Some("192.0.2.1"));
    assert_eq!(sessions[0].origin.user_agent.as_deref(), Some("test"));
    house.clock.advance_s(7);
    let (now_ms, seen) = (house.engine.now_ms(), list().await);
    let last_seen_of =
        |id| seen.iter().find(|session| session.id == id).map(|session| session.last_seen_at_ms);
    assert_eq!(last_seen_of(ann.granted.session.clone()), Some(now_ms), "the one that asks is in use");
    let other = sessions.iter().find(|session| session.id != ann.granted.session).expect("two");
    assert_eq!(last_seen_of(other.id.clone()), Some(other.last_seen_at_ms), "the other is not");
    end(&house, &ann, Which::Others(ann.granted.session.clone())).await.expect("ended");
    assert_eq!(list().await.len(), 1);
}

#[tokio::test]
async fn after_ten_failures_an_address_is_told_to_wait_but_a_good_credential_is_never_refused() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    for n in 0..10 {
        let name = format!("ann{n}@example.org");
        assert_eq!(code(house.login_as(&name, "wrong password", None).await), "bad_credentials");
    }
    let refused = house.login_as("ann@example.org", "wrong password", None).await.err().expect("refused");
    assert_eq!((refused.code().name, refused.retry_after()), ("too_many_failures", Some(60)));
    assert_eq!(
        code(house.bearer("garbage").await),
        "too_many_failures",
        "one counter for every kind of guess"
    );
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "ok");
    assert_eq!(code(house.bearer(ann.token()).await), "ok");
    house.clock.advance_s(60);
    assert_eq!(code(house.bearer("garbage").await), "token_invalid", "a new window");
}

#[tokio::test]
async fn after_five_failures_in_five_minutes_a_name_is_told_to_wait_from_wherever_and_its_owner_gets_in() {
    let house = House::new().await;
    house.person("ann").await;
    for name in ["ann@example.org", "nobody@example.org"] {
        // From a different network each time, and in two spellings of one name.
        for (n, typed) in [name, &name.to_uppercase(), name, name, name].into_iter().enumerate() {
            let tried = login_from(&house, n, typed, "wrong password").await;
            assert_eq!(code(tried), "bad_credentials", "{name}: {n}");
        }
        let refused = login_from(&house, 6, name, "wrong password").await.err().expect("refused");
        assert_eq!((refused.code().name, refused.retry_after()), ("too_many_failures", Some(300)), "{name}");
        assert_eq!(refused.public_message(), "Too many login attempts. Try again in 300 seconds.");
    }
    assert_eq!(code(login_from(&house, 7, "bob@example.org", "wrong password").await), "bad_credentials");
    assert_eq!(code(login_from(&house, 6, "ann@example.org", PASSWORD).await), "ok", "a delay, no lock-out");
    house.clock.advance_s(300);
    for _ in 0..5 {
        assert_eq!(code(login_from(&house, 8, "ann@example.org", "wrong password").await), "bad_credentials");
    }
    let refused = login_from(&house, 9, "ann@example.org", "wrong password").await.err().expect("refused");
    assert_eq!(refused.retry_after(), Some(600), "whoever goes on waits twice as long");
}

/// What may happen to an account while somebody logs in to it.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    NewPassword,
    Disabled,
    Revoked,
    Deleted,
}

impl Meanwhile {
    async fn happen(self, house: &House, id: &UserId) {
        let system = house.system();
        let users = house.engine.users();
        match self {
            Self::NewPassword => {
                let permit = system.permit(Target::any()).expect("may");
                users.set_password(permit, id, None, &"another long password".into()).await.expect("set");
            }
            Self::Disabled => {
                let permit = system.permit(Target::any()).expect("may");
                let changes = Administration { disabled: Some(true), ..Administration::default() };
                users.administer(permit, id, changes).await.expect("disabled");
            }
            Self::Revoked => {
                let permit = system.permit(Target::any()).expect("may");
                let owner = format!("local|{}", id.as_str());
                house.engine.tokens().revoke_any(permit, Revoked::Principal(owner)).await.expect("revoked");
            }
            Self::Deleted => {
                let permit = system.permit(Target::any()).expect("may");
                users.delete(permit, id).await.expect("deleted");
            }
        }
    }
}

#[tokio::test]
async fn what_happens_to_an_account_during_a_log_in_holds_for_it() {
    for meanwhile in [Meanwhile::NewPassword, Meanwhile::Disabled, Meanwhile::Revoked, Meanwhile::Deleted] {
        for before in 0.. {
            let house = House::new().await;
            let ann = house.sign_up("ann").await.expect("signs up");
            let mut logging_in = Stepped::new(house.login_as("ann@example.org", PASSWORD, None));
            let mut done = None;
            for _ in 0..before {
                done = logging_in.step().await;
                if done.is_some() {
                    break;
                }
            }
            let whole = done.is_some();
            meanwhile.happen(&house, &ann.id).await;
            let granted = match done {
                Some(granted) => granted,
                None => logging_in.finish().await,
            };
            let reaches = match &granted {
                Ok(granted) => code(house.bearer(granted.access.token.expose()).await),
                Err(_) => "refused",
            };
            // A log-in that ends after a revocation begins after it: only what was there before falls.
            let fresh = matches!(meanwhile, Meanwhile::Revoked) && !whole;
            assert!(reaches != "ok" || fresh, "{meanwhile:?} after {before} steps: {reaches}");
            if whole {
                assert!(before > 1, "{meanwhile:?}: the steps of a log-in were seen");
                break;
            }
        }
    }
}
