//! The audit log.

use doorward_core::audit::entry::{AuditEntry, Outcome};
use doorward_core::ports::Write;
use doorward_core::ports::store::AuditQuery;

use super::chains::{chains_hold, lines_of};
use super::samples::{NOW_MS, entry, line};
use super::{Open, one, put};

/// Lines count from 1 per node, each hashed over the one before.
pub async fn lines_are_chained_from_one_without_gaps(open: Open<'_>) {
    let store = one(open);
    let bare = AuditEntry {
        resource: None,
        credential: None,
        reason: Some("'quoted' \u{1F600}".into()),
        address: None,
        outcome: Outcome::Denied,
        count: 7,
        ..entry("user:read", NOW_MS - 5)
    };
    put(&store, vec![line("nod_a", "user:create"), line("nod_a", "session:login")]).await;
    put(
        &store,
        vec![Write::Audit { node: "nod_a".into(), entry: bare.clone() }, line("nod_b", "user:create")],
    )
    .await;
    let lines = lines_of(&store).await;
    chains_hold(&lines);
    let seen: Vec<_> = lines.iter().map(|l| (l.node.as_str(), l.seq, l.entry.action.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("nod_a", 1, "user:create"),
            ("nod_a", 2, "session:login"),
            ("nod_a", 3, "user:read"),
            ("nod_b", 1, "user:create"),
        ]
    );
    assert_eq!(lines[2].entry, bare);
}

/// Each member narrows; absent ones match everything; the newest come first and no more than asked for.
pub async fn a_query_finds_the_newest_that_match(open: Open<'_>) {
    let store = one(open);
    for n in 0..20_i64 {
        let entry = AuditEntry {
            principal: if n % 2 == 0 { "local|a" } else { "local|b" }.into(),
            outcome: if n % 5 == 0 { Outcome::Denied } else { Outcome::Done },
            count: n,
            ..entry(if n < 10 { "user:read" } else { "user:update" }, NOW_MS + n / 2)
        };
        let node = if n % 4 == 0 { "nod_b" } else { "nod_a" };
        put(&store, vec![Write::Audit { node: node.into(), entry }]).await;
    }
    let all = || AuditQuery { limit: 100, ..AuditQuery::default() };
    let a = || Some("local|a".to_owned());
    for (name, query, expected) in [
        ("since", AuditQuery { since_ms: Some(NOW_MS + 9), ..all() }, 2),
        ("principal", AuditQuery { principal: a(), ..all() }, 10),
        ("no wildcard", AuditQuery { principal: Some("local|%".into()), ..all() }, 0),
        ("outcome", AuditQuery { outcome: Some(Outcome::Denied), ..all() }, 4),
        ("action", AuditQuery { action: Some("user:update".into()), ..all() }, 10),
        ("two members", AuditQuery { principal: a(), outcome: Some(Outcome::Denied), ..all() }, 2),
        (
            "all members",
            AuditQuery {
                since_ms: Some(NOW_MS + 3),
                principal: a(),
                outcome: Some(Outcome::Denied),
                action: Some("user:update".into()),
                limit: 100,
            },
            1,
        ),
        ("everything", all(), 20),
        ("none asked for", AuditQuery::default(), 0),
    ] {
        let found = store.audit(query).await.expect("a query");
        assert_eq!(found.len(), expected, "{name}");
        assert!(found.is_sorted_by(|x, y| x.entry.at_ms >= y.entry.at_ms), "{name}: newest first");
    }
    let newest = store.audit(AuditQuery { limit: 2, ..AuditQuery::default() }).await.expect("a query");
    assert!(newest.iter().all(|line| line.entry.at_ms == NOW_MS + 9), "the newest, not the oldest");
}

/// More lines than one piece of a scan holds still come whole and in order.
pub async fn every_line_of_every_node_comes_in_chain_order(open: Open<'_>) {
    let store = one(open);
    for round in 0..30 {
        let lines = (0..200).map(|n| line(&format!("nod_{}", n % 3), &format!("action:{round}")));
        put(&store, lines.collect()).await;
    }
    let lines = lines_of(&store).await;
    assert_eq!(lines.len(), 6_000);
    assert!(lines.is_sorted_by(|a, b| (&a.node, a.seq) < (&b.node, b.seq)));
    chains_hold(&lines);
}
