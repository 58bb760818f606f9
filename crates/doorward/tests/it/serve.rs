//! `doorward serve`: what it refuses to start with, and that it starts with nothing of that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{Server, command, printed, run};

const STRONG: &str = "Zx3vN7qKfP0sWm4tYbL9uRcHgE2jAo6dVi8nXkTlQy5w";

/// A directory with a configuration that is good but for `extra`.
pub(crate) fn configured(extra: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name);
    for directory in ["store", "keys"] {
        fs::create_dir(path(directory)).expect("made");
        fs::set_permissions(path(directory), fs::Permissions::from_mode(0o700)).expect("closed");
    }
    private(&path("keys/master.key"), "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d\n");
    let text = format!(
        "[store]\npath = \"store/doorward.db\"\n[secrets]\nmaster_key_file = \"keys/master.key\"\n{extra}"
    );
    fs::write(path("doorward.toml"), text).expect("written");
    home
}

pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closed");
}

fn agentflow(home: &TempDir, auth: &str, secret: &str) {
    let json = format!(r#"{{"agent": "a:b", "auth": {auth}, "env": ".env"}}"#);
    fs::write(home.path().join("agentflow.json"), json).expect("written");
    let dotenv = format!("JWT_SECRET_KEY={secret}\nJWT_ALGORITHM=HS256\n");
    fs::write(home.path().join(".env"), dotenv).expect("written");
}

pub(crate) fn refused(home: &TempDir, arguments: &[&str]) -> String {
    let output = run(home.path(), &[&["serve"], arguments].concat());
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("mend: "), "{text}");
    text
}

#[test]
fn a_good_configuration_starts_without_an_administrator_and_stops_when_told() {
    let home = configured("[server]\nlisten = \"127.0.0.1:0\"\n");
    agentflow(&home, "\"jwt\"", STRONG);
    let mut server = Server::start(home, &["serve", "--agentflow", "agentflow.json"]);
    assert!(server.ready.get("admin_key").is_none());
    assert!(server.log().contains("/v1/setup"));
    assert_eq!(server.stop(), Some(0));
    assert!(!server.log().contains("WARN"), "{}", server.log());
}

#[test]
fn secrets_that_can_be_guessed_are_refused_by_name_and_never_shown() {
    for secret in ["your-secret-key", "changeme-4711", "short-but-Random-x7", &"ab".repeat(40)] {
        let home = configured("");
        agentflow(&home, "\"jwt\"", secret);
        let text = refused(&home, &["--listen", "127.0.0.1:0", "--agentflow", "agentflow.json"]);
        assert!(text.contains("JWT_SECRET_KEY") && !text.contains(secret), "{text}");
    }
}

#[test]
fn a_store_or_key_that_others_can_read_is_refused() {
    let open = |home: &TempDir, name: &str, mode: u32| {
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(mode)).expect("opened");
    };
    let home = configured("");
    open(&home, "store", 0o755);
    assert!(refused(&home, &[]).contains("chmod"));
    let home = configured("");
    private(&home.path().join("store/doorward.db"), "");
    open(&home, "store/doorward.db", 0o640);
    assert!(refused(&home, &[]).contains("chmod"));
    let home = configured("");
    open(&home, "keys/master.key", 0o644);
    assert!(refused(&home, &[]).contains("master_key_file"));
}

#[test]
fn what_the_configuration_says_is_judged_whole() {
    let public = "[server]\nlisten = \"0.0.0.0:0\"\n";
    let proxied = "[server]\nlisten = \"0.0.0.0:0\"\ntrusted_proxies = [\"10.0.0.1\"]\n";
    let cases: &[(&str, &str, &[&str])] = &[
        ("a public address", public, &["trusted_proxies"]),
        (
            "a mount's public address",
            "[mounts.agentflow]\nlisten = \"0.0.0.0:0\"\n",
            &["mounts.agentflow.listen", "trusted_proxies"],
        ),
        ("plain HTTP outside", "[server]\npublic_url = \"http://agents.example\"\n", &["https://"]),
        (
            "an open mount in public",
            &format!("{proxied}[mounts.agentflow]\nagentflow = \"agentflow.json\"\n"),
            &["allow_anonymous"],
        ),
        (
            "an open mount behind a proxy",
            "[server]\npublic_url = \"https://a.example\"\n[mounts.agentflow]\nagentflow = \"agentflow.json\"\n",
            &["allow_anonymous"],
        ),
        (
            "several at once",
            &format!("{public}public_url = \"http://a.example\"\n"),
            &["trusted_proxies", "https://"],
        ),
        ("an unknown key", "[server]\nlissten = \"x\"\n", &["server.lissten", "listen", "doorward.toml:"]),
        (
            "clashing mounts",
            "[mounts.agentflow]\nprefix = \"/\"\n[server]\nlisten = \"127.0.0.1:0\"\n",
            &["native", "agentflow"],
        ),
        ("a role that names nothing", "[roles.editor]\npermissions = [\"thread:fly\"]\n", &["thread:fly"]),
    ];
    for (name, extra, expected) in cases {
        let home = configured(extra);
        agentflow(&home, "null", STRONG);
        let text = refused(&home, &[]);
        for word in *expected {
            assert!(text.contains(word), "{name}: {text}");
        }
    }
}

#[test]
fn a_collectors_key_goes_to_another_machine_over_tls_alone() {
    let headers = "otlp_headers = \"x-api-key=abc\"\n";
    let with = |endpoint: &str, more: &str| {
        configured(&format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n{more}"))
    };
    let text = refused(&with("http://otel.example:4318", headers), &[]);
    assert!(text.contains("telemetry.otlp_endpoint") && text.contains("https://"), "{text}");
    assert!(!text.contains("abc"), "{text}");
    for (endpoint, more) in [
        ("https://otel.example:4318", headers),
        ("http://127.0.0.1:4318", headers),
        ("http://otel.example:4318", ""),
    ] {
        let home = with(endpoint, more);
        private(
            &home.path().join("doorward.toml"),
            &fs::read_to_string(home.path().join("doorward.toml")).expect("read"),
        );
        let checked = run(home.path(), &["config", "check"]);
        assert!(checked.status.success(), "{endpoint}: {}", printed(&checked));
    }
}

#[test]
fn metrics_take_no_socket_that_others_listen_on() {
    for (metrics, taken) in [
        ("127.0.0.1:18420", true),
        ("0.0.0.0:18420", true),
        ("[::]:18420", true),
        ("[::ffff:127.0.0.1]:18420", true),
        ("[::1]:18420", false),
        ("127.0.0.2:18420", false),
        ("127.0.0.1:18421", false),
    ] {
        let home = configured(&format!(
            "[server]\nlisten = \"127.0.0.1:18420\"\n[metrics]\nlisten = \"{metrics}\"\n"
        ));
        let checked = run(home.path(), &["config", "check"]);
        let text = printed(&checked);
        assert_eq!(text.contains("is taken by server.listen"), taken, "{metrics}: {text}");
        assert!(!taken || !checked.status.success(), "{metrics}");
    }
}

#[test]
fn consent_to_an_open_mount_is_taken_and_said_again() {
    let extra = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://a.example\"\n\
        [mounts.agentflow]\nagentflow = \"agentflow.json\"\nallow_anonymous = true\n";
    let home = configured(extra);
    agentflow(&home, "null", STRONG);
    let server = Server::start(home, &["serve"]);
    assert!(server.log().contains("allow_anonymous"));
}

#[test]
fn a_master_key_is_needed_good_and_kept_apart() {
    let home = configured("");
    let config = home.path().join("doorward.toml");
    let text = fs::read_to_string(&config).expect("readable");
    let with = |replacement: &str| {
        fs::write(&config, text.replace("master_key_file = \"keys/master.key\"", replacement))
            .expect("written");
        refused(&home, &[])
    };
    assert!(with("").contains("secrets.master_key"));
    for bad in ["short", &"00".repeat(32), &"zz".repeat(32)] {
        let text = with(&format!("master_key = \"{bad}\""));
        assert!(text.contains("secrets.master_key") && !text.contains(bad), "{text}");
    }
    private(
        &home.path().join("store/master.key"),
        "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d",
    );
    assert!(with("master_key_file = \"store/master.key\"").contains("beside the store"));
}

#[test]
fn another_master_key_does_not_open_the_store() {
    let home = configured("[server]\nlisten = \"127.0.0.1:0\"\n");
    let mut server = Server::start(home, &["serve"]);
    assert_eq!(server.stop(), Some(0));
    let key = "b3e1a9c07d5f42868c1e0b7a9d3f5c218f14e45fceea167a5a36dedd4bea2543";
    let output = command(server.directory(), &["serve"])
        .env("DOORWARD__SECRETS__MASTER_KEY", key)
        .output()
        .expect("the program starts");
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("master key") && !text.contains(key), "{text}");
}

#[test]
fn check_judges_as_serve_does_and_show_hides_secrets() {
    let good = configured("");
    let checked = run(good.path(), &["config", "check"]);
    assert!(checked.status.success(), "{}", printed(&checked));
    let bad = configured("[server]\nlisten = \"0.0.0.0:0\"\n[colour]\n");
    let checked = run(bad.path(), &["config", "check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(printed(&checked).contains("colour"));
    let told = run(bad.path(), &["config", "check", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stderr).expect("JSON");
    assert_eq!(told["error"]["code"], "config_invalid");
    assert!(told["error"]["problems"][0]["mend"].is_string(), "{told}");
    let shown = command(good.path(), &["config", "show"])
        .env("DOORWARD__SECRETS__MASTER_KEY", "hunter2hunter2")
        .output()
        .expect("the program starts");
    assert!(printed(&shown).contains("DOORWARD__SECRETS__MASTER_KEY"), "{}", printed(&shown));
    assert!(!printed(&shown).contains("hunter2"));
    let example = run(good.path(), &["config", "example"]);
    assert!(printed(&example).contains("[server]"));
}

#[test]
fn a_guessable_secret_in_a_key_file_is_refused_and_never_shown() {
    let sample = "change-me-change-me-change-me-change-me-1";
    let home = configured("[tokens]\nalgorithm = \"HS256\"\nkey_files = [\"keys/hmac\"]\n");
    private(&home.path().join("keys/hmac"), sample);
    for text in [refused(&home, &[]), printed(&run(home.path(), &["config", "check"]))] {
        assert!(text.contains("tokens.key_files") && text.contains("keys/hmac"), "{text}");
        assert!(text.contains("openssl rand") && !text.contains(sample), "{text}");
    }
}

#[test]
fn check_finds_what_only_starting_would_show_and_makes_nothing() {
    let clash = configured("[mounts.agentflow]\nprefix = \"/\"\n");
    let text = printed(&run(clash.path(), &["config", "check"]));
    assert!(text.contains("native") && text.contains("agentflow"), "{text}");
    assert!(!clash.path().join("store/doorward.db").exists());
    let blocked = configured("");
    fs::write(blocked.path().join("file"), "").expect("written");
    let output = command(blocked.path(), &["config", "check"])
        .env("DOORWARD__STORE__PATH", "file/doorward.db")
        .output()
        .expect("the program starts");
    assert!(printed(&output).contains("is no directory"), "{}", printed(&output));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = listener.local_addr().expect("an address");
    let busy = configured(&format!("[server]\nlisten = \"{taken}\"\n"));
    let output = run(busy.path(), &["config", "check"]);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(printed(&output).contains(&format!("something listens on {taken} already")));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let home = configured("[server]\nlisten = \"0.0.0.0:0\"\n[tokens]\nkey_files = [\"keys/absent.pem\"]\n");
    agentflow(&home, "{\"method\": \"kerberos\", \"path\": \"a:b\"}", STRONG);
    private(&home.path().join("keys/master.key"), "short\n");
    let flags = ["--agentflow", "agentflow.json"];
    for text in
        [refused(&home, &flags), printed(&run(home.path(), &[&["config", "check"][..], &flags].concat()))]
    {
        for part in ["0.0.0.0:0 is reachable", "keys/absent.pem", "kerberos", "secrets.master_key"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn check_opens_the_store_there_is() {
    let home = configured("[server]\nlisten = \"127.0.0.1:0\"\n");
    assert!(run(home.path(), &["migrate", "apply"]).status.success());
    let checked = run(home.path(), &["config", "check"]);
    assert!(checked.status.success(), "{}", printed(&checked));
    let other = command(home.path(), &["config", "check"])
        .env("DOORWARD__SECRETS__MASTER_KEY", "11".repeat(32))
        .env("DOORWARD__SECRETS__MASTER_KEY_FILE", "")
        .output()
        .expect("the program starts");
    assert!(!other.status.success(), "{}", printed(&other));
    let store = home.path().join("store/doorward.db");
    fs::write(&store, "this is no database, whatever its name says").expect("written");
    let checked = run(home.path(), &["config", "check"]);
    assert!(!checked.status.success());
    assert!(printed(&checked).contains("doorward.db cannot be used"), "{}", printed(&checked));
}

#[test]
fn keys_of_several_algorithms_in_files_verify_and_rotation_says_how() {
    let home = configured(
        "[server]\nlisten = \"127.0.0.1:0\"\n[tokens]\nalgorithm = \"EdDSA\"\n\
         key_files = [\"keys/new.pem\", \"keys/old.pem\"]\n",
    );
    for (name, algorithm) in [("new.pem", &rcgen::PKCS_ED25519), ("old.pem", &rcgen::PKCS_ECDSA_P384_SHA384)]
    {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        private(&home.path().join("keys").join(name), &pair.serialize_pem());
    }
    assert!(run(home.path(), &["migrate", "apply"]).status.success());
    let checked = run(home.path(), &["config", "check"]);
    assert!(checked.status.success(), "{}", printed(&checked));
    let rotated = run(home.path(), &["token", "rotate-key"]);
    assert!(!rotated.status.success());
    assert!(printed(&rotated).contains("put a new file first in tokens.key_files"), "{}", printed(&rotated));
}

#[test]
fn an_algorithm_that_waits_for_a_rotation_is_said() {
    let home = configured("[server]\nlisten = \"127.0.0.1:0\"\n");
    let mut first = Server::start(home, &["serve"]);
    assert_eq!(first.stop(), Some(0));
    let config = first.directory().join("doorward.toml");
    let text = fs::read_to_string(&config).expect("readable");
    fs::write(&config, format!("{text}[tokens]\nalgorithm = \"EdDSA\"\n")).expect("written");
    let config = config.to_str().expect("UTF-8");
    let start = || Server::start(tempfile::tempdir().expect("a directory"), &["serve", "--config", config]);
    assert!(start().log().contains("doorward token rotate-key"));
    let rotated = run(first.directory(), &["token", "rotate-key", "--json", "--config", config]);
    assert!(printed(&rotated).contains("EdDSA"), "{}", printed(&rotated));
    assert!(!start().log().contains("rotate-key"));
}
