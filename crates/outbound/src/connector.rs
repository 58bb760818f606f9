//! Connecting: the name is resolved once, every address judged, and the connection made to what was judged. A name that
//! means something else a moment later (DNS rebinding) is not asked again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::policy::Policy;

/// How long one address may take to accept.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many addresses of a name are tried.
const MOST_ADDRESSES: usize = 4;

/// The policy said no to an address. Found again among the causes of the client's error.
#[derive(Debug)]
pub(crate) struct Inside(pub(crate) String);

impl std::fmt::Display for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Inside {}

/// Opens connections to judged addresses.
#[derive(Clone)]
pub(crate) struct Connector {
    policy: Policy,
}

impl Connector {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let policy = self.policy.clone();
        Box::pin(async move { connect(&policy, &uri).await.map(TokioIo::new) })
    }
}

async fn connect(policy: &Policy, uri: &Uri) -> io::Result<TcpStream> {
    // Both come out of a URL that the policy has read, so they are there and in one spelling.
    let target = policy.target(&uri.to_string()).map_err(|error| refused(error.to_string()))?;
    let host = target.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = target.url.port_or_known_default().unwrap_or_default();
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    // One that leads inside among several is no accident that should be passed over.
    if let Some(inside) = addresses.iter().find(|address| !policy.reaches(target.listed, address.ip())) {
        return Err(refused(format!(
            "{host} leads to {}, an address of this machine or network; list its origin in outbound.allow to reach it anyway",
            inside.ip()
        )));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in addresses.into_iter().take(MOST_ADDRESSES) {
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn refused(why: String) -> io::Error {
    io::Error::other(Inside(why))
}
