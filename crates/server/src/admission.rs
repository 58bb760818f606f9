//! Admission to routes that are not ours: what stands before an application's own handlers finds out who asks by the same steps as a
//! listener's desk, and refuses in the native style.
//!
//! ```text
//! head of a request ─ known ─► Admitted         by a look-up in memory, where that is enough
//!                   └ caller ─► Admitted        who it is, or why not; nothing of the body is read
//! Admitted ─ call ─► Call                       asks for leave to do something
//! error ─ answer ─► a problem, with its id      as every native route answers
//! ```
//! Framing, paths and sizes are the application's server's: nothing here sees the bytes of the connection.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use doorward_core::authn::{Glanced, Line};
use doorward_core::authz::catalogue::ActionDef;
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::RequestId;
use doorward_core::mount::Mount;
use doorward_core::operation::{Call, Identified, Origin};
use futures_util::FutureExt;
use http::header::COOKIE;
use http::{HeaderMap, Method, Response, Uri};
use http_body_util::BodyExt;

use crate::desk::{limited, log_error};
use crate::http::asking::{Asks, Surroundings, caller, origin};
use crate::http::browser::{self, Brought};
use crate::http::extract::Heads;
use crate::http::origin::{Client, Network, client};
use crate::http::respond::{About, Problems, finish, refusal};
use crate::http::sources::{Sources, TokenSource};
use crate::rate_limit::Standings;
use crate::surfaces::{self, Surface};

/// Who may ask, and how they show it.
pub struct Admission {
    engine: Engine,
    mount: Arc<Mount>,
    surface: &'static Surface,
    sources: Sources,
    cookies: bool,
    trusted_proxies: Arc<[Network]>,
    public_origin: Option<Arc<str>>,
}

/// What the application's server is set to.
#[derive(Debug, Clone, Default)]
pub struct AdmissionSettings {
    /// Where callers may show who they are, in this order; `Authorization` and `X-API-Key` if empty.
    pub token_sources: Vec<TokenSource>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The origin of the application's own pages, such as `https://app.example`; absent for whatever host they ask.
    pub public_origin: Option<String>,
}

/// A request that has just come.
pub struct Arrival {
    /// What it is called, in the answer and in the log.
    pub id: RequestId,
    at_ms: i64,
    peer: Option<IpAddr>,
}

/// A caller who was let in.
pub struct Admitted {
    /// Who it is.
    pub who: Identified,
    /// Whether a token or key says so, which no browser sends by itself.
    explicit: bool,
}

impl Admission {
    /// Admission by a mount's methods.
    #[must_use]
    pub fn new(engine: Engine, mount: Arc<Mount>, settings: AdmissionSettings) -> Self {
        let cookies = mount.chain.names().any(|name| name == "session_cookie");
        Self {
            surface: surfaces::find(mount.surface).unwrap_or(&surfaces::BUILTIN[0]),
            cookies,
            sources: Sources::new(settings.token_sources, &[]),
            trusted_proxies: settings.trusted_proxies.into(),
            public_origin: settings.public_origin.map(Into::into),
            engine,
            mount,
        }
    }

    /// The engine that knows callers.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The mount whose methods let callers in.
    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Notes that a request has come. `peer` is whoever opened the connection, where the application's server says it.
    #[must_use]
    pub fn arrival(&self, peer: Option<IpAddr>) -> Arrival {
        let at_ms = self.engine.now_ms();
        Arrival { id: self.engine.request_id_of(at_ms), at_ms, peer }
    }

    /// Who sends a request with this head, and from where. Nobody in particular is somebody here: whoever must be known is for the caller to
    /// demand. Which requests change something is told by the method alone; [`Admission::changes`] is for when more is known.
    ///
    /// # Errors
    /// The chain's refusal; `bad_header` for credentials with two readings; `cross_site` and `unsupported_media_type` for what another
    /// site's page had a browser send.
    pub async fn caller(
        &self,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        arrival: Arrival,
    ) -> (Result<Admitted>, Origin) {
        let query = uri.query().unwrap_or_default();
        let asks = Asks {
            headers,
            heads: Heads::of(headers),
            peer: arrival.peer,
            seen_from: self.seen_from(&arrival, headers),
            token: None,
            line: Line { method: method.as_str(), path: uri.path(), query, websocket: false },
            foreseen: None,
            cookies: true,
        };
        let found = match caller(self.surroundings(), &asks, &arrival.id).await {
            Ok((call, explicit)) => self.admit(&call, explicit, (method, headers)),
            Err(refused) => Err(refused),
        };
        (found, asks.origin(arrival.id))
    }

    /// As [`Admission::caller`], where a look-up in memory knows who it is and nothing else has to be looked at: without a future. The request
    /// comes back for everybody else, about whom `caller` is to be asked; nothing was verified of them here, and nothing noted.
    ///
    /// # Errors
    /// What it was given, unused.
    pub fn known(
        &self,
        (method, headers): (&Method, &HeaderMap),
        arrival: Arrival,
    ) -> std::result::Result<(Admitted, Origin), Arrival> {
        let heads = Heads::of(headers);
        match self.remembered((method, headers), &heads, &arrival) {
            Some(admitted) => {
                let seen_from = self.seen_from(&arrival, headers);
                Ok((admitted, origin(arrival.id, seen_from, &heads)))
            }
            None => Err(arrival),
        }
    }

    fn remembered(
        &self,
        (method, headers): (&Method, &HeaderMap),
        heads: &Heads<'_>,
        arrival: &Arrival,
    ) -> Option<Admitted> {
        // Places of the operator's own are read in their order.
        let offered = if self.sources.are_ordered() { None } else { heads.plainly(headers, self.surface) }?;
        let cookie = self.cookies && headers.contains_key(COOKIE);
        let from = || origin(arrival.id.clone(), self.seen_from(arrival, headers), heads);
        // A use of a credential is noted there; without one nothing is, so that who is asked about once more is not noted twice.
        let who = self.engine.known(&self.mount, from, &Glanced { offered, cookie }, arrival.at_ms)?;
        let explicit = offered.is_some() && !who.auth.is_anonymous();
        browser::passes(&Brought { method, headers, explicit }).then_some(Admitted { who, explicit })
    }

    fn seen_from(&self, arrival: &Arrival, headers: &HeaderMap) -> Option<Client> {
        arrival.peer.map(|peer| client(peer, headers, &self.trusted_proxies))
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            engine: &self.engine,
            mount: &self.mount,
            surface: self.surface,
            sources: &self.sources,
            cookies: self.cookies,
        }
    }

    /// As at a desk: a foreign page must not act by what a browser sends by itself.
    fn admit(
        &self,
        call: &Call,
        explicit: bool,
        (method, headers): (&Method, &HeaderMap),
    ) -> Result<Admitted> {
        let explicit = explicit && !call.auth.is_anonymous();
        let brought = Brought { method, headers, explicit };
        browser::check(call, &brought, self.public_origin.as_deref(), |_| false)?;
        Ok(Admitted { who: call.into(), explicit })
    }

    /// The call of somebody who was let in, from there.
    #[must_use]
    pub fn call(&self, who: &Identified, origin: Origin) -> Call {
        who.call(&self.engine, &self.mount, origin)
    }

    /// Refuses what another site's page had a browser send, for a request that turns out to change something: by whatever method, because a
    /// browser follows links with our cookie. `call` is of whoever was admitted.
    ///
    /// # Errors
    /// `cross_site` and `unsupported_media_type`, as [`Admission::caller`].
    pub fn changes(
        &self,
        (admitted, call): (&Admitted, &Call),
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<()> {
        let brought = Brought { method, headers, explicit: admitted.explicit };
        browser::check_change(call, &brought, self.public_origin.as_deref(), |_| false)
    }

    /// Counts a request for one more action, behind `earlier` ones, by the operator's limits. Each limit counts it once.
    ///
    /// # Errors
    /// `rate_limited`; `internal` for a limit by address where nobody says the request's.
    pub async fn count(&self, call: &Call, action: &ActionDef, earlier: &[&ActionDef]) -> Result<()> {
        let caller = (&*call.auth, call.origin.address);
        let rules = self.engine.limit_further((action, earlier), caller).await.map_err(|limit| {
            let what =
                format!("rate_limits.{} counts by address, and no address is known: address_of", limit.0);
            Error::new(codes::INTERNAL).operator(what)
        })?;
        limited(&Standings { mount: None, rules }, &[action]).map_or(Ok(()), Err)
    }

    /// The answer to what was refused or failed, and its line in the log.
    #[must_use]
    pub fn answer(&self, error: &Error, id: &RequestId) -> Response<Bytes> {
        log_error(error, id);
        problem(error, Some(id.as_str()), self.engine.now_ms())
    }
}

/// An error as a native route answers it (RFC 9457), with the headers that its kind asks for.
#[must_use]
pub fn problem(error: &Error, request_id: Option<&str>, now_ms: i64) -> Response<Bytes> {
    let about =
        About { request_id: request_id.unwrap_or_default(), now_ms, key_header: None, api_version: None };
    let mut answer = refusal(&Problems, error, None, about);
    finish(&Problems, &mut answer, about);
    let (mut head, body) = answer.into_parts();
    if request_id.is_none() {
        head.headers.remove(&crate::http::respond::X_REQUEST_ID);
    }
    // What is said of an error is there as a whole.
    let body = body.collect().now_or_never().and_then(std::result::Result::ok);
    Response::from_parts(head, body.map(|body| body.to_bytes()).unwrap_or_default())
}
