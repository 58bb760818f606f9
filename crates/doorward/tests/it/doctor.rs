//! What `doorward doctor` finds, and what it leaves alone.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use doorward::clock::SystemClock;
use doorward_core::clock::Clock as _;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Server, command, json, printed, run, until};
use crate::serve::{configured, private};

/// Stands for every secret of a configuration.
const CANARY: &str = "c4n4ry-zQ8vN2mKpL5sWx";

/// A configured store that was used once.
fn used(extra: &str) -> TempDir {
    let home = configured(extra);
    for arguments in [&["migrate", "apply"][..], &["user", "list"]] {
        let output = run(home.path(), arguments);
        assert!(output.status.success(), "{}", printed(&output));
    }
    home
}

/// Changes a store past every rule.
fn sql(home: &Path, text: &str) {
    let script =
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.close()";
    let store = home.join("store/doorward.db");
    let done = Command::new("python3").args(["-c", script]).arg(store).arg(text).status();
    assert!(done.expect("python3 is there").success());
}

/// A port of this machine that nobody listens on: it was free a moment ago.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Answers every request with the same status and JSON, until the test's process ends.
fn answering(status: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            // A connection that only looks whether somebody listens sends nothing.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

/// A certificate for `name` that ends in so many days and a half, and its key.
fn identity(home: &Path, name: &str, days: u64) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    let now_ms = u64::try_from(SystemClock.now_ms()).expect("after 1970");
    let ends = Duration::from_millis(now_ms) + Duration::from_secs(days * 86_400 + 43_200);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(1970, 1, 1) + ends;
    let certificate = params.self_signed(&key).expect("signed");
    private(&home.join("keys/chain.pem"), &certificate.pem());
    private(&home.join("keys/tls.key"), &key.serialize_pem());
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn doctor(home: &Path, only: &str) -> Output {
    run(home, &["doctor", "--only", only, "--json"])
}

/// Whether there is such a finding, with what to do and where to read more, and nothing of any secret.
#[track_caller]
fn finds(output: &Output, check: &str, level: &str, what: &str) {
    let text = printed(output);
    assert!(!text.contains(CANARY), "{text}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(told["findings"].is_array(), "JSON: {text}");
    let found = told["findings"].as_array().expect("a list").iter().find(|finding| {
        finding["check"] == check
            && finding["level"] == level
            && finding["what"].as_str().is_some_and(|said| said.contains(what))
    });
    assert!(found.is_some(), "no {level} of {check} says {what:?}: {text}");
    let found = found.expect("one does");
    assert_eq!(found["page"], format!("docs/doctor.md#{check}"));
    assert_eq!(found["mend"].as_str().is_some_and(|mend| !mend.is_empty()), level != "ok", "{text}");
    assert_eq!(output.status.code(), Some(i32::from(told["problems"] != 0)), "{text}");
}

#[test]
fn a_server_and_its_store_are_well_and_are_left_alone() {
    let mut server = Server::dev();
    json(&server.command(&["backup", "--output", "backup.db"], ""));
    let address = server.url().strip_prefix("http://").expect("plain").to_owned();
    let ask = |arguments: &[&str]| {
        let arguments = [&["doctor", "--json"], arguments].concat();
        command(server.directory(), &arguments)
            .env("DOORWARD__SERVER__LISTEN", &address)
            .output()
            .expect("it runs")
    };
    let told = json(&ask(&["--strict"]));
    let levels: Vec<_> =
        told["findings"].as_array().expect("a list").iter().map(|f| f["level"].clone()).collect();
    assert!(levels.len() > 10 && levels.iter().all(|level| level == "ok"), "{told}");
    finds(&ask(&[]), "listeners", "ok", "with the keys of this store");
    finds(&ask(&[]), "backups", "ok", "0 days ago");
    // Asked of another store, the same server is a stranger.
    let other = used(&format!("[server]\nlisten = \"{address}\"\n"));
    finds(&doctor(other.path(), "listeners"), "listeners", "problem", "the keys of another store");
    let public = used(&format!("[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://{address}\"\n"));
    finds(&doctor(public.path(), "address"), "address", "problem", "other keys");

    let ask_later = || {
        command(server.directory(), &["doctor", "--only", "listeners", "--strict"])
            .env("DOORWARD__SERVER__LISTEN", &address)
            .output()
            .expect("it runs")
            .status
            .code()
    };
    assert_eq!(ask_later(), Some(0));
    let lines = json(&server.command(&["audit", "verify"], ""));
    assert_eq!(lines["ok"], true, "{lines}");
    assert_eq!(server.stop(), Some(0));
    let store = server.directory().join(".doorward/doorward.db");
    let before = fs::read(&store).expect("a store");
    let later = run(server.directory(), &["doctor", "--json"]);
    finds(&later, "store", "ok", "opens with the master key");
    assert!(fs::read(&store).expect("a store") == before, "the store was written to");
}

#[test]
fn where_there_is_nothing_it_says_so_and_makes_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    finds(
        &run(home.path(), &["doctor", "--json"]),
        "configuration",
        "problem",
        "there is no store in .doorward",
    );
    assert_eq!(fs::read_dir(home.path()).expect("a directory").count(), 0);
    let home = configured("");
    finds(&doctor(home.path(), "store"), "store", "warning", "there is no store at");
    assert_eq!(fs::read_dir(home.path().join("store")).expect("a directory").count(), 0);
    json(&run(home.path(), &["migrate", "apply", "--json"]));
    finds(&doctor(home.path(), "store"), "store", "warning", "no server has used the store yet");
    let unknown = run(home.path(), &["doctor", "--only", "everything"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", printed(&unknown));
}

#[test]
fn what_is_wrong_with_a_configuration_and_its_files_is_found() {
    let broken = configured("[server]\nlisten = 7\n");
    finds(&doctor(broken.path(), "store"), "configuration", "problem", "server.listen");
    let home = configured(&format!(
        "[mail]\nhost = \"127.0.0.1\"\nfrom = \"a@b.example\"\nusername = \"a\"\npassword = \"{CANARY}\"\n"
    ));
    mode(&home.path().join("keys/master.key"), 0o644);
    finds(&doctor(home.path(), "configuration"), "configuration", "problem", "secrets.master_key_file");
    mode(&home.path().join("keys/master.key"), 0o600);
    mode(&home.path().join("doorward.toml"), 0o666);
    finds(&doctor(home.path(), "files"), "files", "problem", "others can change doorward.toml");
    mode(&home.path().join("doorward.toml"), 0o600);
    mode(&home.path().join("keys"), 0o777);
    finds(&doctor(home.path(), "files"), "files", "problem", "another file in the place of keys/master.key");
    mode(&home.path().join("keys"), 0o700);
    finds(&doctor(home.path(), "files"), "files", "ok", "belong to the server's user");
    let home = configured("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n");
    finds(&doctor(home.path(), "proxies"), "proxies", "warning", "10.0.0.0/8");
    let few =
        ["-c", "ulimit -n 256; exec \"$0\" doctor --only descriptors --json", env!("CARGO_BIN_EXE_doorward")];
    let few = Command::new("sh").args(few).current_dir(home.path()).output().expect("sh is there");
    finds(&few, "descriptors", "warning", "256 open files");
}

#[test]
fn a_certificate_is_judged_by_its_end_and_its_name() {
    let home = configured(
        "[server]\npublic_url = \"https://auth.example\"\ntls_certificate_file = \"keys/chain.pem\"\n\
         tls_key_file = \"keys/tls.key\"\n",
    );
    for (name, days, level, what) in [
        ("auth.example", 3, "problem", "ends within 4 days"),
        ("auth.example", 20, "warning", "ends within 21 days"),
        ("auth.example", 60, "ok", "more than 30 days"),
        ("other.example", 60, "problem", "not for auth.example"),
    ] {
        identity(home.path(), name, days);
        finds(&doctor(home.path(), "certificate"), "certificate", level, what);
    }
}

#[test]
fn the_certificate_that_is_shown_is_the_one_of_the_file() {
    let config = "[server]\nlisten = \"127.0.0.1:0\"\ntls_certificate_file = \"keys/chain.pem\"\n\
                  tls_key_file = \"keys/tls.key\"\n";
    let home = configured(config);
    identity(home.path(), "auth.example", 60);
    let server = Server::start(home, &["serve"]);
    let address = server.url().strip_prefix("https://").expect("an https address").to_owned();
    let ask = |home: &Path| {
        let mut command = command(home, &["doctor", "--only", "listeners", "--json"]);
        command.env("DOORWARD__SERVER__LISTEN", &address).output().expect("it runs")
    };
    finds(&ask(server.directory()), "listeners", "ok", "with the certificate of keys/chain.pem");
    let other = configured(config);
    identity(other.path(), "auth.example", 60);
    finds(&ask(other.path()), "listeners", "warning", "shows another certificate");
    // A server that is not ready says so over TLS, too.
    sql(server.directory(), "ALTER TABLE changes RENAME TO changes_gone");
    let unwell = until("it is noticed", || {
        let output = ask(server.directory());
        printed(&output).contains("says that it is not ready").then_some(output)
    });
    finds(&unwell, "listeners", "problem", "says that it is not ready");
    let plain = answering("200 OK", "{}").to_string();
    let mut command = command(other.path(), &["doctor", "--only", "listeners", "--json"]);
    let output = command.env("DOORWARD__SERVER__LISTEN", plain).output().expect("it runs");
    finds(&output, "listeners", "problem", "does not speak TLS");
}

#[test]
fn who_never_answers_does_not_keep_the_doctor_from_answering() {
    // It takes connections, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let home = configured(&format!("[server]\nlisten = \"{}\"\n", answering("200 OK", "{}")));
    let config = fs::read_to_string(home.path().join("doorward.toml")).expect("there");
    let config = config.replace("path = \"store/doorward.db\"", "url_file = \"keys/store.url\"");
    assert!(config.contains("store.url"), "{config}");
    private(&home.path().join("doorward.toml"), &config);
    private(&home.path().join("keys/store.url"), &format!("postgres://doorward@{address}/doorward"));
    let output = doctor(home.path(), "listeners");
    finds(&output, "store", "problem", "gives no answer within 10 seconds");
    finds(&output, "listeners", "problem", "is not a doorward server");
    // What needs no store does not ask for it.
    finds(&doctor(home.path(), "files"), "files", "ok", "belong to the server's user");
}

#[test]
fn what_is_wrong_with_a_store_is_found() {
    let home = used("");
    let path = home.path().join("store/doorward.db");
    let good = fs::read(&path).expect("a store");
    let again = || {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
        fs::write(&path, &good).expect("written");
    };
    for (change, check, level, what) in [
        ("INSERT INTO migration VALUES (9999, 'later', 'x', 0)", "store", "problem", "newer than"),
        ("UPDATE audit SET action = 'user:other' WHERE seq = 1", "audit", "problem", "was changed"),
        (
            "UPDATE audit SET at_ms = 9000000000000 WHERE seq = 1",
            "clock",
            "problem",
            "ahead of this machine's clock",
        ),
        ("UPDATE sealed_key SET created_at_ms = 0", "keys", "warning", "days old"),
        (
            "INSERT INTO delivery VALUES ('ops', 'evt_1', 'user.created', 1, '{}', 9, 1)",
            "webhooks",
            "warning",
            "tried 9 times",
        ),
        ("SELECT 1", "backups", "warning", "no backup was made"),
        ("SELECT 1", "audit", "ok", "follow from each other"),
    ] {
        again();
        sql(home.path(), change);
        finds(&doctor(home.path(), check), check, level, what);
    }
    // A store of an older version is copied as it is, and brought up to date by a server alone.
    again();
    sql(home.path(), "DELETE FROM migration WHERE version = (SELECT MAX(version) FROM migration)");
    finds(&doctor(home.path(), "store"), "store", "warning", "lacks 1 changes");
    let copied = json(&run(home.path(), &["backup", "--output", "older.db", "--json"]));
    assert_eq!(copied["is_in_audit_log"], false, "{copied}");
    finds(&doctor(home.path(), "store"), "store", "warning", "lacks 1 changes");
    again();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0xa5);
    fs::write(&path, &damaged).expect("written");
    finds(&doctor(home.path(), "store"), "store", "problem", "is damaged");
    again();
    let other_key = "29a1f4c7e8b30d5566a9c1e2f7084b3d9e5f60718293a4b5c6d7e8f90a1b2c3d\n";
    private(&home.path().join("keys/master.key"), other_key);
    finds(&doctor(home.path(), "store"), "store", "problem", "wrong_master_key");
}

#[test]
fn who_does_not_answer_or_answers_for_somebody_else_is_found() {
    let closed = closed_port();
    let everywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
    let everywhere = everywhere.local_addr().map(|address| (everywhere, address.port())).expect("an address");
    let stranger = answering("200 OK", r#"{"issuer": "https://somebody.example"}"#);
    let home = configured(&format!(
        "[server]\nlisten = \"{stranger}\"\npublic_url = \"http://{stranger}\"\n\
         [outbound]\nallow = [\"http://{stranger}\", \"http://127.0.0.1:{closed}\"]\n\
         [mounts.agentflow]\nsurface = \"agentflow\"\nupstream = \"http://127.0.0.1:{closed}\"\n\
         [mounts.langgraph]\nsurface = \"langgraph\"\nallow_anonymous = true\nupstream = \"http://127.0.0.1:{}\"\n\
         [mail]\nhost = \"127.0.0.1\"\nport = {closed}\nfrom = \"a@b.example\"\n\
         [issuers.company]\nissuer = \"http://{stranger}\"\naudience = [\"x\"]\n\
         [issuers.away]\nissuer = \"https://away.example\"\njwks_url = \"http://127.0.0.1:{closed}/jwks\"\naudience = [\"x\"]\n",
        everywhere.1
    ));
    let all = run(home.path(), &["doctor", "--json"]);
    for (check, level, what) in [
        ("listeners", "problem", "is not a doorward server"),
        ("address", "problem", "leads elsewhere"),
        ("upstreams", "problem", "the upstream of agentflow"),
        ("upstreams", "warning", "listens on every address"),
        ("neighbours", "problem", "the mail server 127.0.0.1"),
        ("providers", "problem", "does not describe"),
        ("providers", "problem", "issuers.away"),
    ] {
        finds(&all, check, level, what);
    }
    let busy = answering("503 Service Unavailable", r#"{"error": {"code": "not_ready"}}"#);
    let home = configured(&format!("[server]\nlisten = \"{busy}\"\n"));
    finds(&doctor(home.path(), "listeners"), "listeners", "problem", "not ready");
    let home = configured(&format!("[server]\nlisten = \"127.0.0.1:{closed}\"\n"));
    finds(&doctor(home.path(), "listeners"), "listeners", "warning", "nothing answers");
    let strict = run(home.path(), &["doctor", "--only", "listeners", "--strict"]);
    assert_eq!(strict.status.code(), Some(1), "{}", printed(&strict));
    assert!(printed(&strict).contains("see: docs/doctor.md#listeners"), "{}", printed(&strict));
}
