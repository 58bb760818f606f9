//! User code out of process: what a call costs when the code does nothing.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::ports::Handlers as _;
use doorward_handlers::{Host, Runtime, Settings};
use serde_json::json;

use crate::house::directory;
use crate::measure::{Report, Wanted, wall};

const NAMES: [&str; 5] = [
    "handler: round trip of an empty coroutine, median",
    "handler: round trip of an empty function, median",
    "handler: calls a second with two workers",
    "handler in JavaScript: round trip of an empty function, median",
    "handler in JavaScript: calls a second with two workers",
];
const ROUND: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 64;

/// A file whose one function does nothing, and how it is named to whoever loads it.
struct File {
    name: &'static str,
    kind: &'static str,
    target: &'static str,
    text: String,
}

fn python(form: &str) -> File {
    let text = format!(
        "from agentflow_cli import BaseAuth\n\n\nclass Backend(BaseAuth):\n    {form} authenticate(self, res, credential):\n        \
         return {{\"user_id\": \"ann\"}}\n"
    );
    File { name: "mine.py", kind: "agentflow", target: "mine:Backend", text }
}

fn javascript() -> File {
    let text = "import { Auth } from \"@langchain/langgraph-sdk/auth\";\nexport const auth = new Auth().authenticate(async (request) => \"ann\");\n";
    File { name: "mine.mjs", kind: "langgraph", target: "./mine.mjs:auth", text: text.to_owned() }
}

fn with() -> serde_json::Value {
    json!({
        "credential": {"scheme": "Bearer", "credentials": "x"}, "method": "GET", "path": "/v1/threads", "query": "",
        "headers": [["host", "127.0.0.1"], ["authorization", "Bearer x"], ["user-agent", "bench"]], "client": "127.0.0.1",
    })
}

async fn open(directory: &std::path::Path, file: File, workers: usize) -> Result<Host, String> {
    std::fs::write(directory.join(file.name), file.text).map_err(|error| error.to_string())?;
    let environment = std::env::var("PATH").map(|path| vec![("PATH".to_owned(), path)]).unwrap_or_default();
    let runtime = Runtime::of_file(file.name);
    let settings = Settings {
        environment,
        workers,
        runtime,
        interpreter: runtime.program.into(),
        ..Settings::new("bench", file.kind, file.target, directory.to_path_buf())
    };
    Host::open(settings).await.map_err(|error| error.to_string())
}

/// Microseconds of one call after the other, the median.
async fn one_by_one(host: &Host) -> Result<f64, String> {
    let mut took = Vec::new();
    let begun = wall();
    while wall() - begun < ROUND {
        let asked = wall();
        host.call("authenticate", with()).await.map_err(|fault| format!("{fault:?}"))?;
        took.push((wall() - asked).as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

async fn at_once(host: Arc<Host>) -> Result<f64, String> {
    let begun = wall();
    let callers = (0..AT_ONCE).map(|_| {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let mut done = 0_u32;
            while wall() - begun < ROUND {
                host.call("authenticate", with()).await.map_err(|fault| format!("{fault:?}"))?;
                done += 1;
            }
            Ok::<u32, String>(done)
        })
    });
    let mut all = 0;
    for caller in futures_util::future::join_all(callers).await {
        all += caller.map_err(|fault| fault.to_string())??;
    }
    Ok(f64::from(all) / (wall() - begun).as_secs_f64())
}

pub(crate) fn run(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = directory();
    let measured = runtime.block_on(async {
        let (place, mut told) = (directory.path(), Vec::new());
        for file in [python("async def"), python("def")] {
            told.push(one_by_one(&open(place, file, 1).await?).await?);
        }
        told.push(at_once(Arc::new(open(place, python("async def"), 2).await?)).await?);
        told.push(one_by_one(&open(place, javascript(), 1).await?).await?);
        told.push(at_once(Arc::new(open(place, javascript(), 2).await?)).await?);
        Ok::<_, String>(told)
    });
    let trip = |most: Option<f64>| ("µs", most.map_or(Wanted::Shown, Wanted::AtMost));
    let rate = || ("/s", Wanted::AtLeast(10_000.0));
    let wanted = [trip(Some(150.0)), trip(None), rate(), trip(Some(150.0)), rate()];
    match measured {
        Ok(told) => {
            for ((name, figure), (unit, wanted)) in NAMES.iter().zip(told).zip(wanted) {
                report.figure(name, figure, unit, wanted);
            }
        }
        Err(why) => NAMES.iter().for_each(|name| report.absent(name, &why)),
    }
}
