//! `/v1/login`: logging in through a provider. A browser is sent there, and comes back with a code.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{identity, login, session};
use doorward_core::error::{Error, Result, codes};
use doorward_core::login::{Answered, Attempt, Begun, Way};
use http::StatusCode;
use http::header::{LOCATION, SET_COOKIE};
use schemars::JsonSchema;
use serde::Serialize;

use super::tags;
use super::users::own;
use crate::coming_back::{answered, come_in};
use crate::http::browser::{forget_ticket, keep, keep_ticket, ticket};
use crate::http::page::{escaped, page, wants_page};
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, error_headers, header_value};
use crate::openapi::{Also, Described, Header, Nothing, Parameter, Values};
use crate::request::Request;

/// A provider to log in through.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Provider")]
struct Shown {
    /// Its name in paths.
    name: String,
    /// What people call it.
    label: String,
    /// Where a browser goes: a path of this server.
    url: String,
}

/// The providers there are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Providers")]
pub(super) struct AllShown {
    providers: Vec<Shown>,
}

const RETURN_TO: Parameter =
    Parameter::query("return_to", Values::Text, "A path of this server to come back to.");

pub(super) static LIST: Described<Nothing, AllShown> =
    Described::new("listProviders", &tags::PROVIDERS, "The providers to log in through")
        .parameters(&[RETURN_TO])
        .answers(200)
        .also(&[Also::PAGE]);

/// Headers of an answer that sends a browser to a provider.
pub(super) const AWAY: &[Header] = &[
    Header { name: "Location", always: true, notes: "Where the log-in goes on." },
    Header { name: "Set-Cookie", always: true, notes: "The attempt, sealed, for ten minutes." },
];

/// What an attempt to log in through a provider can come to. A browser is shown a page that says so.
const REFUSED: &[Also] = &[
    Also { status: 400, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 401, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 403, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 404, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 409, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 429, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 502, media: Some("text/html"), headers: &[], notes: "" },
    Also { status: 503, media: Some("text/html"), headers: &[], notes: "" },
];

pub(super) static BEGIN: Described =
    Described::new("beginProviderLogin", &tags::PROVIDERS, "Send a browser to a provider to log in")
        .for_anybody()
        .parameters(&[RETURN_TO])
        .status(303)
        .headers(AWAY)
        .also(REFUSED)
        .refuses(&[
            codes::NO_COOKIES,
            codes::PROVIDER_REFUSED,
            codes::PROVIDER_BUSY,
            codes::PROVIDER_UNAVAILABLE,
            codes::CONFLICT,
        ]);

pub(super) static CALLBACK: Described = Described::new(
    "endProviderLogin",
    &tags::PROVIDERS,
    "A browser comes back from a provider",
)
.notes(
    "What the provider sends along tells who it is. The answer leads to where the log-in was to return to.",
)
.for_anybody()
.parameters(&[
    Parameter::query("state", Values::Text, "Which attempt it is."),
    Parameter::query("code", Values::Text, "The provider's code."),
    Parameter::query("error", Values::Text, "Why the provider sends no code."),
    Parameter::query("error_description", Values::Text, "The same in the provider's words."),
    Parameter::query("iss", Values::Text, "The provider's issuer (RFC 9207)."),
])
.status(303)
.headers(&[
    Header { name: "Location", always: true, notes: "Where the log-in was to return to." },
    Header { name: "Set-Cookie", always: false, notes: "The session, and the end of the attempt." },
])
.also(REFUSED)
.refuses(&[
    codes::NO_COOKIES,
    codes::LOGIN_EXPIRED,
    codes::LOGIN_TOO_OLD,
    codes::PROVIDER_REFUSED,
    codes::EMAIL_NOT_ALLOWED,
    codes::EMAIL_NOT_CONFIRMED,
    codes::LOGIN_REFUSED,
    codes::SIGN_UP_CLOSED,
    codes::ACCOUNT_EXISTS,
    codes::IDENTITY_TAKEN,
    codes::EMAIL_TAKEN,
    codes::USERNAME_TAKEN,
    codes::CONFLICT,
    codes::PROVIDER_BUSY,
    codes::PROVIDER_UNAVAILABLE,
]);

/// Where browsers find a provider's route.
fn path_of(request: &Request, provider: &str) -> String {
    format!("{}/v1/login/{provider}", request.site.public_prefix)
}

/// Where the provider sends the browser back to.
///
/// # Errors
/// `bad_header` when this server does not know by which name browsers reach it.
pub(super) fn redirect_uri(request: &Request, provider: &str) -> Result<String> {
    Ok(format!("{}{}/callback", request.own_origin()?, path_of(request, provider)))
}

/// The answer says where a log-in goes on, with the ticket that the browser keeps meanwhile.
pub(super) fn keeps(mut answer: Answer, begun: &Begun) -> Answer {
    answer.headers_mut().insert(LOCATION, header_value(&begun.location));
    answer.headers_mut().append(SET_COOKIE, keep_ticket(&begun.ticket));
    answer
}

fn needs_cookies(request: &Request) -> Result<()> {
    if request.site.cookies { Ok(()) } else { Err(Error::new(codes::NO_COOKIES)) }
}

/// Where to go in the end: `?return_to=`, a path of ours.
fn return_to(request: &Request, query: &Pairs) -> String {
    let otherwise = || format!("{}/v1/me", request.site.public_prefix);
    query.text("return_to").map_or_else(otherwise, str::to_owned)
}

/// `GET /v1/login`: the providers there are; a page for people.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let query = request.query()?;
    let providers = if request.site.cookies { request.engine.providers() } else { &[] };
    if !wants_page(&request.headers) {
        let shown = providers.iter().map(|provider| Shown {
            name: provider.name.to_string(),
            label: provider.label.clone(),
            url: path_of(&request, &provider.name),
        });
        return Ok(LIST.answer(&AllShown { providers: shown.collect() }));
    }
    let suffix = query.text("return_to").map(|path| {
        let path = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
        format!("?return_to={path}")
    });
    let suffix = suffix.unwrap_or_default();
    let links = providers.iter().map(|provider| {
        let url = format!("{}{suffix}", path_of(&request, &provider.name));
        format!("<li><a href=\"{}\">Sign in with {}</a></li>\n", escaped(&url), escaped(&provider.label))
    });
    let body = match providers {
        [] => "<p>No provider is configured here.</p>\n".to_owned(),
        _ => format!("<ul>\n{}</ul>\n", links.collect::<String>()),
    };
    Ok(page(StatusCode::OK, "Sign in", &body))
}

/// `GET /v1/login/{provider}?return_to=`: sends the browser there.
pub(super) async fn begin(request: Request) -> Result<Answer> {
    let begun = async {
        needs_cookies(&request)?;
        let provider = request.param("provider")?;
        let (query, redirect_uri) = (request.query()?, redirect_uri(&request, provider)?);
        let permit = request.permit::<login::Begin>(Target::any())?;
        request
            .engine
            .logins()
            .begin(permit, provider, Way::new(redirect_uri, return_to(&request, &query)))
            .await
    };
    match begun.await {
        Ok(begun) => Ok(keeps(BEGIN.done(), &begun)),
        Err(error) => explained(&request, error, None),
    }
}

/// `GET /v1/login/{provider}/callback`: the browser is back.
pub(super) async fn callback(request: Request) -> Result<Answer> {
    let query = match needs_cookies(&request).and_then(|()| request.query()) {
        Ok(query) => query,
        Err(error) => return explained(&request, error, None),
    };
    let state = query.text("state");
    let attempt = match attempt(&request, state) {
        Ok(attempt) => attempt,
        Err(error) => return explained(&request, error, None),
    };
    let answered = answered(&query);
    let arrived = arrive(&request, &attempt, &answered).await;
    // Whoever is told to come again still has the ticket to do so.
    let again = matches!(&arrived, Err(error) if error.is(codes::PROVIDER_BUSY));
    let mut answer = match arrived {
        Ok(cookie) => {
            let mut answer = CALLBACK.done();
            answer.headers_mut().insert(LOCATION, header_value(attempt.return_to()));
            if let Some(cookie) = cookie {
                answer.headers_mut().append(SET_COOKIE, cookie);
            }
            answer
        }
        Err(error) => explained(&request, error, Some(&attempt))?,
    };
    if let Some(forget) = state.and_then(forget_ticket).filter(|_| !again) {
        answer.headers_mut().append(SET_COOKIE, forget);
    }
    Ok(answer)
}

/// The attempt that this browser comes back from.
fn attempt(request: &Request, state: Option<&str>) -> Result<Attempt> {
    let provider = request.param("provider")?;
    let kept = state.and_then(|state| ticket(&request.headers, state));
    let attempt = request.engine.logins().attempt(&request.site.mount, provider, kept, state);
    attempt.or_else(|error| request.permit::<session::Login>(Target::any())?.close(Err(error)))
}

/// The cookie of a new session; none where an identity was added to an account.
async fn arrive(
    request: &Request,
    attempt: &Attempt,
    answered: &Answered,
) -> Result<Option<http::HeaderValue>> {
    if attempt.links() {
        let (id, owner) = own(request)?;
        let permit = request.permit::<identity::Link>(Target::owned(id.as_str(), &owner))?;
        request.engine.identities().link(permit, attempt, answered).await?;
        return Ok(None);
    }
    Ok(Some(keep(&come_in(request, attempt, answered).await?.stay)))
}

/// A refusal as a page, where a person's browser asks; programs are refused as everywhere.
fn explained(request: &Request, error: Error, attempt: Option<&Attempt>) -> Result<Answer> {
    if !wants_page(&request.headers) {
        return Err(error);
    }
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A name that nobody has is not worth another try.
    let again = match request.param("provider") {
        Ok(provider) if !error.is(codes::NOT_FOUND) => path_of(request, provider),
        _ => format!("{}/v1/login", request.site.public_prefix),
    };
    let back = attempt.map(|attempt| escaped(attempt.return_to()));
    let back = back.map(|path| format!("<p><a href=\"{path}\">Back</a></p>\n")).unwrap_or_default();
    let body = format!(
        "<p>{}</p>\n<p><a href=\"{}\">Try again</a></p>\n{back}<p>Request {} · {}</p>\n",
        escaped(error.public_message()),
        escaped(&again),
        escaped(request.id.as_str()),
        error.code().name,
    );
    tracing::info!(
        request = %request.id, %error, detail = error.operator_detail().unwrap_or_default(), "a log-in through a provider failed"
    );
    let mut answer = page(status, "You are not signed in", &body);
    error_headers(request.site.style, &error, request.about(), answer.headers_mut());
    Ok(answer)
}
