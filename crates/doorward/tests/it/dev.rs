//! `doorward dev`: on this machine alone, with private data.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::program::{Server, printed, run};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn data_and_ready_file_are_the_owners_alone() {
    let mut server = Server::dev();
    assert_eq!(mode(&server.ready_file()), 0o600);
    let data = server.directory().join(".doorward");
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).expect("a directory") {
        let path = entry.expect("readable").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(fs::read_to_string(data.join(".gitignore")).expect("there"), "*\n");
    assert!(server.log().contains("loopback"));
    assert!(server.ready["admin_key"].as_str().is_some_and(|key| key.len() > 40));
    assert!(!server.log().contains(server.ready["admin_key"].as_str().expect("a key")));
    assert_eq!(server.ready["mounts"]["agentflow"], format!("{}/agentflow", server.url()));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_mount_can_have_a_listener_of_its_own() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(home, &["dev", "--listen", "127.0.0.1:0", "--mount", "agentflow=127.0.0.1:0"]);
    let own = server.ready["mounts"]["agentflow"].as_str().expect("a text");
    assert!(own.matches('/').count() == 2 && own != server.url(), "{own}");
}

#[test]
fn listeners_of_ones_own_are_never_shared_by_accident() {
    let home = tempfile::tempdir().expect("a directory");
    let mounts = ["--mount", "native=127.0.0.1:0", "--mount", "agentflow=127.0.0.1:0"];
    let both = Server::start(home, &[&["dev", "--listen", "127.0.0.1:0"], &mounts[..]].concat());
    assert_ne!(both.ready["mounts"]["native"], both.ready["mounts"]["agentflow"]);
    let home = tempfile::tempdir().expect("a directory");
    let one = Server::start(home, &[&["dev", "--listen", "127.0.0.1:0"], &mounts[..2]].concat());
    let agentflow = one.ready["mounts"]["agentflow"].as_str().expect("a text");
    assert!(agentflow.ends_with("/agentflow") && !agentflow.starts_with(one.url()), "{agentflow}");
}

#[test]
fn a_program_is_told_in_json_and_nothing_else() {
    let mut server = Server::start_answering(&["dev", "--listen", "127.0.0.1:0", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&server.told()).expect("JSON");
    assert_eq!(told, server.ready);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let server = Server::dev();
    let taken = server.url().trim_start_matches("http://");
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join("file"), "").expect("written");
    fs::write(
        home.path().join("custom.json"),
        r#"{"agent": "a:b", "auth": {"method": "custom", "path": "a:B"}}"#,
    )
    .expect("written");
    let cases: &[(&[&str], &str)] = &[
        (&["--listen", "0.0.0.0:0"], "loopback"),
        (&["--listen", "127.0.0.1:0", "--mount", "agentflow=[::]:0"], "loopback"),
        (&["--listen", taken], taken),
        (&["--data-dir", "file"], "file"),
        (&["--data-dir", "file/below"], "file/below"),
        (&["--agentflow", "absent.json"], "absent.json"),
        (&["--agentflow", "custom.json"], "there is no a.py in"),
        (&["--mount", "agentflwo=127.0.0.1:0"], "no surface is called agentflwo"),
        (&["--upstream", "https://x", "--surface", "agentflow"], "not an agent server's address"),
        (&["--listen", "127.0.0.1:0", "--ready-file", "no/such/ready.json"], "no/such/ready.json"),
        (&["--config", "absent.toml"], "absent.toml"),
    ];
    for (arguments, expected) in cases {
        let output = run(home.path(), &[&["dev"], *arguments].concat());
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(expected) && text.contains("mend: "), "{arguments:?}: {text}");
    }
}

#[test]
fn a_weak_secret_is_warned_about_by_name_and_never_shown() {
    let home = tempfile::tempdir().expect("a directory");
    fs::write(
        home.path().join("agentflow.json"),
        r#"{"agent": "a:b", "auth": "jwt", "env": ".env", "colour": 1}"#,
    )
    .expect("written");
    fs::write(home.path().join(".env"), "JWT_SECRET_KEY=test-secret-7\nJWT_ALGORITHM=HS256\n")
        .expect("written");
    let server = Server::start(home, &["dev", "--listen", "127.0.0.1:0", "--agentflow", "agentflow.json"]);
    assert!(server.log().contains("JWT_SECRET_KEY"));
    assert!(server.log().contains("\"colour\" is not known"));
    assert!(!server.log().contains("test-secret-7"));
}

#[test]
fn the_same_data_are_found_again() {
    let mut first = Server::dev();
    let made =
        first.command(&["user", "create", "--username", "ada", "--password-stdin"], "a long password 1\n");
    assert!(made.status.success(), "{}", printed(&made));
    assert_eq!(first.stop(), Some(0));
    let data = first.directory().join(".doorward");
    let home = tempfile::tempdir().expect("a directory");
    let data = data.to_str().expect("UTF-8");
    let second = Server::start(home, &["dev", "--listen", "127.0.0.1:0", "--data-dir", data]);
    let shown = second.command(&["user", "show", "ada", "--data-dir", data], "");
    assert!(shown.status.success(), "{}", printed(&shown));
}
