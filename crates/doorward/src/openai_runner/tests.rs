//! The runner against model servers that lie, hang and talk without end.

use std::io::ErrorKind;

use doorward_core::agents::context::Context;
use doorward_core::agents::model::{Message, MessageRole};
use doorward_core::id::{MessageId, RunId, ThreadId};
use doorward_core::random::SeededRandom;
use doorward_outbound::ModelUrl;
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::clock::SystemClock;

const KEY: &str = "sk-of-the-operator";
const PATIENT: Duration = Duration::from_secs(60);
const HURRIED: Duration = Duration::from_millis(300);

fn settings() -> OpenAiSettings {
    OpenAiSettings {
        model: "small".to_owned(),
        system: None,
        max_output_tokens: 100,
        output_limit: "max_completion_tokens",
        max_input_bytes: 1_000,
        max_response_bytes: 64 << 20,
        time_limit: PATIENT,
        requests: 1,
        queue: 0,
    }
}

fn input(place: Place) -> RunInput {
    let random = SeededRandom::new(1);
    let thread = ThreadId::new(&SystemClock, &random);
    let message = Message {
        id: MessageId::new(&SystemClock, &random),
        thread: thread.clone(),
        role: MessageRole::User,
        content: json!("hello"),
        metadata: serde_json::Map::new(),
        run: None,
        created_at_ms: 0,
    };
    let context = Context::of(Arc::new(vec![message]));
    let run = RunId::new(&SystemClock, &random);
    RunInput { run, thread, place, context, user: serde_json::Map::new() }
}

fn runner(port: u16, settings: OpenAiSettings) -> OpenAiRunner {
    let url = ModelUrl::parse(&format!("http://127.0.0.1:{port}/v1"), false).expect("an address");
    OpenAiRunner::new(ModelServer::new(url, Some(KEY.into()), None).expect("a client"), settings)
}

/// Everything that is said to one run.
async fn events(port: u16, settings: OpenAiSettings) -> Vec<RunEvent> {
    let runner = runner(port, settings);
    runner.run(input(runner.admit("local|ann").expect("a place"))).collect().await
}

/// A server that reads one request and does `what` with the connection.
async fn server<T, F>(what: impl FnOnce(TcpStream, String) -> F + Send + 'static) -> (u16, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let at_work = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let request = request(&mut stream).await;
        what(stream, request).await
    });
    (port, at_work)
}

async fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut read).await.expect("readable"), 0, "it hung up");
    }
}

/// A server that answers with these bytes and hangs up.
async fn saying(answer: impl Into<Vec<u8>>) -> u16 {
    let answer = answer.into();
    let (port, _) = server(|mut stream, _| async move {
        let _ = stream.write_all(&answer).await;
    })
    .await;
    port
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";
const HELLO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn said(status: &str, media_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn failed(events: &[RunEvent]) -> Option<(Fault, &str)> {
    match events.last() {
        Some(RunEvent::Failed(fault, detail)) => Some((*fault, detail)),
        _ => None,
    }
}

#[tokio::test]
async fn a_run_is_one_request_with_the_key_and_its_answer_is_handed_on() {
    let (port, asked) = server(|mut stream, request| async move {
        let answer = format!("{STREAM}: waiting\n\n{HELLO}{STOP}{DONE}");
        stream.write_all(answer.as_bytes()).await.expect("it reads");
        request
    })
    .await;
    assert_eq!(events(port, settings()).await, [RunEvent::Text("Hello".to_owned())]);
    let asked = asked.await.expect("a request");
    let (head, body) = asked.split_once("\r\n\r\n").expect("a head");
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    for line in ["accept-encoding: identity", "content-type: application/json", "accept: text/event-stream"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(head.contains(&format!("authorization: bearer {KEY}")), "{head}");
    assert!(!body.contains(KEY) && body.contains(r#""model":"small""#), "{body}");
}

#[tokio::test]
async fn each_bad_answer_has_its_fault_and_the_log_no_key() {
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let counted = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n";
    let echoing = format!(r#"{{"error":{{"message":"no such key: {KEY}","code":"invalid_api_key"}}}}"#);
    let hidden = |header: &str| {
        let (cut, big) = (format!("{}{KEY}", "x".repeat(50)), KEY.to_ascii_uppercase());
        [cut, format!("text/{KEY}"), format!("text/{big}"), KEY.to_owned(), big.clone()]
            .map(|value| format!("HTTP/1.1 400 No\r\n{header}: {value}\r\ncontent-length: 3\r\n\r\n<p>"))
    };
    let later = "HTTP/1.1 429 Too Many\r\nretry-after: 17\r\ncontent-length: 2\r\n\r\n{}".to_owned();
    let elsewhere =
        "HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    let squeezed = STREAM.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n\x1f\u{8b}");
    let own = format!("{STREAM}{HELLO}data: {{\"error\":{{\"message\":\"bad {KEY}\"}}}}\n\n");
    let upgraded = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned();
    let cases: Vec<(&str, String, Fault, &str)> = vec![
        ("no HTTP", "SSH-2.0-x\r\n\r\n".to_owned(), Fault::BadAnswer, ""),
        (
            "a long head",
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(64 << 10)),
            Fault::BadAnswer,
            "",
        ),
        ("nothing", String::new(), Fault::Failed, ""),
        ("another protocol", upgraded, Fault::Failed, "101"),
        ("a wrong key", said("401 No", "application/json", &echoing), Fault::Failed, "invalid_api_key"),
        ("no such model", said("404 No", "application/json", "{}"), Fault::Failed, "model.name"),
        ("too many", later, Fault::Busy, "17"),
        ("a page", said("502 Bad", "text/html", "<h1>proxy</h1>"), Fault::Failed, "502"),
        ("a redirect", elsewhere, Fault::Failed, "redirects"),
        ("a good page", said("200 OK", "text/html", "<h1>hello</h1>"), Fault::BadAnswer, "text/html"),
        ("not as a stream", said("200 OK", "application/json", "{}"), Fault::BadAnswer, "application/json"),
        ("no media type", "HTTP/1.1 200 OK\r\n\r\n".to_owned(), Fault::BadAnswer, ""),
        ("compressed", squeezed, Fault::BadAnswer, "compressed"),
        ("garbage", format!("{STREAM}data: \x00\x01 what\n\n"), Fault::BadAnswer, ""),
        ("cut in a chunk", format!("{chunked}ff\r\n{HELLO}"), Fault::Exited, "broke off"),
        ("cut in its length", format!("{counted}{HELLO}{STOP}"), Fault::Exited, "broke off"),
        ("no [DONE]", format!("{STREAM}{HELLO}{STOP}"), Fault::Exited, "[DONE]"),
        ("no event at all", STREAM.to_owned(), Fault::Exited, "[DONE]"),
        ("its own error", own, Fault::Failed, "in its answer"),
        ("a long line", format!("{STREAM}data: {}", "x".repeat(MAX_EVENT_BYTES)), Fault::TooLong, "524288"),
    ];
    let hidden = ["retry-after", "content-type"].map(hidden).into_iter().flatten();
    let cases = cases.into_iter().chain(hidden.map(|answer| ("in a header", answer, Fault::Failed, "400")));
    for (name, answer, fault, part) in cases {
        let events = events(saying(answer).await, settings()).await;
        let found = failed(&events);
        assert!(found.is_some_and(|(f, d)| f == fault && d.contains(part)), "{name}: {events:?}");
        let detail = found.map(|(_, detail)| detail).unwrap_or_default();
        let small = detail.to_ascii_lowercase();
        assert!(!small.contains(&KEY[..8]) && !detail.contains("<h1>"), "{name}: {detail}");
        assert!(detail.len() <= SHOWN_BYTES + 8, "{name}: {detail}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = nobody.local_addr().expect("bound").port();
    drop(nobody);
    assert!(matches!(failed(&events(port, settings()).await), Some((Fault::Failed, _))));
}

#[tokio::test]
async fn what_people_wrote_is_not_in_the_log_whatever_the_server_repeats_of_it() {
    let long = "\\u001b[31m".to_owned() + &"é".repeat(5_000);
    for text in ["hello", &long] {
        let bodies = [
            format!(
                r#"{{"error":{{"message":"{text} cannot be read","code":"{text} x","type":"bad_input"}}}}"#
            ),
            format!(r#"{{"error":"{text}"}}"#),
            format!(r#"{{"detail":[{{"type":"string_type","input":"{text}"}}]}}"#),
            format!(r#"{{"detail":"{text}","type":"{text} is it"}}"#),
        ];
        for body in bodies {
            let refused = said("400 No", "application/json", &body);
            let amid = format!("{STREAM}event: error\ndata: {body}\n\n");
            let twice = format!("{STREAM}data: {{\"{text}\":1,\"{text}\":2}}\n\n");
            for answer in [refused, amid, twice] {
                let events = events(saying(answer).await, settings()).await;
                let (_, detail) = failed(&events).expect("a failure");
                assert!(!detail.contains("hello") && !detail.contains('é'), "{body}: {detail}");
                assert!(!detail.contains('\u{1b}'), "{detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_trickles_ends_with_the_time_limit() {
    let hurried = || OpenAiSettings { time_limit: HURRIED, ..settings() };
    for (name, beginning) in [
        ("before its head", String::new()),
        ("in its head", "HTTP/1.1 200 OK\r\ncontent-ty".to_owned()),
        ("in an error", "HTTP/1.1 500 Oh\r\ncontent-length: 99\r\n\r\n{".to_owned()),
        ("in its answer", format!("{STREAM}{HELLO}")),
    ] {
        let (port, _) = server(|mut stream, _| async move {
            stream.write_all(beginning.as_bytes()).await.expect("it reads");
            stream.read_u8().await
        })
        .await;
        let events = events(port, hurried()).await;
        assert_eq!(failed(&events).map(|(fault, _)| fault), Some(Fault::TimedOut), "{name}: {events:?}");
    }
    let (port, _) = server(|mut stream, _| async move {
        stream.write_all(STREAM.as_bytes()).await.expect("it reads");
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        while stream.write_all(b":\n").await.is_ok() {
            beat.tick().await;
        }
    })
    .await;
    assert_eq!(failed(&events(port, hurried()).await).map(|(fault, _)| fault), Some(Fault::TimedOut));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_its_limit() {
    for piece in [": nothing to say\n\n", HELLO] {
        let (port, written) = server(move |mut stream, _| async move {
            stream.write_all(STREAM.as_bytes()).await.expect("it reads");
            let pieces = piece.repeat(1_000);
            while stream.write_all(pieces.as_bytes()).await.is_ok() {}
        })
        .await;
        let limited = OpenAiSettings { max_response_bytes: 1 << 20, ..settings() };
        let events = events(port, limited).await;
        assert_eq!(failed(&events).map(|(fault, _)| fault), Some(Fault::TooLong), "{piece}");
        written.await.expect("the connection was dropped");
    }
}

#[tokio::test]
async fn a_run_nobody_wants_drops_its_request_and_its_place_is_free_again() {
    let (port, left) = server(|mut stream, _| async move {
        stream.write_all(format!("{STREAM}{HELLO}").as_bytes()).await.expect("it reads");
        stream.read(&mut [0]).await.map_err(|error| error.kind())
    })
    .await;
    let runner = runner(port, settings());
    let mut running = runner.run(input(runner.admit("local|ann").expect("a place")));
    assert_eq!(running.next().await, Some(RunEvent::Text("Hello".to_owned())));
    assert!(runner.admit("local|ann").is_err(), "its place is taken");
    drop(running);
    let left = left.await.expect("the server is told");
    assert!(matches!(left, Ok(0) | Err(ErrorKind::ConnectionReset)), "{left:?}");
    while runner.admit("local|ann").is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_waits_makes_the_server_wait() {
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(64 << 10)
    );
    let (port, written) = server(move |mut stream, _| async move {
        stream.write_all(STREAM.as_bytes()).await.expect("it reads");
        let mut written = 0;
        // Until nothing is taken any more.
        while tokio::time::timeout(HURRIED, stream.write_all(event.as_bytes())).await.is_ok() {
            written += event.len();
            assert!(written < 48 << 20, "everything is taken");
        }
        (stream, written)
    })
    .await;
    let runner = runner(port, settings());
    let mut running = runner.run(input(runner.admit("local|ann").expect("a place")));
    let (stream, written) = written.await.expect("the server waits");
    assert!(written > 0);
    assert!(matches!(running.next().await, Some(RunEvent::Text(_))), "it goes on where it stood");
    drop(stream);
}
