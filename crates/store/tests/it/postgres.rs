//! What is PostgreSQL's own: a server that goes and comes back, a schema of others, several processes.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use doorward_core::ports::store::{Batch, Changes, Commit, Users};
use doorward_core::ports::{StoreError, Write};
use doorward_store::conformance::Handle;
use doorward_store::conformance::postgres::Server;
use doorward_store::conformance::samples::{line, user};
use doorward_store::migrate::{MIGRATIONS, Upgrade};
use doorward_store::{Options, SqlStore, migrate, pending};

/// One for all tests; each has databases of its own.
pub(crate) static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

fn open(address: &str) -> SqlStore {
    // So many tests at once, each with several handles: few connections each.
    SqlStore::open(address, &Options { connections: 2, ..Options::default() }).expect("it opens")
}

/// Handles on a new database.
pub(crate) fn fresh(handles: usize) -> Vec<Handle> {
    let address = SERVER.database();
    (0..handles).map(|_| Arc::new(open(&address)) as Handle).collect()
}

async fn write(store: &SqlStore, name: &str) -> Result<(), StoreError> {
    store.commit(Batch::durable(vec![Write::InsertUser(user(name)), line("nod_a", "user:create")])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_away_is_said_and_one_that_came_back_is_used() {
    let mut server = Server::start();
    let store = open(&server.database());
    write(&store, "before").await.expect("it is there");
    store.user(&"usr_before".into()).await.expect("it is there");
    server.down();
    for outcome in [write(&store, "lost").await.err(), store.newest_change().await.err()] {
        assert!(matches!(outcome, Some(StoreError::Unavailable(_))), "{outcome:?}");
    }
    server.up();
    write(&store, "after").await.expect("a new connection is made");
    for (name, there) in [("before", true), ("lost", false), ("after", true)] {
        let found = store.user(&format!("usr_{name}").as_str().into()).await.expect("a new connection");
        assert_eq!(found.is_some(), there, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_waits_for_others_no_longer_than_it_was_told() {
    let address = SERVER.database();
    let options = Options { busy_ms: 100, connections: 1, ..Options::default() };
    let store = SqlStore::open(&address, &options).expect("it opens");
    let (other, connection) =
        tokio_postgres::connect(&address, tokio_postgres::NoTls).await.expect("connects");
    let connection = tokio::spawn(connection);
    // The lock of every writer, "doorward" in ASCII.
    other.batch_execute("SELECT pg_advisory_lock(7237125663627506276)").await.expect("free");
    let refused = tokio::time::timeout(Duration::from_secs(30), write(&store, "x")).await.expect("in time");
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    other.batch_execute("SELECT pg_advisory_unlock(7237125663627506276)").await.expect("held");
    write(&store, "x").await.expect("the lock is free");
    connection.abort();
}

#[test]
fn migrations_are_told_applied_once_and_refused_when_altered() {
    let address = SERVER.database();
    assert_eq!(pending(&address).expect("reached").len(), MIGRATIONS.len());
    let refuse = Options { upgrade: Upgrade::Refuse, ..Options::default() };
    let error = SqlStore::open(&address, &refuse).err().expect("an empty database").to_string();
    assert!(error.contains("run `doorward migrate`"), "{error}");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| open(&address));
        }
    });
    assert!(migrate::migrate(&address, &Options::default()).expect("reached").is_empty());
    change(&address, "UPDATE migration SET checksum = 'x' WHERE version = 2");
    let error = SqlStore::open(&address, &Options::default()).err().expect("altered").to_string();
    assert!(error.contains("migration 2"), "{error}");
}

#[test]
fn a_database_of_another_encoding_is_refused() {
    let address = SERVER.database();
    change(&address, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let latin = format!("{}/latin", address.rsplit_once('/').expect("a database").0);
    let error = SqlStore::open(&latin, &Options::default()).err().expect("refused").to_string();
    assert!(error.contains("LATIN1") && error.contains("ENCODING 'UTF8'"), "{error}");
}

#[test]
fn no_server_and_a_wrong_password_are_told_without_the_password() {
    for address in ["postgres://u:hunter2@127.0.0.1:1/d", "postgres://u:hunter2@127.0.0.1/d?colour=red"] {
        let error = SqlStore::open(address, &Options::default()).err().expect("refused");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

fn change(address: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(address, tokio_postgres::NoTls).await.expect("connects");
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.expect("done");
        connection.abort();
    });
}
