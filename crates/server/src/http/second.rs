//! HTTP/2 (RFC 9113), over TLS alone. Frames leave no two readings of where a message ends, so no strict reader stands before the
//! library here; what it does not bound is bounded in this file.
//!
//! | bound | by |
//! |---|---|
//! | streams at once, size of a head, frames, resets, floods of settings and pings | the library, with the figures below |
//! | number of headers, paths, bodies, times of bodies | the desk, as for every request |
//! | a peer that is gone | pings |
//! | a peer that asks for nothing | [`Patience::idle`] |
//! | a peer that does not take what it asked for | [`Patience::write`], for each answer |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{HOST, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior};

use super::body::Pace;
use super::framing::MAX_HEAD_BYTES;
use super::guard::{InFlight, Patience};
use super::last_word::LastWord;
use super::listener::Answering;
use crate::phase::{Phases, taking_nothing};

/// Requests of one connection at once.
const MAX_STREAMS: u32 = 100;
/// Bytes of a request body that are taken before anybody reads them, of a stream and of a connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of an answer that are taken before the peer takes them.
const SEND_BUFFER: usize = 256 << 10;
/// Streams that a peer resets before anybody has looked at them (CVE-2023-44487), and that we reset for its errors.
const MAX_RESETS: usize = 20;
/// How often a peer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How often the bounds of this file are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Answers the requests of one connection; `held` is let go when it ends.
pub(super) fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    answering: Arc<dyn Answering>,
    patience: Patience,
    mut phases: Phases,
    held: impl Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let in_flight = Arc::new(InFlight::default());
    let answers = Arc::new(Answers::default());
    // Requests that come and go between two looks keep a connection alive too.
    let asked = Arc::new(AtomicBool::new(false));
    let (taking, pacing, asking) = (Arc::clone(&in_flight), Arc::clone(&answers), Arc::clone(&asked));
    let service = service_fn(move |request| {
        asking.store(true, Ordering::Release);
        let taken = taking.take();
        let pace = pacing.begin();
        let answer = Arc::clone(&answering).answer(with_host(request), peer, None);
        async move {
            let mut answer = answer.await;
            answer.body_mut().answers(taken);
            answer.body_mut().pace(pace);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).expect("16 KiB"))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .serve_connection(TokioIo::new(LastWord::new(stream)), service);
    // Pinned before it is captured: a future keeps room for what it captures and for where it is moved.
    let mut connection = Box::pin(connection);
    async move {
        let mut looking = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut busy = Instant::now();
        let mut ending = None;
        loop {
            tokio::select! {
                biased;
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(%peer, %error, "connection ended early");
                    }
                    break;
                }
                () = taking_nothing(&mut phases), if ending.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    ending = Some(None);
                }
                _ = looking.tick() => {
                    if asked.swap(false, Ordering::AcqRel) || in_flight.any() {
                        busy = Instant::now();
                    }
                    if answers.not_taken_for(patience.write) {
                        tracing::debug!(%peer, "a peer does not take its answers");
                        break;
                    }
                    match ending {
                        None if busy.elapsed() >= patience.idle => {
                                    connection.as_mut().graceful_shutdown();
                            ending = Some(Some(Instant::now() + patience.write));
                        }
                        // What was handed over for the last answers is still not taken. One that goes on has time.
                        Some(Some(end)) if Instant::now() >= end && !in_flight.any() => break,
                        _ => {}
                    }
                }
            }
        }
        drop(held);
    }
    .boxed()
}

/// The host a request is for stands where HTTP/1.1 has it, and nowhere else (RFC 9113 §8.3.1).
fn with_host(mut request: http::Request<Incoming>) -> http::Request<Incoming> {
    let authority =
        request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority {
        request.headers_mut().insert(HOST, authority);
    }
    request
}

/// The answers that are on their way.
#[derive(Default)]
struct Answers(Mutex<Vec<Weak<Pace>>>);

impl Answers {
    fn begin(&self) -> Arc<Pace> {
        let pace = Arc::new(Pace::default());
        let mut all = self.0.lock();
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&pace));
        pace
    }

    /// Whether something was handed over for one of them so long ago, and nothing more was asked for since.
    fn not_taken_for(&self, patience: Duration) -> bool {
        let all = self.0.lock();
        all.iter().filter_map(Weak::upgrade).any(|pace| pace.not_taken_for(patience))
    }
}
