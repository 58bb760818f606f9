//! The commands that `dev` prints work as they stand.

use std::process::{Command, Stdio};

use crate::program::Server;

#[test]
fn every_printed_command_does_what_it_says() {
    walk(&Server::dev());
}

/// Runs what the server printed.
pub(crate) fn walk(server: &Server) {
    let log = server.log();
    let script: String = log
        .lines()
        .skip_while(|line| !line.starts_with("URL="))
        .take_while(|line| !line.starts_with("Stop with"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(script.contains("# 6."), "{log}");
    let ran = Command::new("timeout")
        .args(["60", "bash", "-eu", "-o", "pipefail", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .expect("bash is there");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    for expected in
        ["\"username\":\"ada\"", "Hello, agent", "event:", "credentials_missing", " 401", "not_found", " 404"]
    {
        assert!(said.replace("\": \"", "\":\"").contains(expected), "{expected}: {said}");
    }
}
