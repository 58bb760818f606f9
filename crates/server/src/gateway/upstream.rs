//! The connection to an agent server: the operator's choice, and not believed any more than a client.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::answer::Arrival;
use super::breaker::Breaker;
use crate::http::websocket::upstream_config;

/// How long the upstream may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to begin an answer: an agent may think before its first word.
const HEADER_PATIENCE: Duration = Duration::from_secs(300);
/// How long a connection waits for its next request: less than uvicorn, whose servers hang up after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The upstream's address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the upstream is not of the form http://host:port")]
pub struct UpstreamError;

/// An agent server.
pub(crate) struct Upstream {
    authority: Authority,
    client: Client<HttpConnector, Full<Bytes>>,
    breaker: Breaker,
}

/// A request made here.
pub(crate) struct Outbound {
    pub(crate) method: Method,
    /// In its one spelling.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

impl Upstream {
    /// Checks the address; nothing is connected yet.
    pub(crate) fn new(address: Uri) -> std::result::Result<Self, UpstreamError> {
        let is_plain = address.scheme() == Some(&Scheme::HTTP) && matches!(address.path(), "" | "/");
        let authority = address.authority().filter(|authority| !authority.as_str().contains('@'));
        let Some(authority) = authority.filter(|_| is_plain && address.query().is_none()) else {
            return Err(UpstreamError);
        };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(32)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self { authority: authority.clone(), client, breaker: Breaker::default() })
    }

    /// Where it is: host and port.
    pub(crate) fn place(&self) -> (&str, u16) {
        (self.authority.host().trim_matches(['[', ']']), self.authority.port_u16().unwrap_or(80))
    }

    /// Sends a request and waits for the head of its answer. Sent again, once, is only what cannot have been done: a
    /// connection that was refused carried nothing, and a request that changes nothing may be made twice (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// `upstream_unreachable` when it does not answer; `upstream_invalid` when its answer is no HTTP/1.1 answer.
    pub(crate) async fn send(&self, outbound: Outbound, engine: &Engine) -> Result<Arrival> {
        let unreachable = || Error::new(codes::UPSTREAM_UNREACHABLE);
        if let Err(seconds) = self.breaker.admit(engine.now_ms()) {
            return Err(unreachable().retry_after_s(seconds).operator("the breaker is open"));
        }
        let request = self.request(outbound)?;
        let again = request.clone();
        let mut answer = self.attempt(request).await;
        if let Ok(Err(error)) = &answer
            && (error.is_connect() || (again.method().is_safe() && was_cut_off(error)))
        {
            answer = self.attempt(again).await;
        }
        let reached = match &answer {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => !error.is_connect(),
            Err(_) => false,
        };
        if reached {
            self.breaker.reached();
        } else if self.breaker.missed(engine.now_ms()) {
            tracing::warn!(upstream = %self.authority, "the agent server is not asked for a while");
        }
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_connect() => return Err(unreachable().caused_by(error)),
            Ok(Err(error)) => return Err(Error::new(codes::UPSTREAM_INVALID).caused_by(error)),
            Err(_) => return Err(unreachable().message("The agent server did not begin its answer in time.")),
        };
        let (head, body) = answer.into_parts();
        // Anything below 200 ends the conversation in a protocol nobody asked for; redirects lead round the door.
        if head.status.is_informational()
            || (head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED)
        {
            return Err(super::unusable("the upstream switched protocols or redirected"));
        }
        Ok(Arrival::new(head.status, head.headers, body))
    }

    /// Opens a WebSocket with these headers.
    ///
    /// # Errors
    /// `upstream_unreachable` when it does not answer; `upstream_invalid` when it does not agree.
    pub(crate) async fn open_socket(
        &self,
        path: &str,
        headers: HeaderMap,
        engine: &Engine,
    ) -> Result<WebSocketStream<TcpStream>> {
        let unreachable = || Error::new(codes::UPSTREAM_UNREACHABLE);
        if let Err(seconds) = self.breaker.admit(engine.now_ms()) {
            return Err(unreachable().retry_after_s(seconds).operator("the breaker is open"));
        }
        let connected = tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(self.place())).await;
        let stream = match connected {
            Ok(Ok(stream)) => {
                self.breaker.reached();
                stream
            }
            failed => {
                if self.breaker.missed(engine.now_ms()) {
                    tracing::warn!(upstream = %self.authority, "the agent server is not asked for a while");
                }
                return Err(match failed {
                    Ok(Err(error)) => unreachable().caused_by(error),
                    _ => unreachable().operator("it did not accept a connection in time"),
                });
            }
        };
        let _ = stream.set_nodelay(true);
        let mut request = format!("ws://{}{path}", self.authority)
            .into_client_request()
            .map_err(|error| Error::new(codes::BAD_REQUEST).caused_by(error))?;
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        let opening = client_async_with_config(request, stream, Some(upstream_config()));
        match tokio::time::timeout(CONNECT_PATIENCE * 2, opening).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(Error::new(codes::UPSTREAM_INVALID).caused_by(error)),
            Err(_) => Err(unreachable().message("The agent server did not begin its answer in time.")),
        }
    }

    fn request(&self, outbound: Outbound) -> Result<http::Request<Full<Bytes>>> {
        let Outbound { method, path, query, headers, body } = outbound;
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let uri =
            Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone()).path_and_query(target);
        let mut request = http::Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri.build().map_err(|error| Error::new(codes::BAD_REQUEST).caused_by(error))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn attempt(
        &self,
        mut request: http::Request<Full<Bytes>>,
    ) -> std::result::Result<
        std::result::Result<http::Response<Incoming>, hyper_util::client::legacy::Error>,
        Elapsed,
    > {
        let connection = capture_connection(&mut request);
        let answer = tokio::time::timeout(HEADER_PATIENCE, self.client.request(request)).await;
        if let Ok(Ok(answer)) = &answer
            && answer.status().is_server_error()
            && let Some(connection) = &*connection.connection_metadata()
        {
            // uvicorn hangs up after an error nobody caught, and does not say so: the next request would be lost on it.
            connection.poison();
        }
        answer
    }
}

/// Whether the connection ended before an answer began.
fn was_cut_off(error: &(dyn StdError + 'static)) -> bool {
    let own = error.downcast_ref::<hyper::Error>();
    own.is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        || error.source().is_some_and(was_cut_off)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        for (address, good) in [
            ("http://127.0.0.1:8000", true),
            ("http://agents.internal", true),
            ("http://[::1]:8000/", true),
            ("https://agents.internal", false),
            ("http://user:secret@host:1", false),
            ("http://host/path", false),
            ("http://host/?query", false),
            ("/only/a/path", false),
        ] {
            assert_eq!(Upstream::new(address.parse().unwrap()).is_ok(), good, "{address}");
        }
    }
}
