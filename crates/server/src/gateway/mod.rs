//! In front of somebody else's agent server: decide here, act there, and tell nobody what is not theirs.
//!
//! ```text
//! request ─ permit ─ subject (whose thread is it?) ─ claim ─► rebuilt request ─► upstream
//! client ◄── rebuilt answer ◄─ list filtered, claim released on failure, audit line closed ◄─┘
//! ```
//! A route that no table names is not found. The upstream gets a request made here: own header list, one path
//! spelling, one length. Who owns what is kept in our own store, so that a server without users gets them.

mod answer;
mod breaker;
pub(crate) mod headers;
pub(crate) mod listing;
mod ownership;
mod probe;
mod relay;
mod socket;
mod subject;
mod upstream;

use doorward_core::authz::Target;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::{Method, StatusCode};

pub(crate) use answer::{Arrival, Buffered};
pub(crate) use ownership::{Claim, claimed, fresh_id, owned};
pub(crate) use probe::segment;
pub(crate) use socket::SocketRule;
pub(crate) use subject::{JsonBody, Reserved, Resource, named};
pub use upstream::UpstreamError;
pub(crate) use upstream::{Outbound, Upstream};

use crate::access::Access;
use crate::http::body::{Body, MAX_BODY_BYTES};
use crate::http::respond::Answer;
use crate::request::Request;
use crate::telemetry;

/// What a route does with the resource it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing is named: whoever may do the action may do it.
    Nothing,
    /// The resource must be the caller's already.
    Use,
    /// As [`Effect::Use`]; an id nobody owns becomes the caller's, and a missing one is made up here.
    UseOrCreate,
    /// The resource must be the caller's, and is nobody's afterwards.
    Delete,
    /// The answer lists resources, of which only the caller's are shown.
    List,
}

/// How a route is passed on. The action stands in the route's row.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) effect: Effect,
    /// What kind of resource is named, and where.
    pub(crate) resource: &'static Resource,
    /// Whether the route takes a body.
    pub(crate) takes_body: bool,
}

/// Opens a WebSocket by its rule.
pub(crate) use socket::open;

/// Passes a request on by its rule.
///
/// # Errors
/// The decision's; `not_found` for what is not the caller's; `bad_field` when ids disagree; `upstream_unreachable`
/// and `upstream_invalid`.
pub(crate) async fn forward(mut request: Request, rule: &'static Rule) -> Result<Answer> {
    let [action] = request.actions() else {
        return Err(Error::new(codes::INTERNAL).operator("a forwarded route names one action"));
    };
    // 1. Leave before anything else is looked at.
    let mut grant = request.permit_for(action, Target::any())?;
    // 2. What is it about? From here on every way out closes the grant.
    let mut claim = None;
    let outbound = match prepare(&mut request, rule, &mut grant, &mut claim).await {
        Ok(outbound) => outbound,
        Err(error) => return grant.close(Err(error)),
    };
    // 3. Pass it on.
    pass(request, rule, grant, claim, outbound).await
}

async fn prepare(
    request: &mut Request,
    rule: &Rule,
    grant: &mut Grant,
    claim: &mut Option<Claim>,
) -> Result<Outbound> {
    let mut body = if rule.takes_body {
        subject::JsonBody::read(request, rule.resource).await?
    } else {
        refuse_body(request).await?;
        subject::JsonBody::none()
    };
    *claim = settle(request, (rule.effect, rule.resource), grant, &mut body).await?;
    Ok(Outbound {
        // The library leaves the body of an answer to HEAD away; what is understood here needs it.
        method: if request.method == Method::HEAD { Method::GET } else { request.method.clone() },
        path: request.path.as_str().to_owned(),
        query: request.query.clone(),
        headers: headers::outbound(request, grant.auth(), body.is_present()),
        body: body.into_bytes(),
    })
}

/// Finds out what a request or message is about, and whether that is the caller's.
async fn settle(
    request: &Request,
    (effect, resource): (Effect, &Resource),
    grant: &mut Grant,
    body: &mut JsonBody,
) -> Result<Option<Claim>> {
    let engine = &request.engine;
    Ok(match (effect, subject::named(request, resource, body)?) {
        (Effect::Nothing | Effect::List, _) => None,
        (Effect::Use | Effect::Delete, Some(id)) => {
            grant.name_resource(&id);
            Some(owned(engine, grant, resource.kind, id).await?)
        }
        (Effect::Use | Effect::Delete, None) => return Err(resource.missing()),
        (Effect::UseOrCreate, None) => {
            let id = fresh_id(engine);
            body.insert(resource, &id);
            grant.name_resource(&id);
            Some(claimed(engine, grant, resource.kind, id).await?)
        }
        (Effect::UseOrCreate, Some(id)) => {
            grant.name_resource(&id);
            Some(match owned(engine, grant, resource.kind, id.clone()).await {
                Ok(claim) => claim,
                // Asked before it is claimed: a claim counts from the moment it is made, for every other request too.
                Err(error) if error.is(codes::NOT_FOUND) => {
                    match probe::refuse_existing(request, grant, resource, &id).await {
                        Ok(()) => claimed(engine, grant, resource.kind, id).await?,
                        // Another request of the same caller may have made it meanwhile.
                        Err(refused) => owned(engine, grant, resource.kind, id).await.map_err(|_| refused)?,
                    }
                }
                Err(error) => return Err(error),
            })
        }
    })
}

/// A body on a route that takes none is either a mistake or an attempt to say two things.
async fn refuse_body(request: &mut Request) -> Result<()> {
    if request.bytes().await?.is_empty() {
        return Ok(());
    }
    Err(Error::new(codes::BAD_REQUEST).message("This route takes no body."))
}

async fn pass(
    request: Request,
    rule: &'static Rule,
    grant: Grant,
    claim: Option<Claim>,
    outbound: Outbound,
) -> Result<Answer> {
    let arrival = match send(&request, &grant, claim.as_ref(), outbound).await {
        Ok(arrival) => arrival,
        Err(error) => return grant.close(Err(error)),
    };
    let succeeded = arrival.status.is_success();
    match rule.effect {
        Effect::List if succeeded => listing::answer(&request, rule.resource, grant, arrival).await,
        Effect::Delete if succeeded => {
            let buried = match &claim {
                Some(claim) => claim.bury(&request.engine, &grant).await,
                None => Ok(()),
            };
            match buried {
                Ok(()) => Ok(arrival.into_answer(Some(grant))),
                Err(error) => grant.close(Err(error)),
            }
        }
        _ => Ok(arrival.into_answer(Some(grant))),
    }
}

/// Sends what was prepared. A new claim does not outlive a failure.
///
/// # Errors
/// The upstream's.
pub(crate) async fn send(
    request: &Request,
    grant: &Grant,
    claim: Option<&Claim>,
    mut outbound: Outbound,
) -> Result<Arrival> {
    let stated = headers::state(request, grant.auth(), &mut outbound.headers);
    let upstream = request.site.upstream.as_ref();
    let missing = || Error::new(codes::INTERNAL).operator("a forwarded route on a mount without upstream");
    let outcome = match (upstream, stated.and(grant.begun().await)) {
        (Some(upstream), Ok(())) => watched(request, upstream, grant, outbound).await,
        (None, _) => Err(missing()),
        (_, Err(error)) => Err(error),
    };
    let failed = outcome.as_ref().map_or(true, |arrival| !arrival.status.is_success());
    if let Some(claim) = claim.filter(|claim| failed && claim.is_new) {
        claim.release(&request.engine, grant).await;
    }
    outcome
}

/// Sends under the caller's leave: what is revoked or runs out while the upstream thinks is answered no more.
async fn watched(
    request: &Request,
    upstream: &Upstream,
    grant: &Grant,
    outbound: Outbound,
) -> Result<Arrival> {
    let mut access = Access::watch(grant.call())?;
    tokio::select! {
        arrival = asked(request, upstream, outbound) => Ok(arrival?.under(access)),
        () = access.ended() => Err(Error::new(codes::TOKEN_REVOKED).operator("the caller's access ended")),
    }
}

/// Asks the upstream, as a part of the request's trace.
async fn asked(request: &Request, upstream: &Upstream, mut outbound: Outbound) -> Result<Arrival> {
    let step = telemetry::passing_on(request, &mut outbound.headers);
    let method = outbound.method.clone();
    let arrival = upstream.send(outbound, &request.engine).await;
    if let Some(step) = step {
        step.end_call(&method, upstream.place(), arrival.as_ref().map(|arrival| arrival.status));
    }
    arrival
}

/// Looks at something upstream on the way to an act: nothing is changed, and nothing of it is told yet.
///
/// # Errors
/// The upstream's.
pub(crate) async fn look(request: &Request, grant: &Grant, path: String) -> Result<Buffered> {
    look_with(request, grant, own_request(request, grant, Method::GET, path, None)).await
}

/// As [`look`], with a query.
///
/// # Errors
/// As there.
pub(crate) async fn look_at(
    request: &Request,
    grant: &Grant,
    path: String,
    query: String,
) -> Result<Buffered> {
    let outbound = own_request(request, grant, Method::GET, path, None);
    look_with(request, grant, Outbound { query: Some(query), ..outbound }).await
}

/// As [`look`], where looking takes a body.
///
/// # Errors
/// As there.
pub(crate) async fn search_for(
    request: &Request,
    grant: &Grant,
    path: String,
    wanted: &serde_json::Value,
) -> Result<Buffered> {
    let body = Some(wanted.to_string().into_bytes());
    look_with(request, grant, own_request(request, grant, Method::POST, path, body)).await
}

async fn look_with(request: &Request, grant: &Grant, mut outbound: Outbound) -> Result<Buffered> {
    let missing = || Error::new(codes::INTERNAL).operator("a forwarded route on a mount without upstream");
    let upstream = request.site.upstream.as_ref().ok_or_else(missing)?;
    headers::state(request, grant.auth(), &mut outbound.headers)?;
    asked(request, upstream, outbound).await?.read().await
}

/// As [`own_request`], with what the client says of the answer it wants: for answers that are passed on as they come.
pub(crate) fn passed_request(
    request: &Request,
    grant: &Grant,
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
) -> Outbound {
    Outbound {
        method,
        path,
        query: request.query.clone(),
        headers: headers::outbound(request, grant.auth(), body.is_some()),
        body: body.map(Into::into),
    }
}

/// A request that this process makes by itself on behalf of the caller, with a JSON body.
pub(crate) fn own_request(
    request: &Request,
    grant: &Grant,
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
) -> Outbound {
    Outbound {
        method,
        path,
        query: None,
        headers: headers::own(request, grant.auth(), body.is_some()),
        body: body.map(Into::into),
    }
}

/// Most bytes of an answer that has to be understood before it is passed on.
pub(crate) const MAX_UNDERSTOOD_BYTES: usize = 8 * MAX_BODY_BYTES;

/// An answer of the upstream that cannot be used.
pub(crate) fn unusable(what: &'static str) -> Error {
    Error::new(codes::UPSTREAM_INVALID).operator(what)
}

/// Whether an answer with this status has no body (RFC 9110 §6.4.1).
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The body of an answer without one.
pub(crate) fn nothing() -> Body {
    Body::empty()
}
