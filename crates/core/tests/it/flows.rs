//! Flows that end in the program that began them.

use doorward_core::Result;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::clock::Clock as _;
use doorward_core::identity::proofs::{Arrived, Challenge, Links, Purpose, Shown};
use doorward_core::identity::sessions::Granted;
use doorward_core::identity::users::Administration;
use doorward_core::ports::store::Sessions as _;

use crate::house::{House, PASSWORD, code};
use crate::proofs::{ANN, account, house, letter, links, open, sign_up};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Somebody who waits to be confirmed, asks to log in within a flow, and opens the link: the code, and the link's token.
async fn opened(house: &House) -> (String, String) {
    sign_up(house, ANN, PASSWORD).await.expect("made");
    let _ = letter(house, 1).await;
    house.clock.advance_ms(61_000);
    let permit = house.nobody().await.permit(Target::any()).expect("may");
    let challenge = Challenge::asked(Some(CHALLENGE), Some("s256")).expect("one");
    let links = Links { challenge, ..links() };
    house.engine.proofs().ask(permit, Purpose::MagicLink, ANN, &links).await.expect("asked");
    let (token, _) = letter(house, 2).await;
    let permit = house.nobody().await.permit(Target::any()).expect("may");
    let arrived = house.engine.proofs().arrive(permit, &[Purpose::MagicLink], &Shown::Opened(&token)).await;
    match arrived.expect("it is good") {
        Arrived::Code(code) => (code.expose().clone(), token),
        Arrived::In(_) | Arrived::Half => unreachable!("the link is of a flow"),
    }
}

async fn exchange(house: &House, code: &str, verifier: &str) -> Result<Granted> {
    let permit = house.nobody().await.permit(Target::any())?;
    house.engine.proofs().exchange(permit, code, &verifier.into()).await
}

#[tokio::test]
async fn opening_a_link_of_a_flow_proves_the_address_and_begins_no_session() {
    let house = house().await;
    let (flow, token) = opened(&house).await;
    let user = account(&house).await;
    assert!(user.email_confirmed_at_ms.is_some());
    let sessions = house.store.sessions_of(&user.id, house.clock.now_ms()).await.expect("a read");
    assert!(sessions.is_empty(), "nobody has shown a verifier");
    assert_eq!(open(&house, Purpose::MagicLink, &token).await, "code_spent", "the link is used up");
    let granted = exchange(&house, &flow, VERIFIER).await.expect("in");
    assert_eq!(granted.user, user.id);
    assert_eq!(code(exchange(&house, &flow, VERIFIER).await), "flow_unknown", "once");
}

#[tokio::test]
async fn a_code_works_for_five_minutes_and_a_wrong_verifier_does_not_use_it_up() {
    let house = house().await;
    let (flow, _) = opened(&house).await;
    for wrong in [CHALLENGE, "", &VERIFIER[1..]] {
        assert_eq!(code(exchange(&house, &flow, wrong).await), "verifier_wrong", "{wrong}");
    }
    house.clock.advance_ms(300_000);
    assert_eq!(code(exchange(&house, &flow, VERIFIER).await), "flow_expired");
    house.clock.advance_ms(-1);
    assert_eq!(code(exchange(&house, &flow, VERIFIER).await), "ok");
}

#[tokio::test]
async fn whoever_is_kept_out_meanwhile_or_gets_another_password_is_not_let_in_by_an_older_code() {
    for (changes, expected) in [
        (Administration { disabled: Some(true), ..Administration::default() }, "user_disabled"),
        (
            Administration { password: Some("another good password".into()), ..Administration::default() },
            "flow_unknown",
        ),
        (Administration { roles: Some(vec!["admin".into()]), ..Administration::default() }, "flow_unknown"),
        (
            Administration { email: Some("new@example.org".into()), ..Administration::default() },
            "flow_unknown",
        ),
    ] {
        let house = house().await;
        let (flow, _) = opened(&house).await;
        let id = account(&house).await.id;
        let permit = house.system().permit::<user::Administer>(Target::any()).expect("the system may");
        house.engine.users().administer(permit, &id, changes).await.expect("changed");
        assert_eq!(code(exchange(&house, &flow, VERIFIER).await), expected);
    }
}

#[tokio::test]
async fn whoever_is_let_in_again_is_not_by_a_code_of_before() {
    let house = house().await;
    let (flow, _) = opened(&house).await;
    let id = account(&house).await.id;
    for disabled in [true, false] {
        let changes = Administration { disabled: Some(disabled), ..Administration::default() };
        let permit = house.system().permit::<user::Administer>(Target::any()).expect("the system may");
        house.engine.users().administer(permit, &id, changes).await.expect("changed");
    }
    assert_eq!(code(exchange(&house, &flow, VERIFIER).await), "flow_unknown");
}

#[tokio::test]
async fn guesses_of_codes_are_counted_like_wrong_passwords() {
    let house = house().await;
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(code(exchange(&house, &format!("a.b.YQ.{CHALLENGE}"), VERIFIER).await));
    }
    assert_eq!(answers.first(), Some(&"flow_unknown"));
    assert_eq!(answers.last(), Some(&"too_many_failures"));
}
