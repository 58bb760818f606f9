//! Where stores are, who may read them, and what cannot be opened.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use doorward_core::ports::Write;
use doorward_core::ports::store::{Page, Users};
use doorward_store::conformance::samples::user;
use doorward_store::migrate::Upgrade;
use doorward_store::{Options, SqlStore, permissions};

use crate::fresh::{File, corrupt, put, unavailable};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("one's own file");
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[tokio::test]
async fn new_stores_are_their_owners_alone() {
    let parent = File::new();
    let path = parent.directory.path().join("deep/er/store.db");
    let store = SqlStore::open_path(&path, &Options::default()).expect("the store opens");
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    for directory in ["deep", "deep/er"] {
        assert_eq!(mode(&parent.directory.path().join(directory)), 0o700, "{directory}");
    }
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&beside(&path, suffix)), 0o600, "{suffix:?}");
    }
    permissions(path.to_str().expect("UTF-8")).expect("closed to others");
}

#[tokio::test]
async fn an_open_door_is_named_with_its_remedy() {
    let file = File::new();
    let store = file.open();
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let address = format!("sqlite:{}", file.path.display());
    for (name, path, bits, wanted) in [
        ("readable by others", file.path.clone(), 0o604, 0o600),
        ("readable by the group", file.path.clone(), 0o640, 0o600),
        ("writable by others", file.path.clone(), 0o602, 0o600),
        ("its log", beside(&file.path, "-wal"), 0o644, 0o600),
        ("its index", beside(&file.path, "-shm"), 0o644, 0o600),
        ("its directory", file.directory.path().to_path_buf(), 0o755, 0o700),
    ] {
        let before = mode(&path);
        set_mode(&path, bits);
        let problem = permissions(&address).expect_err(name);
        assert_eq!(
            (problem.path.as_path(), problem.mode, problem.wanted),
            (path.as_path(), bits, wanted),
            "{name}"
        );
        let text = problem.to_string();
        assert!(text.contains(&format!("chmod {wanted:o} '{}'", path.display())), "{name}: {text}");
        set_mode(&path, before);
        permissions(&address).expect(name);
    }
    set_mode(file.directory.path(), 0o750);
    permissions(&address).expect("a group may pass a directory whose files are closed to it");
}

#[tokio::test]
async fn what_does_not_exist_lets_nobody_in() {
    let file = File::new();
    permissions(file.path.to_str().expect("UTF-8")).expect("there is nothing to read");
    permissions("sqlite::memory:").expect("there is no file");
    assert!(!file.path.exists(), "looking creates nothing");
}

#[tokio::test]
async fn what_cannot_be_a_store_says_so() {
    let file = File::new();
    let here = file.directory.path();
    fs::write(here.join("text"), "no database, and long enough to have a header of some kind".repeat(20))
        .expect("a file");
    let other = rusqlite::Connection::open(here.join("other.db")).expect("a database");
    other.execute_batch("CREATE TABLE things (id INTEGER)").expect("a table");
    drop(other);
    let open = |address: &str| SqlStore::open(address, &Options::default()).map(drop);
    let at = |name: &str| here.join(name).to_str().expect("UTF-8").to_owned();
    for (name, address) in [
        ("a directory", at("")),
        ("below a file", at("text/store.db")),
        ("no name", String::new()),
        ("no name after the scheme", "sqlite:".to_owned()),
        ("an unknown database", "oracle:x".to_owned()),
        ("a NUL byte", at("a\0b")),
        ("a name beyond every limit", at(&"x".repeat(5_000))),
        ("a file system that takes no files", "/proc/doorward/store.db".to_owned()),
    ] {
        assert!(!unavailable(open(&address)).is_empty(), "{name}");
    }
    for (name, address) in [("another format", at("text")), ("another program's", at("other.db"))] {
        assert!(!corrupt(open(&address)).is_empty(), "{name}");
    }
    let other = rusqlite::Connection::open(here.join("other.db")).expect("a database");
    let tables: i64 =
        other.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0)).expect("a count");
    assert_eq!(tables, 1, "another program's database is left as it was");
}

#[tokio::test]
async fn odd_names_are_names() {
    let directory = File::new();
    for name in ["a?mode=memory", "a b", "a%20b", "ä😀", "a'b", "-a", "a#b"] {
        let path = directory.directory.path().join(name);
        let store = SqlStore::open_path(&path, &Options::default()).expect(name);
        put(&store, vec![Write::InsertUser(user("a"))]).await;
        drop(store);
        assert!(path.is_file(), "{name}");
        let store = SqlStore::open(path.to_str().expect("UTF-8"), &Options::default()).expect(name);
        assert!(store.user(&"usr_a".into()).await.expect("a read").is_some(), "{name}");
    }
}

#[tokio::test]
async fn opening_without_upgrade_creates_nothing() {
    let file = File::new();
    let options = Options { upgrade: Upgrade::Refuse, ..Options::default() };
    unavailable(file.open_with(&options).map(drop));
    assert!(!file.path.exists());
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let file = File::new();
    for round in 0..3 {
        let store = file.open();
        let users = store.users(Page { after: None, limit: 9 }).await.expect("a page");
        assert_eq!(users.len(), round);
        put(&store, vec![Write::InsertUser(user(&round.to_string()))]).await;
    }
}

#[tokio::test]
async fn a_temporary_store_leaves_nothing_and_shares_nothing() {
    let first = SqlStore::memory().expect("it opens");
    let second = SqlStore::memory().expect("it opens");
    put(&first, vec![Write::InsertUser(user("a"))]).await;
    assert_eq!(second.user(&"usr_a".into()).await.expect("a read"), None);
    assert!(first.clone().user(&"usr_a".into()).await.expect("a read").is_some());
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_unavailable() {
    let file = File::new();
    let store = file.open();
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    drop(store);
    set_mode(&file.path, 0o400);
    if fs::OpenOptions::new().append(true).open(&file.path).is_ok() {
        eprintln!(
            "LEFT OUT: the superuser writes whatever the permissions say; run this test as somebody else"
        );
        return;
    }
    unavailable(file.open_with(&Options::default()).map(drop));
    set_mode(&file.path, 0o600);
    assert!(file.open().user(&"usr_a".into()).await.expect("a read").is_some());
}
