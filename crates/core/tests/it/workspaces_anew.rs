//! A workspace that is made under the name of one that is no more: nothing that was issued for the first opens the second.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::workspace;
use doorward_core::operation::Call;
use doorward_core::tokens::HubToken;
use doorward_core::workspaces::{NewWorkspace, Permission};

use crate::house::code;
use crate::hub_tokens::{Hub, child, given, own, same};

const TEAM: &str = "team-a";

async fn create(hub: &Hub, by: &Call, persistent: bool) {
    let new = NewWorkspace { id: TEAM.into(), persistent, ..NewWorkspace::default() };
    let permit = by.permit(Target::any()).expect("may");
    hub.house.engine.workspaces().create(permit, new, false).await.expect("made");
}

async fn delete(hub: &Hub, by: &Call) {
    let owner = by.auth.principal.owner_key();
    let permit = by.permit(Target::owned(TEAM, &owner)).expect("its owner");
    hub.house.engine.workspaces().delete(permit, TEAM).await.expect("deleted");
}

/// Whoever is asking, anew.
async fn again(hub: &Hub, token: &str) -> Call {
    hub.show(token).await.expect("let in")
}

#[tokio::test]
async fn nothing_that_was_issued_for_a_workspace_opens_a_later_one_of_its_name() {
    let hub = Hub::new().await;
    let (ann, bob) = (hub.house.person("ann").await, hub.house.person("bob").await);
    let call = again(&hub, ann.token()).await;
    create(&hub, &call, true).await;
    // All in one second: what is told apart is what came first, not what the clock says.
    let lent = hub.child(&call, TEAM, Permission::Admin).await.expect("made");
    let child_call = again(&hub, &lent).await;
    let grandchild = hub.child(&child_call, TEAM, Permission::Read).await.expect("made");
    let back = || HubToken { workspaces: given(TEAM, Permission::Admin), ..same() };
    let renewed = hub.make(&child_call, back()).await.expect("made").token.expose().clone();
    let back = hub.make(&call, back()).await.expect("made").token.expose().clone();
    let everything = [lent, grandchild, back, renewed];
    for token in &everything {
        assert!(hub.show(token).await.is_ok(), "while it is there");
    }
    let mut watched = hub.house.engine.watch(&child_call.auth);
    delete(&hub, &call).await;
    watched.ended().await;
    assert!(child_call.is_revoked(), "of whoever is connected, at once");
    assert_eq!(code(hub.make(&child_call, same()).await), "token_revoked", "and renews itself no more");

    let bobs = again(&hub, bob.token()).await;
    hub.house.clock.advance_s(1);
    create(&hub, &bobs, true).await;
    for token in &everything {
        assert_eq!(code(hub.show(token).await), "token_revoked");
    }
    // What the second one's owner gives is good at once.
    let lent = hub.child(&bobs, TEAM, Permission::ReadWrite).await.expect("made");
    let lent = again(&hub, &lent).await;
    let owner = bobs.auth.principal.owner_key();
    assert_eq!(code(lent.permit::<workspace::Use>(Target::owned(TEAM, &owner))), "ok");
    // And the first one's owner goes on as who they are.
    let anns = hub.back(&again(&hub, ann.token()).await).await;
    assert_eq!(
        code(again(&hub, &anns).await.permit::<workspace::Use>(Target::owned(TEAM, &owner))),
        "not_found"
    );
}

#[tokio::test]
async fn what_was_issued_for_one_that_does_not_stay_is_nothing_in_a_later_one() {
    let hub = Hub::new().await;
    let (ann, bob) = (hub.house.person("ann").await, hub.house.person("bob").await);
    let call = again(&hub, ann.token()).await;
    create(&hub, &call, false).await;
    // The hub says that it is hers; nobody says when it went, as when the server was started anew.
    let hers = call.knowing_workspace(TEAM, Permission::Admin);
    let lent = hub.make(&hers, child(TEAM, Permission::Admin)).await.expect("made");
    let lent = lent.token.expose().clone();
    assert!(hub.show(&lent).await.is_ok());
    for persistent in [false, true] {
        hub.house.clock.advance_s(1);
        create(&hub, &again(&hub, bob.token()).await, persistent).await;
        assert_eq!(code(hub.show(&lent).await), "token_revoked", "persistent: {persistent}");
    }
}

#[tokio::test]
async fn emptying_ones_own_workspace_ends_what_others_were_given_there_and_not_oneself() {
    let hub = Hub::new().await;
    let ann = hub.house.person("ann").await;
    let call = again(&hub, ann.token()).await;
    let mine = own(&call);
    let lent = hub.child(&call, &mine, Permission::ReadWrite).await.expect("made");
    let back = HubToken { workspaces: given(&mine, Permission::Admin), ..same() };
    let back = hub.make(&call, back).await.expect("made").token.expose().clone();
    let owner = call.auth.principal.owner_key();
    let permit = call.permit(Target::owned(&mine, &owner)).expect("hers");
    hub.house.engine.workspaces().empty(permit, &mine, &owner).await.expect("emptied");
    assert_eq!(code(hub.show(&lent).await), "token_revoked");
    assert_eq!(code(hub.show(&back).await), "ok");
    let lent = hub.child(&again(&hub, &back).await, &mine, Permission::Read).await.expect("made anew");
    assert_eq!(code(hub.show(&lent).await), "ok");
}

#[tokio::test]
async fn nobody_pushes_the_end_of_a_workspace_ahead_of_now() {
    let hub = Hub::new().await;
    let ann = hub.house.person("ann").await;
    let call = again(&hub, ann.token()).await;
    let workspaces = hub.house.engine.workspaces();
    let new = || NewWorkspace { id: TEAM.into(), ..NewWorkspace::default() };
    let make = async || {
        let permit = call.permit(Target::any()).expect("may");
        workspaces.create(permit, new(), true).await
    };
    let mut made = 0;
    let refused = loop {
        match make().await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    // The second in the same second stands at the next one, and there it ends.
    assert_eq!((made, refused.code().name), (2, "rate_limited"));
    let newest = hub.house.engine.memory().revocations.newest_principal_ms().expect("one");
    assert!(newest <= hub.house.engine.now_ms() + 1_000);
    let pause_ms = workspaces.pause_ms(TEAM);
    assert!((1..=1_000).contains(&pause_ms));
    hub.house.clock.advance_ms(pause_ms);
    assert_eq!(code(make().await), "ok", "once that is over");
    assert_eq!(code(make().await), "rate_limited");
    // One that is there and goes on under its owner's hands ends nothing.
    let over = call.permit(Target::any()).expect("may");
    assert_eq!(code(workspaces.create_over(over, new()).await), "ok");
}

#[tokio::test]
async fn whoever_makes_and_removes_many_waits_and_others_do_not() {
    let hub = Hub::new().await;
    let (ann, bob) = (hub.house.person("ann").await, hub.house.person("bob").await);
    let (anns, bobs) = (again(&hub, ann.token()).await, again(&hub, bob.token()).await);
    let make = async |call: &Call, n: u32| {
        let new = NewWorkspace { id: format!("many-{n}"), ..NewWorkspace::default() };
        let permit = call.permit(Target::any()).expect("may");
        hub.house.engine.workspaces().create(permit, new, false).await
    };
    for n in 0..60 {
        assert_eq!(code(make(&anns, n).await), "ok", "{n}");
    }
    assert_eq!(code(make(&anns, 60).await), "rate_limited");
    assert_eq!(code(make(&bobs, 60).await), "ok", "another's");
    hub.house.clock.advance_s(60);
    assert_eq!(code(make(&anns, 61).await), "ok");
}
