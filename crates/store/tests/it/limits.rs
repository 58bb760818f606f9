//! Busy, full and damaged files, and text that only SQLite can keep.

use std::sync::Arc;

use doorward_core::identity::model::User;
use doorward_core::ports::store::{Batch, Commit, Page, Sessions, Threads, Users};
use doorward_core::ports::{StoreError, Write};
use doorward_store::Options;
use doorward_store::conformance::Handle;
use doorward_store::conformance::chains::{chains_hold, lines_of};
use doorward_store::conformance::samples::{NOW_MS, line, message, object, session, thread, user};
use serde_json::json;

use crate::fresh::{File, corrupt, put, unavailable};

#[tokio::test]
async fn a_file_held_by_another_process_is_unavailable_and_nothing_is_done() {
    let file = File::new();
    let store = file.open_with(&Options { busy_ms: 50, ..Options::default() }).expect("the store opens");
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let outsider = file.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let attempt = store.commit(Batch::durable(vec![Write::InsertSession(session("a", "a"))])).await;
    assert!(unavailable(attempt).contains("locked"));
    assert!(store.user(&"usr_a".into()).await.expect("readers are not held up").is_some());
    outsider.execute_batch("ROLLBACK").expect("the outsider lets go");
    assert_eq!(store.session(&"ses_a".into()).await.expect("a read"), None);
    put(&store, vec![Write::InsertSession(session("a", "a"))]).await;
}

#[tokio::test]
async fn readers_of_another_process_hold_up_nobody() {
    let file = File::new();
    let store = file.open_with(&Options { busy_ms: 50, ..Options::default() }).expect("the store opens");
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let outsider = file.outsider();
    outsider.execute_batch("BEGIN; SELECT COUNT(*) FROM session;").expect("reading");
    for n in 0..50 {
        put(&store, vec![Write::InsertSession(session(&n.to_string(), "a"))]).await;
    }
    let count = |sql| outsider.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("reading");
    assert_eq!(count("SELECT COUNT(*) FROM session"), 0, "it reads what was there when it began");
    outsider.execute_batch("COMMIT").expect("reading ends");
    assert_eq!(count("SELECT COUNT(*) FROM session"), 50);
}

#[tokio::test]
async fn a_full_store_is_unavailable_and_nothing_is_half_done() {
    const MAX: u64 = 480 * 1024;
    let file = File::new();
    let options = Options { max_size_bytes: Some(MAX), ..Options::default() };
    let store = Arc::new(file.open_with(&options).expect("the store opens"));
    put(&store, vec![Write::InsertThread(thread("a", "local|a", json!({})))]).await;
    let mut written = 0;
    let failure = loop {
        let mut large = message(&format!("{written:03}"), "a");
        large.content = json!("x".repeat(8 * 1024));
        let writes = vec![line("nod_a", "message:create"), Write::InsertMessage(large)];
        match store.commit(Batch::durable(writes)).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the limit was never reached");
    };
    assert!(matches!(failure, StoreError::Unavailable(_)), "{failure:?}");
    assert!(written > 10, "{written}");
    let page = Page { after: None, limit: 2_000 };
    assert_eq!(store.messages(&"thr_a".into(), page).await.expect("reading goes on").len(), written);
    let handle: Handle = Arc::clone(&store) as Handle;
    let lines = lines_of(&handle).await;
    chains_hold(&lines);
    assert_eq!(lines.len(), written, "no line without its act");
    assert!(std::fs::metadata(&file.path).expect("the file").len() <= MAX);

    // What is too large fails alone; what frees room, and what fits, goes through beside it.
    let mut huge = message("huge", "a");
    huge.content = json!("x".repeat(1024 * 1024));
    let (too_large, fits) = tokio::join!(
        store.commit(Batch::durable(vec![line("nod_a", "message:create"), Write::InsertMessage(huge)])),
        store.commit(Batch::durable(vec![Write::DeleteMessage {
            thread: "thr_a".into(),
            id: "msg_000".into()
        }])),
    );
    unavailable(too_large);
    fits.expect("what fits goes through beside what does not");
    put(&store, vec![line("nod_a", "message:delete")]).await;
    chains_hold(&lines_of(&handle).await);
}

#[tokio::test]
async fn a_file_system_without_room_is_unavailable() {
    // Every write to this device fails as a full disk does.
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("LEFT OUT: this machine has no /dev/full");
        assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "CI must have /dev/full");
        return;
    }
    unavailable(doorward_store::SqlStore::open("/dev/full", &Options::default()).map(drop));
}

#[tokio::test]
async fn a_damaged_file_is_corrupt_and_no_panic() {
    let file = File::new();
    let store = file.open();
    for n in 0..200 {
        put(&store, vec![Write::InsertUser(user(&n.to_string()))]).await;
    }
    drop(store);
    let mut bytes = std::fs::read(&file.path).expect("the file");
    for byte in &mut bytes[8_192..] {
        *byte = 0xa5;
    }
    std::fs::write(&file.path, bytes).expect("the file");
    let outcome = match file.open_with(&Options::default()) {
        Ok(store) => store.users(Page { after: None, limit: 500 }).await.map(drop),
        Err(error) => Err(error),
    };
    corrupt(outcome);
}

#[tokio::test]
async fn rows_that_are_not_as_written_are_corrupt_and_no_panic() {
    for (name, change) in [
        ("JSON of another shape", "UPDATE account SET roles = '{}'"),
        ("no JSON", "UPDATE account SET user_metadata = 'x'"),
        ("a number for a text", "UPDATE account SET roles = x'ff'"),
        ("no UTF-8", "UPDATE account SET display_name = CAST(x'ff' AS TEXT)"),
        ("a text for a number", "UPDATE account SET version = 'x'"),
    ] {
        let file = File::new();
        let store = file.open();
        put(&store, vec![Write::InsertUser(user("a"))]).await;
        file.outsider().execute_batch(change).expect("the row can be spoiled");
        corrupt(store.user(&"usr_a".into()).await.map(drop));
        corrupt(store.users(Page { after: None, limit: 9 }).await.map(drop));
        assert!(store.user(&"usr_b".into()).await.expect(name).is_none(), "{name}: the store goes on");
    }
}

#[tokio::test]
async fn nul_bytes_are_kept_and_end_nothing() {
    let file = File::new();
    let store = file.open();
    for (n, name) in ["a\0b", "a", "\0", "a\0"].into_iter().enumerate() {
        let odd = User { username: Some(name.into()), email: None, ..user(&n.to_string()) };
        put(&store, vec![Write::InsertUser(odd)]).await;
        let owned = thread(&n.to_string(), name, json!({"k": name, name: "k"}));
        put(&store, vec![Write::InsertThread(owned)]).await;
    }
    for (n, name) in ["a\0b", "a", "\0", "a\0"].into_iter().enumerate() {
        let found = store.user_by_login(name).await.expect("a read").expect("a user");
        assert_eq!((found.id.as_str(), found.username.as_deref()), (&*format!("usr_{n}"), Some(name)));
        for filter in [json!({"owner": name}), json!({"k": name}), json!({name: "k"})] {
            let filter = doorward_core::authz::filter::Filter::parse(&filter).expect("a filter");
            let page = Page { after: None, limit: 9 };
            let list = store.threads("native", &filter, page).await.expect("a list");
            assert_eq!(list.len(), 1, "{name:?} {filter:?}");
            assert_eq!(list[0].id.as_str(), format!("thr_{n}"), "{name:?} {filter:?}");
        }
    }
}

#[tokio::test]
async fn ten_megabytes_in_one_value_come_back() {
    let file = File::new();
    let store = file.open();
    let mut large = thread("a", "local|a", json!({}));
    large.state = object(json!({"text": "\u{1F600}\\\"".repeat(2 * 1024 * 1024)}));
    large.updated_at_ms = NOW_MS + 1;
    put(&store, vec![Write::InsertThread(large.clone())]).await;
    let all = doorward_core::authz::filter::Filter::Everything;
    assert!(store.thread("native", &large.id, &all).await.expect("a read").is_some_and(|read| read == large));
    let list = store.threads("native", &all, Page { after: None, limit: 9 }).await.expect("a list");
    assert!(list == [large]);
}
