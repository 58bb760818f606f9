//! The audit log.

use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::ports::store::AuditQuery;

use crate::house::{House, code};

async fn lines(house: &House) -> Vec<(String, Outcome, Option<String>, i64)> {
    house.engine.flush(true).await.expect("written");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let query = AuditQuery { limit: 1000, ..AuditQuery::default() };
    let mut found = house.engine.audit().list(permit, query).await.expect("read");
    found.reverse();
    found
        .into_iter()
        .map(|record| (record.entry.action, record.entry.outcome, record.entry.reason, record.entry.count))
        .collect()
}

#[tokio::test]
async fn what_was_done_and_what_was_refused_is_there_with_its_rule_and_nothing_secret() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    for _ in 0..5 {
        assert_eq!(code(call.permit::<user::List>(Target::any())), "forbidden");
    }
    assert_eq!(code(house.login_as("ann@example.org", "wrong password", None).await), "bad_credentials");
    assert_eq!(code(house.bearer("garbage").await), "token_invalid");
    let bob = house.person("bob").await;
    let looking = bob.call(&house).await.permit(Target::any()).expect("at one's own");
    assert_eq!(code(house.engine.sessions().list(looking, &ann.user.id).await), "not_found");
    let lines = lines(&house).await;
    let has = |action: &str, outcome, reason: Option<&str>| {
        lines.iter().any(|line| line.0 == action && line.1 == outcome && line.2.as_deref() == reason)
    };
    assert!(has("user:sign_up", Outcome::Done, None));
    assert!(has("session:login", Outcome::Done, None));
    assert!(has("session:login", Outcome::Denied, Some("bad_credentials")));
    assert!(has("user:list", Outcome::Denied, Some("role")));
    assert!(has("session:read", Outcome::Denied, Some("owner")), "what a client is told is not why");
    assert!(lines.iter().any(|line| line.0 == "credential:verify" && line.1 == Outcome::Denied));
    let folded: i64 = lines.iter().filter(|line| line.0 == "user:list").map(|line| line.3).sum();
    assert_eq!(folded, 5, "repeats are counted, not lost");
    let text = format!("{lines:?}");
    assert!(!text.contains("wrong password") && !text.contains(ann.token()) && !text.contains("garbage"));
}

#[tokio::test]
async fn a_log_in_names_who_it_was_and_a_failed_one_the_account_that_was_tried() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    assert_eq!(code(house.login_as("ann@example.org", "wrong password", None).await), "bad_credentials");
    house.engine.flush(true).await.expect("written");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let query = AuditQuery { limit: 1000, action: Some("session:login".into()), ..AuditQuery::default() };
    let lines = house.engine.audit().list(permit, query).await.expect("read");
    let id = ann.user.id.as_str();
    assert!(
        lines.iter().any(|l| l.entry.outcome == Outcome::Done && l.entry.principal == format!("local|{id}"))
    );
    assert!(
        lines.iter().any(|l| l.entry.outcome == Outcome::Denied && l.entry.resource.as_deref() == Some(id))
    );
}

#[tokio::test]
async fn an_act_that_fails_leaves_no_trace_but_its_line() {
    let house = House::new().await;
    house.sign_up("ann").await.expect("signs up");
    assert_eq!(code(house.sign_up("ann").await), "email_taken");
    let lines = lines(&house).await;
    let sign_ups: Vec<_> = lines.iter().filter(|line| line.0 == "user:sign_up").map(|line| line.1).collect();
    assert_eq!(sign_ups, [Outcome::Done, Outcome::Failed]);
}

#[tokio::test]
async fn a_permit_that_was_not_used_says_so() {
    let house = House::new().await;
    drop(house.system().permit::<user::Create>(Target::any()).expect("may"));
    let lines = lines(&house).await;
    assert!(lines.iter().any(|line| line.0 == "user:create" && line.2.as_deref() == Some("abandoned")));
}

#[tokio::test]
async fn the_chain_holds() {
    let house = House::new().await;
    house.person("ann").await;
    house.engine.flush(true).await.expect("written");
    let permit = house.system().permit(Target::any()).expect("the system may");
    assert_eq!(house.engine.audit().verify(permit).await.expect("walked"), []);
}
