//! WebSockets to an upstream: its handshake comes before the one with the client is answered.

use doorward_core::authz::Target;
use doorward_core::error::{Error, Result, codes};
use http::{Method, StatusCode};

use super::relay::Relay;
use super::{Effect, Resource, headers};
use crate::access::Access;
use crate::http::respond::Answer;
use crate::request::Request;
use crate::telemetry;

/// Largest message of a client.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

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
        let step = telemetry::passing_on(&request, &mut sent);
        let opened = upstream.open_socket(request.path.as_str(), sent, &request.engine).await;
        if let Some(step) = step {
            let status = opened.as_ref().map(|_| StatusCode::SWITCHING_PROTOCOLS);
            step.end_call(&Method::GET, upstream.place(), status);
        }
        opened
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
