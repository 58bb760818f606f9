//! A request that has a route, and a caller where the route asks for one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, ActionDef};
use doorward_core::authz::custom::Asked;
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{MAX_ID_BYTES, RequestId};
use doorward_core::operation::{Call, Grant, Permit};
use doorward_protocols::path::CanonicalPath;
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;

use crate::http::body::{Inbound, MAX_BODY_BYTES};
use crate::http::extract::{Media, api_version, json_body, media};
use crate::http::listener::Line;
use crate::http::origin::{Client, local_host};
use crate::http::pairs::Pairs;
use crate::http::respond::About;
use crate::http::sources::Shown;
use crate::http::websocket::Handshake;
use crate::site::Site;
use crate::telemetry::{Step, Trace, Value};

/// What a handler gets.
pub(crate) struct Request {
    pub(crate) engine: Engine,
    /// The mount it came through.
    pub(crate) site: Arc<Site>,
    pub(crate) method: Method,
    /// The path within the mount.
    pub(crate) path: CanonicalPath,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Inbound,
    pub(crate) client: Client,
    /// Where its route opens a WebSocket.
    pub(crate) handshake: Option<Handshake>,
    /// What it showed of who opens it, where its route opens a WebSocket and the operator listed places for that; or why not.
    pub(crate) shown: Result<Option<Shown<'static>>>,
    /// Its connection, where that is for one request at a time.
    pub(crate) line: Option<Line>,
    /// Its id, as in the log and the audit log.
    pub(crate) id: RequestId,
    /// What is told of it to the operator's collector, where there is one.
    pub(crate) trace: Option<Arc<Trace>>,
    params: Vec<(&'static str, String)>,
    actions: &'static [&'static ActionDef],
    call: Option<Call>,
}

/// What the route table knows about a request.
pub(crate) struct Matched {
    pub(crate) params: Vec<(&'static str, String)>,
    pub(crate) actions: &'static [&'static ActionDef],
}

/// What came over the wire.
pub(crate) struct Arrived {
    pub(crate) id: RequestId,
    pub(crate) trace: Option<Arc<Trace>>,
    pub(crate) client: Client,
    pub(crate) path: CanonicalPath,
    pub(crate) method: Method,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Inbound,
    pub(crate) handshake: Option<Handshake>,
    pub(crate) shown: Result<Option<Shown<'static>>>,
    pub(crate) line: Option<Line>,
}

impl Request {
    pub(crate) fn new(
        engine: Engine,
        site: Arc<Site>,
        arrived: Arrived,
        matched: Matched,
        call: Option<Call>,
    ) -> Self {
        let Arrived { id, trace, client, path, method, query, headers, body, handshake, shown, line } =
            arrived;
        let Matched { params, actions } = matched;
        Self {
            engine,
            site,
            method,
            path,
            query,
            headers,
            body,
            client,
            handshake,
            shown,
            line,
            id,
            trace,
            params,
            actions,
            call,
        }
    }

    /// What begins by itself, as somebody: it may do what a request with these actions may, and came over no wire.
    pub(crate) fn of_ours(
        engine: &Engine,
        site: &Arc<Site>,
        path: CanonicalPath,
        actions: &'static [&'static ActionDef],
        call: Call,
    ) -> Self {
        let arrived = Arrived {
            id: call.origin.request.clone(),
            trace: None,
            client: Client { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), by_trusted_proxy: false },
            path,
            method: Method::POST,
            query: None,
            headers: HeaderMap::new(),
            body: Inbound::nothing(),
            handshake: None,
            shown: Ok(None),
            line: None,
        };
        let matched = Matched { params: Vec::new(), actions };
        Self::new(engine.clone(), Arc::clone(site), arrived, matched, Some(call))
    }

    /// Who is asking.
    ///
    /// # Errors
    /// `internal` on an open route, which has no caller.
    pub(crate) fn call(&self) -> Result<&Call> {
        let missing = || Error::new(codes::INTERNAL).operator("an open route asked for its caller");
        self.call.as_ref().ok_or_else(missing)
    }

    /// Leave to do `A`, which the route must have declared.
    ///
    /// # Errors
    /// The decision's; `internal` when the route's row does not name the action.
    pub(crate) fn permit<A: Action>(&self, target: Target<'_>) -> Result<Permit<A>> {
        self.declared(A::DEF)?;
        let step = Step::of(self.trace.as_ref(), &self.engine);
        decided(step, A::DEF, self.call()?.permit::<A>(target))
    }

    /// Leave to do an action that a table names.
    ///
    /// # Errors
    /// As [`Request::permit`].
    pub(crate) fn permit_for(&self, action: &'static ActionDef, target: Target<'_>) -> Result<Grant> {
        self.declared(action)?;
        let step = Step::of(self.trace.as_ref(), &self.engine);
        decided(step, action, self.call()?.permit_for(action, target))
    }

    /// Whether roles and scopes let the caller do `A` at all, before the request's body is read. It gives no leave.
    ///
    /// # Errors
    /// As [`Request::permit`].
    pub(crate) fn may<A: Action>(&self) -> Result<()> {
        self.declared(A::DEF)?;
        self.call()?.may(A::DEF)
    }

    /// Leave to do `A`, once the mount's handlers have had their say.
    ///
    /// # Errors
    /// As [`Request::permit`], and the handlers' refusals.
    pub(crate) async fn permit_asking<A: Action>(
        &self,
        target: Target<'_>,
        asked: Asked,
    ) -> Result<Permit<A>> {
        self.declared(A::DEF)?;
        let step = Step::of(self.trace.as_ref(), &self.engine);
        decided(step, A::DEF, self.call()?.permit_asking::<A>(target, asked).await)
    }

    fn declared(&self, action: &'static ActionDef) -> Result<()> {
        if self.actions.contains(&action) {
            return Ok(());
        }
        Err(Error::new(codes::INTERNAL).operator(format!("the route does not declare {action}")))
    }

    /// What its answer may say of it.
    pub(crate) fn about(&self) -> About<'_> {
        About {
            request_id: self.id.as_str(),
            now_ms: self.engine.now_ms(),
            key_header: None,
            api_version: api_version(&self.headers),
        }
    }

    /// The actions of its route.
    pub(crate) fn actions(&self) -> &'static [&'static ActionDef] {
        self.actions
    }

    /// What `{name}` of the pattern stands for, as an identifier.
    ///
    /// # Errors
    /// `not_found` when it is longer than any id or holds control characters: it names nothing.
    pub(crate) fn param(&self, name: &str) -> Result<&str> {
        let value = self.params.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        match value {
            Some(value) if value.len() <= MAX_ID_BYTES && !value.chars().any(char::is_control) => Ok(value),
            _ => Err(Error::new(codes::NOT_FOUND)),
        }
    }

    /// What `{name*}` of the pattern stands for: any number of segments. It names nothing of ours.
    pub(crate) fn rest(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Whether the pattern has this `{name}`.
    pub(crate) fn has_param(&self, name: &str) -> bool {
        self.params.iter().any(|(known, _)| *known == name)
    }

    /// The whole body, at most 1 MiB.
    ///
    /// # Errors
    /// See [`Inbound::read`].
    pub(crate) async fn bytes(&mut self) -> Result<Bytes> {
        self.body.read(&self.headers, MAX_BODY_BYTES).await
    }

    /// The body as JSON; an empty one is `{}`.
    ///
    /// # Errors
    /// `unsupported_media_type` when there is a body that is not declared to be JSON; see also [`json_body`].
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let media = media(&self.headers)?;
        let bytes = self.bytes().await?;
        if media != Media::Json && !bytes.is_empty() {
            return Err(Error::new(codes::UNSUPPORTED_MEDIA));
        }
        json_body(&bytes)
    }

    /// Leave to do `A`, and then the body: whoever may not ask is told so whatever the body is.
    ///
    /// # Errors
    /// As [`Request::permit`] and [`Request::json`].
    pub(crate) async fn permit_with_json<A: Action, T: DeserializeOwned>(
        &mut self,
        target: Target<'_>,
    ) -> Result<(Permit<A>, T)> {
        let permit = self.permit::<A>(target)?;
        match self.json().await {
            Ok(body) => Ok((permit, body)),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// The body as JSON or as a form, whichever it says it is.
    ///
    /// # Errors
    /// As [`Request::json`] and [`Pairs::form`].
    pub(crate) async fn json_or_form<T: DeserializeOwned>(&mut self) -> Result<T> {
        match media(&self.headers)? {
            Media::Form => Pairs::form(&self.bytes().await?)?.into_typed(),
            Media::Json | Media::Unnamed => self.json().await,
        }
    }

    /// The scheme, host and port that browsers know this server by, for what leads back here.
    ///
    /// Whoever asks chooses the `Host` of the request, and nothing may lead where a stranger wants: without a configured address
    /// only names of this machine count.
    ///
    /// # Errors
    /// `bad_header` where the operator has to say `server.public_url`.
    pub(crate) fn own_origin(&self) -> Result<String> {
        if let Some(origin) = &self.site.public_origin {
            return Ok(origin.to_string());
        }
        let host = local_host(&self.headers).ok_or_else(|| {
            let message = "What leads back to this server needs server.public_url here.";
            Error::new(codes::BAD_HEADER).message(message)
        })?;
        Ok(format!("http://{host}"))
    }

    /// The query's names and values.
    ///
    /// # Errors
    /// See [`Pairs::query`].
    pub(crate) fn query(&self) -> Result<Pairs> {
        self.query.as_deref().map_or_else(|| Ok(Pairs::default()), Pairs::query)
    }
}

/// Says in the request's trace what was decided.
fn decided<T>(step: Option<Step<'_>>, action: &ActionDef, outcome: Result<T>) -> Result<T> {
    if let Some(step) = step {
        let attributes = vec![("doorward.action", Value::Text(action.to_string()))];
        step.end("decide", attributes, &outcome);
    }
    outcome
}
