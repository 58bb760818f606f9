//! Refresh tokens under theft, races and lost answers.

use crate::house::{House, code};

#[tokio::test]
async fn each_exchange_gives_a_successor_and_a_new_access_token() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.clock.advance_s(1);
    let next = house
        .refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("exchanged");
    assert_ne!(
        next.refresh.as_ref().expect("a token").expose(),
        ann.granted.refresh.as_ref().expect("a token").expose()
    );
    assert_eq!(code(house.bearer(next.access.token.expose()).await), "ok");
    assert_eq!(next.session, ann.granted.session);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_by_the_same_client_inside_the_window() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let first = house
        .refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("exchanged");
    house.clock.advance_ms(9_999);
    let again = house
        .refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("the same once more");
    assert_eq!(
        first.refresh.as_ref().expect("a token").expose(),
        again.refresh.as_ref().expect("a token").expose(),
        "one lineage, never two"
    );
    assert_eq!(code(house.refresh(again.refresh.as_ref().expect("a token").expose(), "app").await), "ok");
}

#[tokio::test]
async fn reuse_outside_the_window_ends_the_family_and_its_tokens() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let next = house
        .refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("exchanged");
    house.clock.advance_ms(10_000);
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app").await),
        "refresh_token_reused"
    );
    assert_eq!(
        code(house.refresh(next.refresh.as_ref().expect("a token").expose(), "app").await),
        "refresh_token_invalid"
    );
    assert_eq!(code(house.bearer(next.access.token.expose()).await), "token_revoked");
}

#[tokio::test]
async fn another_client_neither_exchanges_nor_repeats() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "thief").await),
        "refresh_token_invalid"
    );
    house
        .refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "app")
        .await
        .expect("the client goes on");
    assert_eq!(
        code(house.refresh(ann.granted.refresh.as_ref().expect("a token").expose(), "thief").await),
        "refresh_token_reused"
    );
}

#[tokio::test]
async fn raced_exchanges_all_get_one_successor() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let token = ann.granted.refresh.as_ref().expect("a token").expose();
    let racers = (0..16).map(|_| house.refresh(token, "app"));
    let mut successors: Vec<String> = Vec::new();
    for won in futures_util::future::join_all(racers).await {
        successors.push(won.expect("every racer is answered").refresh.expect("a token").expose().clone());
    }
    successors.dedup();
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn the_two_kinds_of_token_are_never_taken_for_each_other() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    assert_eq!(
        code(house.bearer(ann.granted.refresh.as_ref().expect("a token").expose()).await),
        "token_invalid"
    );
    assert_eq!(code(house.refresh(ann.token(), "app").await), "refresh_token_invalid");
}
