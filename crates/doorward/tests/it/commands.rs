//! Commands on the store of a running server.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Server, json, printed, run};

const PASSWORD: &str = "a long password 1\n";

fn user(server: &Server, name: &str) -> String {
    let made = json(&server.command(&["user", "create", "--username", name, "--password-stdin"], PASSWORD));
    made["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_user_lives_its_life() {
    let server = Server::dev();
    let id = user(&server, "ada");
    let show = || json(&server.command(&["user", "show", "ada"], ""));
    assert_eq!(show()["roles"], json!(["user"]));
    json(&server.command(&["user", "set-roles", "ada", "premium"], ""));
    json(&server.command(&["user", "disable", &id], ""));
    assert_eq!((&show()["roles"], &show()["disabled"]), (&json!(["premium"]), &json!(true)));
    json(&server.command(&["user", "enable", &id], ""));
    assert_eq!(show()["disabled"], json!(false));
    json(&server.command(&["user", "set-password", "ada", "--password-stdin"], "another password 2\n"));
    let listed = json(&server.command(&["user", "list"], ""));
    assert!(listed.as_array().is_some_and(|all| all.iter().any(|user| user["id"] == *id)));
    let unsure = server.command(&["user", "delete", "ada"], "");
    assert_eq!(unsure.status.code(), Some(2), "{}", printed(&unsure));
    json(&server.command(&["user", "delete", "ada", "--yes"], ""));
    let gone = server.command(&["user", "show", "ada"], "");
    assert_eq!(gone.status.code(), Some(1));
    assert!(gone.stdout.is_empty());
}

#[test]
fn the_engines_rules_hold_on_the_command_line() {
    let server = Server::dev();
    user(&server, "ada");
    let create = |name: &str, password: &str| {
        server.command(&["user", "create", "--username", name, "--password-stdin"], password)
    };
    let cases = [
        (create("ada", PASSWORD), "username_taken"),
        (create("bob", "short\n"), "weak_password"),
        (create("bob", "\n"), "the password is empty"),
        (server.command(&["user", "set-roles", "ada", "emperor"], ""), "unknown_role"),
        (server.command(&["user", "set-roles", "dev-admin", "user"], ""), "last_admin"),
        (server.command(&["user", "delete", "dev-admin", "--yes"], ""), "last_admin"),
        (server.command(&["user", "show", "nobody"], ""), "there is no user"),
        (server.command(&["key", "revoke", "key_none"], ""), "not_found"),
        (
            server.command(
                &["key", "create", "--user", "ada", "--name", "x", "--expires", "1h", "--scope", "fly"],
                "",
            ),
            "unknown_scope",
        ),
        (server.command(&["session", "end", "ses_none"], ""), "not_found"),
        (server.command(&["token", "issue", "--user-id", "nobody"], ""), "there is no user"),
        (server.command(&["token", "issue", "--user-id", "ada", "--claim", "sub=x"], ""), "bad_field"),
        (
            server.command(&["token", "issue", "--user-id", "ada", "--mount", "agentflwo"], ""),
            "did you mean agentflow?",
        ),
    ];
    for (output, expected) in &cases {
        let text = printed(output);
        assert!(!output.status.success() && text.contains(expected), "{expected}: {text}");
        let told: Value = serde_json::from_slice(&output.stderr).expect("a failure is JSON, too");
        let error = &told["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{text}");
        assert!(error["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{text}");
    }
}

#[test]
fn without_json_a_failure_is_a_sentence_with_the_way_to_mend_it() {
    let server = Server::dev();
    let text = printed(&run(server.directory(), &["user", "show", "nobody"]));
    assert!(text.starts_with("error: there is no user") && text.contains("\n  mend: "), "{text}");
}

#[test]
fn a_command_asked_wrongly_says_so_in_json_when_json_is_asked_for() {
    let home = tempfile::tempdir().expect("a directory");
    let output = run(home.path(), &["user", "shwo", "ada", "--json"]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
    let told: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(told["error"]["code"], "usage");
    let help = run(home.path(), &["user", "--help", "--json"]);
    assert!(help.status.success() && printed(&help).contains("Examples:"));
}

#[test]
fn a_key_is_shown_once_and_revoked() {
    let server = Server::dev();
    user(&server, "ada");
    let made = json(&server.command(
        &["key", "create", "--user", "ada", "--name", "laptop", "--scope", "read", "--expires", "never"],
        "",
    ));
    let key = made["key"].as_str().expect("the key");
    let list = || json(&server.command(&["key", "list", "--user", "ada"], ""));
    assert!(!list().to_string().contains(key));
    assert_eq!((&list()[0]["id"], &list()[0]["revoked_at_ms"]), (&made["id"], &Value::Null));
    json(&server.command(&["key", "revoke", made["id"].as_str().expect("an id")], ""));
    assert!(list()[0]["revoked_at_ms"].is_i64());
}

#[test]
fn an_admin_key_reaches_everything_and_says_when_its_owner_does_not() {
    let server = Server::dev();
    user(&server, "ada");
    let made = ["key", "create", "--user", "ada", "--name", "x", "--expires", "1h", "--admin"];
    let key = json(&server.command(&made, ""));
    assert_eq!((&key["kind"], &key["scopes"]), (&json!("admin"), &json!(["*"])));
    assert!(key["note"].as_str().expect("a note").contains("set-roles ada admin"), "{key}");
    json(&server.command(&["user", "set-roles", "ada", "admin"], ""));
    assert_eq!(json(&server.command(&made, ""))["note"], json!(null));
}

#[test]
fn what_nobody_can_have_is_not_called_revoked() {
    let server = Server::dev();
    for (what, why) in [
        (["--session", "ses_0123456789abcdef"], "no session with this id"),
        (["--user", "nobody"], "no user"),
        (["--principal", "local|usr_0123456789abcdef"], "no user with this id"),
        (["--principal", "somebody"], "is named like"),
        (["--jti", "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln"], "That is a token itself"),
    ] {
        let output = server.command(&[&["token", "revoke"], &what[..]].concat(), "");
        assert!(!output.status.success() && printed(&output).contains(why), "{what:?}: {}", printed(&output));
    }
}

#[test]
fn a_token_is_issued_inspected_revoked_and_its_key_rotated() {
    let server = Server::dev();
    let id = user(&server, "ada");
    let issue =
        || {
            json(&server.command(
                &["token", "issue", "--user-id", "ada", "--claim", "team=7", "--expires-in", "1h"],
                "",
            ))
        };
    let inspect = |token: &Value| {
        json(
            &server
                .command(&["token", "inspect", "--token-stdin"], token["token"].as_str().expect("a token")),
        )
    };
    let (first, second) = (issue(), issue());
    let seen = inspect(&first);
    assert_eq!(
        (&seen["valid"], &seen["claims"]["sub"], &seen["claims"]["team"]),
        (&json!(true), &json!(id), &json!(7))
    );
    json(&server.command(&["token", "revoke", "--jti", first["jti"].as_str().expect("an id")], ""));
    assert_eq!(
        (&inspect(&first)["valid"], &inspect(&first)["code"]),
        (&json!(false), &json!("token_revoked"))
    );
    let rotated = json(&server.command(&["token", "rotate-key", "--algorithm", "EdDSA"], ""));
    assert_eq!(inspect(&second)["valid"], json!(true), "the old key verifies");
    let old = inspect(&second)["header"]["kid"].clone();
    assert_ne!(old, rotated["id"]);
    assert_eq!(inspect(&issue())["header"]["alg"], json!("EdDSA"));
    json(&server.command(&["token", "retire-key", old.as_str().expect("a kid")], ""));
    assert_eq!(inspect(&second)["valid"], json!(false), "the retired key does not");
    json(&server.command(&["token", "revoke", "--user", "ada"], ""));
}

#[test]
fn an_agentflow_token_is_made_with_the_platforms_key() {
    let server = Server::dev();
    let secret = "Zx3vN7qKfP0sWm4tYbL9uRcHgE2jAo6dVi8nXkTlQy5w";
    fs::write(server.directory().join("agentflow.json"), r#"{"agent": "a:b", "auth": "jwt", "env": ".env"}"#)
        .expect("written");
    fs::write(server.directory().join(".env"), format!("JWT_SECRET_KEY={secret}\nJWT_ALGORITHM=HS256\n"))
        .expect("written");
    let at = ["--mount", "agentflow", "--agentflow", "agentflow.json"];
    let made = json(&server.command(&[&["token", "issue", "--user-id", "user123"], &at[..]].concat(), ""));
    let token = made["token"].as_str().expect("a token");
    let seen = json(&server.command(&[&["token", "inspect", "--token-stdin"], &at[..]].concat(), token));
    assert_eq!((&seen["valid"], &seen["principal"]), (&json!(true), &json!("agentflow|user123")));
    assert_eq!((&seen["header"]["alg"], &seen["claims"]["user_id"]), (&json!("HS256"), &json!("user123")));
    let native = json(&server.command(&["token", "inspect", "--token-stdin"], token));
    assert_eq!(native["valid"], json!(false), "the native mount does not take it");
}

#[test]
fn what_commands_did_is_in_the_audit_log_and_its_chain_holds() {
    let server = Server::dev();
    user(&server, "ada");
    let lines = json(&server.command(&["audit", "list", "--action", "user:create", "--since", "1h"], ""));
    let lines = lines.as_array().expect("a list");
    assert!(
        lines.iter().any(|line| line["principal"] == "doorward|command-line" && line["outcome"] == "done")
    );
    assert_eq!(json(&server.command(&["audit", "verify"], ""))["ok"], json!(true));
    let file = server.directory().join("audit.jsonl");
    let told = json(&server.command(&["audit", "export", "--output", "audit.jsonl"], ""));
    let text = fs::read_to_string(&file).expect("written");
    let exported: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(told["lines"], exported.len());
    let made = |line: &&Value| line["action"] == "user:create";
    assert_eq!(exported.iter().filter(made).count(), 2, "the administrator and ada: {text}");
    assert!(exported.iter().all(|line| line["hash"].is_string() && line["seq"].is_i64()), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = server.command(&["audit", "export", "--output", "audit.jsonl"], "");
    assert!(!again.status.success(), "an earlier export is not overwritten");
    let piped = run(server.directory(), &["audit", "export", "--since", "1h"]);
    assert!(piped.status.success() && piped.stdout.starts_with(b"{"), "{}", printed(&piped));
}

#[test]
fn migrations_are_told_and_a_store_can_be_made_beforehand() {
    let server = Server::dev();
    assert_eq!(json(&server.command(&["migrate", "status"], ""))["pending"], json!([]));
    let home = tempfile::tempdir().expect("a directory");
    let config = "[store]\npath = \"data/doorward.db\"\n[secrets]\nmaster_key = \"b3e1a9c07d5f42868c1e0b7a9d3f5c218f14e45fceea167a5a36dedd4bea2543\"\n";
    fs::write(home.path().join("doorward.toml"), config).expect("written");
    assert_eq!(run(home.path(), &["user", "list"]).status.code(), Some(1), "no store is made by looking");
    let applied = json(&run(home.path(), &["migrate", "apply", "--json"]));
    assert!(applied["applied"].as_array().is_some_and(|all| !all.is_empty()));
    assert_eq!(json(&run(home.path(), &["user", "list", "--json"])), json!([]));
}

#[test]
fn without_a_store_a_command_says_where_to_look() {
    let home = tempfile::tempdir().expect("a directory");
    let output = run(home.path(), &["user", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("--data-dir"), "{}", printed(&output));
    assert_eq!(fs::read_dir(home.path()).expect("a directory").count(), 0, "nothing was made");
}

#[test]
fn a_principal_that_nobody_vouches_for_is_a_slip_and_not_revoked() {
    let home = tempfile::tempdir().expect("a directory");
    let text = "[outbound]\nallow = [\"http://127.0.0.1:9\"]\n[issuers.company]\nissuer = \"http://127.0.0.1:9\"\naudience = [\"us\"]\n\
                [remote_tokens.company2]\nuserinfo_url = \"http://127.0.0.1:9/me\"\n\
                [mounts.native]\nissuers = [\"company\"]\nremote_tokens = \"company2\"\n";
    fs::write(home.path().join("doorward.toml"), text).expect("written");
    let server = Server::start(home, &["dev", "--config", "doorward.toml"]);
    let with = |words: &[&str]| {
        server.command(&[words, &["--config", "doorward.toml", "--data-dir", ".doorward"]].concat(), "")
    };
    let slip = with(&["token", "revoke", "--principal", "compnay|ann"]);
    let said = printed(&slip);
    assert!(!slip.status.success() && said.contains("did you mean company?"), "{said}");
    let flagged = json(&with(&["token", "revoke", "--principal", "agentflow|ann"]));
    assert!(flagged["note"].as_str().is_some_and(|note| note.contains("flags of its own")), "{flagged}");
    let nobody = with(&["explain", "--principal", "|ann", "--action", "thread:create"]);
    assert!(!nobody.status.success() && printed(&nobody).contains("names nobody"));
    let known = json(&with(&["token", "revoke", "--principal", "company|ann"]));
    assert_eq!(known, json!({ "revoked": "principal", "subject": "company|ann" }));
    let remote = json(&with(&["token", "revoke", "--principal", "company2|ann"]));
    assert_eq!(
        remote,
        json!({ "revoked": "principal", "subject": "company2|ann" }),
        "and no slip of company"
    );
    let explained = json(&with(&["explain", "--principal", "company|ann", "--action", "thread:create"]));
    assert_eq!((&explained["allowed"], &explained["principal"]), (&json!(true), &json!("company|ann")));
}
