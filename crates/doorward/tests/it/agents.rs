//! `[agents] runner = "command"`: a program answers over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::program::{Server, json, printed, run};
use crate::serve::{configured, private};

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

#[test]
fn a_projects_key_that_everybody_would_spend_is_refused_until_somebody_agrees() {
    let mounts = "[mounts.langgraph]\nsurface = \"langgraph\"\nlanggraph = \"langgraph.json\"\nallow_anonymous = true\n\
                  [mounts.agentflow]\nsurface = \"agentflow\"\nlisten = \"127.0.0.1:0\"\nagentflow = \"agentflow.json\"\n\
                  allow_anonymous = true\n";
    let key = "OPENAI_API_KEY=sk-secret\n";
    for (name, agents, dotenv, refused) in [
        ("a key", "", key, true),
        ("no key", "", "", false),
        ("it is agreed to", "[agents]\nrunner = \"openai\"\n", key, false),
        ("it echoes", "[agents]\nrunner = \"echo\"\n", key, false),
    ] {
        let home = configured(&format!("{agents}{mounts}"));
        let write = |name: &str, text: &str| fs::write(home.path().join(name), text).expect("written");
        write("langgraph.json", r#"{"graphs": {"agent": "a.py:g"}, "env": ".env"}"#);
        write("agentflow.json", r#"{"agent": "a:b", "auth": null}"#);
        private(&home.path().join(".env"), dotenv);
        let checked = run(home.path(), &["config", "check"]);
        let text = printed(&checked);
        assert_eq!(checked.status.code() == Some(1), refused, "{name}: {text}");
        for part in ["agents.runner: ", "mounts.agentflow", "mounts.langgraph"] {
            let told = text.contains(part) && text.contains("would spend that key");
            assert_eq!(told, refused, "{name}: {text}");
        }
        assert!(!text.contains("sk-secret"), "{name}: {text}");
    }
}

#[test]
fn a_model_that_cannot_be_asked_is_refused_and_its_key_is_never_shown() {
    let openai = "[agents]\nrunner = \"openai\"\n[model]\n";
    let cases = [
        ("", "model.api_key"),
        ("api_key = \"k\"\n", "model.name"),
        (
            "name = \"m\"\napi_key = \"${DOORWARD_NO_SUCH_KEY}\"\n",
            "set DOORWARD_NO_SUCH_KEY in the environment",
        ),
        ("name = \"m\"\napi_key = \"sk-secret sk-secret\"\n", "model.api_key"),
        ("name = \"m\"\napi_key_file = \"nowhere\"\n", "model.api_key_file"),
        ("name = \"m\"\nbase_url = \"http://10.0.0.1/v1\"\n", "plain_http"),
        ("name = \"m\"\nbase_url = \"https://user:sk-secret@models.example/v1\"\n", "model.base_url"),
        ("name = \"m\"\nbase_url = \"models.example\"\n", "model.base_url"),
        ("name = \"a\\nb\"\napi_key = \"k\"\n", "model.name"),
        ("name = \"m\"\napi_key = \"k\"\ntime_limit_s = 601\n", "model.time_limit_s"),
        ("name = \"m\"\napi_key = \"k\"\noutput_limit = \"tokens\"\n", "model.output_limit"),
        ("name = \"m\"\napi_key = \"k\"\ntemperature = 1\n", "model.temperature"),
    ];
    for (model, expected) in cases {
        let home = configured(&format!("{openai}{model}"));
        let checked = run(home.path(), &["config", "check"]);
        let text = printed(&checked);
        assert!(checked.status.code() == Some(1) && text.contains(expected), "{model}: {text}");
        assert!(!text.contains("sk-secret"), "{model}: {text}");
    }
    let home = configured(&format!("{openai}name = \"m\"\napi_key_file = \"model.key\"\n"));
    fs::write(home.path().join("model.key"), "sk-secret\n").expect("written");
    fs::set_permissions(home.path().join("model.key"), fs::Permissions::from_mode(0o644)).expect("opened");
    let open = printed(&run(home.path(), &["config", "check"]));
    assert!(open.contains("model.api_key_file") && open.contains("chmod 600"), "{open}");
    private(&home.path().join("model.key"), "sk-secret\n");
    let checked = run(home.path(), &["config", "check"]);
    assert!(checked.status.success(), "{}", printed(&checked));
    fs::write(home.path().join("doorward.toml"), format!("{openai}name = \"m\"\napi_key = \"sk-secret\"\n"))
        .expect("written");
    let shown = printed(&run(home.path(), &["config", "show"]));
    assert!(shown.contains("model.api_key") && !shown.contains("sk-secret"), "{shown}");
}
