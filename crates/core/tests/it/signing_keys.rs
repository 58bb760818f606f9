//! Rotation.

use doorward_core::authn::{Place, Presented};
use doorward_core::authz::Target;
use doorward_core::identity::users::NewUser;
use doorward_protocols::jose::Algorithm;

use doorward_core::memory::feed;

use crate::house::{House, code};
use crate::stepped::Stepped;

#[tokio::test]
async fn the_newest_key_signs_all_verify_and_a_retired_one_no_longer_does() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let ring = house.engine.ring("sign:native", Algorithm::ES256).await.expect("open");
    let first = ring.signer().kid().expect("has one").to_owned();
    let may = || house.system();
    let keys = house.engine.signing_keys();
    let retire =
        async |id: &str| keys.retire(may().permit(Target::any()).expect("may"), &ring, &id.into()).await;
    assert_eq!(code(retire(&first).await), "conflict", "the key that signs");
    house.clock.advance_ms(1);
    let second = keys
        .rotate(may().permit(Target::any()).expect("may"), &ring, Some(Algorithm::EdDSA))
        .await
        .expect("rotated");
    assert_eq!(ring.signer().kid(), Some(second.id.as_str()));
    assert_eq!(ring.public_keys().len(), 2);
    assert_eq!(code(house.bearer(ann.token()).await), "ok", "signed with the old key");
    let newer = house.login("ann").await;
    retire(&first).await.expect("retired");
    assert_eq!(code(house.bearer(ann.token()).await), "token_invalid");
    assert_eq!(code(house.bearer(newer.access.token.expose()).await), "ok");
    assert_eq!(code(retire("sig_unknown").await), "not_found");
}

#[tokio::test]
async fn a_token_that_was_seen_and_ran_out_is_expired_however_often_it_is_shown_and_whatever_became_of_its_key()
 {
    let house = House::new().await;
    let ann = house.person("ann").await;
    assert_eq!(code(house.bearer(ann.token()).await), "ok");
    let ring = house.engine.ring("sign:native", Algorithm::ES256).await.expect("open");
    let first = ring.signer().kid().expect("has one").into();
    let keys = house.engine.signing_keys();
    keys.rotate(house.system().permit(Target::any()).expect("may"), &ring, None).await.expect("rotated");
    assert!(!house.knows(ann.token()), "the keys are others, so it is looked at anew");
    assert_eq!(code(house.bearer(ann.token()).await), "ok");
    assert!(house.knows(ann.token()));
    house.clock.advance_s(2 * 3600);
    assert!(!house.knows(ann.token()), "ran out");
    keys.retire(house.system().permit(Target::any()).expect("may"), &ring, &first).await.expect("retired");
    for _ in 0..3 {
        assert_eq!(code(house.bearer(ann.token()).await), "token_expired");
    }
}

#[tokio::test]
async fn a_restored_store_begins_anew_with_one_key_and_nothing_that_was_given_out() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let secret = house.engine.setup().secret().await.expect("works").expect("no administrator yet");
    let ring = house.engine.ring("sign:native", Algorithm::ES256).await.expect("open");
    let may = || house.system();
    let keys = house.engine.signing_keys();
    keys.rotate(may().permit(Target::any()).expect("may"), &ring, Some(Algorithm::EdDSA))
        .await
        .expect("rotated");
    house.clock.advance_ms(1);
    let permit = may().permit(Target::any()).expect("may");
    let signs = house.engine.tokens().begin_anew(permit, Some(&ring)).await.expect("done");
    assert_eq!(ring.signer().kid(), signs.as_ref().map(|id| id.as_str()));
    assert_eq!(
        (ring.signer().algorithm(), ring.public_keys().len()),
        (Algorithm::EdDSA, 1),
        "as before, alone"
    );
    assert_ne!(code(house.bearer(ann.token()).await), "ok");
    let origin = house.origin_at("127.0.0.1");
    let nobody =
        house.engine.authenticate(&house.mount, origin, &Presented::nothing()).await.expect("nobody");
    let boss = NewUser {
        username: Some("boss".into()),
        password: Some("a long password 1".into()),
        ..NewUser::default()
    };
    let permit = nobody.permit(Target::any()).expect("may try");
    assert_eq!(code(house.engine.setup().administrator(permit, &secret, boss).await), "code_spent");
    house.clock.advance_s(1);
    let newer = house.login("ann").await;
    assert_eq!(code(house.bearer(newer.access.token.expose()).await), "ok");
}

#[tokio::test]
async fn two_processes_that_start_on_an_empty_store_share_one_first_key() {
    let house = House::new().await;
    let there = house.neighbour().await;
    let open = |house: &House| {
        let engine = house.engine.clone();
        async move { engine.ring("sign:new", Algorithm::EdDSA).await.expect("open") }
    };
    let (here, there) = tokio::join!(open(&house), open(&there));
    assert_eq!(here.signer().kid(), there.signer().kid());
}

/// Retires the key of somebody's token while that token is shown again and again; how often it was shown meanwhile.
async fn retired_while_shown(here: &House, there: &House, round: usize) -> u8 {
    let ann = here.person(&format!("ann{round}")).await;
    let ring = here.engine.ring("sign:native", Algorithm::ES256).await.expect("open");
    let first = ring.signer().kid().expect("has one").to_owned();
    let keys = here.engine.signing_keys();
    let may = || here.system();
    here.clock.advance_ms(1);
    keys.rotate(may().permit(Target::any()).expect("may"), &ring, None).await.expect("rotated");
    let permit = may().permit(Target::any()).expect("may");
    let first = first.as_str().into();
    // Between any two steps, here and in the other process, so that each could keep it in memory.
    let mut retiring = Stepped::new(keys.retire(permit, &ring, &first));
    let mut shown = 0_u8;
    while retiring.step().await.map(|retired| retired.expect("retired")).is_none() {
        shown += 1;
        // From an address each, as none may show a token that is refused any number of times.
        let _ = here.present_at(&format!("198.51.100.{shown}"), Place::Bearer, ann.token()).await;
    }
    assert_eq!(code(here.bearer(ann.token()).await), "token_invalid");
    let mut hearing = Stepped::new(feed::catch_up(&there.engine));
    let mut shown_there = 0_u8;
    while hearing.step().await.map(|heard| heard.expect("reads")).is_none() {
        shown_there += 1;
        let _ = there.present_at(&format!("203.0.113.{shown_there}"), Place::Bearer, ann.token()).await;
    }
    assert_eq!(code(there.bearer(ann.token()).await), "token_invalid");
    shown
}

#[tokio::test]
async fn what_is_verified_while_a_key_is_being_retired_is_not_remembered() {
    let here = House::new().await;
    let there = here.neighbour().await;
    // The store may answer before the next look, and then there is no moment between writing and reading again.
    for round in 0..200 {
        if retired_while_shown(&here, &there, round).await >= 2 {
            return;
        }
    }
    unreachable!("the token was never shown between the key's end and the ring's new reading");
}
