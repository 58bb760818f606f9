//! Crons: claimed once by whoever comes first, and run as whoever made them, as far as that one still may.

use std::collections::BTreeSet;

use doorward_core::Result;
use doorward_core::agents::crons::{CronChanges, CronSearch, Crons, Due, NewCron};
use doorward_core::agents::threads::NewThread;
use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, run, thread};
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::users::Administration;
use doorward_core::operation::Call;
use doorward_core::ports::store::AuditQuery;
use doorward_core::tokens::model::Revoked;
use serde_json::{Map, Value, json};

use crate::house::{House, code};

fn new(id: &str) -> NewCron {
    NewCron {
        id: id.to_owned(),
        assistant: "an-assistant".to_owned(),
        thread: None,
        metadata: Map::new(),
        schedule: "*/10 * * * *".to_owned(),
        timezone: None,
        end_at_ms: None,
        enabled: true,
        keep: false,
        payload: json!({"input": {"n": 1}}).as_object().expect("an object").clone(),
    }
}

async fn made(house: &House, call: &Call, new: NewCron) -> Result<()> {
    Crons::of(&house.engine).create(call.permit(Target::any()).expect("may"), new).await.map(drop)
}

async fn claim(house: &House) -> Vec<Due> {
    Crons::of(&house.engine).claim(&house.mount).await.expect("the store answers").0
}

fn names(claimed: &[Due]) -> Vec<&str> {
    claimed.iter().map(|due| due.cron.id.as_str()).collect()
}

async fn change(house: &House, call: &Call, id: &str, changes: CronChanges) -> Result<()> {
    Crons::of(&house.engine)
        .update(call.permit(Target::named(id)).expect("may"), id, &changes)
        .await
        .map(drop)
}

async fn is_there(house: &House, call: &Call, id: &str) -> Option<bool> {
    let permit = call.permit(Target::named(id)).expect("may");
    Crons::of(&house.engine).get(permit, id).await.ok().map(|cron| cron.enabled)
}

/// What keeps a claimed cron from running.
async fn refusal(house: &House, due: &Due) -> &'static str {
    code(Crons::of(&house.engine).caller(&house.mount, due).await)
}

#[tokio::test]
async fn each_time_is_claimed_once_whoever_asks_and_however_much_was_missed() {
    let here = House::new().await;
    let there = here.neighbour().await;
    let ann = here.person("ann").await.call(&here).await;
    made(&here, &ann, new("c")).await.expect("made");
    assert!(claim(&here).await.is_empty(), "its time has not come");
    here.clock.advance_s(600);
    let mut tasks = Vec::new();
    for n in 0..8 {
        let (engine, mount) = match n % 2 {
            0 => (here.engine.clone(), here.mount.clone()),
            _ => (there.engine.clone(), there.mount.clone()),
        };
        tasks.push(tokio::spawn(async move {
            Crons::of(&engine).claim(&mount).await.map(|(claimed, _)| claimed.len())
        }));
    }
    let mut all = 0;
    for task in tasks {
        all += task.await.expect("it ends").expect("the store answers");
    }
    assert_eq!(all, 1);
    // Whoever claimed it is killed before it begins the run: that time is left out, and the next one comes.
    assert!(claim(&there).await.is_empty());
    // Nobody is there for a day.
    here.clock.advance_s(86_400 + 30);
    assert_eq!(names(&claim(&there).await), ["c"]);
    assert!(claim(&here).await.is_empty());
    here.clock.advance_s(570);
    assert_eq!(names(&claim(&here).await), ["c"], "on time again");
}

#[tokio::test]
async fn what_is_not_due_is_not_claimed() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let now_ms = house.engine.now_ms();
    made(&house, &ann, NewCron { enabled: false, ..new("off") }).await.expect("made");
    made(&house, &ann, NewCron { end_at_ms: Some(now_ms + 900_000), ..new("ends") }).await.expect("made");
    made(&house, &ann, new("changed")).await.expect("made");
    made(&house, &ann, new("removed")).await.expect("made");
    house.clock.advance_s(600);
    let off = CronChanges { enabled: Some(false), ..CronChanges::default() };
    change(&house, &ann, "changed", off).await.expect("changed");
    let removing = ann.permit(Target::named("removed")).expect("may");
    Crons::of(&house.engine).delete(removing, "removed").await.expect("removed");
    assert_eq!(names(&claim(&house).await), ["ends"]);
    house.clock.advance_s(86_400);
    assert!(claim(&house).await.is_empty(), "it has ended");
    let on = || CronChanges { enabled: Some(true), ..CronChanges::default() };
    change(&house, &ann, "changed", on()).await.expect("changed");
    assert!(claim(&house).await.is_empty(), "what passed while it was off is not made up for");
    house.clock.advance_s(600);
    assert_eq!(names(&claim(&house).await), ["changed"]);
}

#[tokio::test]
async fn a_change_and_a_claim_at_once_both_hold() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    for round in 0..16 {
        let id = format!("c{round}");
        made(&house, &ann, new(&id)).await.expect("made");
        house.clock.advance_s(600);
        let schedule = CronChanges { schedule: Some("0 0 1 1 *".to_owned()), ..CronChanges::default() };
        let (changed, claimed) = tokio::join!(change(&house, &ann, &id, schedule), claim(&house));
        changed.expect("changed");
        assert!(claimed.len() <= 1);
        house.clock.advance_s(3_600);
        assert!(claim(&house).await.is_empty(), "the new schedule counts, whoever was first");
    }
}

#[tokio::test]
async fn a_cron_runs_as_its_owner_may_when_it_is_due() {
    let house = House::new().await;
    let person = house.person("ann").await;
    let ann = person.call(&house).await;
    made(&house, &ann, new("c")).await.expect("made");
    let administer = async |changes| {
        let permit = house.system().permit(Target::any()).expect("the system may");
        house.engine.users().administer(permit, &person.user.id, changes).await.expect("changed");
    };
    house.clock.advance_s(600);
    let due = claim(&house).await.remove(0);
    let call = Crons::of(&house.engine).caller(&house.mount, &due).await.expect("she may");
    assert_eq!((&call.auth.principal, call.auth.method), (&ann.auth.principal, "cron"));
    assert!(call.may(run::Create::DEF).is_ok() && !call.auth.administrative);
    administer(Administration { roles: Some(vec!["premium".into()]), ..Administration::default() }).await;
    let call = Crons::of(&house.engine).caller(&house.mount, &due).await.expect("she may");
    assert_eq!(call.auth.roles, ["premium".into()], "the roles of now");
    administer(Administration { disabled: Some(true), ..Administration::default() }).await;
    assert_eq!(refusal(&house, &due).await, "user_disabled");
    house.engine.flush(true).await.expect("written");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let query = AuditQuery { limit: 1000, action: Some("run:create".into()), ..AuditQuery::default() };
    let lines = house.engine.audit().list(permit, query).await.expect("read");
    let line = lines.into_iter().map(|record| record.entry).find(|line| line.outcome == Outcome::Denied);
    let line = line.expect("it says so");
    assert_eq!(
        (line.principal, line.method, line.resource.as_deref()),
        (ann.auth.principal.owner_key(), "cron".to_owned(), Some("c"))
    );
    assert_eq!(line.reason.as_deref(), Some("user_disabled"));
}

#[tokio::test]
async fn whoever_is_gone_or_was_revoked_begins_nothing() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann_calls, bob_calls) = (ann.call(&house).await, bob.call(&house).await);
    made(&house, &ann_calls, new("a")).await.expect("made");
    made(&house, &bob_calls, new("b")).await.expect("made");
    house.clock.advance_s(600);
    let claimed = claim(&house).await;
    let of = |id: &str| claimed.iter().find(|due| due.cron.id == id).expect("claimed");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let everything = Revoked::Principal(format!("local|{}", ann.user.id));
    house.engine.tokens().revoke_any(permit, everything).await.expect("revoked");
    assert_eq!(refusal(&house, of("a")).await, "token_revoked");
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.users().delete(permit, &bob.user.id).await.expect("removed");
    assert_eq!(refusal(&house, of("b")).await, "token_invalid");
    house.clock.advance_s(86_400);
    assert!(claim(&house).await.is_empty(), "one is turned off, the other is gone");
    let again = house.login("ann").await;
    let again = house.bearer(again.access.token.expose()).await.expect("she is back");
    assert_eq!(is_there(&house, &again, "a").await, Some(false));
    let on = CronChanges { enabled: Some(true), ..CronChanges::default() };
    change(&house, &again, "a", on).await.expect("she vouches for it again");
    house.clock.advance_s(600);
    let claimed = claim(&house).await;
    assert_eq!((names(&claimed), refusal(&house, &claimed[0]).await), (vec!["a"], "ok"));
}

#[tokio::test]
async fn a_revocation_that_is_forgotten_by_then_has_turned_crons_off() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann_calls, bob_calls) = (ann.call(&house).await, bob.call(&house).await);
    for (call, id) in [(&ann_calls, "a"), (&bob_calls, "b")] {
        made(&house, call, NewCron { schedule: "0 0 1 1 *".to_owned(), ..new(id) }).await.expect("made");
    }
    let permit = house.system().permit(Target::any()).expect("the system may");
    let everything = Revoked::Principal(format!("local|{}", ann.user.id));
    house.engine.tokens().revoke_any(permit, everything).await.expect("revoked");
    Crons::of(&house.engine).turn_off_revoked(&house.mount).await.expect("looked");
    house.clock.advance_s(366 * 86_400);
    house.engine.memory().revocations.prune(house.engine.now_ms());
    let claimed = claim(&house).await;
    assert_eq!((names(&claimed), refusal(&house, &claimed[0]).await), (vec!["b"], "ok"));
}

#[tokio::test]
async fn a_cron_that_was_made_with_a_key_reaches_as_far_as_the_key_and_ends_with_it() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let scopes = ["cron:create", "run:create"];
    let key = NewApiKey {
        name: "robot".to_owned(),
        scopes: scopes.map(str::to_owned).into(),
        expiry: Expiry::Never,
    };
    let key =
        house.engine.api_keys().create(ann.permit(Target::any()).expect("may"), key).await.expect("made");
    let robot = house.bearer(key.secret.expose()).await.expect("let in");
    made(&house, &robot, new("c")).await.expect("made");
    house.clock.advance_s(600);
    let due = claim(&house).await.remove(0);
    let call = Crons::of(&house.engine).caller(&house.mount, &due).await.expect("it may");
    assert!(call.may(run::Create::DEF).is_ok());
    assert_eq!(code(call.may(thread::Create::DEF)), "scope_missing");
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.api_keys().revoke(permit, &key.key.id).await.expect("revoked");
    assert_eq!(refusal(&house, &due).await, "api_key_revoked");
    assert_eq!(is_there(&house, &ann, "c").await, Some(false), "it is turned off");
}

#[tokio::test]
async fn whoever_else_may_change_a_cron_gives_it_nothing_to_do() {
    let house = House::new().await;
    let (ann, other) = (house.person("ann").await.call(&house).await, house.system());
    made(&house, &ann, new("c")).await.expect("made");
    let payload = json!({"input": {"n": 2}}).as_object().expect("an object").clone();
    for changes in [
        CronChanges { payload, ..CronChanges::default() },
        CronChanges { schedule: Some("* * * * *".to_owned()), ..CronChanges::default() },
        CronChanges { timezone: Some("Europe/Berlin".to_owned()), ..CronChanges::default() },
        CronChanges { end_at_ms: Some(None), ..CronChanges::default() },
        CronChanges { keep: Some(true), ..CronChanges::default() },
        CronChanges { enabled: Some(true), ..CronChanges::default() },
    ] {
        assert_eq!(code(change(&house, &other, "c", changes.clone()).await), "forbidden");
        change(&house, &ann, "c", changes).await.expect("it is hers");
    }
    let off = CronChanges { enabled: Some(false), ..CronChanges::default() };
    change(&house, &other, "c", off).await.expect("turning it off gives it nothing to do");
    assert_eq!(is_there(&house, &ann, "c").await, Some(false));
    house.clock.advance_s(86_400);
    assert!(claim(&house).await.is_empty());
}

#[tokio::test]
async fn crons_are_their_owners_and_so_many() {
    let house = House::new().await;
    let (ann, bob) =
        (house.person("ann").await.call(&house).await, house.person("bob").await.call(&house).await);
    for n in 0..100 {
        made(&house, &ann, new(&format!("c{n}"))).await.expect("made");
    }
    assert_eq!(code(made(&house, &ann, new("more")).await), "too_many_crons");
    made(&house, &bob, new("b")).await.expect("made");
    assert_eq!(code(made(&house, &bob, new("c1")).await), "conflict", "the id is somebody's");
    assert_eq!(is_there(&house, &bob, "c1").await, None);
    assert_eq!(code(change(&house, &bob, "c1", CronChanges::default()).await), "not_found");
    let removing = bob.permit(Target::named("c1")).expect("may");
    assert_eq!(code(Crons::of(&house.engine).delete(removing, "c1").await), "not_found");
    let (crons, everything) = (Crons::of(&house.engine), CronSearch::default());
    let listed = crons.list(bob.permit(Target::any()).expect("may"), &everything).await;
    assert_eq!(listed.expect("listed").len(), 1);
    // Everything due is claimed, a part at a time.
    house.clock.advance_s(600);
    let mut seen = BTreeSet::new();
    loop {
        let part = claim(&house).await;
        assert!(part.len() <= 32);
        if part.is_empty() {
            break;
        }
        seen.extend(part.into_iter().map(|due| due.cron.id));
    }
    assert_eq!(seen.len(), 101);
}

#[tokio::test]
async fn nobody_in_particular_makes_no_cron_and_what_does_not_fit_is_not_kept() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let past = house.engine.now_ms();
    let big: Map<String, Value> = Map::from_iter([("input".to_owned(), "x".repeat(70_000).into())]);
    for (name, wrong) in [
        ("never due", NewCron { schedule: "0 0 31 2 *".to_owned(), ..new("c") }),
        ("six fields", NewCron { schedule: "* * * * * *".to_owned(), ..new("c") }),
        ("no zone", NewCron { timezone: Some("Mars/Olympus".to_owned()), ..new("c") }),
        ("over", NewCron { end_at_ms: Some(past), ..new("c") }),
        ("too much", NewCron { payload: big, ..new("c") }),
    ] {
        assert_eq!(code(made(&house, &ann, wrong).await), "bad_field", "{name}");
    }
    assert_eq!(is_there(&house, &ann, "c").await, None);
}

#[tokio::test]
async fn a_thread_takes_its_owners_crons_along() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let permit = ann.permit(Target::any()).expect("may");
    let thread = house.engine.threads().create(permit, NewThread::default()).await.expect("made").id;
    made(&house, &ann, NewCron { thread: Some(thread.as_str().to_owned()), ..new("in") })
        .await
        .expect("made");
    made(&house, &ann, new("beside")).await.expect("made");
    house
        .engine
        .threads()
        .delete(ann.permit(Target::named(thread.as_str())).expect("may"), &thread)
        .await
        .expect("removed");
    assert_eq!(
        (is_there(&house, &ann, "in").await, is_there(&house, &ann, "beside").await),
        (None, Some(true))
    );
}
