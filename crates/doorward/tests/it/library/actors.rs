//! Accounts, tokens and keys in code, without HTTP.

use std::sync::Arc;

use doorward::{
    ApiKeyKind, Doorward, Expiry, Kind, Login, ManualClock, NewApiKey, NewUser, Revoked, SecretText, Subject,
    Target,
};

use super::{builder, report, with_key};

const PASSWORD: &str = "correct horse battery staple 7";

fn login(password: &str) -> Login {
    Login {
        login: "ann@example.org".into(),
        password: password.into(),
        client: Some("app".into()),
        scope: None,
        source: None,
        device: None,
    }
}

fn ann() -> NewUser {
    NewUser {
        email: Some("ann@example.org".into()),
        password: Some(SecretText::new(PASSWORD.into())),
        ..NewUser::default()
    }
}

async fn refused<T>(attempt: impl Future<Output = doorward::Result<T>>) -> &'static str {
    attempt.await.map(|_| "done").unwrap_or_else(|error| error.code())
}

#[tokio::test]
async fn a_person_signs_up_logs_in_renews_and_leaves() {
    let doorward = builder().open_sign_up().build().await.expect("builds");
    let nobody = doorward.nobody(None).await.expect("nobody is somebody");
    let user = nobody.sign_up(ann()).await.expect("signs up");
    assert_eq!(refused(nobody.sign_up(ann())).await, "email_taken");
    assert_eq!(refused(nobody.log_in(login("wrong horse"))).await, "bad_credentials");
    let granted = nobody.log_in(login(PASSWORD)).await.expect("logs in");
    let caller = doorward.verify(granted.access.token.expose(), None).await.expect("good");
    assert_eq!((caller.authority(), caller.subject()), ("local", user.id.as_str()));
    assert_eq!(caller.roles().collect::<Vec<_>>(), ["user"]);
    let first = granted.refresh.expect("one");
    let next = nobody.refresh(&first, Some("app")).await.expect("renewed");
    assert_eq!(
        refused(nobody.refresh(&SecretText::new("nonsense".into()), Some("app"))).await,
        "refresh_token_invalid"
    );
    let ended = caller.end_sessions(&user.id, doorward::WhichSessions::All).await.expect("ended");
    assert_eq!(ended, 1);
    for token in [&granted.access.token, &next.access.token] {
        assert!(doorward.verify(token.expose(), None).await.is_err());
    }
}

#[tokio::test]
async fn strangers_make_no_accounts_unless_the_application_says_so() {
    let doorward = builder().build().await.expect("builds");
    let nobody = doorward.nobody(None).await.expect("nobody is somebody");
    assert_eq!(refused(nobody.sign_up(ann())).await, "sign_up_closed");
}

#[tokio::test]
async fn open_sign_up_is_for_the_mount_that_counts_in_whatever_order_they_are_named() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("app.toml");
    std::fs::write(&file, "[mounts.app]\nsurface = \"agentflow\"\n").expect("written");
    let at = || builder().config_file(&file);
    for (name, builder) in [
        ("before", at().open_sign_up().mount("app")),
        ("behind", at().mount("app").open_sign_up()),
        ("alone", at().open_sign_up()),
    ] {
        let doorward = builder.build().await.expect("builds");
        let nobody = doorward.nobody(None).await.expect("nobody is somebody");
        assert!(nobody.sign_up(ann()).await.is_ok(), "{name}");
    }
    // Only there.
    let doorward = at().mount("app").build().await.expect("builds");
    let nobody = doorward.nobody(None).await.expect("nobody is somebody");
    assert_eq!(refused(nobody.sign_up(ann())).await, "sign_up_closed");
}

#[tokio::test]
async fn a_token_is_issued_verified_and_over_when_it_ends_or_is_revoked() {
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let doorward = builder().clock(Arc::clone(&clock) as _).build().await.expect("builds");
    let (user, _) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let system = doorward.system("test");
    let subject = |ttl_s| Subject {
        subject: user.as_str().to_owned(),
        scope: Some("report:read".into()),
        ttl_s: Some(ttl_s),
        ..Subject::default()
    };
    let short = system.issue_token(subject(60)).await.expect("issued");
    let long = system.issue_token(subject(3600)).await.expect("issued");
    let caller = doorward.verify(short.token.expose(), None).await.expect("good");
    assert_eq!(caller.scopes(), Some(vec!["report:read"]));
    assert!(caller.may::<report::Read>().is_ok());
    let narrow = caller.may::<report::Create>().expect_err("not covered");
    assert_eq!((narrow.code(), narrow.kind(), narrow.status()), ("scope_missing", Kind::Forbidden, 403));
    clock.advance_s(3_000);
    assert_eq!(refused(doorward.verify(short.token.expose(), None)).await, "token_expired");
    system.revoke(Revoked::Token(long.id.as_str().to_owned())).await.expect("revoked");
    assert_eq!(refused(doorward.verify(long.token.expose(), None)).await, "token_revoked");
    let unknown = Subject { scope: Some("report:fly".into()), ..subject(60) };
    assert_eq!(refused(system.issue_token(unknown)).await, "unknown_scope");
}

#[tokio::test]
async fn a_key_that_somebody_makes_reaches_no_further_than_what_it_is_made_with() {
    let doorward = builder().build().await.expect("builds");
    let (_, key) = with_key(&doorward, "ann", &["user"], &["api_key:*", "report:read"]).await;
    let caller = doorward.verify(&key, None).await.expect("good");
    let new =
        |scope: &str| NewApiKey { name: "robot".into(), scopes: vec![scope.into()], expiry: Expiry::Never };
    let made = caller.create_api_key(new("report:read")).await.expect("made");
    for wider in ["report:*", "report:create", "role:user", "*"] {
        assert_eq!(refused(caller.create_api_key(new(wider))).await, "scope_missing", "{wider}");
    }
    assert_eq!(refused(caller.create_api_key(new("report:fly"))).await, "unknown_scope");
    let robot = doorward.verify(made.secret.expose(), None).await.expect("good");
    assert_eq!(robot.owner_key(), caller.owner_key());
    caller.revoke_api_key(&made.key.id).await.expect("revoked");
    assert_eq!(refused(doorward.verify(made.secret.expose(), None)).await, "api_key_revoked");
    let (bob, _) = with_key(&doorward, "bob", &["user"], &["*"]).await;
    let others = caller.create_api_key_for(&bob, ApiKeyKind::User, new("report:read"));
    assert_eq!(refused(others).await, "forbidden");
}

#[tokio::test]
async fn leave_that_code_asks_for_itself_knows_the_owner() {
    let doorward = builder().build().await.expect("builds");
    let (_, key) = with_key(&doorward, "ann", &["user"], &["*"]).await;
    let caller = doorward.verify(&key, None).await.expect("good");
    let own = caller.owner_key();
    let permit = caller.permit::<report::Read>(Target::owned("1", &own)).expect("her own");
    permit.close(Ok(())).expect("closed");
    let theirs = caller.permit::<report::Read>(Target::owned("2", "local|usr_else"));
    assert_eq!(theirs.err().map(|error| error.code()), Some("not_found"));
}

#[tokio::test]
async fn a_directory_keeps_what_was_done_in_it() {
    let home = tempfile::tempdir().expect("a directory");
    let place = home.path().join("state");
    let open = async || {
        let builder = Doorward::builder().directory(&place).actions(report::ALL);
        builder.allow("user", ["report:read"]).build().await.expect("builds")
    };
    let first = open().await;
    let (_, key) = with_key(&first, "ann", &["user"], &["report:read"]).await;
    first.close().await;
    drop(first);
    let again = open().await;
    let caller = again.verify(&key, None).await.expect("still good");
    assert!(caller.may::<report::Read>().is_ok());
    again.close().await;
}
