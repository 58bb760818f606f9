//! A batch is whole or absent.

use std::task::Poll;

use doorward_core::authz::filter::Filter;
use doorward_core::ports::store::{Batch, Change, Page};
use doorward_core::ports::{Conflict, Write};
use doorward_core::tokens::model::Revoked;
use futures_util::FutureExt;
use serde_json::json;

use super::chains::{chains_hold, lines_of};
use super::samples::{
    NOW_MS, api_key, family, line, message, revocation, run, sealed_key, session, thread, user,
};
use super::{Handle, Open, one, put, refused};

/// One of everything that can be added without an expectation about what is there.
fn everything() -> Vec<Write> {
    vec![
        Write::InsertUser(user("new")),
        Write::SetPassword { user: "usr_new".into(), phc: "phc".into(), at_ms: NOW_MS },
        Write::InsertSession(session("new", "new")),
        Write::InsertFamily(family("new", "new")),
        Write::InsertApiKey(api_key("new", "new", 77)),
        Write::InsertSealedKey(sealed_key("new", "sign:new", NOW_MS)),
        Write::Revoke(revocation("tok_new")),
        Write::InsertCode { purpose: "new".into(), hash: [7; 32], expires_at_ms: NOW_MS + 1 },
        Write::InsertThread(thread("new", "local|new", json!({"team": "new"}))),
        Write::InsertMessage(message("new", "new")),
        Write::InsertRun(run("new", "new")),
        Write::ClaimOwnership {
            mount: "m".into(),
            resource: "r".into(),
            id: "new".into(),
            owner: "o".into(),
            at_ms: NOW_MS,
        },
        line("nod_new", "user:create"),
        Write::Announce(Change::User("usr_new".into())),
        Write::EndSession { id: "ses_old".into(), at_ms: NOW_MS + 1 },
        Write::AdvanceFamily { id: "fam_old".into(), from: 1, at_ms: NOW_MS, expires_at_ms: NOW_MS },
    ]
}

/// How many parts of [`everything`] a store shows.
async fn seen(store: &Handle) -> usize {
    let mut revoked = false;
    store
        .each_revocation(
            0,
            Box::new(|kind, subject, _, _| revoked |= (kind, subject) == ("token", "tok_new")),
        )
        .await
        .expect("revocations can be read");
    let team = Filter::Eq("team".into(), "new".into());
    let old_session = store.session(&"ses_old".into()).await.expect("a read");
    let old_family = store.family(&"fam_old".into()).await.expect("a read");
    let thread = "thr_new".into();
    let parts = [
        store.user_by_login("new@example.org").await.expect("a read").is_some(),
        store.password(&"usr_new".into()).await.expect("a read").is_some(),
        store.session(&"ses_new".into()).await.expect("a read").is_some(),
        store.family(&"fam_new".into()).await.expect("a read").is_some(),
        store.api_key_by_mac([77; 32]).await.expect("a read").is_some(),
        !store.sealed_keys("sign:new").await.expect("a read").is_empty(),
        revoked,
        store.any_code("new", NOW_MS).await.expect("a read"),
        !store.threads("native", &team, Page { after: None, limit: 1 }).await.expect("a read").is_empty(),
        store.message(&thread, &"msg_new".into()).await.expect("a read").is_some(),
        store.run(&thread, &"run_new".into()).await.expect("a read").is_some(),
        store.owner_of("m", "r", "new").await.expect("a read").is_some(),
        lines_of(store).await.iter().any(|line| line.node == "nod_new"),
        store.newest_change().await.expect("a read") > 0,
        old_session.is_some_and(|session| session.ended_at_ms.is_some()),
        old_family.is_some_and(|family| family.counter > 1),
    ];
    parts.into_iter().filter(|part| *part).count()
}

/// A store with a user, a session and a family named `old`, and a claim.
async fn prepared(open: Open<'_>) -> Handle {
    let store = one(open);
    put(
        &store,
        vec![
            Write::InsertUser(user("old")),
            Write::InsertSession(session("old", "old")),
            Write::InsertFamily(family("old", "old")),
            Write::ClaimOwnership {
                mount: "m".into(),
                resource: "r".into(),
                id: "old".into(),
                owner: "somebody".into(),
                at_ms: NOW_MS,
            },
        ],
    )
    .await;
    store
}

/// Whatever the conflict, and wherever in the batch it stands, nothing of the batch remains.
pub async fn a_conflict_leaves_nothing_of_its_batch(open: Open<'_>) {
    let store = prepared(open).await;
    let refusals: Vec<(Conflict, fn() -> Write)> = vec![
        (Conflict::EmailTaken, || {
            Write::InsertUser(doorward_core::identity::model::User { email: user("old").email, ..user("x") })
        }),
        (Conflict::UsernameTaken, || {
            Write::InsertUser(doorward_core::identity::model::User {
                username: user("old").username,
                ..user("x")
            })
        }),
        (Conflict::Stale, || Write::AdvanceFamily {
            id: "fam_old".into(),
            from: 9,
            at_ms: NOW_MS,
            expires_at_ms: NOW_MS,
        }),
        (Conflict::Missing, || Write::EndSession { id: "ses_none".into(), at_ms: NOW_MS }),
        (Conflict::Missing, || Write::InsertMessage(message("x", "none"))),
        (Conflict::CodeSpent, || Write::SpendCode { purpose: "p".into(), hash: [0; 32], now_ms: NOW_MS }),
        (Conflict::Owned, || Write::ClaimOwnership {
            mount: "m".into(),
            resource: "r".into(),
            id: "old".into(),
            owner: "thief".into(),
            at_ms: NOW_MS,
        }),
        (Conflict::Exists, || Write::InsertSession(session("old", "old"))),
    ];
    let length = everything().len();
    for (expected, refusal) in refusals {
        for place in [0, length / 2, length] {
            let mut writes = everything();
            writes.insert(place, refusal());
            assert_eq!(refused(&store, writes).await, expected, "{expected:?} at {place}");
            assert_eq!(seen(&store).await, 0, "{expected:?} at {place} left something behind");
        }
    }
    put(&store, everything()).await;
    assert_eq!(seen(&store).await, length, "without the conflict all of it is there");
}

/// The line of a refused act is gone with the act, and its number is given to the next one.
pub async fn a_refused_batch_leaves_no_audit_line_and_no_gap(open: Open<'_>) {
    let store = prepared(open).await;
    for round in 0..5 {
        put(&store, vec![line("nod_a", &format!("done:{round}"))]).await;
        let missing = Write::EndSession { id: "ses_none".into(), at_ms: NOW_MS };
        refused(&store, vec![line("nod_a", "refused:first"), missing]).await;
        let missing = Write::EndSession { id: "ses_none".into(), at_ms: NOW_MS };
        refused(&store, vec![missing, line("nod_a", "refused:last")]).await;
    }
    let lines = lines_of(&store).await;
    chains_hold(&lines);
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line.entry.action.starts_with("done:")));
}

/// Later writes of a batch find what earlier ones made, changed and removed.
pub async fn a_batch_sees_its_own_writes(open: Open<'_>) {
    let store = one(open);
    put(
        &store,
        vec![
            Write::InsertUser(user("a")),
            Write::InsertSession(session("a", "a")),
            Write::EndSession { id: "ses_a".into(), at_ms: NOW_MS },
            Write::InsertCode { purpose: "p".into(), hash: [1; 32], expires_at_ms: NOW_MS + 1 },
            Write::SpendCode { purpose: "p".into(), hash: [1; 32], now_ms: NOW_MS },
            line("nod_a", "one:one"),
            line("nod_a", "two:two"),
            Write::Announce(Change::Keys),
            Write::Announce(Change::Keys),
            Write::DeleteUser("usr_a".into()),
            Write::InsertUser(user("a")),
        ],
    )
    .await;
    chains_hold(&lines_of(&store).await);
    assert_eq!(store.newest_change().await.expect("a read"), 2);
    assert_eq!(store.session(&"ses_a".into()).await.expect("a read"), None);
    let spent_twice = vec![
        Write::InsertCode { purpose: "p".into(), hash: [2; 32], expires_at_ms: NOW_MS + 1 },
        Write::SpendCode { purpose: "p".into(), hash: [2; 32], now_ms: NOW_MS },
        Write::SpendCode { purpose: "p".into(), hash: [2; 32], now_ms: NOW_MS },
    ];
    assert_eq!(refused(&store, spent_twice).await, Conflict::CodeSpent);
    assert!(!store.any_code("p", NOW_MS).await.expect("a read"));
}

/// Nothing to do is done.
pub async fn an_empty_batch_is_done(open: Open<'_>) {
    let store = one(open);
    put(&store, Vec::new()).await;
    store.commit(Batch::buffered(Vec::new())).await.expect("an empty batch");
}

/// Less sure on disk, but no less whole: alone and between durable ones.
pub async fn a_buffered_batch_is_whole_and_visible(open: Open<'_>) {
    let store = prepared(open).await;
    let mut torn = everything();
    torn.push(Write::EndSession { id: "ses_none".into(), at_ms: NOW_MS });
    assert!(store.commit(Batch::buffered(torn)).await.is_err());
    assert_eq!(seen(&store).await, 0);
    put(&store, vec![line("nod_a", "durable:one")]).await;
    store.commit(Batch::buffered(everything())).await.expect("a buffered batch");
    put(&store, vec![line("nod_a", "durable:two")]).await;
    assert_eq!(seen(&store).await, everything().len());
}

/// What is acknowledged on one handle is there on every other at once: reads, changes and revocations.
pub async fn what_one_handle_wrote_another_reads(open: Open<'_>) {
    let handles = open(2);
    let [first, second] = &handles[..] else { unreachable!("a factory opens as many handles as asked for") };
    for (round, (writer, reader)) in
        [(first, second), (second, first)].into_iter().cycle().take(40).enumerate()
    {
        let name = format!("r{round}");
        let news = Change::Revocation(revocation(&name));
        put(
            writer,
            vec![
                Write::InsertUser(user(&name)),
                Write::Revoke(revocation(&name)),
                Write::Announce(news.clone()),
                line("nod_a", "user:create"),
            ],
        )
        .await;
        let found = reader.user_by_login(&format!("{name}@example.org")).await.expect("a read");
        assert_eq!(found, Some(user(&name)), "round {round}");
        let seq = i64::try_from(round).expect("a small number");
        assert_eq!(reader.changes_after(seq, 10).await.expect("a read"), [(seq + 1, news)], "round {round}");
        let mut there = false;
        let wanted = Revoked::Token(name);
        let each = |kind: &str, subject: &str, _: i64, _: i64| there |= (kind, subject) == wanted.parts();
        reader.each_revocation(NOW_MS, Box::new(each)).await.expect("a read");
        assert!(there, "round {round}");
    }
    chains_hold(&lines_of(first).await);
}

/// A caller that stops waiting leaves a whole batch or none, never a part.
pub async fn a_dropped_commit_is_whole_or_absent(open: Open<'_>) {
    let store = prepared(open).await;
    let mut commit = store.commit(Batch::durable(everything()));
    let begun = std::future::poll_fn(|context| Poll::Ready(commit.poll_unpin(context))).await;
    drop((begun, commit));
    // Whatever was queued before this is finished before this is.
    put(&store, vec![line("nod_a", "after:all")]).await;
    let parts = seen(&store).await;
    assert!(parts == 0 || parts == everything().len(), "{parts} parts of a batch");
}
