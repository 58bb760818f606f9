//! Accepting connections and answering what comes over them, until told to stop.

use std::any::Any;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, unconstrained};

use super::body::Body;
use super::framing::Refusal;
use super::guard::{Guard, InFlight, Patience, WhileThere};
use super::origin::Network;
use super::second;
use super::shares::{Share, Shares};
use super::tls::{Tls, speaks_http_2};
use crate::metrics::Connections;
use crate::phase::{Phase, Phases, stopping, taking_nothing};

/// What answers the requests of a listener.
pub(crate) trait Answering: Send + Sync + 'static {
    /// Answers one request. Never fails: errors are answers. The line is its connection, where that is for one request at a time.
    fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        peer: SocketAddr,
        line: Option<Line>,
    ) -> BoxFuture<'static, http::Response<Body>>;

    /// A whole HTTP answer to something that is no request.
    fn refuse(&self, refusal: &Refusal) -> Bytes;
}

/// How a listener treats its connections.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    /// Counts connections.
    pub(crate) connections: Connections,
    /// What it answers with when it speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// Most connections at once, handshakes counted; more wait in the system's queue.
    pub(crate) max_connections: usize,
    /// Peers that may hold more than one client's share of them.
    pub(crate) exempt: Arc<[Network]>,
    /// How long to wait for peers.
    pub(crate) patience: Patience,
    /// How long what was taken may still take once stopping.
    pub(crate) grace: Duration,
}

/// How long what was taken may still take where another process takes what comes: as long as an agent may be silent before its
/// first word. Nobody waits for it.
const GRACE_BESIDE_ANOTHER: Duration = Duration::from_secs(300);
/// How long a connection without a request is kept open where another process takes what comes. A client that reuses it at the
/// very moment at which it is closed loses its request; one that asks before is answered and told to connect anew.
const LINGER: Duration = Duration::from_secs(10);

/// Takes connections until the server takes nothing more, then finishes what was taken, for at most the grace period.
pub(crate) async fn serve(
    socket: TcpListener,
    answering: Arc<dyn Answering>,
    manners: Manners,
    mut phases: Phases,
) {
    let room = Arc::new(Semaphore::new(manners.max_connections));
    let shares = Arc::new(Shares::new(manners.max_connections, Arc::clone(&manners.exempt)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = taking_nothing(&mut phases) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&socket, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let Some(share) = shares.take(peer.ip()) else {
                    tracing::debug!(%peer, "holds its share of the connections already");
                    continue;
                };
                let arrived = Arrived { stream, peer, room: permit, share };
                connections.spawn(arrived.serve(Arc::clone(&answering), manners.clone(), phases.clone()));
            }
            // Out of descriptors or memory: waiting is all that helps, spinning would make it worse.
            Err(error) if !is_about_one_connection(&error) => {
                tracing::error!(%error, "cannot take connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(_) => {}
        }
    }
    drop(socket);
    let grace = match *phases.borrow() {
        Phase::HandedOver => GRACE_BESIDE_ANOTHER,
        _ => manners.grace,
    };
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "grace period is over, connections are cut");
    }
    connections.shutdown().await;
}

/// A connection that was taken.
struct Arrived {
    stream: TcpStream,
    peer: SocketAddr,
    room: OwnedSemaphorePermit,
    share: Share,
}

impl Arrived {
    /// Boxed by hand: what waits for ten thousand idle clients is one of two forms, without room for the other.
    fn serve(
        self,
        answering: Arc<dyn Answering>,
        manners: Manners,
        mut phases: Phases,
    ) -> BoxFuture<'static, ()> {
        let Self { stream, peer, room, share } = self;
        let held = (room, share, manners.connections.one());
        // Answers are small and written whole: waiting to fill a packet only adds latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let patience = manners.patience;
        let Some(tls) = manners.tls else {
            return converse(stream, peer, answering, patience, phases, held);
        };
        let shaken_hands = async move {
            // Nothing was taken before the handshake is over: whoever stops need not wait for it. A client that another process will
            // answer next time has its first request answered here.
            let shaken = tokio::select! {
                biased;
                () = stopping(&mut phases) => return,
                shaken = tls.accept(stream, patience.handshake).boxed() => shaken,
            };
            match shaken {
                Ok(stream) if speaks_http_2(&stream) => {
                    second::converse(stream, peer, answering, patience, phases, held).await;
                }
                Ok(stream) => converse(stream, peer, answering, patience, phases, held).await,
                Err(error) => tracing::debug!(%peer, %error, "no TLS handshake"),
            }
        };
        shaken_hands.boxed()
    }
}

/// The connection a request came over, for whoever takes it over.
#[derive(Clone)]
pub(crate) struct Line {
    in_flight: Arc<InFlight>,
    held: Arc<dyn Any + Send + Sync>,
}

impl Line {
    /// Says that another protocol is spoken from here on. What is given back keeps the connection's place among those
    /// that are counted.
    pub(crate) fn become_tunnel(self) -> Arc<dyn Any + Send + Sync> {
        self.in_flight.become_tunnel();
        self.held
    }

    /// Says that an answer goes on for as long as its client is there; the answer's body holds what is given back.
    pub(crate) fn while_there(&self) -> WhileThere {
        self.in_flight.while_there()
    }
}

/// Answers the requests of one connection; `held` is let go when it ends.
fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    answering: Arc<dyn Answering>,
    patience: Patience,
    mut phases: Phases,
    held: impl Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let in_flight = Arc::new(InFlight::default());
    // An upgraded connection outlives its HTTP part and keeps its place until it ends itself.
    let held: Arc<dyn Any + Send + Sync> = Arc::new(held);
    let line = Line { in_flight: Arc::clone(&in_flight), held: Arc::clone(&held) };
    let refusing = Arc::clone(&answering);
    let guard = Guard::new(stream, patience, Arc::clone(&in_flight), move |refusal| refusing.refuse(refusal));
    let phase = phases.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let taken = in_flight.take();
        let answer = Arc::clone(&answering).answer(request, peer, Some(line.clone()));
        let phase = phase.clone();
        async move {
            let mut answer = answer.await;
            answer.body_mut().answers(taken);
            // The last one here: the client connects anew, and finds whoever is there then. An agreement to another protocol stands.
            if *phase.borrow() != Phase::Serving && !answer.headers().contains_key(CONNECTION) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // The guard bounds heads in size, number and time. The library's own limit of as many headers stands behind it; said once more, it
    // would be room that is cleared for each request.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    // Pinned before it is captured: a future keeps room for what it captures and for where it is moved.
    let mut connection = Box::pin(connection);
    async move {
        // Never looked at as news, so that it tells of any since here.
        let news = phases.clone();
        // Outside of the budget of the task: that it was asked has to mean that it waits.
        let mut is_over = pin!(unconstrained(last_request_is_over(&mut phases)));
        let (mut waits, mut has_begun) = (false, false);
        let ended = poll_fn(|cx| {
            if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            // It waits among all connections, and wakes this task whoever polled it last: once is enough until there is news. Where the end
            // had begun before, there need not be any.
            if waits && !has_begun && !news.has_changed().unwrap_or(true) {
                return Poll::Pending;
            }
            (waits, has_begun) = (true, *news.borrow() != Phase::Serving);
            is_over.as_mut().poll(cx).map(|()| None)
        });
        let outcome = match ended.await {
            Some(outcome) => outcome,
            None => {
                // What was taken is answered, and nothing is taken after it.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%peer, %error, "connection ended early");
        }
        drop(held);
    }
    .boxed()
}

/// Returns when a connection that is not answering anything is to be closed.
async fn last_request_is_over(phases: &mut Phases) {
    taking_nothing(phases).await;
    let handed_over = *phases.borrow() == Phase::HandedOver;
    if handed_over {
        // Whether the time is over or the server stops, it is the same.
        let _ = tokio::time::timeout(LINGER, stopping(phases)).await;
    }
}

async fn accept(
    socket: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    Ok((stream, peer, permit))
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;
