//! Permissions, roles and owners of an application, decided by the one function, with their lines in the audit log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get as on_get, post};
use doorward::{ApiKeyKind, Doorward, Error, Filter, Principal, RequirePermission, RequireRole, roles};
use doorward_core::audit::Outcome;
use doorward_core::ports::store::AuditQuery;
use http::StatusCode;

use super::{Analyst, Ghost, ask, builder, code, embedded, forgotten, get, key_of_kind, report, with_key};

async fn list(leave: RequirePermission<report::Read>) -> String {
    match leave.filter() {
        Filter::Everything => "all".to_owned(),
        filter => filter.to_json().to_string(),
    }
}

/// Report 7 is `local|usr_else`'s, any other does not exist; `mine` is the caller's.
async fn read(mut leave: RequirePermission<report::Read>, Path(id): Path<String>) -> Result<String, Error> {
    let owner = match id.as_str() {
        "7" => "local|usr_else".to_owned(),
        "mine" => leave.caller().owner_key(),
        _ => return Err(Error::not_found()),
    };
    leave.must_reach(&id, &owner)?;
    Ok(format!("report {id}"))
}

async fn create(_: RequirePermission<report::Create>) -> &'static str {
    "made"
}

async fn purge(_: RequirePermission<report::Purge>) -> &'static str {
    "gone"
}

fn app(doorward: &Doorward) -> Router {
    Router::new()
        .route("/reports", on_get(list).post(create).delete(purge))
        .route("/reports/{id}", on_get(read))
        .layer(doorward.layer())
}

#[tokio::test]
async fn an_applications_own_permissions_are_decided_as_doorwards_own_are() {
    let doorward = embedded().await;
    let app = app(&doorward);
    let roleless = builder().role(doorward::Role::new("guest")).build().await.expect("builds");
    let (_, guest) = with_key(&roleless, "gus", &["guest"], &["*"]).await;
    assert_eq!(get(&super::decisions::app(&roleless), "/reports", &guest).await.is(), code(403, "forbidden"));
    let key =
        async |name: &str, roles: &[&str], scopes: &[&str]| with_key(&doorward, name, roles, scopes).await.1;
    let reader = key("rea", &["user"], &["report:read"]).await;
    let short = key("sho", &["user"], &["read"]).await;
    let threads = key("thr", &["user"], &["thread:*"]).await;
    let everything = key("eve", &["user"], &["*"]).await;
    for (name, method, credential, expected) in [
        ("a scope of one's own", "GET", &reader, code(200, "")),
        ("the short scope of its reach", "GET", &short, code(200, "")),
        ("a scope of something else", "GET", &threads, code(403, "scope_missing")),
        ("a scope of another action", "POST", &reader, code(403, "scope_missing")),
        ("the short scope of another reach", "POST", &short, code(403, "scope_missing")),
        ("all that the role gives", "POST", &everything, code(200, "")),
        ("an administrative action with a user key", "DELETE", &everything, code(403, "forbidden")),
    ] {
        assert_eq!(ask(&app, method, "/reports", credential).await.is(), expected, "{name}");
    }
    let scopes = (&["admin"][..], &["*"][..]);
    let (_, boss) = key_of_kind(&doorward, "boss", scopes, ApiKeyKind::Admin).await;
    assert_eq!(ask(&app, "DELETE", "/reports", &boss).await.body, "gone");
    assert_eq!(get(&app, "/reports", &boss).await.body, "all");
}

#[tokio::test]
async fn somebody_elses_thing_is_answered_like_one_that_is_not_there() {
    let doorward = embedded().await;
    let app = app(&doorward);
    let (ann, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    assert_eq!(get(&app, "/reports", &key).await.body, format!("{{\"owner\":\"local|{ann}\"}}"));
    assert_eq!(get(&app, "/reports/mine", &key).await.body, "report mine");
    let without_id = |answered: &super::Answered| {
        let mut problem = answered.problem();
        problem.as_object_mut().map(|members| members.remove("request_id")).expect("a problem");
        (answered.status, problem)
    };
    let (theirs, missing) = (get(&app, "/reports/7", &key).await, get(&app, "/reports/8", &key).await);
    assert_eq!(theirs.is(), code(404, "not_found"));
    assert_eq!(without_id(&theirs), without_id(&missing));
    assert_eq!(theirs.headers["x-request-id"].to_str().ok(), theirs.problem()["request_id"].as_str());
    // A role that reaches anybody's does: but not with an everyday key of an administrator's.
    let token = doorward::Subject { subject: ann.as_str().to_owned(), ..doorward::Subject::default() };
    let system = doorward.system("test");
    let issued = system.issue_token(token).await.expect("issued");
    system.set_roles(&ann, ["analyst"]).await.expect("given");
    assert_eq!(get(&app, "/reports/7", issued.token.expose()).await.body, "report 7");
    assert_eq!(get(&app, "/reports/7", &key).await.is(), code(404, "not_found"));
}

#[tokio::test]
async fn a_role_that_was_taken_away_is_gone_with_the_next_decision() {
    let doorward = embedded().await;
    let app = app(&doorward);
    let (ann, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    assert_eq!(get(&app, "/reports", &key).await.status, StatusCode::OK);
    let nothing = doorward::Role::new("nothing");
    let poorer = builder().role(nothing).build().await.expect("builds");
    let (bob, other) = with_key(&poorer, "bob", &["user"], &["*"]).await;
    let its = super::decisions::app(&poorer);
    assert_eq!(get(&its, "/reports", &other).await.status, StatusCode::OK);
    poorer.system("test").set_roles(&bob, ["nothing"]).await.expect("changed");
    assert_eq!(get(&its, "/reports", &other).await.is(), code(403, "forbidden"));
    assert_eq!(get(&app, "/reports", &key).await.status, StatusCode::OK, "{ann}: another store's");
}

#[tokio::test]
async fn a_role_is_had_by_whoever_inherits_it_and_by_a_credential_that_is_not_narrower() {
    async fn ok() -> &'static str {
        "ran"
    }
    let doorward = embedded().await;
    let app = Router::new()
        .route("/user", on_get(async |_: RequireRole<roles::User>| ok().await))
        .route("/premium", on_get(async |_: RequireRole<roles::Premium>| ok().await))
        .route("/admin", on_get(async |_: RequireRole<roles::Admin>| ok().await))
        .route("/analyst", on_get(async |_: RequireRole<Analyst>| ok().await))
        .route("/ghost", on_get(async |_: RequireRole<Ghost>| ok().await))
        .layer(doorward.layer());
    let key =
        async |name: &str, role: &str, scope: &str| with_key(&doorward, name, &[role], &[scope]).await.1;
    let analyst = key("ana", "analyst", "*").await;
    let user = key("use", "user", "*").await;
    let reads = key("rea", "analyst", "read").await;
    let narrow = key("nar", "analyst", "role:analyst").await;
    let everyday = key("eve", "admin", "*").await;
    let (_, boss) = key_of_kind(&doorward, "boss", (&["admin"], &["*"]), ApiKeyKind::Admin).await;
    for (name, path, credential, expected) in [
        ("its own", "/analyst", &analyst, code(200, "")),
        ("one it inherits", "/user", &analyst, code(200, "")),
        ("one it does not", "/premium", &analyst, code(403, "forbidden")),
        ("another's", "/analyst", &user, code(403, "forbidden")),
        ("with a key for reading", "/analyst", &reads, code(403, "scope_missing")),
        ("with a key for the role", "/analyst", &narrow, code(200, "")),
        ("with a key for another role", "/user", &narrow, code(403, "scope_missing")),
        ("an administrator by an everyday key", "/admin", &everyday, code(403, "forbidden")),
        ("an administrator", "/admin", &boss, code(200, "")),
        ("what an administrator inherits", "/premium", &boss, code(200, "")),
        ("a role that does everything and is another", "/analyst", &boss, code(403, "forbidden")),
        ("a role that nobody defined", "/ghost", &boss, code(500, "internal")),
    ] {
        assert_eq!(get(&app, path, credential).await.is(), expected, "{name}");
    }
}

#[tokio::test]
async fn an_action_that_the_builder_was_not_told_of_is_nobodys_to_do() {
    let doorward = embedded().await;
    let app = Router::new()
        .route("/", on_get(async |_: RequirePermission<forgotten::Read>| "ran"))
        .layer(doorward.layer());
    let (_, boss) = key_of_kind(&doorward, "boss", (&["admin"], &["*"]), ApiKeyKind::Admin).await;
    assert_eq!(get(&app, "/", &boss).await.is(), code(500, "internal"));
}

#[tokio::test]
async fn an_undeclared_action_does_not_pass_by_the_name_of_another() {
    use super::lookalikes::{artifact, file, report};
    async fn may(caller: Principal) -> Response {
        match caller.may::<file::Read>() {
            Ok(()) => "may".into_response(),
            Err(error) => error.into_response(),
        }
    }
    let doorward = embedded().await;
    let app = Router::new()
        .route("/file", on_get(async |_: RequirePermission<file::Read>| "ran"))
        .route("/artifact", on_get(async |_: RequirePermission<artifact::Read>| "ran"))
        .route("/report", on_get(async |_: RequirePermission<report::Purge>| "ran"))
        .route("/may", on_get(may))
        .layer(doorward.layer().optional());
    let (_, boss) = key_of_kind(&doorward, "boss", (&["admin"], &["*"]), ApiKeyKind::Admin).await;
    let (_, ann) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    for (path, key) in [
        ("/file", &ann),
        ("/file", &boss),
        ("/artifact", &ann),
        ("/report", &boss),
        ("/report", &ann),
        ("/may", &ann),
    ] {
        assert_eq!(get(&app, path, key).await.is(), code(500, "internal"), "{path}");
    }
    assert_eq!(
        ask(&app, "GET", "/artifact", "").await.is(),
        code(500, "internal"),
        "nor for somebody without a credential"
    );
}

async fn lines(doorward: &Doorward, action: &str) -> Vec<(Outcome, Option<String>, Option<String>)> {
    doorward.engine().flush(true).await.expect("written");
    let permit = doorward.system("test").permit(doorward::Target::any()).expect("the system may");
    let query = AuditQuery { action: Some(action.to_owned()), limit: 100, ..AuditQuery::default() };
    let found = doorward.engine().audit().list(permit, query).await.expect("readable");
    let line = |entry: doorward_core::audit::AuditEntry| (entry.outcome, entry.resource, entry.reason);
    found.into_iter().rev().map(|record| line(record.entry)).collect()
}

#[tokio::test]
async fn every_decision_leaves_a_line_that_says_how_the_request_was_answered() {
    async fn broken(_: RequirePermission<report::Create>) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
    let doorward = embedded().await;
    let app = app(&doorward).merge(Router::new().route("/broken", post(broken)).layer(doorward.layer()));
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let (_, none) = with_key(&doorward, "bob", &["user"], &["thread:*"]).await;
    get(&app, "/reports", &key).await;
    get(&app, "/reports", &key).await;
    get(&app, "/reports/7", &key).await;
    get(&app, "/reports", &none).await;
    let reads = lines(&doorward, "report:read").await;
    assert!(reads.contains(&(Outcome::Done, None, None)), "{reads:?}");
    assert!(reads.contains(&(Outcome::Denied, Some("7".into()), Some("not_found".into()))), "{reads:?}");
    assert!(reads.contains(&(Outcome::Denied, None, Some("scope".into()))), "{reads:?}");
    ask(&app, "POST", "/reports", &key).await;
    ask(&app, "POST", "/broken", &key).await;
    let outcomes: Vec<_> = lines(&doorward, "report:create").await.into_iter().map(|line| line.0).collect();
    // That an act has begun is written before it; how it ended is written with what else has gathered.
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    let counted = [Outcome::Begun, Outcome::Done, Outcome::Failed].map(count);
    assert_eq!((counted, outcomes.len()), ([2, 1, 1], 4), "{outcomes:?}");
}

#[tokio::test]
async fn an_action_that_changes_something_has_its_line_before_the_handler_runs() {
    let doorward = embedded().await;
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let was_there = Arc::new(AtomicBool::new(false));
    let (known, seen) = (doorward.clone(), Arc::clone(&was_there));
    let look = async move |_: RequirePermission<report::Create>| {
        seen.store(!lines(&known, "report:create").await.is_empty(), Ordering::SeqCst);
    };
    let app = Router::new().route("/", post(look)).layer(doorward.layer());
    assert_eq!(ask(&app, "POST", "/", &key).await.status, StatusCode::OK);
    assert!(was_there.load(Ordering::SeqCst));
}

/// Two requests for reports, counted together by this.
async fn limited(by: &str, actions: &str) -> Doorward {
    builder()
        .setting("rate_limits.reports.actions", actions)
        .setting("rate_limits.reports.by", by)
        .setting("rate_limits.reports.requests", "2")
        .setting("rate_limits.reports.window_s", "3600")
        .clock(Arc::new(doorward::ManualClock::new(1_800_000_000_000)))
        .build()
        .await
        .expect("builds")
}

#[tokio::test]
async fn a_limit_counts_a_request_once_however_many_extractors_it_is_about() {
    type Reads = RequirePermission<report::Read>;
    type Creates = RequirePermission<report::Create>;
    for path in ["/twice", "/both", "/attempts"] {
        let doorward = limited("account", "report:*").await;
        let app = Router::new()
            .route("/twice", on_get(async |_: Reads, _: Reads| "ran"))
            .route("/both", on_get(async |_: Reads, _: Creates| "ran"))
            .route("/attempts", on_get(async |_: Result<Reads, Error>, _: Reads| "ran"))
            .layer(doorward.layer());
        let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
        for _ in 0..2 {
            assert_eq!(get(&app, path, &key).await.body, "ran", "{path}");
        }
        assert_eq!(get(&app, path, &key).await.is(), code(429, "rate_limited"), "{path}");
    }
}

#[tokio::test]
async fn a_limit_by_address_counts_nobody_together_with_those_whose_address_is_as_unknown() {
    let doorward = limited("address", "report:read").await;
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let untold = app(&doorward);
    let refused = get(&untold, "/reports", &key).await;
    assert_eq!(refused.is(), code(500, "internal"));
    assert!(!refused.body.contains("address"), "what is wrong is for the log: {}", refused.body);
    assert_eq!(ask(&untold, "POST", "/reports", &key).await.status, StatusCode::OK, "another action");
    let from = |last: u8| {
        let layer = doorward.layer().address_of(move |_| Some([192, 0, 2, last].into()));
        Router::new().route("/reports", on_get(list)).layer(layer)
    };
    let (one, other) = (from(1), from(2));
    for _ in 0..2 {
        assert_eq!(get(&one, "/reports", &key).await.status, StatusCode::OK);
    }
    assert_eq!(get(&one, "/reports", &key).await.is(), code(429, "rate_limited"));
    assert_eq!(get(&other, "/reports", &key).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_operators_limits_count_an_applications_actions_too() {
    let doorward = limited("account", "report:read").await;
    let app = app(&doorward);
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    for _ in 0..2 {
        assert_eq!(get(&app, "/reports", &key).await.status, StatusCode::OK);
    }
    let refused = get(&app, "/reports", &key).await;
    assert_eq!(refused.is(), code(429, "rate_limited"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(ask(&app, "POST", "/reports", &key).await.status, StatusCode::OK);
}
