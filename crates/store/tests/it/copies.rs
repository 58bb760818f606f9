//! Copies of a store that is in use, and stores that copies take the place of.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::ports::Write;
use doorward_core::ports::store::Users;
use doorward_store::conformance::chains::{chains_hold, lines_of};
use doorward_store::conformance::samples::{line, user};
use doorward_store::file::{Draft, FileError, Integrity, back_up, integrity};
use doorward_store::{Options, SqlStore};

use crate::fresh::{File, put, unavailable};

/// Writes that go on while a copy is made.
const WRITES: usize = 400;

fn beside(file: &File, name: &str) -> PathBuf {
    file.directory.path().join(name)
}

fn copy(file: &File, name: &str) -> PathBuf {
    let to = beside(file, name);
    back_up(&file.path, &to, &mut |_, _| {}).expect("copied");
    to
}

fn names(file: &File) -> Vec<String> {
    let entries = fs::read_dir(file.directory.path()).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn count(path: &Path) -> u64 {
    let store = SqlStore::open_path(path, &Options::default()).expect("it opens");
    store.count_users().await.expect("a read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_one_moment_of_a_store_that_is_written_to() {
    let file = File::new();
    let store = file.open();
    let acknowledged = AtomicUsize::new(0);
    let write = async {
        for n in 0..WRITES {
            put(&store, vec![Write::InsertUser(user(&n.to_string())), line("nod_1", "user:create")]).await;
            acknowledged.store(n + 1, Ordering::Release);
        }
    };
    let make = async {
        while acknowledged.load(Ordering::Acquire) < WRITES / 8 {
            tokio::task::yield_now().await;
        }
        let before = acknowledged.load(Ordering::Acquire);
        let (from, to) = (file.path.clone(), beside(&file, "copy.db"));
        let mut told = Vec::new();
        let (told, size_bytes) = tokio::task::spawn_blocking(move || {
            let size_bytes = back_up(&from, &to, &mut |done, all| told.push((done, all))).expect("copied");
            (told, size_bytes)
        })
        .await
        .expect("it ends");
        (before, told, size_bytes)
    };
    let ((), (before, told, size_bytes)) = tokio::join!(write, make);
    let copy = beside(&file, "copy.db");
    assert_eq!(fs::metadata(&copy).expect("there").len(), size_bytes);
    assert!(told.last().is_some_and(|(done, all)| done == all && *all > 0), "{told:?}");
    assert!(
        !names(&file).iter().any(|name| name.starts_with("copy.db-")),
        "it is one file: {:?}",
        names(&file)
    );
    // Whole transactions, in order, and none that was acknowledged before is missing.
    let copied = SqlStore::open_path(&copy, &Options::default()).expect("it opens");
    let users = usize::try_from(copied.count_users().await.expect("a read")).expect("few");
    assert!((before..=WRITES).contains(&users), "{users} of {WRITES}, {before} before");
    let handle: doorward_store::conformance::Handle = std::sync::Arc::new(copied);
    let lines = lines_of(&handle).await;
    assert_eq!(lines.len(), users, "a line for each, in the same transaction");
    chains_hold(&lines);
}

#[tokio::test]
async fn a_copy_never_takes_the_place_of_a_file_and_leaves_nothing_when_it_fails() {
    let file = File::new();
    drop(file.open());
    let there = beside(&file, "there");
    fs::write(&there, "precious").expect("written");
    let error = back_up(&file.path, &there, &mut |_, _| {}).expect_err("refused");
    assert!(matches!(error, FileError::Exists(_)), "{error}");
    assert_eq!(fs::read_to_string(&there).expect("there"), "precious");
    let nowhere = beside(&file, "no such directory/copy");
    assert!(matches!(back_up(&file.path, &nowhere, &mut |_, _| {}), Err(FileError::Io { .. })));
    let before = names(&file);
    let mut damaged = fs::read(&file.path).expect("there");
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0xa5);
    fs::write(&file.path, &damaged).expect("written");
    assert!(back_up(&file.path, &beside(&file, "copy"), &mut |_, _| {}).is_err(), "a damaged store");
    assert_eq!(names(&file), before);
}

#[test]
fn what_a_killed_backup_left_behind_goes_with_the_next_one_and_what_is_being_made_stays() {
    let file = File::new();
    drop(file.open());
    let place = tempfile::tempdir().expect("a directory");
    let listed = || {
        let entries = fs::read_dir(place.path()).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let mut drafts = Vec::new();
    back_up(&file.path, &place.path().join("a.db"), &mut |_, _| drafts = listed()).expect("copied");
    let [draft] = drafts.as_slice() else { unreachable!("one name while it is made: {drafts:?}") };
    assert!(draft.starts_with('.') && !draft.ends_with(".db"), "no copy by its name: {draft}");
    // As two processes leave it that were killed, one of them just now; and what is somebody else's.
    let hours = |n: u64| std::time::Duration::from_secs(n * 3_600);
    for (name, age) in [("1".to_owned() + draft, 13), (format!(".1{draft}"), 13), (format!(".2{draft}"), 11)]
    {
        let left = fs::File::create(place.path().join(name)).expect("made");
        let now = left.metadata().and_then(|made| made.modified()).expect("a time");
        left.set_modified(now - hours(age)).expect("ours");
    }
    back_up(&file.path, &place.path().join("b.db"), &mut |_, _| {}).expect("copied");
    assert_eq!(
        listed(),
        [format!(".2{draft}"), "1".to_owned() + draft, "a.db".to_owned(), "b.db".to_owned()]
    );
}

#[tokio::test]
async fn a_draft_that_is_not_put_in_place_is_gone_and_nothing_was_touched() {
    let file = File::new();
    put(&file.open(), vec![Write::InsertUser(user("1"))]).await;
    let backup = copy(&file, "backup");
    put(&file.open(), vec![Write::InsertUser(user("2"))]).await;
    let before = names(&file);
    let error = Draft::of(&backup, &file.path).expect("a draft").put(false).expect_err("there is one");
    assert!(matches!(error, FileError::Exists(_)), "{error}");
    drop(Draft::of(&backup, &file.path).expect("a draft"));
    assert_eq!(names(&file), before);
    assert_eq!(count(&file.path).await, 2);
}

#[tokio::test]
async fn what_was_replaced_is_kept_whole_with_what_was_only_in_its_log() {
    let file = File::new();
    put(&file.open(), vec![Write::InsertUser(user("1"))]).await;
    let backup = copy(&file, "backup");
    // As a process leaves it that was killed: the newest write is in the log alone.
    let left = File::new();
    let store = file.open();
    put(&store, vec![Write::InsertUser(user("2"))]).await;
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", file.path.display());
        fs::copy(from, format!("{}{suffix}", left.path.display())).expect("copied");
    }
    drop(store);
    let log = format!("{}-wal", left.path.display());
    assert!(fs::metadata(&log).expect("a log").len() > 0);
    let kept = Draft::of(&backup, &left.path).expect("a draft").put(true).expect("put").expect("kept");
    assert!(!Path::new(&log).exists(), "no log waits for a file it is not of");
    assert_eq!((count(&left.path).await, count(&kept).await), (1, 2));
}

#[tokio::test]
async fn a_store_past_opening_is_replaced_and_a_log_without_a_store_is_not_overlooked() {
    let file = File::new();
    put(&file.open(), vec![Write::InsertUser(user("1"))]).await;
    let backup = copy(&file, "backup");
    fs::write(&file.path, "no database at all").expect("written");
    let kept = Draft::of(&backup, &file.path).expect("a draft").put(true).expect("put").expect("kept");
    assert_eq!(fs::read_to_string(kept).expect("kept"), "no database at all");
    assert_eq!(count(&file.path).await, 1);
    let elsewhere = File::new();
    fs::write(format!("{}-wal", elsewhere.path.display()), "left behind").expect("written");
    let put = |replace| Draft::of(&backup, &elsewhere.path).expect("a draft").put(replace);
    assert!(matches!(put(false), Err(FileError::Exists(_))));
    put(true).expect("put");
    assert_eq!(count(&elsewhere.path).await, 1);
}

#[tokio::test]
async fn a_link_to_where_the_store_is_stays_a_link() {
    let (file, elsewhere) = (File::new(), File::new());
    drop(file.open());
    let backup = copy(&file, "backup");
    put(&file.open(), vec![Write::InsertUser(user("1"))]).await;
    std::os::unix::fs::symlink(&file.path, &elsewhere.path).expect("a link");
    Draft::of(&backup, &elsewhere.path).expect("a draft").put(true).expect("put");
    assert!(fs::symlink_metadata(&elsewhere.path).expect("there").is_symlink());
    assert_eq!(count(&file.path).await, 0);
}

#[tokio::test]
async fn a_draft_whose_name_leads_elsewhere_meanwhile_is_not_put_and_nothing_there_changes() {
    let file = File::new();
    put(&file.open(), vec![Write::InsertUser(user("1"))]).await;
    let backup = copy(&file, "backup");
    // A store as good as any, of somebody else's.
    let other = copy(&file, "other");
    let before = (fs::read(&other).expect("there"), owner(&other));
    fs::remove_file(&file.path).expect("ours");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(file.directory.path(), Some(65534), Some(65534)).expect("ours");
    }
    let draft = Draft::of(&backup, &file.path).expect("a draft");
    fs::remove_file(draft.path()).expect("ours");
    std::os::unix::fs::symlink(&other, draft.path()).expect("a link");
    let error = draft.put(true).expect_err("refused").to_string();
    assert!(error.contains("somebody else changed it"), "{error}");
    assert!((fs::read(&other).expect("there"), owner(&other)) == before, "it is as it was");
    assert!(!file.path.exists());
    // Nor one that has a second name, by which it could be written to later.
    let draft = Draft::of(&backup, &file.path).expect("a draft");
    fs::hard_link(draft.path(), beside(&file, "second")).expect("a name");
    assert!(draft.put(true).is_err());
}

fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).expect("there");
    (found.uid(), found.gid())
}

#[test]
fn what_is_no_backup_is_told_by_what_it_is() {
    let file = File::new();
    drop(file.open());
    let whole = fs::read(copy(&file, "backup")).expect("there");
    let make = |name: &str, bytes: &[u8]| {
        let path = beside(&file, name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let mut scratched = whole.clone();
    scratched[8192..16384].fill(0x5a);
    let sql = |name: &str, text: &str| {
        let path = make(name, &whole);
        let other = rusqlite::Connection::open(&path).expect("it opens");
        other.execute_batch(text).expect("done");
        path
    };
    let empty = beside(&file, "of another program");
    rusqlite::Connection::open(&empty).and_then(|c| c.execute_batch("CREATE TABLE t (a)")).expect("made");
    let nothing = beside(&file, "without tables");
    rusqlite::Connection::open(&nothing)
        .and_then(|c| c.execute_batch("PRAGMA user_version = 1"))
        .expect("made");
    for (path, expected) in [
        (make("a text", b"hello"), "it is no SQLite database"),
        (make("nothing", b""), "it is no SQLite database"),
        (make("cut off", &whole[..whole.len() / 2]), "is damaged"),
        (make("scratched", &scratched), "is damaged"),
        (empty, "another program's database"),
        (nothing, "it is empty"),
        (sql("newer", "INSERT INTO migration VALUES (9999, 'later', 'x', 0)"), "newer than"),
        (sql("altered", "UPDATE migration SET checksum = 'x' WHERE version = 1"), "with another text"),
        (beside(&file, "not there"), "No such file"),
    ] {
        let target = beside(&file, "restored");
        let error = Draft::of(&path, &target).err().map(|error| error.to_string());
        let error = error.expect("it is refused");
        assert!(error.contains(expected) && error.contains(&path.display().to_string()), "{error}");
        assert!(!names(&file).iter().any(|name| name.starts_with("restored")), "{:?}", names(&file));
    }
}

#[tokio::test]
async fn who_only_looks_sees_everything_and_changes_nothing() {
    let file = File::new();
    let look = Options { read_only: true, ..Options::default() };
    assert!(file.open_with(&look).is_err(), "it makes no store");
    assert!(names(&file).is_empty(), "{:?}", names(&file));
    let store = file.open();
    put(&store, vec![Write::InsertUser(user("1"))]).await;
    let looking = file.open_with(&look).expect("it opens");
    put(&store, vec![Write::InsertUser(user("2"))]).await;
    assert_eq!(looking.count_users().await.expect("a read"), 2);
    let refused = doorward_core::ports::store::Commit::commit(
        &looking,
        doorward_core::ports::Batch::durable(vec![Write::InsertUser(user("3"))]),
    );
    assert!(unavailable(refused.await).contains("to be looked at"));
    assert_eq!(store.count_users().await.expect("a read"), 2);
    let patience = std::time::Duration::from_secs(60);
    assert_eq!(integrity(&file.path, patience).expect("read"), Integrity::Whole);
}
