//! An axum route under the library's layer, beside the same route bare.
//!
//! One process serves both, each on a listener of its own, and is asked by this one in turn, so that nothing but the layer differs: the
//! same allocator, the same runtime, the same bytes of the request. One route answers a text that is there, which is as little
//! as a route can do; the other spells a page of fifty rows, as those of applications do.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use doorward::{ApiKeyKind, Doorward, Expiry, NewApiKey, NewUser, Principal, RequirePermission, Subject};

use crate::forward_auth::{in_turn, median, round};
use crate::measure::{Report, Wanted};

/// What this program is told to serve both by.
pub(crate) const PEER: &str = "library-routes";

/// Many and short, as forward-auth's, over several processes in turn.
const ROUNDS: usize = 45;
/// Of what is nearly nothing, beside which what else the machine does weighs more: a round lies off by some 7 %.
const ROUNDS_OF_A_TEXT: usize = 135;
const ROUNDS_OF_ONE: usize = 5;
/// What a process says of itself: where the two listeners are, then a key and a token.
const KEY: usize = 2;
const TOKEN: usize = 3;
const BODY: &str = r#"{"reports":[{"id":1,"title":"January"},{"id":2,"title":"February"}]}"#;

doorward::actions! {
    /// What the route shows.
    report {
        /// Seeing them.
        Read = "read", Read;
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

async fn bare() -> &'static str {
    BODY
}

#[derive(serde::Serialize)]
struct Row {
    id: u32,
    title: String,
    owner: &'static str,
    changed_at: &'static str,
    tags: [&'static str; 2],
}

async fn page() -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    let rows: Vec<_> = (1..=50)
        .map(|id| Row {
            id,
            title: format!("Report {id}"),
            owner: "local|usr_0",
            changed_at: "2026-11-29T12:48:27Z",
            tags: ["sales", "monthly"],
        })
        .collect();
    ([(CONTENT_TYPE, "application/json")], serde_json::to_vec(&rows).expect("rows are serialisable"))
}

async fn known(_: Principal) -> &'static str {
    BODY
}

async fn permitted(_: RequirePermission<report::Read>) -> &'static str {
    BODY
}

/// Says where the bare and the protected routes are, a key and a token, and answers until it is ended.
pub(crate) fn served() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    runtime.block_on(async {
        let builder = Doorward::builder().in_memory().actions(report::ALL).allow("user", ["report:read"]);
        let doorward = builder.build().await.map_err(text)?;
        let system = doorward.system("bench");
        let new = NewUser { username: Some("ann".into()), ..NewUser::default() };
        let user = system.create_user(new).await.map_err(text)?;
        let new = NewApiKey { name: "bench".into(), scopes: vec!["read".into()], expiry: Expiry::Never };
        let key = system.create_api_key_for(&user.id, ApiKeyKind::User, new).await.map_err(text)?;
        let subject = Subject { subject: user.id.to_string(), ..Subject::default() };
        let token = system.issue_token(subject).await.map_err(text)?;
        let routes = || Router::new().route("/reports", get(bare)).route("/page", get(page));
        let protected =
            routes().route("/known", get(known)).route("/permitted", get(permitted)).layer(doorward.layer());
        let mut serving = Vec::new();
        for app in [routes(), protected] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
            println!("{}", listener.local_addr().map_err(text)?);
            serving.push(tokio::spawn(async move { axum::serve(listener, app).await }));
        }
        println!("{}\n{}", key.secret.expose(), token.token.expose());
        for one in serving {
            one.await.map_err(text)?.map_err(text)?;
        }
        Ok(())
    })
}

struct Served {
    child: Child,
    said: [String; 4],
}

impl Served {
    fn start() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(text)?;
        let mut child = Command::new(program).arg(PEER).stdout(Stdio::piped()).spawn().map_err(text)?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it says nothing")?).lines();
        let mut line = || lines.next().ok_or("it ended")?.map_err(text);
        let said = [line()?, line()?, line()?, line()?];
        Ok(Self { child, said })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn measured(report: &mut Report) -> Result<(), String> {
    let request = |path: &str, credential: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer {credential}\r\n\r\n")
            .into_bytes()
    };
    let cases = [
        ("an API key, a page of rows", "/page", "/page", KEY, Wanted::AtLeast(0.9)),
        ("a token of ours, a page of rows", "/page", "/page", TOKEN, Wanted::AtLeast(0.9)),
        ("an API key", "/reports", "/reports", KEY, Wanted::AtLeast(0.9)),
        ("a token of ours", "/reports", "/reports", TOKEN, Wanted::AtLeast(0.9)),
        ("an API key, the caller asked for", "/reports", "/known", KEY, Wanted::Shown),
        ("an API key, a permission asked for", "/reports", "/permitted", KEY, Wanted::Shown),
    ];
    for (name, path, guarded, credential, wanted) in cases {
        let rounds = if guarded == "/reports" { ROUNDS_OF_A_TEXT } else { ROUNDS };
        let mut served = Served::start()?;
        let mut seen = [const { Vec::new() }; 4];
        for at in 0..rounds {
            // Where a process has its code and its memory moves the ratio too, by as much as a few of a hundred.
            if at > 0 && at.is_multiple_of(ROUNDS_OF_ONE) {
                served = Served::start()?;
            }
            let [bare_at, protected_at, ..] = &served.said;
            let [plain, protected] = [path, guarded].map(|path| request(path, &served.said[credential]));
            let bare = || round(served.child.id(), bare_at, &plain);
            let ours = || round(served.child.id(), protected_at, &protected);
            let ([bare_us, bare_rate], [ours_us, ours_rate]) = in_turn(at, bare, ours)?;
            let round = [ours_us, bare_us, bare_us / ours_us, ours_rate / bare_rate];
            seen.iter_mut().zip(round).for_each(|(all, value)| all.push(value));
        }
        // Of ratios within a round: what else the machine does changes from one to the next.
        let [ours_us, bare_us, cpu_ratio, rate_ratio] = seen.map(median);
        for (what, value, unit, wanted) in [
            ("CPU of a request", ours_us, "µs", Wanted::Shown),
            ("CPU of the bare route", bare_us, "µs", Wanted::Shown),
            ("requests per CPU second × the same route bare", cpu_ratio, "×", wanted),
            ("requests a second × the same route bare", rate_ratio, "×", wanted),
        ] {
            report.figure(&format!("library, {name}: {what}"), value, unit, wanted);
        }
    }
    Ok(())
}

pub(crate) fn run(report: &mut Report) {
    if let Err(why) = measured(report) {
        report.absent("library: × the same route bare", &why);
    }
}
