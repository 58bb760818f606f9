//! WebSockets (RFC 6455): the handshake with a client, and the end of a connection.
//!
//! A refusal of the caller is told as a close frame after the handshake, because browsers show their pages no other: 1008 for
//! whoever may not, 1013 for whoever is to come again later.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use doorward_core::error::{Error, Kind, Result, codes};
use futures_util::StreamExt;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Response, StatusCode, Version};
use hyper::upgrade::{self, OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::body::{Body, BodyRoom};
use super::duplex::{Duplex, Io};
use super::guard::Guard;
use super::listener::Line;
use super::metered::Metered;
use super::respond::Answer;

/// Largest message of an upstream.
const MAX_UPSTREAM_MESSAGE_BYTES: usize = 8 << 20;
/// Largest message of a client that is being refused: there is nothing it could say.
const MAX_REFUSED_BYTES: usize = 4 << 10;
/// How long the connection may take to be handed over once the client was agreed to.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a close may take that the other side has to agree to.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A client's side of the handshake, read and good.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    line: Line,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    token: Option<String>,
}

impl Handshake {
    /// Reads it (RFC 6455 §4.2.1); `line` is the connection it came over.
    ///
    /// # Errors
    /// `bad_request` for what is none.
    pub(crate) fn read(head: &mut Parts, line: Option<Line>, token_protocol: Option<&str>) -> Result<Self> {
        let bad = |what: &str| {
            Error::new(codes::BAD_REQUEST).message(format!("This route takes a WebSocket handshake: {what}."))
        };
        let headers = &head.headers;
        if head.version != Version::HTTP_11 || !has_word(headers, &UPGRADE, "websocket") {
            return Err(bad("HTTP/1.1 with Upgrade: websocket"));
        }
        // What follows the head is the other protocol's; a body would be read as both.
        if [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT].iter().any(|name| headers.contains_key(name)) {
            return Err(bad("no body"));
        }
        if !has_word(headers, &CONNECTION, "upgrade") {
            return Err(bad("Connection: Upgrade"));
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(bad("Sec-WebSocket-Version: 13"));
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else { return Err(bad("one Sec-WebSocket-Key")) };
        if STANDARD.decode(key.as_bytes()).map_or(true, |key| key.len() != 16) {
            return Err(bad("a Sec-WebSocket-Key of 16 bytes"));
        }
        let accept =
            HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("base64 is visible ASCII");
        let (protocol, token) = protocols(headers, token_protocol);
        let (Some(upgrade), Some(line)) = (head.extensions.remove::<OnUpgrade>(), line) else {
            return Err(Error::new(codes::INTERNAL).operator("the connection cannot be taken over"));
        };
        Ok(Self { upgrade, line, accept, protocol, token })
    }

    /// The token that came as a subprotocol.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Agrees, and closes at once with what is wrong.
    pub(crate) fn refuse(self, error: &Error) -> Answer {
        let frame = CloseFrame { code: close_code(error), reason: error.code().name.into() };
        let room = BodyRoom::new();
        self.agree((room, MAX_REFUSED_BYTES), move |client| async move {
            // What is sent on takes the room of this connection alone.
            close(client, frame, |_| ()).await;
        })
    }

    /// Agrees; `then` gets the connection once the client knows.
    pub(crate) fn agree<F>(
        self,
        (room, max_message_bytes): (BodyRoom, usize),
        then: impl FnOnce(Client) -> F + Send + 'static,
    ) -> Answer
    where
        F: Future<Output = ()> + Send,
    {
        self.agree_and(move |upgraded| async move {
            let io = Metered::new(TokioIo::new(upgraded), room);
            let config = Some(config(max_message_bytes));
            then(WebSocketStream::from_raw_socket(io, Role::Server, config).await).await;
        })
    }

    /// As [`Handshake::agree`], for a client that stays connected.
    pub(crate) fn agree_to_stay<F>(
        self,
        (room, max_message_bytes): (BodyRoom, usize),
        then: impl FnOnce(Duplex) -> F + Send + 'static,
    ) -> Answer
    where
        F: Future<Output = ()> + Send,
    {
        self.agree_and(move |upgraded| {
            let (io, read) = bare(upgraded);
            then(Duplex::new(io, read, room, max_message_bytes))
        })
    }

    fn agree_and<F>(self, then: impl FnOnce(Upgraded) -> F + Send + 'static) -> Answer
    where
        F: Future<Output = ()> + Send,
    {
        let Self { upgrade, line, accept, protocol, .. } = self;
        let held = line.become_tunnel();
        tokio::spawn(async move {
            match tokio::time::timeout(TAKEOVER_PATIENCE, upgrade).await {
                // Boxed: what waits for a client is not also kept as what waited for the handshake.
                Ok(Ok(upgraded)) => Box::pin(then(upgraded)).await,
                Ok(Err(error)) => tracing::debug!(%error, "a WebSocket was not taken over"),
                Err(_) => tracing::debug!("a WebSocket was not taken over in time"),
            }
            drop(held);
        });
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        answer
    }
}

/// The socket itself, without what HTTP needed of it, and what was read of it already.
fn bare(upgraded: Upgraded) -> (Box<dyn Io>, BytesMut) {
    fn unwrapped<S>(parts: upgrade::Parts<TokioIo<Guard<S>>>) -> (Box<dyn Io>, BytesMut)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (io, unread) = parts.io.into_inner().into_tunnel();
        let mut read = BytesMut::from(parts.read_buf);
        read.extend_from_slice(&unread);
        (Box::new(io), read)
    }
    let upgraded = match upgraded.downcast::<TokioIo<Guard<TcpStream>>>() {
        Ok(parts) => return unwrapped(parts),
        Err(other) => other,
    };
    match upgraded.downcast::<TokioIo<Guard<TlsStream<TcpStream>>>>() {
        Ok(parts) => unwrapped(parts),
        Err(other) => (Box::new(TokioIo::new(other)), BytesMut::new()),
    }
}

/// The client's end.
pub(crate) type Client = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// What is never exceeded; nothing is compressed, so nothing unfolds.
pub(crate) fn config(max_message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_UPSTREAM_MESSAGE_BYTES)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes))
}

/// As [`config`], for what an upstream sends.
pub(crate) fn upstream_config() -> WebSocketConfig {
    config(MAX_UPSTREAM_MESSAGE_BYTES)
}

/// Policy violation, or try again later (RFC 6455 §7.4.1, and the IANA registry it opens).
pub(crate) fn close_code(error: &Error) -> CloseCode {
    match error.code().kind {
        Kind::Limited | Kind::Unavailable => CloseCode::Again,
        Kind::Upstream | Kind::Internal => CloseCode::Error,
        _ => CloseCode::Policy,
    }
}

fn has_word(headers: &HeaderMap, name: &http::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// The subprotocol to agree to, and the token behind it. A browser fails a handshake whose answer names none it offered.
fn protocols(headers: &HeaderMap, token_protocol: Option<&str>) -> (Option<HeaderValue>, Option<String>) {
    let offered: Vec<&str> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    match (offered.as_slice(), token_protocol) {
        ([first, rest @ ..], Some(known)) if *first == known => {
            (HeaderValue::from_str(known).ok(), rest.first().map(|token| (*token).to_owned()))
        }
        _ => (None, None),
    }
}

/// Closes a side and waits a moment for it to agree, so that what was sent last is not cut off.
pub(crate) async fn close<S>(
    mut side: WebSocketStream<S>,
    frame: CloseFrame,
    thrown_away: impl Fn(&mut WebSocketStream<S>),
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let agreed = async {
        if side.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = side.next().await {
                thrown_away(&mut side);
            }
        }
    };
    // Whoever does not agree in time is left.
    let _ = tokio::time::timeout(CLOSE_PATIENCE, agreed).await;
}
