//! Backup and restore, as an operator does them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use doorward_store::conformance::postgres;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Server, json, needs_root, printed, run, until};
use crate::serve::private;

const PASSWORD: &str = "a long password 1";
/// No user of this machine's.
const SOMEBODY: u32 = 65_534;
const STORE: &str = ".doorward/doorward.db";

/// What a running server gave out, and what it answers to that.
struct GivenOut {
    access: String,
    refresh: String,
    key: String,
    kid: String,
}

impl GivenOut {
    fn by(server: &Server) -> Self {
        json(
            &server.command(
                &["user", "create", "--username", "ada", "--password-stdin"],
                &format!("{PASSWORD}\n"),
            ),
        );
        let made = ["key", "create", "--user", "ada", "--name", "x", "--scope", "read", "--expires", "never"];
        let key = json(&server.command(&made, ""))["key"].as_str().expect("a key").to_owned();
        let told = log_in(server);
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token"), key, kid: signs(server) }
    }

    /// The statuses of its access token, its API key and its refresh token, which is used up by that.
    fn statuses(&self, server: &Server) -> [String; 3] {
        let me = |credential: &str| {
            let authorization = format!("Authorization: Bearer {credential}");
            status(&["-H", &authorization, &format!("{}/v1/me", server.url())])
        };
        let form = format!("grant_type=refresh_token&refresh_token={}", self.refresh);
        let refreshed = status(&["-d", &form, &format!("{}/v1/token", server.url())]);
        [me(&self.access), me(&self.key), refreshed]
    }
}

fn status(arguments: &[&str]) -> String {
    let asked =
        Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).args(arguments).output();
    String::from_utf8(asked.expect("curl is there").stdout).expect("digits")
}

fn log_in(server: &Server) -> Value {
    let form = format!("grant_type=password&username=ada&password={}", PASSWORD.replace(' ', "%20"));
    let asked =
        Command::new("curl").args(["-s", "-f", "-d", &form, &format!("{}/v1/token", server.url())]).output();
    let asked = asked.expect("curl is there");
    assert!(asked.status.success(), "{}", server.log());
    serde_json::from_slice(&asked.stdout).expect("JSON")
}

/// The key that signs.
fn signs(server: &Server) -> String {
    let keys = json(&server.command(&["token", "keys"], ""));
    let signs = keys.as_array().expect("a list").iter().find(|key| key["signs"] == true).expect("one signs");
    signs["id"].as_str().expect("an id").to_owned()
}

/// Somewhere else, with the master key of `server`.
fn elsewhere(server: &Server) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join(".doorward");
    fs::create_dir(&data).expect("made");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("closed");
    let key = fs::read_to_string(server.directory().join(".doorward/master.key")).expect("a key");
    private(&data.join("master.key"), &key);
    home
}

fn start(home: TempDir) -> Server {
    Server::start(home, &["dev", "--listen", "127.0.0.1:0"])
}

/// What lies in the data directory, but for what SQLite keeps beside a store that is open.
fn lying(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join(".doorward")).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("readable").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).filter(|name| !name.contains(".db-")).collect();
    names.sort();
    names
}

/// A server with a backup that was made while it was written to; both credentials and file come back.
fn backed_up() -> (Server, GivenOut, PathBuf) {
    let server = Server::dev();
    let given = GivenOut::by(&server);
    let authorization = format!("Authorization: Bearer {}", given.access);
    let url = format!("{}/v1/threads", server.url());
    let mut writer = Command::new("sh")
        .args(["-c", "while :; do curl -s -o /dev/null -H \"$1\" -H 'Content-Type: application/json' -d '{}' \"$2\"; done"])
        .args(["sh", &authorization, &url])
        .spawn()
        .expect("sh is there");
    let threads = || {
        let asked = Command::new("curl").args(["-s", "-H", &authorization, &url]).output();
        let listed = String::from_utf8(asked.expect("curl is there").stdout).expect("text");
        listed.contains("thr_").then_some(())
    };
    until("the first write", threads);
    let file = server.directory().join("backup.db");
    let told = json(&server.command(&["backup", "--output", "backup.db"], ""));
    let _ = writer.kill();
    let _ = writer.wait();
    let metadata = fs::metadata(&file).expect("there");
    assert_eq!(told["size_bytes"], metadata.len());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    (server, given, file)
}

#[test]
fn a_restored_store_lets_people_log_in_and_nothing_that_was_given_out_in() {
    let (mut server, given, file) = backed_up();
    let lines = json(&server.command(&["audit", "list", "--action", "backup:make"], ""));
    let outcomes: Vec<&Value> =
        lines.as_array().expect("a list").iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["done", "begun"], "{lines}");

    let home = elsewhere(&server);
    let file = file.to_str().expect("UTF-8");
    let told = json(&run(home.path(), &["restore", file, "--data-dir", ".doorward", "--json"]));
    assert_eq!((&told["sessions_ended"], &told["kept"]), (&true.into(), &Value::Null), "{told}");
    let restored = start(home);
    assert_eq!(given.statuses(&restored), ["401", "401", "401"]);
    log_in(&restored);
    let signing = signs(&restored);
    assert!(signing != given.kid && told["signing_key"] == signing.as_str(), "{told}, {}", given.kid);
    let audit = json(&restored.command(&["audit", "verify"], ""));
    assert_eq!(audit["ok"], true, "{audit}");
    drop(restored);

    // As it was, where that is asked for.
    let home = elsewhere(&server);
    let keep = ["restore", file, "--data-dir", ".doorward", "--keep-sessions", "--json"];
    let told = json(&run(home.path(), &keep));
    assert_eq!((&told["sessions_ended"], &told["signing_key"]), (&false.into(), &Value::Null), "{told}");
    let restored = start(home);
    assert_eq!(given.statuses(&restored), ["200", "200", "200"]);
    assert_eq!(signs(&restored), given.kid);
    drop(restored);

    // In the place of a newer store, once nobody uses that.
    let replace = ["restore", file, "--replace", "--json"];
    let refused = run(server.directory(), &replace);
    assert!(!refused.status.success() && printed(&refused).contains("is in use"), "{}", printed(&refused));
    json(
        &server.command(&["user", "create", "--username", "bob", "--password-stdin"], "another password 2\n"),
    );
    assert_eq!(server.stop(), Some(0));
    let told = json(&run(server.directory(), &replace));
    let bob = || run(server.directory(), &["user", "show", "bob"]).status.success();
    assert!(!bob(), "he came after the backup");
    let kept = server.directory().join(told["kept"].as_str().expect("a path"));
    fs::rename(kept, server.directory().join(STORE)).expect("put back");
    assert!(bob(), "what was there was kept whole");
}

#[test]
fn a_restore_that_is_refused_has_touched_nothing() {
    let mut server = Server::dev();
    json(&server.command(&["backup", "--output", "backup.db"], ""));
    let again = server.command(&["backup", "--output", "backup.db"], "");
    assert!(!again.status.success() && printed(&again).contains("there already"), "{}", printed(&again));
    assert_eq!(server.stop(), Some(0));
    let home = server.directory();
    let whole = fs::read(home.join("backup.db")).expect("there");
    fs::write(home.join("cut.db"), &whole[..whole.len() / 2]).expect("written");
    fs::write(home.join("text.db"), "hello").expect("written");
    fs::write(home.join("foreign.key"), "11".repeat(16) + &"2a7f".repeat(8)).expect("written");
    let (lay, was) = (lying(home), fs::read(home.join(STORE)).expect("a store"));
    let other_key = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d";
    let config = format!("[store]\npath = \"{STORE}\"\n[secrets]\nmaster_key = \"{other_key}\"\n");
    private(&home.join("other.toml"), &config);
    for (arguments, expected) in [
        (vec!["backup.db"], "--replace"),
        (vec!["cut.db", "--replace"], "is damaged"),
        (vec!["text.db", "--replace"], "no SQLite database"),
        (vec!["absent.db", "--replace"], "No such file"),
        (vec!["backup.db", "--replace", "--config", "other.toml"], "[wrong_master_key]"),
        (vec!["backup.db", "--replace", "--data-dir", "absent"], "there is no master key in absent"),
    ] {
        let output = run(home, &[&["restore"], &*arguments].concat());
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(expected) && text.contains("mend: "), "{arguments:?}: {text}");
        assert_eq!(lying(home), lay, "{arguments:?}");
        assert!(fs::read(home.join(STORE)).expect("a store") == was, "{arguments:?}: it was written to");
    }
}

/// A place of root's with a directory of somebody else's in it, who runs the server.
fn of_two_users() -> Option<TempDir> {
    if needs_root("to be another user's root") {
        return None;
    }
    let home = elsewhere(&Server::dev());
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    for (name, mode) in [("theirs", 0o700), ("roots", 0o700)] {
        fs::create_dir(home.path().join(name)).expect("made");
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(mode)).expect("ours");
    }
    chown(home.path().join("theirs"), Some(SOMEBODY), Some(SOMEBODY)).expect("given");
    let config = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"theirs/doorward.db\"\n\
                  [secrets]\nmaster_key_file = \".doorward/master.key\"\n";
    private(&home.path().join("doorward.toml"), config);
    Some(home)
}

#[test]
fn roots_restore_and_backup_are_the_store_users_where_that_one_can_change_names() {
    let Some(home) = of_two_users() else { return };
    let at = |name: &str| home.path().join(name);
    let whose = |name: &str| fs::symlink_metadata(at(name)).map(|found| (found.uid(), found.mode() & 0o777));
    // A store of that user's, and a backup that is root's alone.
    let made = run(home.path(), &["migrate", "apply", "--config", "doorward.toml"]);
    assert!(made.status.success(), "{}", printed(&made));
    let backup = ["backup", "--config", "doorward.toml", "--output"];
    json(&run(home.path(), &[&backup[..], &["roots/backup.db", "--json"]].concat()));
    chown(at("theirs/doorward.db"), Some(SOMEBODY), Some(SOMEBODY)).expect("given");
    let restore = ["restore", "roots/backup.db", "--replace", "--config", "doorward.toml", "--json"];
    json(&run(home.path(), &restore));
    assert_eq!(whose("theirs/doorward.db").expect("there"), (SOMEBODY, 0o600));
    json(&run(home.path(), &[&backup[..], &["theirs/backup.db", "--json"]].concat()));
    assert_eq!(whose("theirs/backup.db").expect("there"), (SOMEBODY, 0o600));

    // A name that leads to what is root's, whatever that is, is not followed.
    private(&at("roots/precious"), "of root");
    fs::write(at("precious"), "of root").expect("written");
    let whole = fs::read(at("roots/backup.db")).expect("there");
    fs::write(at("database"), &whole).expect("written");
    for target in ["roots/precious", "precious", "database"] {
        fs::remove_file(at("theirs/doorward.db")).expect("there");
        symlink(at(target), at("theirs/doorward.db")).expect("a link");
        let before = (fs::read(at(target)).expect("there"), whose(target).expect("there"));
        let refused = run(home.path(), &restore);
        let text = printed(&refused);
        assert!(!refused.status.success() && text.contains("mend"), "{target}: {text}");
        let after = (fs::read(at(target)).expect("there"), whose(target).expect("there"));
        assert!(before == after, "{target} was changed: {text}");
        assert!(whose("theirs/doorward.db").is_ok());
    }
    // Nor what is theirs is read by root's eyes.
    fs::remove_file(at("theirs/doorward.db")).expect("there");
    symlink(at("roots/backup.db"), at("theirs/link.db")).expect("a link");
    let refused = run(home.path(), &["restore", "theirs/link.db", "--config", "doorward.toml"]);
    assert!(!refused.status.success(), "{}", printed(&refused));
    assert!(printed(&refused).contains("Permission denied"), "{}", printed(&refused));
}

#[test]
fn a_database_is_copied_by_its_own_tools_and_begins_anew_by_two_commands() {
    let database = postgres::Server::start();
    let (from, to) = (database.database(), database.database());
    let home = |url: &str| {
        let home = tempfile::tempdir().expect("a directory");
        private(&home.path().join("store.url"), url);
        private(
            &home.path().join("master.key"),
            "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d",
        );
        let text = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl_file = \"store.url\"\n\
                    [secrets]\nmaster_key_file = \"master.key\"\n";
        fs::write(home.path().join("doorward.toml"), text).expect("written");
        home
    };
    let serve = |home| Server::start(home, &["dev", "--config", "doorward.toml"]);
    let server = serve(home(&from));
    let given = GivenOut::by(&server);
    for (arguments, tool) in
        [(vec!["backup", "--output", "x.db"], "pg_dump"), (vec!["restore", "x.db"], "pg_restore")]
    {
        let refused = run(server.directory(), &arguments);
        assert!(!refused.status.success() && printed(&refused).contains(tool), "{}", printed(&refused));
    }
    let dump = server.directory().join("today.dump");
    let tool = |name: &str, arguments: &[&str]| {
        // Where the server's own programs are, which need not be in the PATH.
        let told =
            Command::new(database.program(name).get_program()).args(arguments).output().expect("it starts");
        assert!(told.status.success(), "{name}: {}", printed(&told));
    };
    let dump_name = dump.to_str().expect("UTF-8");
    tool("pg_dump", &["--format=custom", "--no-owner", "--file", dump_name, &from]);
    tool(
        "pg_restore",
        &["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", &to, dump_name],
    );
    let restored = serve(home(&to));
    let audit = json(&restored.command(&["audit", "verify"], ""));
    assert_eq!(audit["ok"], true, "{audit}");
    json(&restored.command(&["token", "rotate-key"], ""));
    json(&restored.command(&["token", "retire-key", &given.kid], ""));
    json(&restored.command(&["token", "revoke", "--all"], ""));
    until("the revocation", || (given.statuses(&restored) == ["401", "401", "401"]).then_some(()));
    log_in(&restored);
}
