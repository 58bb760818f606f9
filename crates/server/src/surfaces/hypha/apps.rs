//! `/{workspace}/apps/{service}/…`: services that answer HTTP requests themselves: functions by path, or an ASGI application.
//!
//! What they answer was made by whoever offers them, on the origin of our own pages. Browsers are told to give such a page an origin of
//! its own (CSP `sandbox` without `allow-same-origin`): it keeps its scripts, and reaches nobody's session.

use std::borrow::Cow;

use doorward_core::error::Result;
use doorward_core::operation::Call;
use doorward_core::user_code::{is_ours, without_ours};
use doorward_hub::{Args, Fault, Hub, Offer, Visit};
use doorward_protocols::hypha::value;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue,
    SET_COOKIE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Response, StatusCode};
use rmpv::Value;

use super::object::{Callable, member};
use super::{asgi, caller, fault, hub, pages};
use crate::http::body::Body;
use crate::http::browser::is_shown_as_a_page;
use crate::http::page::escaped;
use crate::http::respond::{Answer, PagePolicy};
use crate::request::Request;

/// Largest body that is handed to a function, which gets it whole.
const MAX_BODY_BYTES: usize = 8 << 20;
/// Largest body that is handed to an ASGI application, which gets it in parts.
const MAX_UPLOAD_BYTES: usize = 1 << 30;
/// What pages of others may do: run, ask, open windows; not act as a page of ours.
pub(super) const SANDBOX: &str =
    "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads";
/// Headers that are the connection's and not the application's.
const OURS: &[HeaderName] = &[CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, SET_COOKIE];

/// Headers that speak for everything on this origin.
const OF_THE_SITE: &[&str] = &[
    "alt-svc",
    "clear-site-data",
    "nel",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "strict-transport-security",
];

/// Any method below `/{workspace}/apps/{service}/`.
pub(super) async fn answer(request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let call = caller::of(&request).await?;
    let workspace = request.param("workspace")?.to_owned();
    let id = request.param("service")?.to_owned();
    of_service(request, (hub, call), workspace, id).await
}

/// Whether start-up files put a page of theirs in the place of our login page.
pub(super) fn stands_for_our_page(hub: &Hub) -> bool {
    hub.login_app().is_some() || hub.custom_login().is_some_and(|login| login.has("index"))
}

/// Their page, at its address.
pub(super) async fn page_of_start_up(request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let call = caller::of(&request).await?;
    of_service(request, (hub, call), "public".to_owned(), "hypha-login".to_owned()).await
}

async fn of_service(
    mut request: Request,
    (hub, call): (Hub, Call),
    workspace: String,
    id: String,
) -> Result<Answer> {
    let visit = match hub.visit(call, &workspace).await {
        Ok(visit) => visit,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let mode = request.query()?.text("_mode").map(str::to_owned);
    let offer = match visit.find(&workspace, &id, mode.as_deref()).await {
        Ok(offer) => offer,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let offer = match (offer, hub.login_app()) {
        (Offer::Ours(ours), Some((service, target))) if ours.id() == "hypha-login" => {
            Offer::Of(service, target)
        }
        (offer, _) => offer,
    };
    // The login page is where people come back to, from wherever they signed in; the operator's own code looks for itself who asks.
    let looks_itself = match &offer {
        Offer::Ours(ours) => ours.id() == "hypha-login",
        Offer::Of(service, target) => hub.is_of_start_up(service, target),
    };
    if !looks_itself && let Err(error) = caller::must_be_asked_by_a_page_of_ours(&request) {
        return match is_visited(&request) {
            true => Ok(of_another_site(&request)),
            false => Err(error),
        };
    }
    let operators = match &offer {
        Offer::Ours(_) => true,
        Offer::Of(service, target) => hub.is_of_start_up(service, target),
    };
    if let (Offer::Of(service, _), "asgi" | "ASGI") = (&offer, offer.kind()) {
        let upload = request.body.parts(&request.headers, MAX_UPLOAD_BYTES)?;
        let asked = Asked { request, workspace, id, body: bytes::Bytes::new(), operators };
        let done = match visit.object(service).await {
            Ok(object) => asgi::answer(visit, &object, &asked, upload).await,
            Err(error) => Err(error),
        };
        return Ok(done.unwrap_or_else(|error| fault::answer(&error)));
    }
    let body = request.body.read(&request.headers, MAX_BODY_BYTES).await?;
    let asked = Asked { request, workspace, id, body, operators };
    let done = match (&offer, offer.kind()) {
        (Offer::Ours(ours), "functions") => ours_by_path(&visit, ours, &asked).await,
        (Offer::Of(service, _), "functions") => match visit.object(service).await {
            Ok(object) => functions(&visit, &object, &asked).await,
            Err(error) => Err(error),
        },
        (_, kind) => {
            let text = format!("Invalid service type: {}", kind.chars().take(64).collect::<String>());
            return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, &text));
        }
    };
    Ok(done.unwrap_or_else(|error| fault::answer(&error)))
}

/// Whether somebody followed a link to a page.
fn is_visited(request: &Request) -> bool {
    request.method == Method::GET && is_shown_as_a_page(&request.headers)
}

/// For whoever followed a link of another site to an application, which would do in their name what the link says: they go on by themselves.
fn of_another_site(request: &Request) -> Answer {
    let query = request.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
    let (prefix, path) = (&request.site.public_prefix, request.path.as_str());
    let body = format!(
        "<p>A page of another site sent you to an application here, which is told who you are.</p>\n\
         <p><a href=\"{}\">Go on</a></p>\n",
        escaped(&format!("{prefix}{path}{query}"))
    );
    pages::styled(request, StatusCode::OK, "Go on?", &body, None)
}

/// A request for an application. `body` is what a function gets of it.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) workspace: String,
    pub(super) id: String,
    pub(super) body: bytes::Bytes,
    /// Whether what answers is the operator's own code.
    pub(super) operators: bool,
}

impl Asked {
    /// What is behind the service in the path, without a slash before it.
    pub(super) fn path(&self) -> &str {
        self.request.rest("path")
    }

    /// Headers, without those that say who is calling: the service is told that in `user`, and gets no credential of anybody's. The
    /// operator's own code is shown what it may have set itself, but for the cookies of Doorward's own sessions.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let sources = &self.request.site.sources;
        let credential = |name: &str| {
            matches!(name, "authorization" | "cookie" | "proxy-authorization" | "x-api-key")
                || sources.headers().any(|source| source == name)
        };
        let shown = move |name: &str| self.operators || !credential(name);
        let all = self.request.headers.iter().filter(move |(name, _)| shown(name.as_str()));
        all.filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            let value = if *name == COOKIE { without_ours(value)?.into() } else { value.into() };
            Some((name.as_str(), value))
        })
    }

    fn event(&self, visit: &Visit) -> Value {
        let headers = self.headers().map(|(name, value)| (Value::from(name), Value::from(&*value))).collect();
        let body = if self.body.is_empty() { Value::Nil } else { Value::Binary(self.body.to_vec()) };
        value::map([
            ("type", "http".into()),
            ("http_version", "1.1".into()),
            ("method", self.request.method.as_str().into()),
            ("path", format!("/{}", self.path()).into()),
            ("raw_path", format!("/{}", self.path()).into()),
            ("root_path", format!("/{}/apps/{}", self.workspace, self.id).into()),
            ("query_string", self.request.query.clone().unwrap_or_default().into()),
            ("headers", Value::Map(headers)),
            ("body", body),
            ("workspace", self.workspace.as_str().into()),
            ("service_id", self.id.as_str().into()),
            ("user", value::from_json(&visit.user().to_json())),
        ])
    }
}

/// The function that a path means: by its segments, else `index` there, else `default`.
async fn functions(visit: &Visit, object: &Value, asked: &Asked) -> std::result::Result<Answer, Fault> {
    let dotted = asked.path().trim_matches('/').replace('/', ".");
    let method = |path: &str| member(object, path).and_then(|found| Callable::read(found, "method"));
    let index = if dotted.is_empty() { "index".to_owned() } else { format!("{dotted}.index") };
    let named = (!dotted.is_empty()).then(|| method(&dotted)).flatten();
    let found = named.or_else(|| method(&index));
    let (found, by_default) = match found {
        Some(found) => (found, false),
        None => match method("default") {
            Some(found) => (found, true),
            None => {
                let text =
                    format!("Function not found: {}", asked.path().chars().take(256).collect::<String>());
                return Ok(plain(StatusCode::NOT_FOUND, &text));
            }
        },
    };
    let mut event = asked.event(visit);
    if by_default {
        value::set(&mut event, "function_path", format!("/{}", asked.path()).into());
    }
    made(&found.call(visit, vec![event], None).await?, asked.operators)
}

/// As [`functions`], for what the server itself offers so.
async fn ours_by_path(
    visit: &Visit,
    ours: &doorward_hub::Ours,
    asked: &Asked,
) -> std::result::Result<Answer, Fault> {
    let name = Some(asked.path().trim_matches('/')).filter(|name| !name.is_empty()).unwrap_or("index");
    if name == "index" && stands_for_our_page(&hub(&asked.request).map_err(Fault::from)?) {
        let said = visit.call(ours, name, Args::one(asked.event(visit))).await?;
        return made(&said, true);
    }
    let body: serde_json::Value = match asked.body.as_ref() {
        [] => serde_json::json!({}),
        bytes => serde_json::from_slice(bytes)
            .map_err(|error| Fault::value(format!("Invalid request body: {error}")))?,
    };
    let Value::Map(named) = value::from_json(&body) else {
        return Err(Fault::value("Invalid request body: it is no object"));
    };
    let said = visit.call(ours, name, Args::named(named)).await?;
    let json = value::to_json(&said).map_err(Fault::value)?;
    Ok(crate::http::respond::json_answer(StatusCode::OK, &json))
}

pub(super) fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Body::full(text.to_owned()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// What a function returned, as an answer: `{status, headers, body}`.
fn made(said: &Value, operators: bool) -> std::result::Result<Answer, Fault> {
    let status = match value::get(said, "status") {
        None | Some(Value::Nil) => 200,
        Some(status) => status.as_u64().unwrap_or(0),
    };
    let body = match value::get(said, "body") {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::Binary(bytes)) => bytes.clone(),
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        Some(other) => {
            let json = value::to_json(other).map_err(Fault::value)?;
            json.to_string().into_bytes()
        }
    };
    let mut answer = begun(status, pairs(value::get(said, "headers")), operators)?;
    *answer.body_mut() = Body::full(body);
    Ok(answer)
}

fn pairs(headers: Option<&Value>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bytes = |value: &Value| match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Binary(bytes) => Some(bytes.clone()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        _ => None,
    };
    match headers {
        Some(Value::Map(entries)) => {
            entries.iter().filter_map(|(name, value)| Some((bytes(name)?, bytes(value)?))).collect()
        }
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| match item.as_array().map(Vec::as_slice) {
                Some([name, value]) => Some((bytes(name)?, bytes(value)?)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// An answer of an application's, its body still to come. Cookies stay with us: on our origin they would be everybody's. Only the
/// operator's own code sets some, and says itself what its pages may do.
pub(super) fn begun(
    status: u64,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    operators: bool,
) -> std::result::Result<Answer, Fault> {
    let bad = || Fault::other("the application answered with a status or header that HTTP does not have");
    let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status)).ok_or_else(bad)?;
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::from_u16(status).map_err(|_| bad())?;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(&name).map_err(|_| bad())?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| bad())?;
        let sets = operators && name == SET_COOKIE && !is_ours(value.as_bytes());
        let of_the_site = !operators && OF_THE_SITE.contains(&name.as_str());
        if sets || (!OURS.contains(&name) && !of_the_site && !name.as_str().starts_with("access-control-")) {
            answer.headers_mut().append(name, value);
        }
    }
    let own = answer.headers().get(CONTENT_SECURITY_POLICY).filter(|_| operators);
    let policy = match own.and_then(|policy| policy.to_str().ok()) {
        Some(policy) if policy.contains("frame-ancestors") => policy.to_owned(),
        Some(policy) => format!("{policy}; frame-ancestors 'self'"),
        None if operators => "frame-ancestors 'self'".to_owned(),
        None => SANDBOX.to_owned(),
    };
    answer.extensions_mut().insert(PagePolicy(policy));
    Ok(answer)
}

/// Headers of an ASGI message.
pub(super) fn asgi_pairs(message: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs(value::get(message, "headers"))
}
