//! `doorward explain` beside a running server: what it says is what the server does.

use std::process::Output;

use serde_json::{Value, json};

use crate::program::{Server, json as answered, printed, run};
use crate::serve::configured;

fn explain(server: &Server, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = server.command(&[&["explain"], arguments].concat(), "");
    let told =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| unreachable!("{}", printed(&output)));
    (output.status.code(), told)
}

fn made(output: &Output) -> String {
    answered(output)["id"].as_str().expect("an id").to_owned()
}

#[test]
fn every_verdict_names_its_rule_and_what_a_client_sees() {
    let server = Server::dev();
    let create = |name: &str| {
        let words = ["user", "create", "--username", name, "--password-stdin"];
        made(&server.command(&words, "a long password 1\n"))
    };
    let (ada, bob) = (create("ada"), create("bob"));
    let words =
        ["key", "create", "--user", "ada", "--name", "x", "--scope", "thread:list", "--expires", "1h"];
    let key = made(&server.command(&words, ""));
    let cases: &[(&[&str], Value, Value)] = &[
        (&["--principal", "ada", "--action", "thread:create"], Value::Null, Value::Null),
        (&["--principal", "ada", "--action", "user:read", "--resource", &ada], Value::Null, Value::Null),
        (&["--principal", "ada", "--action", "user:read", "--resource", &bob], json!("owner"), json!(404)),
        (&["--principal", "ada", "--action", "user:administer"], json!("role"), json!(403)),
        (&["--principal", &key, "--action", "thread:create"], json!("scope"), json!(403)),
        (&["--principal", &key, "--action", "thread:list"], Value::Null, Value::Null),
        (&["--principal", "anonymous", "--action", "thread:create"], json!("no credential"), json!(401)),
        (
            &["--principal", "dev-admin", "--action", "user:read", "--resource", &bob],
            Value::Null,
            Value::Null,
        ),
        (
            &["--principal", "ada", "--action", "thread:read", "--resource", "thr_none"],
            Value::Null,
            Value::Null,
        ),
    ];
    for (arguments, rule, status) in cases {
        let (code, told) = explain(&server, arguments);
        assert_eq!((&told["rule"], &told["status"]), (rule, status), "{arguments:?}: {told}");
        assert_eq!((code, &told["allowed"]), (Some(i32::from(!rule.is_null())), &json!(rule.is_null())));
        assert!(told["steps"].as_array().is_some_and(|steps| steps.len() >= 3), "{told}");
    }
    let (_, told) =
        explain(&server, &["--principal", "ada", "--action", "thread:read", "--resource", "thr_none"]);
    assert!(told["steps"].to_string().contains("No such resource"), "{told}");
    let text =
        printed(&run(server.directory(), &["explain", "--principal", "ada", "--action", "user:administer"]));
    assert!(
        text.contains("denied by the rule \"role\": 403 forbidden") && !text.contains("error:"),
        "{text}"
    );
}

#[test]
fn an_area_is_explained_as_a_proxy_is_told() {
    let home = configured(
        "[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n[areas.reports]\nprefixes = [\"/reports\"]\nroles = [\"analyst\"]\n\
         [areas.other]\nprefixes = [\"/other\"]\nroles = [\"user\"]\n[roles.analyst]\npermissions = []\n",
    );
    let server = Server::start(home, &["serve"]);
    made(
        &server.command(&["user", "create", "--username", "bob", "--password-stdin"], "a long password 1\n"),
    );
    for (who, area, rule, status) in [
        ("bob", "reports", json!("owner"), json!(403)),
        ("bob", "nosuch", json!("owner"), json!(403)),
        ("bob", "other", Value::Null, Value::Null),
        ("anonymous", "other", json!("no credential"), json!(401)),
    ] {
        let (_, told) = explain(&server, &["--principal", who, "--action", "area:read", "--resource", area]);
        assert_eq!((&told["rule"], &told["status"]), (&rule, &status), "{who} {area}: {told}");
    }
}

#[test]
fn what_cannot_be_explained_is_said() {
    let server = Server::dev();
    let words = ["user", "create", "--username", "ada", "--password-stdin"];
    made(&server.command(&words, "a long password 1\n"));
    let words = ["key", "create", "--user", "ada", "--name", "x", "--expires", "1h"];
    let key = made(&server.command(&words, ""));
    server.command(&["user", "disable", "ada"], "");
    for (arguments, code, word) in [
        (&["--principal", "ada", "--action", "thread:read"][..], 1, "user_disabled"),
        (&["--principal", &key, "--action", "thread:read"], 1, "user_disabled"),
        (&["--principal", "nobody", "--action", "thread:read"], 1, "there is no user"),
        (&["--principal", "dev-admin", "--action", "thread:raed"], 2, "did you mean thread:read?"),
        (
            &["--principal", "dev-admin", "--action", "thread:read", "--mount", "nativ"],
            1,
            "did you mean native?",
        ),
    ] {
        let output = run(server.directory(), &[&["explain"], arguments].concat());
        let text = printed(&output);
        assert!(output.status.code() == Some(code) && text.contains(word), "{arguments:?}: {text}");
    }
}
