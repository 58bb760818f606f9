//! The main job on PostgreSQL, and several servers on one database.

use std::fs;
use std::path::Path;
use std::process::Command;

use doorward_store::conformance::postgres;
use tempfile::TempDir;

use crate::program::{Server, command, json, printed, run, run_with, until};
use crate::serve::private;
use crate::walkthrough::walk;

const KEY: &str = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d";
const PASSWORD: &str = "a long password 1";

/// A directory with a configuration that names the database.
fn home(url: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    private(&home.path().join("store.url"), url);
    private(&home.path().join("master.key"), KEY);
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl_file = \"store.url\"\n\
                [secrets]\nmaster_key_file = \"master.key\"\n";
    fs::write(home.path().join("doorward.toml"), text).expect("written");
    home
}

fn dev(url: &str) -> Server {
    Server::start(home(url), &["dev", "--config", "doorward.toml"])
}

/// The status of a request by curl.
fn status(url: &str, token: &str) -> String {
    let asked = Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &format!("Authorization: Bearer {token}"),
            url,
        ])
        .output()
        .expect("curl is there");
    String::from_utf8(asked.stdout).expect("digits")
}

fn log_in(server: &Server, name: &str) -> String {
    let form = format!("grant_type=password&username={name}&password={}", PASSWORD.replace(' ', "%20"));
    let asked = Command::new("curl")
        .args(["-s", "-f", "-d", &form, &format!("{}/v1/token", server.url())])
        .output()
        .expect("curl is there");
    assert!(asked.status.success(), "{}", server.log());
    let told: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    told["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn every_printed_command_does_what_it_says_on_postgresql() {
    let database = postgres::Server::start();
    let mut server = dev(&database.database());
    walk(&server);
    assert_eq!(server.stop(), Some(0), "{}", server.log());
    let audit = json(&server.command(&["audit", "verify"], ""));
    assert_eq!(audit["ok"], true, "{audit}");
}

#[test]
fn servers_on_one_database_see_each_others_people_and_revocations() {
    let database = postgres::Server::start();
    let url = database.database();
    let (one, other) = (dev(&url), dev(&url));
    json(
        &one.command(&["user", "create", "--username", "ada", "--password-stdin"], &format!("{PASSWORD}\n")),
    );
    let tokens = [log_in(&one, "ada"), log_in(&other, "ada")];
    for server in [&one, &other] {
        for token in &tokens {
            assert_eq!(status(&format!("{}/v1/me", server.url()), token), "200");
        }
    }
    json(&one.command(&["token", "revoke", "--user", "ada"], ""));
    for server in [&one, &other] {
        for token in &tokens {
            let refused = || (status(&format!("{}/v1/me", server.url()), token) == "401").then_some(());
            until("the revocation", refused);
        }
    }
}

#[test]
fn a_database_that_goes_is_503_and_one_that_comes_back_is_used() {
    let mut database = postgres::Server::start();
    let server = dev(&database.database());
    json(
        &server
            .command(&["user", "create", "--username", "ada", "--password-stdin"], &format!("{PASSWORD}\n")),
    );
    let token = log_in(&server, "ada");
    let threads = format!("{}/v1/threads", server.url());
    assert_eq!(status(&threads, &token), "200");
    database.down();
    assert_eq!(status(&threads, &token), "503", "{}", server.log());
    database.up();
    assert_eq!(status(&threads, &token), "200", "{}", server.log());
}

#[test]
fn serve_names_the_database_and_never_its_password() {
    let home = home("postgres://doorward:hunter2@127.0.0.1:1/doorward");
    fs::create_dir(home.path().join("keys")).expect("made");
    for arguments in [&["serve"][..], &["config", "check"], &["user", "list"], &["migrate", "status"]] {
        let output = run(home.path(), arguments);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains("PostgreSQL") && !text.contains("hunter2"), "{arguments:?}: {text}");
    }
    let shown = printed(&run(home.path(), &["config", "show"]));
    assert!(shown.contains("store.url") && !shown.contains("hunter2"), "{shown}");
    open(&home.path().join("store.url"));
    let text = printed(&run(home.path(), &["serve"]));
    assert!(text.contains("store.url_file") && text.contains("chmod 600"), "{text}");
}

#[test]
fn an_address_in_an_open_file_is_refused_and_one_in_a_variable_is_not() {
    let home = home("unused");
    let said = |url: &str| {
        let file = home.path().join("doorward.toml");
        let text = format!("[store]\nurl = \"{url}\"\n[secrets]\nmaster_key_file = \"master.key\"\n");
        fs::write(&file, text).expect("written");
        open(&file);
        let mut check = command(home.path(), &["config", "check"]);
        let output = check.env("MY_STORE", "postgres://u:hunter2@127.0.0.1:1/d").output();
        printed(&output.expect("the program starts"))
    };
    assert!(said("postgres://u:hunter2@127.0.0.1:1/d").contains("store.url: it stands in"));
    let by_variable = said("${MY_STORE}");
    assert!(by_variable.contains("database d at 127.0.0.1 cannot be used"), "{by_variable}");
}

fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("opened");
}

#[test]
fn a_database_is_migrated_beforehand_and_served_without_an_administrator() {
    let database = postgres::Server::start();
    let home = home(&database.database());
    let pending = json(&run_with(home.path(), &["migrate", "status", "--json"], ""));
    assert!(pending["pending"].as_array().is_some_and(|all| !all.is_empty()), "{pending}");
    json(&run_with(home.path(), &["migrate", "apply", "--json"], ""));
    let checked = run(home.path(), &["config", "check"]);
    assert!(checked.status.success(), "{}", printed(&checked));
    let mut server = Server::start(home, &["serve"]);
    assert!(server.log().contains("/v1/setup"), "{}", server.log());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_database_behind_tls_is_reached_by_a_certificate_that_is_believed_and_not_otherwise() {
    let database = postgres::Server::start_tls();
    let url = format!("{}?sslmode=require", database.database());
    let home = home(&url);
    let certificate = home.path().join("database.pem");
    fs::write(&certificate, database.certificate()).expect("written");
    let status = |believed: Option<&Path>| {
        let mut command = command(home.path(), &["migrate", "apply", "--config", "doorward.toml", "--json"]);
        match believed {
            Some(file) => command.env("SSL_CERT_FILE", file),
            None => command.env_remove("SSL_CERT_FILE"),
        };
        command.output().expect("it runs")
    };
    let distrusted = status(None);
    assert!(!distrusted.status.success(), "{}", printed(&distrusted));
    let said = String::from_utf8_lossy(&distrusted.stderr).to_lowercase();
    assert!(said.contains("certificate"), "{said}");
    let believed = status(Some(&certificate));
    assert!(believed.status.success(), "{}", String::from_utf8_lossy(&believed.stderr));
    private(&home.path().join("store.url"), &url.replace("sslmode=require", "sslmode=disable"));
    assert!(!status(Some(&certificate)).status.success(), "the server takes nobody without TLS");
}

/// What a request with a body answers, by curl.
fn told(server: &Server, token: &str, path: &str, body: Option<&str>) -> serde_json::Value {
    let mut asking = Command::new("curl");
    asking.args(["-s", "-f", "-H", &format!("Authorization: Bearer {token}")]);
    if let Some(body) = body {
        asking.args(["-H", "Content-Type: application/json", "-d", body]);
    }
    let asked = asking.arg(format!("{}/langgraph{path}", server.url())).output().expect("curl is there");
    assert!(asked.status.success(), "{path}: {}", server.log());
    serde_json::from_slice(&asked.stdout).expect("JSON")
}

#[test]
fn two_servers_on_one_database_run_each_cron_once_for_each_time() {
    let database = postgres::Server::start();
    let url = database.database();
    let (one, other) = (dev(&url), dev(&url));
    json(
        &one.command(&["user", "create", "--username", "ada", "--password-stdin"], &format!("{PASSWORD}\n")),
    );
    let token = log_in(&one, "ada");
    let cron = r#"{"assistant_id":"agent","schedule":"0 0 1 1 *","input":{"messages":[{"role":"user","content":"hi"}]}}"#;
    let made: Vec<(String, String)> = (0..24)
        .map(|_| {
            let thread =
                told(&one, &token, "/threads", Some("{}"))["thread_id"].as_str().expect("an id").to_owned();
            let made = told(&one, &token, &format!("/threads/{thread}/runs/crons"), Some(cron));
            (thread, made["cron_id"].as_str().expect("an id").to_owned())
        })
        .collect();
    // As if a year had passed while neither was there.
    let past = "UPDATE document SET due_at_ms = 1 WHERE kind = 'cron'";
    let done = database.program("psql").args([&url, "-c", past]).output().expect("psql is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let runs = |thread: &str| told(&other, &token, &format!("/threads/{thread}/runs"), None);
    for (thread, _) in &made {
        until("the cron's run", || runs(thread).as_array().is_some_and(|all| !all.is_empty()).then_some(()));
    }
    for (thread, cron) in &made {
        assert_eq!(runs(thread).as_array().map(Vec::len), Some(1), "{thread}");
        let next = told(&other, &token, &format!("/runs/crons/{cron}"), None)["next_run_date"].clone();
        assert!(next.as_str().is_some_and(|next| next.contains("-01-01T00:00:00")), "{next}");
    }
}
