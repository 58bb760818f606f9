//! Two processes on one store: what one does the other knows after reading the feed, and after a restart.

use std::time::Duration;

use doorward_core::agents::feed::{Follower, Told};
use doorward_core::agents::model::{MessageRole, RunStatus};
use doorward_core::agents::runs::InTurn;
use doorward_core::agents::threads::{NewMessage, NewThread};
use doorward_core::agents::turns::Turn;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::run;
use doorward_core::identity::users::Administration;
use doorward_core::memory::feed;
use doorward_core::tokens::model::Revoked;
use serde_json::{Map, json};

use crate::house::{House, code};

#[tokio::test]
async fn revocations_keys_and_roles_reach_the_other_process_through_the_feed() {
    let here = House::new().await;
    let there = here.neighbour().await;
    let ann = here.person("ann").await;
    assert_eq!(code(there.bearer(ann.token()).await), "ok", "both verify with the store's keys");

    let permit = here.system().permit(Target::any()).expect("the system may");
    let changes = Administration { roles: Some(vec!["premium".into()]), ..Administration::default() };
    here.engine.users().administer(permit, &ann.user.id, changes).await.expect("promoted");
    let ring =
        here.engine.ring("sign:native", doorward_protocols::jose::Algorithm::ES256).await.expect("open");
    let permit = here.system().permit(Target::any()).expect("the system may");
    here.engine.signing_keys().rotate(permit, &ring, None).await.expect("rotated");
    let newer = here.login("ann").await;

    feed::catch_up(&there.engine).await.expect("reads");
    assert_eq!(code(there.bearer(newer.access.token.expose()).await), "ok", "signed with a key made since");
    let call = there.bearer(ann.token()).await.expect("still good");
    assert_eq!(call.auth.roles, ["premium".into()]);

    let permit = here.system().permit(Target::any()).expect("the system may");
    let session = Revoked::Session(ann.granted.session.as_str().into());
    here.engine.tokens().revoke_any(permit, session).await.expect("revoked");
    feed::catch_up(&there.engine).await.expect("reads");
    assert_eq!(code(there.bearer(ann.token()).await), "token_revoked");
}

#[tokio::test]
async fn who_was_let_in_before_the_news_of_a_revocation_came_is_told_by_it_and_who_came_after_is_not() {
    let here = House::new().await;
    let there = here.neighbour().await;
    let ann = here.person("ann").await;
    let permit = here.system().permit(Target::any()).expect("the system may");
    let everything = Revoked::Principal(format!("local|{}", ann.user.id));
    here.engine.tokens().revoke_any(permit, everything).await.expect("revoked");
    // The revocation's own moment is over when the other process, which has not heard of it, lets somebody in.
    here.clock.advance_ms(50);
    let early = there.bearer(ann.token()).await.expect("not known yet");
    assert!(!early.is_revoked());
    feed::catch_up(&there.engine).await.expect("reads");
    assert!(early.is_revoked(), "a stream of this request ends");

    here.clock.advance_ms(2_000);
    let again = here.login("ann").await;
    feed::catch_up(&there.engine).await.expect("reads");
    let late = there.bearer(again.access.token.expose()).await.expect("a token made since");
    feed::catch_up(&there.engine).await.expect("reads");
    assert!(!late.is_revoked());
}

#[tokio::test]
async fn a_restarted_process_still_knows_what_was_revoked() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let jti = ann.call(&house).await.auth.credential.clone().expect("has one").to_string();
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.tokens().revoke_any(permit, Revoked::Token(jti)).await.expect("revoked");
    let restarted = house.neighbour().await;
    assert_eq!(code(restarted.bearer(ann.token()).await), "token_revoked");
}

#[tokio::test]
async fn another_master_key_does_not_open_the_store() {
    let house = House::new().await;
    let parts = doorward_core::engine::Parts {
        store: std::sync::Arc::new(house.store.clone()),
        clock: house.clock.clone(),
        random: std::sync::Arc::new(doorward_core::random::SeededRandom::new(9)),
        master_key: doorward_core::secret::SecretBytes::new(vec![8; 32]),
        runner: (doorward_core::agents::runner::BUILTIN[0].build)(),
        shared: std::sync::Arc::new(doorward_core::limits::windows::Windows::new()),
        outbound: std::sync::Arc::new(doorward_core::ports::NoWayOut),
        mailer: std::sync::Arc::new(doorward_core::ports::NoMailer),
        hooks: Vec::new(),
    };
    let settings = doorward_core::engine::Settings {
        roles: doorward_core::authz::Roles::new(&Default::default()).expect("the defaults"),
        hashing: Default::default(),
        limits: Vec::new(),
        anomalies: Default::default(),
        providers: Vec::new(),
        people: None,
        failures: Default::default(),
        webhooks: Vec::new(),
        longest_token_ms: 1,
    };
    assert_eq!(code(doorward_core::Engine::open(parts, settings).await), "wrong_master_key");
}

#[tokio::test]
async fn a_running_process_hears_of_a_revocation_without_being_asked() {
    let here = House::new().await;
    let there = here.neighbour().await;
    there.engine.start();
    let ann = here.person("ann").await;
    ann.call(&there).await;
    let permit = here.system().permit(Target::any()).expect("the system may");
    here.engine.tokens().revoke_any(permit, Revoked::All).await.expect("revoked");
    let mut polls = 0;
    while code(there.bearer(ann.token()).await) == "ok" {
        tokio::time::sleep(feed::POLL).await;
        polls += 1;
        assert!(polls < 300, "never heard of it");
    }
    there.engine.stop(std::time::Duration::from_secs(1)).await.expect("stops");
}

#[tokio::test]
async fn a_run_of_another_process_is_stopped_by_its_name_whichever_way_it_is_asked_for() {
    let here = House::new().await;
    let there = here.neighbour().await;
    let (ann, asking) = {
        let ann = here.person("ann").await;
        (ann.call(&here).await, there.bearer(ann.token()).await.expect("one store"))
    };
    let new = NewThread::default();
    let id =
        here.engine.threads().create(ann.permit(Target::any()).expect("may"), new).await.expect("made").id;
    let begun = async |run: &str| {
        let said = NewMessage { role: MessageRole::User, content: json!("hi"), metadata: Map::new() };
        let asked = InTurn {
            id: run.into(),
            said: vec![said],
            details: Map::new(),
            turn: Turn::Queue,
            // Longer than anybody waits: nothing but a stop ends it.
            after: Duration::from_secs(86_400),
            values: Map::new(),
            metadata: Map::new(),
            create: None,
            temporary: false,
        };
        let permit = ann.permit::<run::Create>(Target::any()).expect("may");
        here.engine.runs().start_in_turn(permit, &id, asked).await.expect("begins").1
    };
    let ended = async |mut follower: Follower| {
        feed::catch_up(&here.engine).await.expect("reads");
        while let Some(told) = follower.next().await {
            if let Told::Ended(run, _) = told {
                return run.status;
            }
        }
        panic!("it ends with its end");
    };
    let runs = there.engine.runs();
    macro_rules! may {
        () => {
            asking.permit(Target::named(id.as_str())).expect("may")
        };
    }

    let follower = begun("cancelled").await;
    runs.cancel(may!(), &id, &["cancelled".into()], false).await.expect("it is known");
    assert_eq!(ended(follower).await, RunStatus::Interrupted);

    let follower = begun("stopped").await;
    runs.stop(may!(), &id).await.expect("the thread is known");
    assert_eq!(ended(follower).await, RunStatus::Interrupted);

    let follower = begun("undone").await;
    runs.cancel(may!(), &id, &["undone".into()], true).await.expect("it is known");
    assert_eq!(ended(follower).await, RunStatus::Interrupted);
    let forgotten = async {
        while code(runs.get(may!(), &id, &"undone".into()).await) != "run_not_found" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("nothing is left of it");

    let follower = begun("deleted").await;
    runs.delete(may!(), &id, &"deleted".into()).await.expect("it is known");
    ended(follower).await;

    let follower = begun("without its thread").await;
    there.engine.threads().delete(may!(), &id).await.expect("it is known");
    ended(follower).await;
}
