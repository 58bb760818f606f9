//! The runner against small shell scripts.

use doorward_core::agents::context::Context;
use doorward_core::error::codes;
use doorward_core::id::ThreadId;
use doorward_core::random::SeededRandom;
use futures_util::StreamExt as _;

use super::*;
use crate::clock::SystemClock;

fn settings(script: &str) -> CommandSettings {
    CommandSettings {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        directory: None,
        environment: vec![("PATH".to_owned(), std::env::var("PATH").expect("a path"))],
        time_limit: Duration::from_secs(60),
        max_output_bytes: 4096,
        max_line_bytes: 1024,
        processes: 1,
        queue: 0,
    }
}

fn input(place: Place) -> RunInput {
    let random = SeededRandom::new(1);
    RunInput {
        run: RunId::new(&SystemClock, &random),
        thread: ThreadId::new(&SystemClock, &random),
        place,
        context: Context::of(Arc::default()),
        user: serde_json::Map::new(),
    }
}

async fn events(settings: CommandSettings) -> Vec<RunEvent> {
    let runner = CommandRunner::new(settings);
    let place = runner.admit("local|ann").expect("a place");
    runner.run(input(place)).collect().await
}

fn failed(events: &[RunEvent]) -> Option<(Fault, &str)> {
    match events.last() {
        Some(RunEvent::Failed(fault, detail)) => Some((*fault, detail)),
        _ => None,
    }
}

#[tokio::test]
async fn each_bad_end_has_its_fault() {
    let cases: &[(&str, &str, Fault, &str)] = &[
        ("exit code", "exit 7", Fault::Exited, "exit code 7"),
        ("zero without done", "exit 0", Fault::Exited, "exit code 0"),
        ("a signal", "kill -9 $$", Fault::Exited, "signal 9"),
        ("broken JSON", "echo '{\"type\":'; sleep 600", Fault::BadAnswer, ""),
        (
            "its own error",
            "echo '{\"type\":\"error\",\"code\":\"c\",\"message\":\"m\"}'; sleep 600",
            Fault::Failed,
            "c: m",
        ),
        ("a long line", "head -c 2000 /dev/zero; sleep 600", Fault::TooLong, "1024"),
        ("too much", "while echo; do :; done", Fault::TooLong, "4096"),
    ];
    for (name, script, fault, detail) in cases {
        let events = events(settings(script)).await;
        let found = failed(&events);
        assert!(found.is_some_and(|(f, d)| f == *fault && d.contains(detail)), "{name}: {events:?}");
    }
    let unheard_of = CommandSettings { command: vec!["/nowhere/agent".to_owned()], ..settings("") };
    assert!(matches!(failed(&events(unheard_of).await), Some((Fault::Failed, _))));
}

#[tokio::test]
async fn only_what_is_allowed_is_in_the_environment() {
    let script = r#"printf '{"type":"message","text":"%s"}\n{"type":"done"}\n' "${HOME-none} ${KEPT-none}""#;
    let mut settings = settings(script);
    settings.environment.push(("KEPT".to_owned(), "kept".to_owned()));
    assert_eq!(events(settings).await, [RunEvent::Text("none kept".to_owned())]);
}

/// A script that starts a child, tells both process ids and stays.
const STAYS: &str = r#"sleep 600 & printf '{"type":"token","text":"%s"}\n' "$$ $!"; wait"#;

fn is_gone(id: &str) -> bool {
    // A zombie is dead: whoever adopted it may take its time to notice.
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ") || status.contains("State:\tX")
}

async fn all_gone(ids: &str) {
    while !ids.split(' ').all(is_gone) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_killed_with_what_it_started() {
    let settings = CommandSettings { time_limit: Duration::from_secs(1), ..settings(STAYS) };
    let events = events(settings).await;
    assert_eq!(failed(&events).map(|(fault, _)| fault), Some(Fault::TimedOut));
    let RunEvent::Text(ids) = &events[0] else { unreachable!("{events:?}") };
    all_gone(ids).await;
}

#[tokio::test]
async fn a_run_nobody_wants_is_killed_and_its_place_is_free_again() {
    let runner = CommandRunner::new(settings(STAYS));
    let mut running = runner.run(input(runner.admit("local|ann").expect("a place")));
    let Some(RunEvent::Text(ids)) = running.next().await else { unreachable!("it tells its id") };
    let refused = runner.admit("local|ann").expect_err("full");
    assert!(refused.is(codes::AGENTS_BUSY) && refused.retry_after() == Some(1));
    drop(running);
    all_gone(&ids).await;
    while runner.admit("local|ann").is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_runs_once_a_process_has_ended() {
    let script = r#"echo '{"type":"token","text":"x"}'; echo '{"type":"done"}'"#;
    let runner = CommandRunner::new(CommandSettings { queue: 1, ..settings(script) });
    let [one, two] =
        ["local|ann", "local|bob"].map(|who| runner.run(input(runner.admit(who).expect("a place"))));
    assert!(runner.admit("local|eve").is_err());
    let told: Vec<Vec<_>> = futures_util::future::join_all([one, two].map(|run| run.collect())).await;
    assert_eq!(told, vec![vec![RunEvent::Text("x".to_owned())]; 2]);
}
