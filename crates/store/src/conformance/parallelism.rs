//! Many writers at once, over several handles on one store.

use std::future::Future;

use doorward_core::authz::filter::Filter;
use doorward_core::identity::model::User;
use doorward_core::ports::store::{Batch, Change, Page};
use doorward_core::ports::{Conflict, StoreError, Write};
use futures_util::future::join_all;
use serde_json::json;

use super::chains::{chains_hold, lines_of};
use super::samples::{NOW_MS, family, line, object, sealed_key, session, thread, user, workspace};
use super::{Handle, Open, put};

/// Racers in each test.
const RACERS: usize = 48;

/// Runs `racer` many times at once, spread over the handles and over threads.
async fn race<T, F>(handles: &[Handle], racer: impl Fn(Handle, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let racers = (0..RACERS).map(|n| tokio::spawn(racer(handles[n % handles.len()].clone(), n)));
    join_all(racers.collect::<Vec<_>>()).await.into_iter().map(|end| end.expect("a racer finishes")).collect()
}

/// Races a write that one may win; returns who did, and checks how the others were refused.
async fn one_winner(handles: &[Handle], conflict: Conflict, write: fn(usize) -> Write) -> usize {
    let ends = race(handles, |store, n| async move {
        // The audit line rides along: it may stand for the winner alone.
        store.commit(Batch::durable(vec![line("nod_a", &format!("racer:{n}")), write(n)])).await
    })
    .await;
    let winners: Vec<_> = ends.iter().enumerate().filter(|(_, end)| end.is_ok()).map(|(n, _)| n).collect();
    let [winner] = winners[..] else { unreachable!("{} winners", winners.len()) };
    for end in ends {
        assert!(end.is_ok() || matches!(&end, Err(StoreError::Conflict(c)) if *c == conflict), "{end:?}");
    }
    let lines = lines_of(&handles[0]).await;
    chains_hold(&lines);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].entry.action, format!("racer:{winner}"));
    winner
}

/// Of all who spend a code at once, one does.
pub async fn a_code_has_one_spender(open: Open<'_>) {
    let handles = open(3);
    put(
        &handles[0],
        vec![Write::InsertCode { purpose: "p".into(), hash: [1; 32], expires_at_ms: NOW_MS + 1 }],
    )
    .await;
    let spend = |_| Write::SpendCode { purpose: "p".into(), hash: [1; 32], now_ms: NOW_MS };
    one_winner(&handles, Conflict::CodeSpent, spend).await;
    assert!(!handles[0].any_code("p", NOW_MS).await.expect("a read"));
}

/// Of all who refresh with one token at once, one gets the successor.
pub async fn a_family_advances_once_for_each_counter(open: Open<'_>) {
    let handles = open(3);
    put(&handles[0], vec![Write::InsertUser(user("a")), Write::InsertFamily(family("a", "a"))]).await;
    let advance =
        |_| Write::AdvanceFamily { id: "fam_a".into(), from: 1, at_ms: NOW_MS, expires_at_ms: NOW_MS };
    one_winner(&handles, Conflict::Stale, advance).await;
    let family = handles[1].family(&"fam_a".into()).await.expect("a read").expect("a family");
    assert_eq!(family.counter, 2);
}

/// Of all who claim a resource at once, one owns it, and it is the one who was told so.
pub async fn a_resource_has_one_owner(open: Open<'_>) {
    let handles = open(3);
    let claim = |n| Write::ClaimOwnership {
        mount: "m".into(),
        resource: "thread".into(),
        id: "1".into(),
        owner: format!("owner {n}"),
        at_ms: NOW_MS,
    };
    let winner = one_winner(&handles, Conflict::Owned, claim).await;
    let owner = handles[1].owner_of("m", "thread", "1").await.expect("a read");
    assert_eq!(owner, Some(format!("owner {winner}")));
}

/// Of all who sign up with one address at once, one has it.
pub async fn a_login_name_has_one_user(open: Open<'_>) {
    let handles = open(3);
    let sign_up = |n| Write::InsertUser(User { email: Some("x@example.org".into()), ..user(&n_text(n)) });
    let winner = one_winner(&handles, Conflict::EmailTaken, sign_up).await;
    let found = handles[1].user_by_login("x@example.org").await.expect("a read").expect("a user");
    assert_eq!(found.id.as_str(), format!("usr_{}", n_text(winner)));
    let all = handles[2].users(Page { after: None, limit: 100 }).await.expect("a page");
    assert_eq!(all.len(), 1, "the others left nothing");
}

/// However many an owner makes at once, as many as one may have are made.
pub async fn an_owner_never_has_too_many_workspaces(open: Open<'_>) {
    let handles = open(3);
    let ends = race(&handles, |store, n| async move {
        let workspace = workspace(&format!("w-{n}"), "local|usr_a");
        store.commit(Batch::durable(vec![Write::InsertWorkspace { workspace, most: 5 }])).await
    })
    .await;
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 5);
    let full = |end: &Result<(), StoreError>| matches!(end, Err(StoreError::Conflict(Conflict::TooMany)));
    assert!(ends.iter().all(|end| end.is_ok() || full(end)), "{ends:?}");
    let page = Page { after: None, limit: 100 };
    assert_eq!(handles[1].workspaces(&Filter::Everything, page).await.expect("a list").len(), 5);
}

fn n_text(n: usize) -> String {
    n.to_string()
}

/// Of all processes that start on an empty store at once, one makes the first key.
pub async fn a_purpose_has_one_first_key(open: Open<'_>) {
    let handles = open(3);
    let first = |n| Write::InsertFirstSealedKey(sealed_key(&n_text(n), "sign:native", NOW_MS));
    let winner = one_winner(&handles, Conflict::Exists, first).await;
    let keys = handles[1].sealed_keys("sign:native").await.expect("a list");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].id.as_str(), format!("sig_{winner}"));
}

/// Everybody reads, adds one and writes until it holds: the sum is exact.
pub async fn no_update_is_lost(open: Open<'_>) {
    let handles = open(3);
    let start = User { user_metadata: object(json!({"count": 0})), ..user("a") };
    put(&handles[0], vec![Write::InsertUser(start)]).await;
    race(&handles, |store, _| async move {
        loop {
            let mut user = store.user(&"usr_a".into()).await.expect("a read").expect("a user");
            let count = user.user_metadata["count"].as_i64().expect("a number");
            user.user_metadata.insert("count".into(), json!(count + 1));
            user.version += 1;
            match store.commit(Batch::durable(vec![Write::UpdateUser(user)])).await {
                Ok(()) => return,
                Err(error) => assert!(matches!(error, StoreError::Conflict(Conflict::Stale)), "{error}"),
            }
        }
    })
    .await;
    let user = handles[1].user(&"usr_a".into()).await.expect("a read").expect("a user");
    assert_eq!(
        (user.user_metadata["count"].as_u64(), user.version),
        (Some(RACERS as u64), RACERS as i64 + 1)
    );
}

/// Chains of several nodes stay whole while all write at once, and of one node through several handles too.
pub async fn audit_chains_stay_gapless(open: Open<'_>) {
    let handles = open(3);
    race(&handles, |store, n| async move {
        for round in 0..5 {
            let node = format!("nod_{}", n % 4);
            put(&store, vec![line(&node, &format!("a:{n}-{round}")), line(&node, "b:b")]).await;
        }
    })
    .await;
    let lines = lines_of(&handles[0]).await;
    assert_eq!(lines.len(), RACERS * 10);
    chains_hold(&lines);
}

/// Somebody who follows the feed while others write sees every change once, in order, without a gap.
pub async fn a_follower_of_the_feed_misses_nothing(open: Open<'_>) {
    const EACH: usize = 10;
    let handles = open(3);
    let follower = handles[0].clone();
    let following = tokio::spawn(async move {
        let (mut at, mut seen) = (0, Vec::new());
        while seen.len() < RACERS * EACH {
            for (seq, change) in follower.changes_after(at, 7).await.expect("a read") {
                assert_eq!(seq, at + 1, "a number was skipped");
                at = seq;
                let Change::User(id) = change else { unreachable!("nobody announced {change:?}") };
                seen.push(id.as_str().to_owned());
            }
        }
        seen
    });
    race(&handles[1..], |store, n| async move {
        for round in 0..EACH {
            let id = format!("usr_{n}_{round}");
            put(&store, vec![Write::Announce(Change::User(id.into()))]).await;
        }
    })
    .await;
    let seen = following.await.expect("the follower finishes");
    for n in 0..RACERS {
        let own: Vec<_> = seen.iter().filter(|id| id.starts_with(&format!("usr_{n}_"))).collect();
        let expected: Vec<_> = (0..EACH).map(|round| format!("usr_{n}_{round}")).collect();
        assert!(own.iter().copied().eq(&expected), "racer {n} wrote in order, the feed says {own:?}");
    }
}

/// A reader sees all of a batch or nothing of it, whatever it reads with one question.
pub async fn nobody_reads_half_a_batch(open: Open<'_>) {
    let handles = open(2);
    let writer = handles[0].clone();
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let all_named = |title: String| {
        NAMES.map(|name| {
            let mut thread = thread(name, "me", json!({}));
            thread.name = Some(title.clone());
            thread
        })
    };
    put(&writer, all_named("0".into()).map(Write::InsertThread).into()).await;
    let writing = tokio::spawn(async move {
        for round in 1..=100 {
            put(&writer, all_named(round.to_string()).map(Write::UpdateThread).into()).await;
        }
    });
    let mut rounds = 0;
    while !writing.is_finished() || rounds == 0 {
        let filter = Filter::owned_by("me");
        let list =
            handles[1].threads("native", &filter, Page { after: None, limit: 9 }).await.expect("a list");
        assert_eq!(list.len(), NAMES.len());
        assert!(list.iter().all(|thread| thread.name == list[0].name), "half a batch");
        rounds += 1;
    }
    writing.await.expect("the writer finishes");
}

/// Who is refused is refused alone: every good batch among bad ones goes through whole.
pub async fn conflicts_do_not_disturb_neighbours(open: Open<'_>) {
    let handles = open(2);
    put(&handles[0], vec![Write::InsertUser(user("a"))]).await;
    let ends = race(&handles, |store, n| async move {
        let mut writes = vec![Write::InsertSession(session(&n_text(n), "a")), line("nod_a", "session:login")];
        if n % 3 == 0 {
            writes.push(Write::EndSession { id: "ses_none".into(), at_ms: NOW_MS });
        }
        store.commit(Batch::durable(writes)).await
    })
    .await;
    for (n, end) in ends.iter().enumerate() {
        let there = handles[0].session(&format!("ses_{n}").into()).await.expect("a read").is_some();
        let good = n % 3 != 0;
        assert_eq!((end.is_ok(), there), (good, good), "racer {n}: {end:?}");
        assert!(good || matches!(end, Err(StoreError::Conflict(Conflict::Missing))), "racer {n}: {end:?}");
    }
    let lines = lines_of(&handles[1]).await;
    chains_hold(&lines);
    assert_eq!(lines.len(), ends.iter().filter(|end| end.is_ok()).count());
}
