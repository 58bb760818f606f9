use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};

use super::*;
use crate::http::body::BodyError;

/// More than sockets hold.
const BIG: usize = 32 << 20;

/// Answers each request with its path and body; `/wait` first waits to be let go.
#[derive(Default)]
struct Echo {
    go: Notify,
    taken: AtomicUsize,
}

impl Answering for Echo {
    fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        _peer: SocketAddr,
        _: Option<Line>,
    ) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(async move {
            self.taken.fetch_add(1, Ordering::SeqCst);
            let path = request.uri().path().to_owned();
            if path == "/wait" {
                self.go.notified().await;
            }
            if path == "/big" {
                return http::Response::new(Body::full(vec![b'x'; BIG]));
            }
            if path == "/stream" {
                let parts = stream::unfold(Some(self), |echo| async {
                    let echo = echo?;
                    echo.go.notified().await;
                    Some((Ok::<_, BodyError>(Bytes::from_static(b"a part")), None))
                });
                return http::Response::new(Body::stream(parts));
            }
            match request.into_body().collect().await {
                Ok(body) => {
                    http::Response::new(Body::full([path.as_bytes(), b"=", &body.to_bytes()].concat()))
                }
                Err(_) => {
                    let mut answer = http::Response::new(Body::full("broken body"));
                    *answer.status_mut() = http::StatusCode::BAD_REQUEST;
                    answer
                }
            }
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Bytes {
        format!("HTTP/1.1 {} Refused\r\nconnection: close\r\n\r\n{}", refusal.status, refusal.code.name)
            .into()
    }
}

struct Running {
    address: SocketAddr,
    echo: Arc<Echo>,
    stop: watch::Sender<Phase>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(patience: Patience) -> Running {
    start_as(Manners { exempt: everybody(), ..manners(16, patience) }).await
}

fn manners(max_connections: usize, patience: Patience) -> Manners {
    let (connections, exempt, grace) = (Connections::default(), Arc::new([]), Duration::from_secs(5));
    Manners { connections, tls: None, max_connections, exempt, patience, grace }
}

fn everybody() -> Arc<[Network]> {
    Arc::new(["0.0.0.0/0".parse().unwrap()])
}

async fn start_as(manners: Manners) -> Running {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopping) = watch::channel(Phase::Serving);
    let echo = Arc::new(Echo::default());
    let task = tokio::spawn(serve(socket, Arc::clone(&echo) as _, manners, stopping));
    Running { address, echo, stop, task }
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("the connection is closed").unwrap();
    String::from_utf8(answer).unwrap()
}

fn slow() -> Patience {
    Patience { head: Duration::from_millis(200), ..Patience::default() }
}

#[tokio::test]
async fn what_was_taken_is_answered_before_what_follows_is_refused() {
    let running = start(Patience::default()).await;
    let text = exchange(
        running.address,
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: x\r\n\r\n\
          GET /c HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nG",
    )
    .await;
    let order: Vec<_> = ["/a=hi", "/b=", "400 Refused", "bad_header"].map(|part| text.find(part)).into();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{text}");
    assert_eq!(running.echo.taken.load(Ordering::SeqCst), 2, "the refused request reached the handler");
}

#[tokio::test]
async fn refusals_are_written_for_first_requests_too() {
    let running = start(Patience::default()).await;
    for (name, bytes, status) in [
        ("garbage", &b"\x16\x03\x01garbage"[..], "400"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n", "400"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
    ] {
        let text = exchange(running.address, bytes).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {text}");
    }
    let oversized = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'y'; 2 << 20]].concat();
    assert!(exchange(running.address, &oversized).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_body_that_breaks_its_framing_is_an_error_of_its_request() {
    let running = start(Patience::default()).await;
    let text = exchange(
        running.address,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    )
    .await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.ends_with("broken body"), "{text}");
}

#[tokio::test]
async fn a_head_that_dawdles_is_refused_and_an_idle_peer_let_go() {
    let running = start(Patience { idle: Duration::from_millis(200), ..slow() }).await;
    let text = exchange(running.address, b"GET / HTTP/1.1\r\nHost: x\r\nX: ").await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    let text = exchange(running.address, b"GET /once HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.ends_with("/once="), "{text}");
    assert_eq!(exchange(running.address, b"").await, "");
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let running = start(Patience { idle: Duration::from_millis(200), ..slow() }).await;
    let asking = tokio::spawn(exchange(running.address, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.echo.go.notify_one();
    assert!(asking.await.unwrap().ends_with("/wait="));
}

/// The body's length, and what came behind it.
fn behind(answer: &[u8]) -> (usize, String) {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = answer[head..].iter().take_while(|byte| **byte == b'x').count();
    (body, String::from_utf8_lossy(&answer[head + body..]).into_owned())
}

#[tokio::test]
async fn an_answer_goes_out_whole_whatever_its_peer_did_meanwhile() {
    let patience = Patience { idle: Duration::from_millis(200), head: Duration::from_millis(200), ..slow() };
    let running = start(patience).await;
    let get = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
    for (name, more, ends, expected) in [
        ("it only is slow", "", false, ""),
        ("it sends no more", "", true, ""),
        ("what it sent behind is refused", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", false, "HTTP/1.1 400 "),
        ("it has begun another head", "GET / HTTP/1.1\r\nHo", false, "HTTP/1.1 408 "),
    ] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(format!("{get}{more}").as_bytes()).await.unwrap();
        if ends {
            stream.shutdown().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it is closed").unwrap();
        let (body, rest) = behind(&answer);
        assert_eq!(body, BIG, "{name}");
        assert!(rest.starts_with(expected) && rest.is_empty() == expected.is_empty(), "{name}: {rest}");
    }
}

#[tokio::test]
async fn a_peer_is_let_go_after_an_answer_in_parts() {
    let running = start(Patience { idle: Duration::from_millis(200), ..slow() }).await;
    let asking = tokio::spawn(exchange(running.address, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.echo.go.notify_one();
    let text = asking.await.unwrap();
    assert!(text.contains("a part") && text.ends_with("0\r\n\r\n"), "{text}");
}

/// Sends, closes its sending side, and reads what comes.
async fn half_closing(running: &Running, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("the connection is closed").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_peer_that_sends_no_more_is_answered() {
    let running = start(Patience::default()).await;
    let wait = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    let let_go = async {
        while running.echo.taken.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // The end of what it sends is there before the answer is.
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.echo.go.notify_one();
    };
    let (text, ()) = tokio::join!(half_closing(&running, wait), let_go);
    assert!(text.ends_with("/wait="), "{text}");
    let post = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    assert!(half_closing(&running, post).await.ends_with("/p=hi"));
    let two = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /half HTTP/1.1\r\nHo";
    let text = half_closing(&running, two).await;
    assert!(text.contains("/a=") && text.ends_with("/b="), "{text}");
}

#[tokio::test]
async fn half_a_request_at_the_end_is_none() {
    let running = start(Patience::default()).await;
    assert_eq!(half_closing(&running, b"").await, "");
    assert_eq!(half_closing(&running, b"GET /half HTTP/1.1\r\nHo").await, "");
    assert_eq!(running.echo.taken.load(Ordering::SeqCst), 0);
    let text = half_closing(&running, b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhi").await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{text}");
}

#[tokio::test]
async fn a_peer_that_is_gone_holds_its_connection_for_a_bounded_time() {
    let running = start(Patience { half_closed: Duration::from_millis(200), ..Patience::default() }).await;
    assert_eq!(half_closing(&running, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await, "");
}

#[tokio::test]
async fn stopping_finishes_what_was_taken_and_takes_no_more() {
    let running = start(Patience::default()).await;
    let asking = tokio::spawn(exchange(running.address, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while running.echo.taken.load(Ordering::SeqCst) == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the request never arrived");
        tokio::task::yield_now().await;
    }
    running.stop.send(Phase::Stopping).unwrap();
    let refused = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("the socket is closed");
    running.echo.go.notify_one();
    assert!(asking.await.unwrap().ends_with("/wait="));
    tokio::time::timeout(Duration::from_secs(5), running.task).await.expect("serving ends").unwrap();
}

#[tokio::test]
async fn an_idle_peer_has_its_time_from_the_end_of_its_answer() {
    let idle = Duration::from_millis(300);
    let running = start(Patience { idle, ..Patience::default() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(idle * 2).await;
    running.echo.go.notify_one();
    let mut answer = Vec::new();
    while !answer.ends_with(b"/wait=") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed early");
    }
    stream.write_all(b"GET /again HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"/again="), "{}", String::from_utf8_lossy(&answer));
}

/// A listener that speaks TLS, with room for so many connections.
async fn start_encrypted(max_connections: usize, handshake: Duration) -> Running {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let tls = Tls::from_pem(made.cert.pem().as_bytes(), key.as_bytes(), 1_800_000_000_000).unwrap();
    let patience = Patience { handshake, ..Patience::default() };
    let grace = Duration::from_secs(60);
    start_as(Manners { tls: Some(tls), exempt: everybody(), grace, ..manners(max_connections, patience) })
        .await
}

/// Says what is no handshake, and is told so: an alert record (RFC 8446 §5.1).
async fn alerted(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut kind = [0; 1];
    let reading = stream.read_exact(&mut kind);
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("it is told").unwrap();
    assert_eq!(kind, [21]);
}

#[tokio::test]
async fn a_peer_that_does_not_shake_hands_takes_room_for_a_bounded_time() {
    let running = start_encrypted(1, Duration::from_millis(200)).await;
    let silent = TcpStream::connect(running.address).await.unwrap();
    alerted(running.address).await;
    let mut silent = silent.into_std().unwrap();
    let read = std::io::Read::read(&mut silent, &mut [0; 1]);
    assert_eq!(read.expect("the silent peer was let go before the next was taken"), 0);
    assert_eq!(running.echo.taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn stopping_waits_for_no_handshake() {
    let running = start_encrypted(2, Duration::from_secs(60)).await;
    let _silent = TcpStream::connect(running.address).await.unwrap();
    // Whoever comes later is taken later: now the silent peer's handshake is awaited.
    alerted(running.address).await;
    running.stop.send_replace(Phase::Stopping);
    tokio::time::timeout(Duration::from_secs(5), running.task).await.expect("it stops").unwrap();
}

/// Reads one answer whose body is a path and `=`, and leaves the connection open.
async fn answered(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end) {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed early");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_idle_connection_has_one_more_request_once_another_process_has_the_listener() {
    let running = start(Patience::default()).await;
    let mut kept = TcpStream::connect(running.address).await.unwrap();
    kept.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(!answered(&mut kept, b"/a=").await.contains("connection: close"));
    let mut fresh = TcpStream::connect(running.address).await.unwrap();
    // Whoever comes later is taken later.
    exchange(running.address, b"GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    running.stop.send_replace(Phase::HandedOver);
    for stream in [&mut kept, &mut fresh] {
        stream.write_all(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("/b="), "{answer}");
    }
    tokio::time::timeout(Duration::from_secs(5), running.task).await.expect("serving ends").unwrap();
}

#[tokio::test]
async fn whoever_leaves_answers_and_says_that_it_is_the_last_time() {
    let running = start(Patience::default()).await;
    running.stop.send_replace(Phase::Leaving);
    let text = exchange(running.address, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.contains("connection: close\r\n") && text.ends_with("/a="), "{text}");
    assert!(TcpStream::connect(running.address).await.is_ok());
}

#[tokio::test]
async fn one_client_cannot_hold_every_connection() {
    let running = start_as(manners(8, Patience::default())).await;
    let request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut first = [0; 8];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let mut beyond = TcpStream::connect(running.address).await.unwrap();
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(5), beyond.read_to_end(&mut answer));
    assert!(reading.await.expect("it is let go at once").is_ok() && answer.is_empty());
    assert_eq!(running.echo.taken.load(Ordering::SeqCst), 2);
}
