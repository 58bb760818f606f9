//! Proofs by mail: who is written to, what a proof is worth, and what nobody learns.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::Result;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::clock::ManualClock;
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::User;
use doorward_core::identity::own_account::OwnChanges;
use doorward_core::identity::proofs::{Arrived, EmailRules, Links, Purpose, Shown};
use doorward_core::identity::users::{Administration, NewUser, UserChanges};
use doorward_core::mail::KeptMails;
use doorward_core::ports::store::Users as _;

use crate::house::{Around, House, NOON, PASSWORD, code};

pub(crate) const ANN: &str = "ann@example.org";
const DAY_MS: i64 = 86_400_000;

pub(crate) fn around() -> Around {
    let email = Some(EmailRules { confirm: true, ..EmailRules::default() });
    let mailer = Arc::new(KeptMails::new(Arc::new(ManualClock::new(NOON))));
    Around { email, mailer, ..Around::default() }
}

pub(crate) async fn house() -> House {
    House::with(around()).await
}

pub(crate) fn links() -> Links {
    let verify = "https://auth.example/verify".to_owned();
    Links { verify, own: "https://auth.example/".to_owned(), wanted: None, challenge: None }
}

pub(crate) async fn sign_up(house: &House, email: &str, password: &str) -> Result<User> {
    let permit = house.nobody().await.permit(Target::any())?;
    let new = NewUser { email: Some(email.into()), password: Some(password.into()), ..NewUser::default() };
    house.engine.proofs().sign_up(permit, new, &links()).await.map(|(user, _)| user)
}

pub(crate) async fn ask(house: &House, purpose: Purpose, email: &str) -> &'static str {
    let permit = house.nobody().await.permit(Target::any()).expect("may");
    code(house.engine.proofs().ask(permit, purpose, email, &links()).await)
}

async fn arrive(house: &House, purpose: Purpose, shown: &Shown<'_>) -> Result<Arrived> {
    let permit = house.nobody().await.permit(Target::any())?;
    house.engine.proofs().arrive(permit, &[purpose], shown).await
}

pub(crate) async fn open(house: &House, purpose: Purpose, token: &str) -> &'static str {
    code(arrive(house, purpose, &Shown::Link(token)).await)
}

async fn type_digits(house: &House, address: &str, digits: &str) -> &'static str {
    code(arrive(house, Purpose::SignUp, &Shown::Digits { address, digits }).await)
}

pub(crate) async fn account(house: &House) -> User {
    house.store.user_by_login(ANN).await.expect("the store answers").expect("there is one")
}

/// The link's token and the digits of the newest of `n` letters.
pub(crate) async fn letter(house: &House, n: usize) -> (String, String) {
    for _ in 0..500 {
        let kept = house.engine.kept_mails().expect("it keeps");
        if kept.len() >= n {
            let between = |text: &str, from: &str, to: &str| {
                let (_, rest) = text.split_once(from).expect("it is there");
                rest.split(to).next().expect("it ends").to_owned()
            };
            let text = &kept[0].text;
            let digits = if text.contains("code: ") { between(text, "code: ", "\n") } else { String::new() };
            return (between(text, "token=", "&"), digits);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("letter {n} was not written");
}

#[tokio::test]
async fn a_repeated_sign_up_costs_and_answers_what_the_first_one_did() {
    let house = house().await;
    let mut costs = Vec::new();
    let mut users = Vec::new();
    for round in ["new", "waiting", "confirmed"] {
        if round == "confirmed" {
            assert_eq!(open(&house, Purpose::SignUp, &letter(&house, 1).await.0).await, "ok");
        }
        let before = (house.random.salts(), house.hashings());
        users.push(sign_up(&house, ANN, "another good password").await.expect(round));
        costs.push((house.random.salts() - before.0, house.hashings() - before.1));
    }
    assert_eq!(costs, [(1, 3); 3], "as many passwords are judged, hashed and compared each time");
    let shown =
        |user: &User| (user.email.clone(), user.roles.clone(), user.email_confirmed_at_ms, user.version);
    assert_eq!(shown(&users[0]), shown(&users[1]));
    assert_eq!(shown(&users[0]), shown(&users[2]));
    assert_ne!(users[0].id, users[1].id);
    assert_eq!(house.engine.kept_mails().expect("it keeps").len(), 1, "one letter a minute");
}

#[tokio::test]
async fn asking_and_guessing_cost_nothing_whoever_has_the_address() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    assert_eq!(open(&house, Purpose::SignUp, &letter(&house, 1).await.0).await, "ok");
    sign_up(&house, "waits@example.org", PASSWORD).await.expect("made");
    house.clock.advance_ms(61_000);
    let before = house.hashings();
    for address in [ANN, "waits@example.org", "nobody@example.org"] {
        assert_eq!(ask(&house, Purpose::Recovery, address).await, "ok", "{address}");
        assert_ne!(type_digits(&house, address, "000000").await, "ok", "{address}");
    }
    assert_eq!(house.hashings(), before);
}

#[tokio::test]
async fn whoever_signs_up_twice_with_one_password_keeps_it() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    sign_up(&house, ANN, PASSWORD).await.expect("as if made");
    assert_eq!(open(&house, Purpose::SignUp, &letter(&house, 1).await.0).await, "ok");
    assert_eq!(code(house.login_as(ANN, PASSWORD, None).await), "ok");
}

#[tokio::test]
async fn whoever_made_an_account_of_anothers_address_keeps_no_way_into_it() {
    for purpose in [Purpose::Recovery, Purpose::MagicLink] {
        let house = house().await;
        sign_up(&house, ANN, PASSWORD).await.expect("made");
        let _ = letter(&house, 1).await;
        house.clock.advance_ms(61_000);
        assert_eq!(ask(&house, purpose, ANN).await, "ok");
        let (link, _) = letter(&house, 2).await;
        assert_eq!(open(&house, purpose, &link).await, "ok");
        assert_eq!(code(house.login_as(ANN, PASSWORD, None).await), "bad_credentials", "{purpose:?}");
    }
}

#[tokio::test]
async fn the_holder_of_a_waiting_address_is_written_to_again_and_of_a_confirmed_one_not() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let (first, _) = letter(&house, 1).await;
    house.clock.advance_ms(61_000);
    sign_up(&house, ANN, "another good password").await.expect("as if made");
    let (second, _) = letter(&house, 2).await;
    assert_eq!(open(&house, Purpose::SignUp, &first).await, "code_spent", "a newer letter voids the older");
    assert_eq!(open(&house, Purpose::SignUp, &second).await, "ok");
    for either in [PASSWORD, "another good password"] {
        let said = code(house.login_as(ANN, either, None).await);
        assert_eq!(
            said, "bad_credentials",
            "two signed up for it: nobody knows whose password is the holder's"
        );
    }
    house.clock.advance_ms(61_000);
    sign_up(&house, ANN, PASSWORD).await.expect("as if made");
    assert_eq!(ask(&house, Purpose::SignUp, ANN).await, "mail_too_soon");
    house.clock.advance_ms(61_000);
    assert_eq!(ask(&house, Purpose::SignUp, ANN).await, "ok");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.engine.kept_mails().expect("it keeps").len(), 2);
}

#[tokio::test]
async fn nobody_logs_in_with_an_address_that_waits_and_only_the_right_password_tells() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    assert_eq!(code(house.login_as(ANN, "a wrong password", None).await), "bad_credentials");
    for _ in 0..12 {
        assert_eq!(code(house.login_as(ANN, PASSWORD, None).await), "email_not_confirmed", "no guess");
    }
    let (token, _) = letter(&house, 1).await;
    assert_eq!(open(&house, Purpose::SignUp, &token).await, "ok");
    assert_eq!(code(house.login_as(ANN, PASSWORD, None).await), "ok");
}

#[tokio::test]
async fn of_two_who_show_a_proof_at_once_one_gets_in() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let (token, digits) = letter(&house, 1).await;
    let both = tokio::join!(open(&house, Purpose::SignUp, &token), type_digits(&house, ANN, &digits));
    let in_at_once = [both.0, both.1].iter().filter(|code| **code == "ok").count();
    assert_eq!(in_at_once, 1, "{both:?}");
    assert_eq!(open(&house, Purpose::SignUp, &token).await, "code_spent");
    assert_eq!(type_digits(&house, ANN, &digits).await, "code_spent");
}

#[tokio::test]
async fn a_proof_is_good_for_its_purpose_its_time_and_its_address() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let (token, _) = letter(&house, 1).await;
    for other in [Purpose::Recovery, Purpose::EmailChange] {
        assert_eq!(open(&house, other, &token).await, "code_spent", "{other:?}");
    }
    house.clock.advance_ms(DAY_MS);
    assert_eq!(open(&house, Purpose::SignUp, &token).await, "code_spent", "too late");
    assert_eq!(ask(&house, Purpose::Recovery, ANN).await, "ok");
    let (token, _) = letter(&house, 2).await;
    house.clock.advance_ms(Purpose::Recovery.life_ms());
    assert_eq!(open(&house, Purpose::Recovery, &token).await, "code_spent", "too late");
    house.clock.advance_ms(61_000);
    assert_eq!(ask(&house, Purpose::Recovery, ANN).await, "ok");
    let (token, _) = letter(&house, 3).await;
    let user = account(&house).await;
    let permit = house.system().permit::<user::Update>(Target::any()).expect("the system may");
    let changes = UserChanges { email: Some(Some("new@example.org".into())), ..UserChanges::default() };
    house.engine.users().update(permit, &user.id, changes).await.expect("changed");
    assert_eq!(open(&house, Purpose::Recovery, &token).await, "code_spent", "of an address no more theirs");
}

#[tokio::test]
async fn an_address_that_changes_is_unproven_again() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    assert_eq!(open(&house, Purpose::SignUp, &letter(&house, 1).await.0).await, "ok");
    let user = account(&house).await;
    assert!(user.email_confirmed_at_ms.is_some());
    for (email, proven) in [(ANN, true), ("ANN@example.org", true), ("new@example.org", false)] {
        let permit = house.system().permit::<user::Update>(Target::any()).expect("the system may");
        let changes = UserChanges { email: Some(Some(email.into())), ..UserChanges::default() };
        let changed = house.engine.users().update(permit, &user.id, changes).await.expect("changed");
        assert_eq!(changed.email_confirmed_at_ms.is_some(), proven, "{email}");
    }
    assert_eq!(code(house.login_as("new@example.org", PASSWORD, None).await), "email_not_confirmed");
}

#[tokio::test]
async fn wrong_digits_end_the_digits_in_every_process_and_not_the_link() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let (token, digits) = letter(&house, 1).await;
    let wrong = if digits == "000000" { "111111" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(type_digits(&house, ANN, wrong).await, "code_spent");
    }
    let neighbour = house.neighbour_with(around()).await;
    assert_eq!(type_digits(&neighbour, ANN, &digits).await, "code_spent");
    assert_eq!(open(&neighbour, Purpose::SignUp, &token).await, "ok");
}

#[tokio::test]
async fn guesses_are_counted_like_wrong_passwords() {
    let house = house().await;
    for n in 0..10 {
        assert_eq!(open(&house, Purpose::SignUp, &format!("0190.guess{n}")).await, "code_spent");
    }
    assert_eq!(open(&house, Purpose::SignUp, "0190.guess").await, "too_many_failures");
}

#[tokio::test]
async fn a_disabled_account_is_neither_written_to_nor_opened() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let (token, _) = letter(&house, 1).await;
    let user = account(&house).await;
    let permit = house.system().permit::<user::Administer>(Target::any()).expect("the system may");
    let changes = Administration { disabled: Some(true), ..Administration::default() };
    house.engine.users().administer(permit, &user.id, changes).await.expect("disabled");
    assert_eq!(open(&house, Purpose::SignUp, &token).await, "user_disabled");
    house.clock.advance_ms(61_000);
    assert_eq!(ask(&house, Purpose::Recovery, ANN).await, "ok", "nobody is told");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.engine.kept_mails().expect("it keeps").len(), 1);
}

#[tokio::test]
async fn an_address_is_moved_by_whoever_has_just_proven_to_be_its_owner() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    assert_eq!(open(&house, Purpose::SignUp, &letter(&house, 1).await.0).await, "ok");
    let granted = house.login_as(ANN, PASSWORD, None).await.expect("logs in");
    let id = granted.user.clone();
    let own = |email: &str, current: Option<&str>| OwnChanges {
        changes: UserChanges { email: Some(Some(email.into())), ..UserChanges::default() },
        current_password: current.map(Into::into),
        ..OwnChanges::default()
    };
    let revise = async |token: &str, own: OwnChanges| {
        let permit = house.bearer(token).await?.permit::<user::Update>(Target::any())?;
        house.engine.users().revise(permit, &id, own).await
    };
    let ask = async |token: &str, current: Option<&str>| {
        let permit = house.bearer(token).await?.permit(Target::any())?;
        let current = current.map(Into::into);
        house
            .engine
            .proofs()
            .ask_new_address(permit, (&id, current.as_ref()), "ann@elsewhere.example", &links())
            .await
    };
    let token = granted.access.token.expose();
    assert_eq!(code(revise(token, own("ann@new.example", None)).await), "ok", "a fresh log-in");
    house.clock.advance_ms(300_001);
    assert_eq!(code(revise(token, own("ann@newer.example", None)).await), "login_too_old");
    assert_eq!(code(ask(token, None).await), "login_too_old");
    assert_eq!(code(revise(token, own("ann@newer.example", Some("a guess"))).await), "bad_credentials");
    assert_eq!(code(ask(token, Some("a guess")).await), "bad_credentials");
    assert_eq!(code(revise(token, own("ANN@new.example", None)).await), "ok", "it is the same one");
    assert_eq!(code(revise(token, own("ann@newer.example", Some(PASSWORD))).await), "ok");
    assert_eq!(code(ask(token, Some(PASSWORD)).await), "ok");
    let permit = house.bearer(token).await.expect("in").permit(Target::any()).expect("may");
    let new = NewApiKey { name: "k".into(), scopes: vec!["write".into()], expiry: Expiry::Never };
    let key = house.engine.api_keys().create(permit, new).await.expect("made");
    let key = key.secret.expose();
    assert_eq!(code(revise(key, own("ann@newest.example", Some(PASSWORD))).await), "forbidden", "a key");
    assert_eq!(code(ask(key, Some(PASSWORD)).await), "forbidden", "a key");
    let permit = house.bearer(key).await.expect("in").permit::<user::Update>(Target::any()).expect("may");
    let changes = UserChanges { email: Some(Some("ann@newest.example".into())), ..UserChanges::default() };
    assert_eq!(
        code(house.engine.users().update(permit, &id, changes).await),
        "forbidden",
        "by the other way"
    );
    let name = OwnChanges {
        changes: UserChanges { display_name: Some(Some("Ann".into())), ..UserChanges::default() },
        ..OwnChanges::default()
    };
    assert_eq!(code(revise(key, name).await), "ok", "a name is no way in");
}

#[tokio::test]
async fn coming_in_by_a_letter_or_setting_a_password_ends_the_other_letters() {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let (confirm, digits) = letter(&house, 1).await;
    house.clock.advance_ms(61_000);
    assert_eq!(ask(&house, Purpose::Recovery, ANN).await, "ok");
    let (reset, _) = letter(&house, 2).await;
    assert_eq!(open(&house, Purpose::Recovery, &reset).await, "ok");
    assert_eq!(open(&house, Purpose::SignUp, &confirm).await, "code_spent");
    assert_eq!(type_digits(&house, ANN, &digits).await, "code_spent");
    house.clock.advance_ms(61_000);
    assert_eq!(ask(&house, Purpose::Recovery, ANN).await, "ok");
    let (reset, _) = letter(&house, 3).await;
    let user = account(&house).await;
    let permit = house.system().permit(Target::any()).expect("the system may");
    house
        .engine
        .users()
        .set_password(permit, &user.id, None, &"quite another password".into())
        .await
        .expect("set");
    assert_eq!(open(&house, Purpose::Recovery, &reset).await, "code_spent");
}
