//! `[agents] runner = "command"`: a program answers over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::program::{Server, json, printed, run};
use crate::serve::configured;

/// Says what it is asked to; `fail` ends it with its secret on both outputs.
const AGENT: &str = r#"
import json, sys
request = json.loads(sys.stdin.readline())
assert request["version"] == 1 and request["type"] == "run" and request["config"]["user"]["user_id"]
said = request["messages"][-1]["content"]
print("about \x1b[31mthis run", file=sys.stderr, flush=True)
if said == "fail":
    print("the password is hunter2", flush=True)
    sys.exit(3)
for word in ["You said ", said]:
    print(json.dumps({"type": "token", "text": word}), flush=True)
print(json.dumps({"type": "done"}), flush=True)
"#;

fn post(server: &Server, key: &str, path: &str, accept: &str, body: &str) -> String {
    let address = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nAccept: {accept}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_program_answers_as_a_stream_and_its_failure_tells_the_client_a_code_alone() {
    let home = configured(
        "[server]\nlisten = \"127.0.0.1:0\"\n[agents]\nrunner = \"command\"\ncommand = [\"python3\", \"agent.py\"]\n\
         directory = \".\"\n",
    );
    fs::write(home.path().join("agent.py"), AGENT).expect("written");
    let server = Server::start(home, &["serve"]);
    json(&server.command(&["user", "create", "--username", "ada", "--no-password"], ""));
    let key = ["key", "create", "--user", "ada", "--name", "test", "--expires", "1h"];
    let key = json(&server.command(&key, ""))["key"].as_str().expect("a key").to_owned();
    let made = post(&server, &key, "/v1/threads", "*/*", "{}");
    let made: Value = serde_json::from_str(made.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    let runs = format!("/v1/threads/{}/runs", made["id"].as_str().expect("an id"));
    let ask = |what: &str, accept: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{what}"}}]}}"#);
        post(&server, &key, &runs, accept, &body)
    };
    let streamed = ask("hello", "text/event-stream");
    let told = streamed.find(r#"{"text":"You said "}"#).zip(streamed.find(r#"{"text":"hello"}"#));
    assert!(told.is_some_and(|(first, second)| first < second), "{streamed}");
    assert!(streamed.contains("You said hello") && streamed.contains(r#""status":"success""#), "{streamed}");
    let failed = ask("fail", "*/*");
    assert!(failed.contains("agent_bad_answer: the agent's answer cannot be read"), "{failed}");
    assert!(!failed.contains("hunter2"), "{failed}");
    let log = server.log();
    assert!(log.contains("about \u{fffd}[31mthis run") && !log.contains("hunter2"), "{log}");
}

#[test]
fn a_command_that_cannot_be_meant_is_refused() {
    let cases = [
        ("runner = \"command\"\n", "agents.command"),
        ("runner = \"command\"\ncommand = []\n", "agents.command"),
        (
            "runner = \"command\"\ncommand = [\"true\"]\npass_environment = [\"DOORWARD__SECRETS__MASTER_KEY\"]\n",
            "agents.pass_environment",
        ),
        ("runner = \"command\"\ncommand = [\"true\"]\ntime_limit_s = 601\n", "agents.time_limit_s"),
        ("[handlers]\npass_environment = [\"DOORWARD__SECRETS__MASTER_KEY\"]\n", "handlers.pass_environment"),
    ];
    for (agents, expected) in cases {
        let home = configured(&format!("[agents]\n{agents}"));
        let checked = run(home.path(), &["config", "check"]);
        let text = printed(&checked);
        assert!(checked.status.code() == Some(1) && text.contains(expected), "{agents}: {text}");
    }
}
