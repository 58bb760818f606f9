//! WebSockets (RFC 6455): the handshake with the client, and the one with the upstream before it is answered.
//!
//! A refusal of the caller is told as a close frame after the handshake, because browsers show their pages no other: 1008 for
//! whoever may not, 1013 for whoever is to come again later.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::authz::Target;
use doorward_core::error::{Error, Kind, Result, codes};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::metered::Metered;
use super::relay::{self, Relay};
use super::{Effect, Resource, headers};
use crate::access::Access;
use crate::http::body::{Body, BodyRoom};
use crate::http::listener::Line;
use crate::http::respond::Answer;
use crate::request::Request;

/// Largest message of a client, and of an upstream.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
const MAX_UPSTREAM_MESSAGE_BYTES: usize = 8 << 20;
/// Largest message of a client that is being refused: there is nothing it could say.
const MAX_REFUSED_BYTES: usize = 4 << 10;
/// How long the connection may take to be handed over once the client was agreed to.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(10);

/// How the messages of a WebSocket are passed on. The action stands in the route's row, and is done once with each message.
#[derive(Debug)]
pub(crate) struct SocketRule {
    pub(crate) effect: Effect,
    /// What kind of resource a message names, and where.
    pub(crate) resource: &'static Resource,
    /// Ids that mean "a new one".
    pub(crate) fresh: &'static [&'static str],
    /// The subprotocol behind which a browser, which cannot send headers, puts its token.
    pub(crate) token_protocol: Option<&'static str>,
    /// A refusal as a message.
    pub(crate) refusal: fn(&Error) -> String,
}

/// A client's side of the handshake, read and good.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    line: Line,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    token: Option<String>,
}

impl Handshake {
    /// Reads it (RFC 6455 §4.2.1).
    ///
    /// # Errors
    /// `bad_request` for what is none.
    pub(crate) fn read(head: &mut Parts, rule: &SocketRule) -> Result<Self> {
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
        let (protocol, token) = protocols(headers, rule.token_protocol);
        let (Some(upgrade), Some(line)) =
            (head.extensions.remove::<OnUpgrade>(), head.extensions.remove::<Line>())
        else {
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
            relay::close(client, frame, |_| ()).await;
        })
    }

    /// Agrees; `then` gets the connection once the client knows.
    fn agree<F>(
        self,
        (room, max_message_bytes): (BodyRoom, usize),
        then: impl FnOnce(Client) -> F + Send + 'static,
    ) -> Answer
    where
        F: Future<Output = ()> + Send,
    {
        let Self { upgrade, line, accept, protocol, .. } = self;
        let held = line.become_tunnel();
        tokio::spawn(async move {
            match tokio::time::timeout(TAKEOVER_PATIENCE, upgrade).await {
                Ok(Ok(upgraded)) => {
                    let io = Metered::new(TokioIo::new(upgraded), room);
                    let config = Some(config(max_message_bytes));
                    then(WebSocketStream::from_raw_socket(io, Role::Server, config).await).await;
                }
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

/// The client's end.
pub(super) type Client = WebSocketStream<Metered<TokioIo<hyper::upgrade::Upgraded>>>;

/// What is never exceeded; nothing is compressed, so nothing unfolds.
pub(super) fn config(max_message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_UPSTREAM_MESSAGE_BYTES)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes))
}

/// As [`config`], for what an upstream sends.
pub(super) fn upstream_config() -> WebSocketConfig {
    config(MAX_UPSTREAM_MESSAGE_BYTES)
}

/// Policy violation, or try again later (RFC 6455 §7.4.1, and the IANA registry it opens).
pub(super) fn close_code(error: &Error) -> CloseCode {
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

/// Opens a WebSocket by its rule.
///
/// # Errors
/// `upstream_unreachable` and `upstream_invalid`, before anything is agreed to; the caller's refusals are answered
/// with a close frame.
pub(crate) async fn open(mut request: Request, rule: &'static SocketRule) -> Result<Answer> {
    let [action] = request.actions() else {
        return Err(Error::new(codes::INTERNAL).operator("a forwarded route names one action"));
    };
    let missing = |what: &'static str| Error::new(codes::INTERNAL).operator(what);
    let handshake =
        request.handshake.take().ok_or_else(|| missing("a socket's route without a handshake"))?;
    let grant = match request.permit_for(action, Target::any()) {
        Ok(grant) => grant,
        Err(error) => return Ok(handshake.refuse(&error)),
    };
    let access = match Access::watch(grant.call()) {
        Ok(access) => access,
        Err(error) => return Ok(handshake.refuse(&grant.refuse(error).await)),
    };
    let opened = async {
        let mut sent = headers::own(&request, grant.auth(), false);
        headers::state(&request, grant.auth(), &mut sent)?;
        let upstream = request.site.upstream.as_ref();
        let upstream = upstream.ok_or_else(|| missing("a forwarded route on a mount without upstream"))?;
        grant.begun().await?;
        upstream.open_socket(request.path.as_str(), sent, &request.engine).await
    };
    match opened.await {
        Ok(upstream) => {
            Ok(handshake.agree((request.body.give_up(), MAX_MESSAGE_BYTES), move |client| async move {
                Relay { request, rule, action, access, grant }.run(client, upstream).await;
            }))
        }
        Err(error) => grant.close(Err(error)),
    }
}
