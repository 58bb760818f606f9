//! A listener's desk: every request passes here on its way to a handler, and every answer on its way out.
//!
//! The order is security-relevant:
//! 1. one canonical path, or a refusal;
//! 2. the route: what no table declares does not exist;
//! 3. limits by address;
//! 4. the caller, unless the route is open: a bad credential is refused before any body is read; what another site's page
//!    asked for; limits by account and key;
//! 5. the handler, which decides before it acts;
//! 6. the answer in the surface's style, and one line in the log.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use doorward_core::authn::Line;
use doorward_core::authz::catalogue::session::Login;
use doorward_core::authz::catalogue::{Action as _, ActionDef, service};
use doorward_core::authz::custom::Foreseen;
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::id::RequestId;
use doorward_core::limits::rules::tighter;
use doorward_core::operation::Call;
use doorward_protocols::path::{CanonicalPath, canonical};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CONNECTION, HOST, HeaderValue, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{Method, Response};
use hyper::body::Incoming;

use crate::gateway;
use crate::handling::to_the_end;
use crate::health::Probe;
use crate::http::asking::{Asks, Surroundings, caller};
use crate::http::body::{Body, BodyRoom, Inbound};
use crate::http::browser::{self, Brought};
use crate::http::cors::Asked;
use crate::http::extract::Heads;
use crate::http::extract::api_version;
use crate::http::framing::{MAX_HEADERS, Refusal};
use crate::http::listener::{Answering, Line as Conversation};
use crate::http::origin::{Client, Network, client, is_local_name};
use crate::http::respond::{
    About, Answer, Problems, Style, append, finish, header_value, no_content, refusal, written_out,
};
use crate::http::sources::Shown;
use crate::http::websocket::Handshake;
use crate::metrics::{MountMetrics, Stopwatch};
use crate::phase::Phases;
use crate::rate_limit::Standings;
use crate::request::{Arrived, Matched, Request};
use crate::route::{Gate, Route, Work};
use crate::site::Site;
use crate::table::{Found, Table};
use crate::telemetry::{Step, Telemetry, Trace};

/// What answers a listener's requests.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) table: Table,
    /// By part number of the table.
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) trusted_proxies: Arc<[Network]>,
    /// Whether clients are told never to come over plain HTTP again (RFC 6797).
    pub(crate) strict_transport: bool,
    /// Whether only names of this machine are answered to.
    pub(crate) local_names: bool,
    /// The origin of our own pages, where it is configured.
    pub(crate) public_origin: Option<Arc<str>>,
    /// Shared by every listener.
    pub(crate) bodies: BodyRoom,
    /// What is counted of requests that reach no mount.
    pub(crate) nobody: MountMetrics,
    /// Where traces go, if anywhere.
    pub(crate) telemetry: Option<Telemetry>,
    /// Where the server is in its life.
    pub(crate) phases: Phases,
}

/// What is known of a request when its answer goes out.
struct Outcome {
    style: &'static dyn Style,
    result: Result<Answer>,
    standings: Standings,
    /// The methods a path takes, for an answer that has to name them.
    allow: Option<HeaderValue>,
    /// Whose answer it is, by part number.
    part: Option<usize>,
    /// The header that brought the credential, where it is one of the surface's own.
    key_header: Option<&'static str>,
    /// The browser sent a session cookie that is worth nothing.
    stale_cookie: bool,
    /// Headers that whoever let the caller in wants the answer to have.
    answer_headers: Vec<(String, String)>,
    /// The path for the log, once it is known to be harmless.
    path: Option<CanonicalPath>,
    /// It says how the server is, to a program that asks all the time.
    is_probe: bool,
}

impl Outcome {
    fn of(style: &'static dyn Style, path: Option<CanonicalPath>, result: Result<Answer>) -> Self {
        Self {
            style,
            result,
            standings: Standings::default(),
            allow: None,
            part: None,
            key_header: None,
            stale_cookie: false,
            answer_headers: Vec::new(),
            path,
            is_probe: false,
        }
    }

    fn at(self, part: usize) -> Self {
        Self { part: Some(part), ..self }
    }
}

impl Answering for Desk {
    fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        peer: SocketAddr,
        line: Option<Conversation>,
    ) -> BoxFuture<'static, Response<Body>> {
        async move {
            let stopwatch = Stopwatch::start();
            let id = self.engine.request_id();
            let method = request.method().clone();
            let asked = Asked::of(request.headers(), method == Method::OPTIONS);
            let api_version = api_version(request.headers()).map(str::to_owned);
            let seen_from = client(peer.ip(), request.headers(), &self.trusted_proxies);
            let trace = self
                .telemetry
                .as_ref()
                .map(|to| Arc::new(Trace::begin(to, seen_from, request.headers(), &self.engine)));
            let outcome = self.outcome((request, line), (peer, seen_from), &id, trace.as_ref()).await;
            let about = About {
                request_id: id.as_str(),
                now_ms: self.engine.now_ms(),
                key_header: outcome.key_header,
                api_version: api_version.as_deref(),
            };
            let (mut answer, code) = match outcome.result {
                Ok(answer) => (answer, None),
                Err(error) => {
                    log_error(&error, &id);
                    (refusal(outcome.style, &error, None, about), Some(error.code()))
                }
            };
            if let Some(allow) = outcome.allow {
                answer.headers_mut().insert(ALLOW, allow);
            }
            if outcome.stale_cookie && !answer.headers().contains_key(SET_COOKIE) {
                answer.headers_mut().append(SET_COOKIE, browser::forget());
            }
            for (name, value) in &outcome.answer_headers {
                append(answer.headers_mut(), name, value);
            }
            outcome.standings.stamp(answer.headers_mut());
            finish(outcome.style, &mut answer, about);
            if let Some(site) = outcome.part.map(|part| &self.sites[part]) {
                site.cors.stamp(&asked, &site.mount.name, answer.headers_mut());
            }
            self.secure(&mut answer);
            if outcome.is_probe {
                tracing::debug!(
                    path = outcome.path.as_ref().map(CanonicalPath::as_str),
                    status = answer.status().as_u16(),
                    "answered a probe"
                );
                return answer;
            }
            if let Some(trace) = &trace {
                let mount = outcome.part.map_or("", |part| &*self.sites[part].mount.name);
                trace.end(&method, mount, &id, answer.status(), code);
            }
            let took = stopwatch.took();
            outcome.part.map_or(&self.nobody, |part| &self.sites[part].metrics).answered(
                answer.status(),
                took,
                code,
            );
            tracing::info!(
                %method,
                path = outcome.path.as_ref().map_or("(refused)", CanonicalPath::as_str),
                status = answer.status().as_u16(),
                ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                request = %id,
                refusal = code.map(|code| code.name),
                "answered"
            );
            answer
        }
        .boxed()
    }

    fn refuse(&self, refused: &Refusal) -> Bytes {
        let id = self.engine.request_id();
        let about = About {
            request_id: id.as_str(),
            now_ms: self.engine.now_ms(),
            key_header: None,
            api_version: None,
        };
        let style = self.style(self.sites.iter().position(|site| site.prefix.is_empty()));
        let error = Error::new(refused.code).message(refused.message);
        let mut answer = refusal(style, &error, Some(refused.status), about);
        finish(style, &mut answer, about);
        self.secure(&mut answer);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        tracing::info!(status = refused.status, request = %id, "refused what is no request");
        written_out(answer)
    }
}

impl Desk {
    fn secure(&self, answer: &mut Answer) {
        if self.strict_transport {
            answer
                .headers_mut()
                .insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
    }

    fn style(&self, part: Option<usize>) -> &'static dyn Style {
        part.map_or(&Problems, |part| self.sites[part].style)
    }

    async fn outcome(
        self: &Arc<Self>,
        (request, mut line): (http::Request<Incoming>, Option<Conversation>),
        (peer, seen_from): (SocketAddr, Client),
        id: &RequestId,
        trace: Option<&Arc<Trace>>,
    ) -> Outcome {
        let (mut head, body) = request.into_parts();
        let room = self.bodies.for_client(seen_from.address);
        let body = Inbound::new(body, room, head.version, &head.headers);
        let root = self.sites.iter().position(|site| site.prefix.is_empty());
        // 1.
        let whole = match canonical(head.uri.path().as_bytes()) {
            Ok(path) => path,
            Err(error) => {
                let error = Error::new(codes::BAD_PATH).message(format!("Refused: {error}."));
                return Outcome::of(self.style(root), None, Err(error));
            }
        };
        if self.local_names && !head.headers.get(HOST).is_none_or(names_this_machine) {
            let message = "This server is reached by its address or as localhost; server.public_url gives it another name.";
            let error = Error::new(codes::BAD_HEADER).message(message);
            return Outcome::of(self.style(root), Some(whole), Err(error));
        }
        if head.headers.len() > MAX_HEADERS {
            let error = Error::new(codes::TOO_LARGE).message("A request may have 100 headers.");
            return Outcome::of(self.style(root), Some(whole), Err(error));
        }
        // 2.
        let found = self.table.find(&head.method, &whole);
        if let (Found::Nothing { .. }, Some(probe)) = (&found, Probe::at(whole.as_str())) {
            return self.probed(probe, &head.method, Some(whole));
        }
        let (part, route, params) = match found {
            Found::Route { part, route, params } => (part, route, params),
            Found::Methods { part, methods } => {
                let (allow, mut result) = other_method(&head.method, methods);
                if let Err(refused) = self.asked_first(Some(part), &head, &whole, peer, seen_from, id).await {
                    result = Err(refused);
                }
                let outcome = Outcome::of(self.style(Some(part)), Some(whole), result).at(part);
                return Outcome { allow: Some(allow), ..outcome };
            }
            Found::Nothing { part } => {
                let refused = self.asked_first(part, &head, &whole, peer, seen_from, id).await;
                let error = refused.err().unwrap_or_else(|| Error::new(codes::NO_ROUTE));
                let outcome = Outcome::of(self.style(part), Some(whole), Err(error));
                return Outcome { part, ..outcome };
            }
        };
        let site = &self.sites[part];
        if let Some(trace) = trace {
            trace.is_for(&site.prefix, route.pattern);
        }
        let path = if site.prefix.is_empty() {
            Ok(whole.clone())
        } else {
            canonical(&whole.as_str().as_bytes()[site.prefix.len()..])
        };
        let path = match path {
            Ok(path) => path,
            Err(_) => return Outcome::of(site.style, Some(whole), Err(Error::new(codes::NO_ROUTE))).at(part),
        };
        let logged = Some(whole);
        // 3.
        let actions = match route.gate {
            Gate::Open => &[][..],
            Gate::Guarded(actions) => actions,
        };
        let mut standings = Standings::default();
        if let Some(limiter) = &site.rate_limit {
            let (shared, now_ms) = (self.engine.shared(), self.engine.now_ms());
            standings.mount = limiter.count(shared, path.as_str(), seen_from.address, now_ms).await;
        }
        standings.rules = self.engine.limit_before(actions, seen_from.address).await;
        if let Some(refused) = limited(&standings, actions) {
            return Outcome { standings, ..Outcome::of(site.style, logged, Err(refused)).at(part) };
        }
        // 4.
        let handshake = match route.work {
            Work::Socket(rule) => Some(Handshake::read(&mut head, line.take(), rule.token_protocol)),
            Work::Accept(_) => Some(Handshake::read(&mut head, line.take(), None)),
            Work::Here(_) | Work::Upstream(_) => None,
        };
        let handshake = match handshake.transpose() {
            Ok(handshake) => handshake,
            Err(error) => {
                return Outcome { standings, ..Outcome::of(site.style, logged, Err(error)).at(part) };
            }
        };
        let token = handshake.as_ref().and_then(Handshake::token);
        let call = match route.gate {
            Gate::Open => Ok(None),
            Gate::Guarded(_) => {
                let line = Line {
                    method: head.method.as_str(),
                    path: path.as_str(),
                    query: head.uri.query().unwrap_or_default(),
                    websocket: handshake.is_some(),
                };
                let asked = route.foreseen.filter(|_| site.mount.policy.is_some());
                let asked = asked.and_then(|foresee| foresee(&params));
                let foreseen = asked.as_ref().zip(actions.first());
                let foreseen = foreseen.map(|(asked, action)| Foreseen { action, asked });
                let asks = Asks {
                    headers: &head.headers,
                    heads: Heads::of(&head.headers),
                    peer: Some(peer.ip()),
                    seen_from: Some(seen_from),
                    token,
                    line,
                    foreseen,
                    cookies: !route.own_cookies,
                };
                let step = Step::of(trace, &self.engine);
                let found = self.caller(site, &asks, id).await.map(Some);
                if let Some(step) = step {
                    step.end("authenticate", Vec::new(), &found);
                }
                found
            }
        };
        let (explicit, mut call) = match call {
            Ok(Some((call, explicit))) => (explicit, Ok(Some(call))),
            Ok(None) => (false, Ok(None)),
            Err(error) => (false, Err(error)),
        };
        let cookie = site.cookies.then(|| browser::session_cookie(&head.headers)).flatten();
        let used = matches!(&call, Ok(Some(known)) if known.auth.ambient);
        let stale_cookie =
            cookie.is_some() && !used && matches!(&call, Ok(Some(known)) if known.auth.is_anonymous());
        if let Ok(Some(known)) = &call {
            // What an open mount takes unread proves nothing: a foreign page can offer a token in a handshake's protocols.
            let explicit = explicit && !known.auth.is_anonymous();
            let method = if route.asks_for_another { &Method::GET } else { &head.method };
            let brought = Brought { method, headers: &head.headers, explicit };
            let public = self.public_origin.as_deref();
            if let Err(refused) = browser::check(known, &brought, public, |origin| site.cors.lists(origin)) {
                call = Err(refused);
            }
        }
        if let Ok(Some(known)) = &call {
            let standing = self.engine.limit_after(actions, &known.auth, seen_from.address).await;
            standings.rules = tighter(standings.rules, standing);
            if let Some(refused) = limited(&standings, actions) {
                call = Err(refused);
            }
        }
        let answer_headers = match &call {
            Ok(Some(known)) => known.auth.answer_headers.clone(),
            _ => Vec::new(),
        };
        let key_header =
            site.surface.key_headers.iter().copied().find(|name| head.headers.contains_key(*name));
        let shown = match route.work {
            Work::Accept(_) if site.sources.listed => {
                let found = site.sources.find(&head.headers, head.uri.query(), true);
                found.map(|found| found.map(Shown::into_owned))
            }
            _ => Ok(None),
        };
        // 5.
        let result = match call {
            Ok(call) => {
                let arrived = Arrived {
                    id: id.clone(),
                    trace: trace.cloned(),
                    client: seen_from,
                    path,
                    method: head.method,
                    query: site.sources.without_tokens(head.uri.query()),
                    shown,
                    headers: head.headers,
                    body,
                    handshake,
                    line,
                };
                self.handle(site, route, (params, actions), arrived, call).await
            }
            Err(error) => match handshake {
                // A browser shows its page no other refusal of a WebSocket than a close frame.
                Some(handshake) => {
                    log_error(&error, id);
                    Ok(handshake.refuse(&error))
                }
                None => Err(error),
            },
        };
        let outcome = Outcome::of(site.style, logged, result).at(part);
        Outcome { standings, key_header, stale_cookie, answer_headers, ..outcome }
    }

    /// How the server is. Mounts' own routes come first, whatever they are called.
    fn probed(&self, probe: Probe, method: &Method, logged: Option<CanonicalPath>) -> Outcome {
        let (phase, sites) = (*self.phases.borrow(), self.sites.iter().map(|site| &**site));
        let result = probe.answer(method, &self.engine, phase, sites);
        let other_method = result.as_ref().is_err_and(|error| error.is(codes::METHOD_NOT_ALLOWED));
        let allow = other_method.then(|| HeaderValue::from_static("GET, HEAD"));
        Outcome { allow, is_probe: true, ..Outcome::of(&Problems, logged, result) }
    }

    /// What is asked where there is no such route is told to nobody whom the surface would not let in. A page's preflight has no
    /// credential to show.
    async fn asked_first(
        &self,
        part: Option<usize>,
        head: &Parts,
        whole: &CanonicalPath,
        peer: SocketAddr,
        seen_from: Client,
        id: &RequestId,
    ) -> Result<()> {
        let site = part.map(|part| &self.sites[part]).filter(|site| site.surface.asks_first);
        let Some(site) = site.filter(|_| head.method != Method::OPTIONS) else { return Ok(()) };
        let path = whole.as_str().get(site.prefix.len()..).unwrap_or_default();
        let query = head.uri.query().unwrap_or_default();
        let line = Line { method: head.method.as_str(), path, query, websocket: false };
        let asks = Asks {
            headers: &head.headers,
            heads: Heads::of(&head.headers),
            peer: Some(peer.ip()),
            seen_from: Some(seen_from),
            token: None,
            line,
            foreseen: None,
            cookies: true,
        };
        let (call, _) = self.caller(site, &asks, id).await?;
        // On a mount that knows callers, nobody in particular is told of nothing.
        let nobody = call.auth.is_anonymous() && call.may(service::Describe::DEF).is_err();
        if nobody { Err(Error::new(codes::CREDENTIALS_MISSING)) } else { Ok(()) }
    }

    /// Who is asking, and whether something says so that no browser sends by itself.
    async fn caller(&self, site: &Site, asks: &Asks<'_>, id: &RequestId) -> Result<(Call, bool)> {
        let at = Surroundings {
            engine: &self.engine,
            mount: &site.mount,
            surface: site.surface,
            sources: &site.sources,
            cookies: site.cookies,
        };
        caller(at, asks, id).await
    }

    /// Runs the handler, whatever becomes of the connection.
    async fn handle(
        &self,
        site: &Arc<Site>,
        route: &'static Route,
        (params, actions): (Vec<(&'static str, String)>, &'static [&'static ActionDef]),
        arrived: Arrived,
        call: Option<Call>,
    ) -> Result<Answer> {
        let matched = Matched { params, actions };
        let request = Request::new(self.engine.clone(), Arc::clone(site), arrived, matched, call);
        let work = match route.work {
            Work::Here(handler) | Work::Accept(handler) => handler(request),
            Work::Upstream(rule) => gateway::forward(request, rule).boxed(),
            Work::Socket(rule) => gateway::open(request, rule).boxed(),
        };
        to_the_end(work).await
    }
}

fn names_this_machine(host: &HeaderValue) -> bool {
    host.to_str().is_ok_and(is_local_name)
}

fn is_login(action: &ActionDef) -> bool {
    (action.resource, action.name) == (Login::DEF.resource, Login::DEF.name)
}

pub(crate) fn limited(standings: &Standings, actions: &[&ActionDef]) -> Option<Error> {
    let exceeded = standings.exceeded()?;
    tracing::info!(limit = %exceeded.rule, "a limit refuses");
    let mut error = Error::new(codes::RATE_LIMITED).retry_after_s(exceeded.reset_after_s);
    if actions.iter().any(|action| is_login(action)) {
        error = error.message("Too many login attempts");
    }
    Some(error.operator(format!("the limit {:?}", exceeded.rule)))
}

/// `OPTIONS` is told what there is; anything else is refused with the same list.
fn other_method(method: &Method, mut methods: Vec<Method>) -> (HeaderValue, Result<Answer>) {
    if methods.contains(&Method::GET) {
        methods.push(Method::HEAD);
    }
    methods.push(Method::OPTIONS);
    let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let result = if method == Method::OPTIONS {
        Ok(no_content())
    } else {
        Err(Error::new(codes::METHOD_NOT_ALLOWED).message(format!("This path takes {names}.")))
    };
    (header_value(&names), result)
}

pub(crate) fn log_error(error: &Error, id: &RequestId) {
    let detail = error.operator_detail().unwrap_or_default();
    match error.code().kind {
        Kind::Internal => {
            tracing::error!(request = %id, %error, detail, cause = ?std::error::Error::source(error), "failed")
        }
        // What a handler answered is nobody's credential, and its author has to learn of it.
        _ if error.is(codes::HANDLER_INVALID) => tracing::warn!(request = %id, %error, detail, "failed"),
        Kind::Unavailable | Kind::Upstream => {
            tracing::warn!(request = %id, %error, detail, cause = ?std::error::Error::source(error), "failed");
        }
        // Whoever asks is a proxy, which shows its client the status alone.
        _ if error.is(codes::FORWARD_AUTH_REFUSED) => {
            tracing::info!(request = %id, %error, "nothing may pass")
        }
        _ => tracing::debug!(request = %id, %error, detail, "refused"),
    }
}
