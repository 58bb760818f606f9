//! What opening does to a schema, and when it refuses.

use doorward_core::agents::model::Thread;
use doorward_core::authz::filter::Filter;
use doorward_core::ports::Write;
use doorward_core::ports::store::{ThreadOrder, ThreadQuery, ThreadSort, Threads, Users};
use doorward_store::conformance::samples::{NOW_MS, thread, user};
use doorward_store::migrate::{MIGRATIONS, Pending, Upgrade};
use doorward_store::{Options, SqlStore, migrate, pending};
use serde_json::json;

use crate::fresh::{File, corrupt, put};

fn refuse() -> Options {
    Options { upgrade: Upgrade::Refuse, ..Options::default() }
}

fn versions(pending: &[Pending]) -> Vec<i64> {
    pending.iter().map(|pending| pending.version).collect()
}

#[test]
fn migrations_are_numbered_from_one_without_gaps() {
    for (expected, migration) in (1..).zip(MIGRATIONS) {
        assert_eq!(migration.version, expected, "{}", migration.name);
    }
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the directory of migrations")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    files.sort();
    let table: Vec<_> = MIGRATIONS.iter().map(|m| format!("{:04}_{}.sql", m.version, m.name)).collect();
    assert_eq!(files, table, "every file has a row");
}

#[test]
fn migrations_speak_the_vocabulary_of_every_backend() {
    for migration in MIGRATIONS {
        let text: String = migration
            .sql
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect::<Vec<_>>()
            .join("\n");
        for word in
            ["INTEGER", "AUTOINCREMENT", "WITHOUT ROWID", "JSON", "BLOB", "REAL", "DATETIME", "STRICT"]
        {
            let found = text.to_uppercase().split(|c: char| !c.is_alphanumeric() && c != ' ').any(|part| {
                part.split(' ').any(|token| token == word) || part.contains(word) && word.contains(' ')
            });
            assert!(!found, "{} {}: {word} is one database's word", migration.version, migration.name);
        }
    }
}

#[test]
fn a_checksum_does_not_depend_on_line_ends() {
    for migration in MIGRATIONS {
        let text: &'static str = Box::leak(migration.sql.replace('\n', "\r\n").into_boxed_str());
        let other = doorward_store::migrate::Migration { version: 1, name: "x", sql: text };
        assert_eq!(other.checksum(), migration.checksum());
        let changed: &'static str = Box::leak(format!("{} ", migration.sql).into_boxed_str());
        let other = doorward_store::migrate::Migration { version: 1, name: "x", sql: changed };
        assert_ne!(other.checksum(), migration.checksum());
    }
}

#[test]
fn what_is_pending_is_told_applied_once_and_noted() {
    let file = File::new();
    let address = file.path.to_str().expect("UTF-8");
    let all: Vec<_> = MIGRATIONS.iter().map(|m| m.version).collect();
    assert_eq!(versions(&pending(address).expect("a plan")), all);
    assert!(!file.path.exists(), "asking creates nothing");
    let options = Options { now_ms: NOW_MS, ..Options::default() };
    assert_eq!(versions(&migrate(address, &options).expect("migrating")), all);
    assert!(versions(&pending(address).expect("a plan")).is_empty());
    assert!(versions(&migrate(address, &options).expect("migrating again")).is_empty());
    let noted: (i64, i64, i64) = file
        .outsider()
        .query_row("SELECT COUNT(*), MIN(applied_at_ms), MAX(applied_at_ms) FROM migration", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .expect("the table of migrations");
    assert_eq!(noted, (MIGRATIONS.len() as i64, NOW_MS, NOW_MS));
    SqlStore::open(address, &refuse()).expect("a schema that is up to date opens either way");
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_refused_and_left_alone() {
    for (name, change, words) in [
        ("altered text", "UPDATE migration SET checksum = 'x' WHERE version = 2", "another text"),
        ("newer schema", "INSERT INTO migration VALUES (99, 'future', 'x', 0)", "newer"),
        ("a gap", "DELETE FROM migration WHERE version = 2", "another text"),
    ] {
        let file = File::new();
        put(&file.open(), vec![Write::InsertUser(user("a"))]).await;
        file.outsider().execute_batch(change).expect("the note can be changed");
        let address = file.path.to_str().expect("UTF-8");
        for (way, text) in [
            ("open", corrupt(file.open_with(&Options::default()).map(drop))),
            ("open without upgrade", corrupt(file.open_with(&refuse()).map(drop))),
            ("pending", corrupt(pending(address))),
            ("migrate", corrupt(migrate(address, &Options::default()))),
        ] {
            assert!(text.contains(words), "{name}, {way}: {text}");
        }
        let left: i64 = file
            .outsider()
            .query_row("SELECT COUNT(*) FROM account", [], |row| row.get(0))
            .expect("the data is still there");
        assert_eq!(left, 1, "{name}");
    }
}

#[tokio::test]
async fn a_schema_that_is_behind_is_brought_up_to_date_or_refused() {
    let file = File::new();
    let made = [("a", 3), ("b", 9), ("c", 1)].map(|(n, at_ms)| {
        let made = thread(n, "local|a", json!({"team": "red"}));
        Write::InsertThread(Thread { updated_at_ms: NOW_MS + at_ms, ..made })
    });
    put(&file.open(), made.into_iter().chain([Write::InsertUser(user("a"))]).collect()).await;
    let last = MIGRATIONS.last().expect("there are migrations");
    file.outsider()
        .execute_batch(&format!(
            "DROP INDEX label_value; DROP INDEX run_thread; ALTER TABLE label DROP COLUMN changed_at_ms; \
             CREATE INDEX label_value ON label (key, value, item, resource); \
             CREATE INDEX run_thread ON run (thread, id); DELETE FROM migration WHERE version = {}",
            last.version
        ))
        .expect("the newest migration can be undone");
    let address = file.path.to_str().expect("UTF-8");
    assert_eq!(versions(&pending(address).expect("a plan")), [last.version]);
    let text = corrupt(file.open_with(&refuse()).map(drop));
    assert!(text.contains("doorward migrate") && text.contains(last.name), "{text}");
    let store = file.open();
    assert!(store.user(&"usr_a".into()).await.expect("a read").is_some());
    assert!(versions(&pending(address).expect("a plan")).is_empty());
    // What was there before is found in the order that it brings.
    let sort = ThreadSort { by: ThreadOrder::UpdatedAt, ascending: false };
    let filter = &Filter::Eq("team".into(), "red".into());
    let query = ThreadQuery { mount: "native", filter, sort, after: None, offset: 0, limit: 9 };
    let found = store.sorted_threads(&query).await.expect("a list");
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["thr_b", "thr_a", "thr_c"]);
}

#[test]
fn a_migration_that_fails_leaves_the_version_before_it() {
    let file = File::new();
    drop(file.open());
    let last = MIGRATIONS.last().expect("there are migrations");
    // What it makes is still there, so applying the newest migration again must fail, and fail whole.
    let note = format!("DELETE FROM migration WHERE version = {}", last.version);
    file.outsider().execute_batch(&note).expect("the note can be removed");
    for _ in 0..2 {
        corrupt(file.open_with(&Options::default()).map(drop));
        let address = file.path.to_str().expect("UTF-8");
        assert_eq!(versions(&pending(address).expect("a plan")), [last.version]);
    }
}
