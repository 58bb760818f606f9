//! `/v1/forward-auth`: a proxy asks whether a request that it holds may pass, and whose it is.
//!
//! ```text
//! 1. the proxy     one of server.trusted_proxies, or nobody is told anything
//! 2. the request   X-Original-* (nginx), X-Forwarded-* (Caddy, Traefik, HAProxy, Apache), or the path (Envoy): one reading, or none
//! 3. the area      the deepest one of [areas]; what lies in none is for nobody
//! 4. the page      what a cookie is to change has to come from a page of the site itself
//! 5. the decision  area:read or area:write on that area, by the same function as everything
//! ```
//! Headers as their documentation has them: nginx `ngx_http_auth_request_module`, Caddy `forward_auth`, Traefik `ForwardAuth`, Envoy
//! `envoy.extensions.filters.http.ext_authz.v3.HttpService`.

use std::borrow::Cow;
use std::sync::Arc;

use doorward_core::authz::areas::{self, Areas, Original, Unreadable};
use doorward_core::error::{Code, Error, Result, codes};
use http::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, UPGRADE};
use http::{Method, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::tags;
use crate::gateway::headers::{roles_value, value};
use crate::http::body::Body;
use crate::http::browser::foreign;
use crate::http::extract::single;
use crate::http::respond::{Answer, USUAL_HEADERS};
use crate::openapi::{Also, Described, Header, Parameter};
use crate::request::Request;

const SAID: &[Parameter] = &[
    Parameter::header("X-Original-URI", "What is asked for, as nginx says it."),
    Parameter::header("X-Original-Method", "By which method, as nginx says it."),
    Parameter::header("X-Forwarded-Uri", "What is asked for, as Caddy, Traefik, HAProxy and Apache say it."),
    Parameter::header("X-Forwarded-Method", "By which method, as they say it."),
    Parameter::header("X-Forwarded-Host", "On which host."),
    Parameter::header("X-Forwarded-Proto", "By which scheme."),
];

/// Whose request it is. The names are the operator's to choose.
const TOLD: &[Header] = &[
    Header { name: "X-Auth-Subject", always: false, notes: "The subject; empty for nobody." },
    Header { name: "X-Auth-Principal", always: false, notes: "Authority and subject; empty for nobody." },
    Header { name: "X-Auth-Roles", always: false, notes: "The roles, with commas between." },
];

const TO_LOG_IN: &[Also] = &[Also {
    status: 303,
    media: None,
    headers: &[Header { name: "Location", always: true, notes: "Where to log in." }],
    notes: "A browser without a credential is sent to where people log in.",
}];

/// The same under each method: Envoy asks by that of the request that it holds.
const fn asks(id: &'static str, summary: &'static str) -> Described {
    Described::new(id, &tags::FORWARD, summary)
        .notes("For a proxy that `server.trusted_proxies` lists. The credential is that of the request it holds.")
        .parameters(SAID)
        .status(200)
        .headers(TOLD)
        .also(TO_LOG_IN)
        .refuses(REFUSES)
}

static REFUSES: &[&Code] = &[codes::FORWARD_AUTH_REFUSED, codes::CROSS_SITE];

pub(super) static ANSWER: Described = asks("mayPass", "Whether a request may pass");
pub(super) static ENVOY_GET: Described = asks("mayPassEnvoyGet", "Whether a GET may pass, as Envoy asks");
pub(super) static ENVOY_POST: Described = asks("mayPassEnvoyPost", "Whether a POST may pass, as Envoy asks");
pub(super) static ENVOY_PUT: Described = asks("mayPassEnvoyPut", "Whether a PUT may pass, as Envoy asks");
pub(super) static ENVOY_PATCH: Described =
    asks("mayPassEnvoyPatch", "Whether a PATCH may pass, as Envoy asks");
pub(super) static ENVOY_DELETE: Described =
    asks("mayPassEnvoyDelete", "Whether a DELETE may pass, as Envoy asks");
pub(super) static ENVOY_OPTIONS: Described =
    asks("mayPassEnvoyOptions", "Whether an OPTIONS may pass, as Envoy asks");

/// Where Envoy puts the path of the request behind.
const ENVOY: &str = "/v1/forward-auth/envoy";
/// By which some applications act on another method than the request's own.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
static X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What proxies may ask about, and what they are told.
#[derive(Debug, Clone, Default)]
pub struct ForwardAuth {
    /// The areas there are.
    pub areas: Areas,
    /// What is told.
    pub names: ForwardedNames,
}

/// What a proxy is told of a caller, and of one that has to log in.
#[derive(Debug, Clone)]
pub struct ForwardedNames {
    /// The header with the subject.
    pub subject: HeaderName,
    /// The header with authority and subject.
    pub principal: HeaderName,
    /// The header with the roles.
    pub roles: HeaderName,
    /// Where browsers without a credential are sent: a path of the site, or an address.
    pub login_url: Option<String>,
    /// Origins that may be come back to where that is an address.
    pub return_origins: Vec<String>,
}

impl Default for ForwardedNames {
    fn default() -> Self {
        Self {
            subject: HeaderName::from_static("x-auth-subject"),
            principal: HeaderName::from_static("x-auth-principal"),
            roles: HeaderName::from_static("x-auth-roles"),
            login_url: None,
            return_origins: Vec::new(),
        }
    }
}

impl ForwardAuth {
    /// A name that a header of the answer may have: one of a program's own, in which no server reads an underscore for a hyphen, and none
    /// that says where a request is from.
    #[must_use]
    pub fn header(text: &str) -> Option<HeaderName> {
        let name = HeaderName::from_bytes(text.as_bytes()).ok()?;
        let own = name.as_str().strip_prefix("x-")?;
        let taken = ["forwarded-", "original-", "real-ip", "request-id", "content-"]
            .iter()
            .any(|taken| own.starts_with(taken));
        let plain = own.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (!own.is_empty() && plain && !taken).then_some(name)
    }
}

/// `GET /v1/forward-auth`, and `/v1/forward-auth/envoy/…` by any method. 200 with who it is in headers and no body.
///
/// # Errors
/// 401 `credentials_missing` (or for browsers 303 to the page to log in at), and what the mount's chain refuses; 403
/// `forward_auth_refused`, `forbidden`, `scope_missing`, `cross_site`.
pub(super) async fn answer(request: Request) -> Result<Answer> {
    // 1.
    if !request.client.by_trusted_proxy {
        return Err(refused("Only a proxy that server.trusted_proxies lists may ask."));
    }
    // 2.
    let asked = Asked::read(&request)?;
    let unreadable = |why: Unreadable| refused(&format!("The request is not let through: {why}."));
    let original = Original::read(asked.method, &asked.target, asked.host).map_err(unreadable)?;
    // 3.
    let forward = Arc::clone(&request.site.forward_auth);
    let area = forward
        .areas
        .find(&original)
        .map_err(unreadable)?
        .ok_or_else(|| refused("The request lies in no area that is open to anybody."))?;
    // 4.
    let auth = Arc::clone(&request.call()?.auth);
    let safe = matches!(original.method, "GET" | "HEAD" | "OPTIONS");
    if auth.ambient
        && (!safe || opens_a_socket(&request.headers))
        && foreign(&request.headers, request.site.public_origin.as_deref(), |_| false)
    {
        return Err(Error::new(codes::CROSS_SITE));
    }
    // 5.
    let grant = match request.permit_for(original.action(), areas::target(&area.name)) {
        Ok(grant) => grant,
        Err(error) => {
            let error = areas::told(error, auth.is_anonymous());
            let page = error.is(codes::CREDENTIALS_MISSING);
            let page = page.then(|| asked.to_log_in(&forward.names, &request.headers)).flatten();
            return page.ok_or(error);
        }
    };
    let mut answer = Response::new(Body::empty());
    let (subject, principal) = if auth.is_anonymous() {
        (HeaderValue::from_static(""), HeaderValue::from_static(""))
    } else {
        (value(&auth.principal.subject), value(&auth.principal.owner_key()))
    };
    // All of them, always: what a proxy sets from an answer, no client can have set.
    let headers = answer.headers_mut();
    headers.reserve(USUAL_HEADERS);
    headers.insert(forward.names.subject.clone(), subject);
    headers.insert(forward.names.principal.clone(), principal);
    headers.insert(forward.names.roles.clone(), roles_value(&auth.roles));
    grant.close(Ok(answer))
}

/// Whether the request opens a WebSocket. Proxies keep `Upgrade` to themselves (nginx in a request of its own), so what only a handshake has
/// says it too: a header of RFC 6455 §4.1, and the mode that browsers send (Fetch Metadata).
fn opens_a_socket(headers: &HeaderMap) -> bool {
    let mode = headers.get_all("sec-fetch-mode").iter().any(|mode| mode == "websocket");
    mode || headers.contains_key(UPGRADE) || headers.contains_key("sec-websocket-key")
}

fn refused(message: &str) -> Error {
    Error::new(codes::FORWARD_AUTH_REFUSED).message(message)
}

/// What a proxy says of the request that it holds.
struct Asked<'r> {
    method: &'r str,
    target: Cow<'r, str>,
    host: Option<&'r str>,
    proto: Option<&'r str>,
    /// Whether the answer may be a redirect, which nginx takes for a fault.
    takes_redirects: bool,
}

impl<'r> Asked<'r> {
    /// A client can send the headers of a proxy that is not there, and one that is may hand them on: where two ways of saying it are used,
    /// they say the same.
    fn read(request: &'r Request) -> Result<Self> {
        let header = |name: &HeaderName| {
            let twice = |_| refused(&format!("The header {name} stands twice, or is not ASCII text."));
            single(&request.headers, name).map_err(twice)
        };
        let pair = |target: &HeaderName, method: &HeaderName| match (header(target)?, header(method)?) {
            (Some(target), Some(method)) => Ok(Some((method, Cow::Borrowed(target)))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(refused(&format!("The proxy has to send {method} beside {target}."))),
            (None, Some(_)) => Err(refused(&format!("The proxy has to send {target} beside {method}."))),
        };
        if let Some(name) = OVERRIDES.iter().find(|name| request.headers.contains_key(*name)) {
            return Err(refused(&format!(
                "{name} could have another method acted on than is judged; it is not let through."
            )));
        }
        let original = pair(&X_ORIGINAL_URI, &X_ORIGINAL_METHOD)?;
        let forwarded = pair(&X_FORWARDED_URI, &X_FORWARDED_METHOD)?;
        let behind = request.path.as_str().strip_prefix(ENVOY).filter(|path| !path.is_empty()).map(|path| {
            let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
            (request.method.as_str(), Cow::Owned(format!("{path}{query}")))
        });
        let takes_redirects = original.is_none();
        let mut said = [original, forwarded, behind].into_iter().flatten();
        let first = said.next().ok_or_else(|| {
            refused("The proxy has to say what is asked for: X-Original-URI and X-Original-Method, or X-Forwarded-Uri and X-Forwarded-Method.")
        })?;
        if said.any(|other| other != first) {
            return Err(refused("Two headers say different things of what is asked for."));
        }
        let (method, target) = first;
        let (host, proto) = (header(&X_FORWARDED_HOST)?, header(&X_FORWARDED_PROTO)?);
        // Envoy asks by the request's own host, as by its own method and path.
        let host = match (host, request.path.as_str().starts_with(ENVOY)) {
            (None, true) => header(&HOST)?,
            (host, _) => host,
        };
        Ok(Self { method, target, host, proto, takes_redirects })
    }

    /// A browser that shows a page is sent to where people log in, and told where to come back to: on this site, or at an origin that the
    /// operator lists.
    fn to_log_in(&self, names: &ForwardedNames, headers: &HeaderMap) -> Option<Answer> {
        let login = names.login_url.as_deref()?;
        let wants_a_page = headers.get_all(ACCEPT).iter().any(|accept| {
            accept
                .to_str()
                .is_ok_and(|accept| accept.split(',').any(|one| one.trim().starts_with("text/html")))
        });
        if !self.takes_redirects || self.method != Method::GET.as_str() || !wants_a_page {
            return None;
        }
        let back = if login.starts_with('/') {
            Some(self.target.clone().into_owned())
        } else {
            let origin = format!("{}://{}", self.proto?, self.host?);
            names.return_origins.contains(&origin).then(|| format!("{origin}{}", self.target))
        };
        let back = back.map(|back| format!("?return_to={}", utf8_percent_encode(&back, NON_ALPHANUMERIC)));
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SEE_OTHER;
        let location = HeaderValue::from_str(&format!("{login}{}", back.unwrap_or_default())).ok()?;
        answer.headers_mut().insert(LOCATION, location);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_the_answer_is_one_of_a_programs_own() {
        for (text, good) in [
            ("X-Auth-Subject", true),
            ("X-User", true),
            ("X-Forwarded-For", false),
            ("X-Original-URI", false),
            ("X-Auth_Subject", false),
            ("Authorization", false),
            ("X-", false),
            ("X-A B", false),
            ("", false),
        ] {
            assert_eq!(ForwardAuth::header(text).is_some(), good, "{text}");
        }
    }
}
