//! Many transactions share one COMMIT, and nothing else.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doorward_core::ports::store::{Batch, Commit, Sessions, Store, Users};
use doorward_core::ports::{Conflict, Durability, StoreError, Write};
use doorward_store::backend::{Backend, Sqlite, Step};
use doorward_store::conformance::Handle;
use doorward_store::conformance::chains::{chains_hold, lines_of};
use doorward_store::conformance::samples::{NOW_MS, line, session, user};
use doorward_store::{Options, SqlStore};
use futures_util::future::join_all;

use crate::fresh::{File, put};

/// A store, the backend under it, and its file.
fn opened(options: &Options) -> (SqlStore, Arc<Sqlite>, File) {
    let file = File::new();
    let address = format!("sqlite:{}", file.path.display());
    let backend = Arc::new(Sqlite::open(&address, options).expect("the store opens"));
    (SqlStore::over(Arc::clone(&backend) as Arc<dyn Backend>), backend, file)
}

/// Commits all batches so that they wait together: another process holds the file until all are queued.
async fn together(store: &SqlStore, file: &File, batches: Vec<Batch>) -> Vec<Result<(), StoreError>> {
    let outsider = file.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let mut all = join_all(batches.into_iter().map(|batch| store.commit(batch)));
    // The first poll of a commit queues it.
    let early = poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut all).poll(context).is_ready())).await;
    assert!(!early, "nothing is answered while another process holds the file");
    outsider.execute_batch("ROLLBACK").expect("the outsider lets go");
    all.await
}

#[tokio::test]
async fn waiting_transactions_share_a_commit() {
    let (store, backend, file) = opened(&Options::default());
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let before = backend.written();
    let batches = (0..64).map(|n| Batch::durable(vec![Write::InsertSession(session(&n.to_string(), "a"))]));
    let ends = together(&store, &file, batches.collect()).await;
    assert!(ends.iter().all(Result::is_ok));
    let after = backend.written();
    assert_eq!(after.0 - before.0, 64);
    let groups = after.1 - before.1;
    assert!(groups <= 2, "64 waiting transactions took {groups} commits: the first group, and all others");
    for n in 0..64 {
        assert!(store.session(&format!("ses_{n}").into()).await.expect("a read").is_some(), "{n}");
    }
}

#[tokio::test]
async fn a_conflict_is_undone_inside_its_group_alone() {
    let (store, backend, file) = opened(&Options::default());
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let before = backend.written();
    let batches = (0..60).map(|n| {
        let mut writes =
            vec![Write::InsertSession(session(&n.to_string(), "a")), line("nod_a", "session:login")];
        if n % 2 == 0 {
            writes.push(Write::EndSession { id: "ses_none".into(), at_ms: NOW_MS });
        }
        // Both kinds in one group: the surer one decides.
        Batch { writes, durability: if n % 3 == 0 { Durability::Buffered } else { Durability::Durable } }
    });
    let ends = together(&store, &file, batches.collect()).await;
    for (n, end) in ends.iter().enumerate() {
        let refused = matches!(end, Err(StoreError::Conflict(Conflict::Missing)));
        assert_eq!((end.is_ok(), refused), (n % 2 == 1, n % 2 == 0), "{n}: {end:?}");
        let there = store.session(&format!("ses_{n}").into()).await.expect("a read").is_some();
        assert_eq!(there, n % 2 == 1, "{n}");
    }
    assert!(backend.written().1 - before.1 <= 2, "conflicts do not split a group");
    let handle: Handle = Arc::new(store);
    let lines = lines_of(&handle).await;
    chains_hold(&lines);
    assert_eq!(lines.len(), 30);
}

#[tokio::test]
async fn a_panic_or_a_broken_step_takes_nobody_along() {
    let (store, backend, file) = opened(&Options::default());
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let outsider = file.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let panics = Step::Read {
        query: doorward_store::backend::Statement {
            sql: "SELECT id FROM account".into(),
            params: Vec::new(),
            expect: doorward_store::backend::Expect::Any,
        },
        derive: Box::new(|_| panic!("a step that panics, on purpose")),
    };
    let nonsense = Step::any("SELECT nothing FROM nowhere", Vec::new());
    let too_few = Step::any("DELETE FROM account WHERE id = $1 OR id = $2", vec!["usr_a".into()]);
    let good =
        |n: u32| store.commit(Batch::durable(vec![Write::InsertSession(session(&n.to_string(), "a"))]));
    let mut all = Box::pin(async {
        tokio::join!(
            good(1),
            backend.transact(vec![Step::any("DELETE FROM login", Vec::new()), panics], Durability::Durable),
            good(2),
            backend.transact(vec![nonsense], Durability::Durable),
            backend.transact(vec![too_few], Durability::Durable),
            good(3),
        )
    });
    let early = poll_fn(|context| Poll::Ready(all.as_mut().poll(context).is_ready())).await;
    assert!(!early);
    outsider.execute_batch("ROLLBACK").expect("the outsider lets go");
    let (first, panicked, second, unknown, unbound, third) = all.await;
    assert!(first.is_ok() && second.is_ok() && third.is_ok(), "{first:?} {second:?} {third:?}");
    assert!(matches!(panicked, Err(StoreError::Unavailable(_))), "{panicked:?}");
    assert!(matches!(unknown, Err(StoreError::Corrupt(_))), "{unknown:?}");
    assert!(matches!(unbound, Err(StoreError::Corrupt(_))), "{unbound:?}");
    let found = store.user_by_login("a@example.org").await.expect("a read");
    assert!(found.is_some(), "what came before the panic is undone");
    for n in 1..=3 {
        assert!(store.session(&format!("ses_{n}").into()).await.expect("a read").is_some(), "{n}");
    }
    put(&store, vec![Write::InsertSession(session("after", "a"))]).await;
}

#[tokio::test]
async fn a_full_queue_waits_and_then_refuses() {
    let (store, _, file) = opened(&Options { queue: 1, queue_wait_ms: 50, ..Options::default() });
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let outsider = file.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    // One after another, until one is answered: while the outsider holds the file, that can only be a refusal.
    let (mut waiting, mut answered) = (Vec::new(), None);
    while answered.is_none() {
        let n = waiting.len();
        assert!(n < 300, "the queue has one place and takes no end of transactions");
        let (store, write) = (store.clone(), Write::InsertSession(session(&n.to_string(), "a")));
        let mut task = tokio::spawn(async move { store.commit(Batch::durable(vec![write])).await });
        answered = tokio::time::timeout(Duration::from_millis(500), &mut task).await.ok();
        if answered.is_none() {
            waiting.push(task);
        }
    }
    let refusal = answered.expect("the loop ended").expect("a commit does not panic");
    assert!(matches!(refusal, Err(StoreError::Unavailable(_))), "{refusal:?}");
    outsider.execute_batch("ROLLBACK").expect("the outsider lets go");
    let accepted = waiting.len();
    assert!(accepted >= 2, "one is being written and one has the place in the queue");
    for task in waiting {
        task.await.expect("a commit does not panic").expect("what has a place goes through");
    }
    for n in 0..=accepted {
        let there = store.session(&format!("ses_{n}").into()).await.expect("a read").is_some();
        assert_eq!(there, n < accepted, "{n}: what is refused is not done later");
    }
}

#[tokio::test]
async fn the_last_clone_finishes_what_is_queued() {
    let file = File::new();
    let store = file.open();
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let mut all = join_all(
        (0..50)
            .map(|n| store.commit(Batch::durable(vec![Write::InsertSession(session(&n.to_string(), "a"))]))),
    );
    let _ = poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut all).poll(context).is_ready())).await;
    drop(all);
    drop(store);
    let wal = file.path.with_extension("db-wal");
    assert!(std::fs::metadata(&wal).map_or(0, |m| m.len()) == 0, "closing moves the log into the file");
    let store: Box<dyn Store> = Box::new(file.open());
    for n in 0..50 {
        assert!(store.session(&format!("ses_{n}").into()).await.expect("a read").is_some(), "{n}");
    }
}
