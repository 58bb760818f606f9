//! A WebSocket between a client and an upstream: each message of the client is a request of its own, decided and audited;
//! what the upstream says passes as it is. It ends with the caller's leave, at the latest.

use std::time::Duration;

use bytes::Bytes;
use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::ActionDef;
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::limits::rules::tighter;
use doorward_core::operation::Grant;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::settle;
use super::socket::SocketRule;
use super::subject::JsonBody;
use crate::access::Access;
use crate::http::websocket::{Client, close};
use crate::phase::taking_nothing;
use crate::rate_limit::Standings;
use crate::request::Request;

/// A client that says nothing is asked whether it is there, and let go when it does not answer.
const ASK_EVERY: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// How long one side may take to take a message.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// The upstream's end.
pub(super) type Upstream = WebSocketStream<TcpStream>;

/// What a WebSocket needs while it lasts.
pub(super) struct Relay {
    pub(super) request: Request,
    pub(super) rule: &'static SocketRule,
    pub(super) action: &'static ActionDef,
    pub(super) access: Access,
    /// That of the handshake: its audit line is closed when the connection is.
    pub(super) grant: Grant,
}

/// How it goes on.
enum Next {
    On,
    End(CloseFrame),
}

fn end(code: CloseCode, reason: &'static str) -> Next {
    Next::End(CloseFrame { code, reason: reason.into() })
}

impl Relay {
    pub(super) async fn run(mut self, mut client: Client, mut upstream: Upstream) {
        let mut asking = tokio::time::interval_at(Instant::now() + ASK_EVERY, ASK_EVERY);
        asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut phases = self.request.site.phases.clone();
        let frame = loop {
            let next = tokio::select! {
                biased;
                () = self.access.ended() => end(CloseCode::Policy, codes::TOKEN_REVOKED.name),
                () = taking_nothing(&mut phases) => end(CloseCode::Away, "the server stops"),
                message = client.next() => {
                    heard = Instant::now();
                    self.heard_from_client(message, &mut client, &mut upstream).await
                }
                message = upstream.next() => self.heard_from_upstream(message, &mut client).await,
                _ = asking.tick() => {
                    if heard.elapsed() >= SILENCE {
                        end(CloseCode::Away, "nobody answers")
                    } else {
                        self.send(&mut client, Message::Ping(Bytes::new())).await
                    }
                }
            };
            if let Next::End(frame) = next {
                break frame;
            }
        };
        // What a client goes on sending is thrown away message by message.
        let thrown_away = |client: &mut Client| drop(client.get_mut().whole());
        tokio::join!(close(client, frame.clone(), thrown_away), close(upstream, frame, |_| ()));
        self.grant.finish(Outcome::Done, None).await;
    }

    async fn heard_from_client(
        &mut self,
        message: Option<std::result::Result<Message, SocketError>>,
        client: &mut Client,
        upstream: &mut Upstream,
    ) -> Next {
        // Its room is held until the message is sent on.
        let (_room, text) = match message {
            Some(Ok(Message::Text(text))) => (client.get_mut().whole(), text),
            Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                client.get_mut().control(payload.len());
                return Next::On;
            }
            Some(Ok(Message::Frame(_))) => return Next::On,
            Some(Ok(Message::Binary(_))) => return end(CloseCode::Unsupported, "only text is taken"),
            Some(Ok(Message::Close(frame))) => {
                return frame.map_or_else(|| end(CloseCode::Normal, ""), |frame| Next::End(passed_on(frame)));
            }
            Some(Err(SocketError::Capacity(CapacityError::MessageTooLong { .. }))) => {
                return end(CloseCode::Size, "a message may have 1 MiB");
            }
            Some(Err(SocketError::Protocol(_) | SocketError::Utf8(_))) => {
                return end(CloseCode::Protocol, "this is no WebSocket");
            }
            Some(Err(_)) | None => return end(CloseCode::Away, "the client left"),
        };
        match self.decide(Bytes::from(text)).await {
            Ok(message) => self.send(upstream, Message::Text(message)).await,
            // Whoever is nobody any more is told so as at the handshake.
            Err(error) if error.code().kind == Kind::Unauthenticated => {
                Next::End(CloseFrame { code: CloseCode::Policy, reason: error.code().name.into() })
            }
            Err(error) => {
                tracing::debug!(request = %self.request.id, %error, "a message is refused");
                self.send(client, Message::text((self.rule.refusal)(&error))).await
            }
        }
    }

    /// What is sent on for a message: decided, claimed and noted as a request would be.
    async fn decide(&self, message: Bytes) -> Result<tokio_tungstenite::tungstenite::Utf8Bytes> {
        let request = &self.request;
        self.count().await?;
        let mut grant = request.call()?.now().await?.permit_for(self.action, Target::any())?;
        let prepared = async {
            let mut body = JsonBody::of(message, self.rule.resource)?;
            body.drop_fresh(self.rule.resource, self.rule.fresh);
            settle(request, (self.rule.effect, self.rule.resource), &mut grant, &mut body).await?;
            grant.begun().await?;
            let bytes = body.into_bytes().unwrap_or_default();
            bytes.try_into().map_err(|_| Error::new(codes::BAD_JSON))
        };
        match prepared.await {
            Ok(text) => {
                grant.finish(Outcome::Done, None).await;
                Ok(text)
            }
            Err(error) => grant.close(Err(error)),
        }
    }

    /// A connection that stays open counts as often as it asks.
    async fn count(&self) -> Result<()> {
        let (engine, site, address) = (&self.request.engine, &self.request.site, self.request.client.address);
        let actions = [self.action];
        let mut standings = Standings::default();
        if let Some(limiter) = &site.rate_limit {
            let (shared, path) = (engine.shared(), self.request.path.as_str());
            standings.mount = limiter.count(shared, path, address, engine.now_ms()).await;
        }
        let before = engine.limit_before(&actions, address).await;
        standings.rules = tighter(before, engine.limit_after(&actions, self.grant.auth(), address).await);
        match standings.exceeded() {
            Some(exceeded) => Err(Error::new(codes::RATE_LIMITED).retry_after_s(exceeded.reset_after_s)),
            None => Ok(()),
        }
    }

    async fn heard_from_upstream(
        &mut self,
        message: Option<std::result::Result<Message, SocketError>>,
        client: &mut Client,
    ) -> Next {
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => self.send(client, message).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Next::On,
            Some(Ok(Message::Close(frame))) => {
                frame.map_or_else(|| end(CloseCode::Normal, ""), |frame| Next::End(passed_on(frame)))
            }
            Some(Err(_)) | None => end(CloseCode::Error, codes::UPSTREAM_INVALID.name),
        }
    }

    /// Sends, for as long as the caller may be answered and the other side takes what it is sent.
    async fn send<S>(&mut self, to: &mut WebSocketStream<S>, message: Message) -> Next
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::select! {
            biased;
            () = self.access.ended() => end(CloseCode::Policy, codes::TOKEN_REVOKED.name),
            sent = tokio::time::timeout(WRITE_PATIENCE, to.send(message)) => match sent {
                Ok(Ok(())) => Next::On,
                Ok(Err(_)) | Err(_) => end(CloseCode::Away, "a side takes nothing any more"),
            },
        }
    }
}

/// What one side says of its end, as far as it may be said to the other (RFC 6455 §7.4.1 reserves some codes).
fn passed_on(frame: CloseFrame) -> CloseFrame {
    if frame.code.is_allowed() { frame } else { CloseFrame { code: CloseCode::Normal, ..frame } }
}
