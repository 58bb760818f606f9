//! Families, sealed keys, revocations, one-time codes and the change feed.

use doorward_core::ports::store::Change;
use doorward_core::ports::{Conflict, Write};
use doorward_core::tokens::model::{Family, Revocation, Revoked};

use super::samples::{HOUR_MS, NOW_MS, family, revocation, sealed_key, user};
use super::{Handle, Open, one, put, refused};

async fn family_of(store: &Handle, name: &str) -> Family {
    let id = format!("fam_{name}").into();
    store.family(&id).await.expect("a family can be read").expect("the family is there")
}

/// All revocations in force, as (kind, subject, at, until), in the order of their names.
async fn live(store: &Handle, now_ms: i64) -> Vec<(String, String, i64, i64)> {
    let mut all = Vec::new();
    let each = |kind: &str, subject: &str, at_ms: i64, until_ms: i64| {
        all.push((kind.to_owned(), subject.to_owned(), at_ms, until_ms));
    };
    store.each_revocation(now_ms, Box::new(each)).await.expect("revocations can be read");
    all.sort();
    all
}

/// Only the counter that stands can be left, and only while the family lives.
pub async fn a_family_advances_from_its_counter_alone(open: Open<'_>) {
    let store = one(open);
    assert_eq!(refused(&store, vec![Write::InsertFamily(family("a", "a"))]).await, Conflict::Missing);
    put(&store, vec![Write::InsertUser(user("a")), Write::InsertFamily(family("a", "a"))]).await;
    assert_eq!(family_of(&store, "a").await, family("a", "a"));
    assert_eq!(refused(&store, vec![Write::InsertFamily(family("a", "a"))]).await, Conflict::Exists);
    let advance = |id: &str, from| Write::AdvanceFamily {
        id: id.into(),
        from,
        at_ms: NOW_MS + from,
        expires_at_ms: NOW_MS + HOUR_MS + from,
    };
    put(&store, vec![advance("fam_a", 1)]).await;
    let expected = Family {
        counter: 2,
        advanced_at_ms: NOW_MS + 1,
        expires_at_ms: NOW_MS + HOUR_MS + 1,
        ..family("a", "a")
    };
    for (name, id, from) in
        [("spent", "fam_a", 1), ("not yet", "fam_a", 3), ("negative", "fam_a", -1), ("nobody", "fam_b", 1)]
    {
        assert_eq!(refused(&store, vec![advance(id, from)]).await, Conflict::Stale, "{name}");
        assert_eq!(family_of(&store, "a").await, expected, "{name}");
    }
    put(&store, vec![Write::EndFamily { id: "fam_a".into(), at_ms: NOW_MS + 9 }]).await;
    assert_eq!(refused(&store, vec![advance("fam_a", 2)]).await, Conflict::Stale, "an ended family");
}

/// Ending again keeps the first moment; a session's families end together, others' live on.
pub async fn families_end_by_id_and_by_session(open: Open<'_>) {
    let store = one(open);
    let shared = Family { session: "ses_a".into(), ..family("b", "a") };
    let bare = Family { scope: None, client: String::new(), ..family("c", "a") };
    put(
        &store,
        vec![
            Write::InsertUser(user("a")),
            Write::InsertFamily(family("a", "a")),
            Write::InsertFamily(shared),
            Write::InsertFamily(bare.clone()),
        ],
    )
    .await;
    put(&store, vec![Write::EndFamily { id: "fam_a".into(), at_ms: NOW_MS + 1 }]).await;
    put(&store, vec![Write::EndFamily { id: "fam_a".into(), at_ms: NOW_MS + 2 }]).await;
    put(&store, vec![Write::EndFamily { id: "fam_none".into(), at_ms: NOW_MS }]).await;
    put(&store, vec![Write::EndFamiliesOfSession { session: "ses_a".into(), at_ms: NOW_MS + 3 }]).await;
    assert_eq!(family_of(&store, "a").await.ended_at_ms, Some(NOW_MS + 1));
    assert_eq!(family_of(&store, "b").await.ended_at_ms, Some(NOW_MS + 3));
    assert_eq!(family_of(&store, "c").await, bare);
}

/// Keys of a purpose come newest first, retired ones included, bytes unchanged.
pub async fn sealed_keys_come_newest_first(open: Open<'_>) {
    let store = one(open);
    put(
        &store,
        vec![
            Write::InsertSealedKey(sealed_key("b", "sign:native", NOW_MS + 1)),
            Write::InsertSealedKey(sealed_key("a", "sign:native", NOW_MS + 2)),
            Write::InsertSealedKey(sealed_key("c", "sign:native", NOW_MS + 1)),
            Write::InsertSealedKey(sealed_key("d", "pepper:api-key", NOW_MS)),
            Write::RetireSealedKey { id: "sig_b".into(), at_ms: NOW_MS + 7 },
        ],
    )
    .await;
    let keys = store.sealed_keys("sign:native").await.expect("a list");
    let seen: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.retired_at_ms)).collect();
    assert_eq!(seen, [("sig_a", None), ("sig_c", None), ("sig_b", Some(NOW_MS + 7))]);
    assert_eq!(keys[0].sealed, (0..=255).collect::<Vec<u8>>());
    assert_eq!((keys[0].algorithm.as_str(), keys[0].created_at_ms), ("ES256", NOW_MS + 2));
    assert_eq!(store.key_purposes().await.expect("a list"), ["pepper:api-key", "sign:native"]);
    assert!(store.sealed_keys("sign:%").await.expect("a list").is_empty());
    let again = vec![Write::InsertSealedKey(sealed_key("a", "another", NOW_MS))];
    assert_eq!(refused(&store, again).await, Conflict::Exists);
    let gone = vec![Write::RetireSealedKey { id: "sig_z".into(), at_ms: NOW_MS }];
    assert_eq!(refused(&store, gone).await, Conflict::Missing);
}

/// Where a purpose has a key, whoever comes first is told so and leaves nothing.
pub async fn only_the_first_key_of_a_purpose_is_first(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertFirstSealedKey(sealed_key("a", "sign:native", NOW_MS))]).await;
    put(&store, vec![Write::InsertSealedKey(sealed_key("b", "refresh", NOW_MS))]).await;
    for (name, purpose) in [("after a first one", "sign:native"), ("after an ordinary one", "refresh")] {
        let late = vec![Write::InsertFirstSealedKey(sealed_key("late", purpose, NOW_MS))];
        assert_eq!(refused(&store, late).await, Conflict::Exists, "{name}");
        assert_eq!(store.sealed_keys(purpose).await.expect("a list").len(), 1, "{name}");
    }
    put(&store, vec![Write::InsertFirstSealedKey(sealed_key("late", "pepper", NOW_MS))]).await;
}

/// An equal revocation moves forward in time, never back; what is over is not handed out.
pub async fn a_revocation_never_moves_back(open: Open<'_>) {
    let store = one(open);
    let all = [
        Revoked::Token("x".into()),
        Revoked::Session("x".into()),
        Revoked::Principal("x".into()),
        Revoked::All,
    ];
    for revoked in all {
        let revocation = Revocation { revoked, at_ms: NOW_MS, until_ms: NOW_MS + 10 };
        put(&store, vec![Write::Revoke(revocation)]).await;
    }
    let of = |kind: &str, subject: &str, at, until| {
        (kind.to_owned(), subject.to_owned(), NOW_MS + at, NOW_MS + until)
    };
    let others = [of("all", "", 0, 10), of("principal", "x", 0, 10), of("session", "x", 0, 10)];
    for (name, at, until, expected) in [
        ("earlier", -5, 5, (0, 10)),
        ("later until", -5, 20, (0, 20)),
        ("later at", 7, 5, (7, 20)),
        ("equal", 7, 20, (7, 20)),
    ] {
        let revoked = Revoked::Token("x".into());
        let write = Write::Revoke(Revocation { revoked, at_ms: NOW_MS + at, until_ms: NOW_MS + until });
        put(&store, vec![write]).await;
        let mut expected = [&others[..], &[of("token", "x", expected.0, expected.1)]].concat();
        expected.sort();
        assert_eq!(live(&store, NOW_MS).await, expected, "{name}");
    }
    assert_eq!(live(&store, NOW_MS + 10).await, [of("token", "x", 7, 20)], "over at the moment named");
    assert_eq!(live(&store, NOW_MS + 20).await, []);
}

/// A code works once, until it expires, for its own purpose; until then it is known to be there.
pub async fn a_code_is_spent_once_in_time(open: Open<'_>) {
    let store = one(open);
    let insert = |purpose: &str, byte: u8| Write::InsertCode {
        purpose: purpose.into(),
        hash: [byte; 32],
        expires_at_ms: NOW_MS + 10,
    };
    let spend = |purpose: &str, byte: u8, now_ms| Write::SpendCode {
        purpose: purpose.into(),
        hash: [byte; 32],
        now_ms,
    };
    put(&store, vec![insert("setup", 1), insert("setup", 2), insert("recovery", 1)]).await;
    assert_eq!(refused(&store, vec![insert("setup", 1)]).await, Conflict::Exists);
    for (name, attempt) in [
        ("never was", spend("setup", 9, NOW_MS)),
        ("another purpose", spend("recovery", 2, NOW_MS)),
        ("expires at the moment named", spend("setup", 1, NOW_MS + 10)),
    ] {
        assert_eq!(refused(&store, vec![attempt]).await, Conflict::CodeSpent, "{name}");
    }
    put(&store, vec![spend("setup", 1, NOW_MS + 9)]).await;
    assert_eq!(refused(&store, vec![spend("setup", 1, NOW_MS)]).await, Conflict::CodeSpent, "spent");
    for (purpose, now_ms, expected) in [
        ("setup", NOW_MS, true),
        ("setup", NOW_MS + 10, false),
        ("recovery", NOW_MS, true),
        ("none", NOW_MS, false),
    ] {
        assert_eq!(store.any_code(purpose, now_ms).await.expect("a read"), expected, "{purpose} at {now_ms}");
    }
    // What has expired is still told from what never was, until it is pruned.
    for (purpose, byte, expected) in [
        ("setup", 2, Some(NOW_MS + 10)),
        ("setup", 1, None),
        ("recovery", 2, None),
        ("recovery", 1, Some(NOW_MS + 10)),
    ] {
        let ends_at_ms = store.code_ends_at(purpose, [byte; 32]).await.expect("a read");
        assert_eq!(ends_at_ms, expected, "{purpose} {byte}");
    }
    put(&store, vec![Write::DropCodes { purpose: "setup".into() }]).await;
    put(&store, vec![Write::DropCodes { purpose: "setup".into() }]).await;
    assert!(!store.any_code("setup", NOW_MS).await.expect("a read"));
    put(&store, vec![spend("recovery", 1, NOW_MS)]).await;
    let expires_at_ms = NOW_MS + 10;
    let insert = |purpose: &str| Write::InsertCode { purpose: purpose.into(), hash: [7; 32], expires_at_ms };
    let every = Write::DropEveryCode { but: "login".into(), now_ms: NOW_MS };
    put(&store, vec![insert("setup"), insert("recovery"), insert("login"), every]).await;
    for (purpose, there) in [("setup", false), ("recovery", false), ("login", true)] {
        assert_eq!(store.any_code(purpose, NOW_MS).await.expect("a read"), there, "{purpose}");
    }
}

/// Every kind of change comes back as announced, numbered from 1 without gaps, as far as asked for.
pub async fn the_change_feed_tells_everything_in_order(open: Open<'_>) {
    let store = one(open);
    assert_eq!(store.newest_change().await.expect("a read"), 0);
    assert_eq!(store.changes_after(0, 10).await.expect("a read"), []);
    let until = |revoked| Revocation { revoked, at_ms: NOW_MS, until_ms: NOW_MS + HOUR_MS };
    let all = vec![
        Change::User("usr_a".into()),
        Change::Session("ses_a".into()),
        Change::ApiKey(std::array::from_fn(|n| (n * 9) as u8)),
        Change::Keys,
        Change::Revocation(until(Revoked::Token("'%😀".into()))),
        Change::Revocation(until(Revoked::Session("ses_a".into()))),
        Change::Revocation(until(Revoked::Principal("local|usr_a".into()))),
        Change::Revocation(until(Revoked::All)),
        Change::Stop { run: "run_a".into(), and_forget: false },
        Change::Stop { run: "run_a".into(), and_forget: true },
    ];
    for change in &all {
        put(&store, vec![Write::Announce(change.clone())]).await;
    }
    let expected: Vec<_> = (1..).zip(all).collect();
    assert_eq!(store.newest_change().await.expect("a read"), 10);
    assert_eq!(store.changes_after(0, 100).await.expect("a read"), expected);
    assert_eq!(store.changes_after(2, 3).await.expect("a read"), expected[2..5]);
    assert_eq!(store.changes_after(10, 100).await.expect("a read"), []);
    assert_eq!(store.changes_after(i64::MAX, 100).await.expect("a read"), []);
}

/// What still refuses, still opens or is still news stays; what is over goes, and is counted.
pub async fn pruning_keeps_what_matters(open: Open<'_>) {
    let store = one(open);
    let at = |jti: &str, until_ms| Revocation { until_ms, ..revocation(jti) };
    let code =
        |byte: u8, expires_at_ms| Write::InsertCode { purpose: "p".into(), hash: [byte; 32], expires_at_ms };
    put(
        &store,
        vec![
            Write::Revoke(at("over", NOW_MS)),
            Write::Revoke(at("in force", NOW_MS + 1)),
            code(1, NOW_MS),
            code(2, NOW_MS + 1),
            Write::Announce(Change::Revocation(at("over", NOW_MS))),
            Write::Announce(Change::Keys),
        ],
    )
    .await;
    assert_eq!(store.prune(NOW_MS).await.expect("pruning"), 2);
    assert_eq!(store.prune(NOW_MS).await.expect("pruning"), 0);
    let left: Vec<_> = live(&store, 0).await.into_iter().map(|row| row.1).collect();
    assert_eq!(left, ["in force"]);
    let spend = |byte: u8| vec![Write::SpendCode { purpose: "p".into(), hash: [byte; 32], now_ms: 0 }];
    assert_eq!(refused(&store, spend(1)).await, Conflict::CodeSpent);
    put(&store, spend(2)).await;
    assert_eq!(store.changes_after(0, 10).await.expect("a read").len(), 2, "recent changes stay");
    put(&store, vec![Write::Announce(Change::Keys)]).await;
    assert_eq!(store.newest_change().await.expect("a read"), 3, "numbers are never given twice");
}
