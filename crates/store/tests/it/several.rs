//! Several openings of one file, as several processes would have.

use std::sync::{Arc, Barrier};

use doorward_core::ports::Write;
use doorward_core::ports::store::{Change, Changes, Users};
use doorward_store::conformance::Handle;
use doorward_store::conformance::chains::{chains_hold, lines_of};
use doorward_store::conformance::samples::{line, user};
use doorward_store::migrate::MIGRATIONS;

use crate::fresh::{File, put};

#[test]
fn opening_a_new_file_at_once_sets_it_up_once() {
    const OPENERS: usize = 8;
    let file = File::new();
    let together = Barrier::new(OPENERS);
    let stores: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            together.wait();
            file.open()
        };
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
        openers.into_iter().map(|opener| opener.join().expect("every opening succeeds")).collect()
    });
    let applied: i64 = file
        .outsider()
        .query_row("SELECT COUNT(*) FROM migration", [], |row| row.get(0))
        .expect("the table of migrations");
    assert_eq!(applied, MIGRATIONS.len() as i64);
    assert_eq!(stores.len(), OPENERS);
}

#[tokio::test]
async fn each_sees_the_others_news_and_their_state() {
    let file = File::new();
    let (one, other) = (file.open(), file.open());
    for round in 0..50_i64 {
        let (from, to) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let id = format!("usr_{round}");
        let news = Change::User(id.as_str().into());
        let node = format!("nod_{}", round % 2);
        put(
            from,
            vec![
                Write::InsertUser(user(&round.to_string())),
                Write::Announce(news.clone()),
                line(&node, "user:create"),
                line("nod_shared", "user:create"),
            ],
        )
        .await;
        let told = to.changes_after(round, 10).await.expect("a read");
        assert_eq!(told, [(round + 1, news)], "round {round}");
        assert!(to.user(&id.as_str().into()).await.expect("a read").is_some(), "round {round}");
    }
    let handle: Handle = Arc::new(other);
    let lines = lines_of(&handle).await;
    chains_hold(&lines);
    assert_eq!(lines.len(), 100);
}

#[tokio::test]
async fn one_goes_and_the_other_goes_on() {
    let file = File::new();
    let (one, other) = (file.open(), file.open());
    put(&one, vec![Write::InsertUser(user("a"))]).await;
    drop(one);
    assert!(other.user(&"usr_a".into()).await.expect("a read").is_some());
    put(&other, vec![Write::InsertUser(user("b"))]).await;
    drop(other);
    assert!(file.open().user(&"usr_b".into()).await.expect("a read").is_some());
}
