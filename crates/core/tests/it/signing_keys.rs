//! Rotation.

use doorward_core::authz::Target;
use doorward_protocols::jose::Algorithm;

use crate::house::{House, code};

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
