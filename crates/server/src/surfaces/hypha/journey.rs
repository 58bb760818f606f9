//! There and back: how a browser leaves the page for whoever says who somebody is, and comes back signed in.
//!
//! ```text
//! page ─ POST ─► this browser's ticket, and on to them ─► callback?code=… ─► signed in, and the program with it
//!                                            └─ denied ─► their words, as text; nobody is signed in
//! ```
//! What a program wants is said on the page before the button is pressed: who comes back has agreed to that. The key of the program stands
//! in the ticket, which is sealed, and belongs to the browser that opened its link, so that nobody agrees for anybody else.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{login, session};
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::login::{Answered, Attempt, Way};
use doorward_core::operation::Call;
use doorward_core::tokens::Issued;
use doorward_hub::Hub;
use http::header::{LOCATION, SET_COOKIE};
use http::{Response, StatusCode};

use super::COOKIE_NAME;
use super::login::{attributes, keep, key_of, mark, own_path};
use super::pages::{allowed, not_let_in, styled};
use crate::coming_back::answered;
use crate::http::body::Body;
use crate::http::browser::{forget_ticket, keep_ticket, ticket};
use crate::http::page::escaped;
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, error_headers, header_value};
use crate::request::Request;

/// Most characters of what others say that are shown.
const MOST_SHOWN: usize = 300;

/// Says where the page was opened, which our own policy keeps out of the request's head. In a frame the others' pages are shown in a
/// window of its own, which tells this page when it is done.
pub(super) const SCRIPT: &str = "const forms=[...document.forms].filter((form)=>form.elements.at);\
for(const form of forms)form.elements.at.value=location.origin;\
if(window.parent!==window){\
for(const form of forms)form.addEventListener('submit',()=>{form.target='hypha-login';window.open('',form.target,'width=600,height=700')});\
window.addEventListener('message',(event)=>{if(event.origin===location.origin&&event.data?.type==='hypha-login-complete'){\
window.parent.postMessage(event.data,'*');document.querySelector('main').textContent='Done. The program can go on.'}})}";

/// What a browser leaves with.
pub(super) struct Leaving<'a> {
    /// The program that waits for the person, if one does.
    pub(super) key: Option<&'a str>,
    /// The origin at which the page was opened, if it said so.
    pub(super) opened_at: &'a str,
    /// Whether the person is to say anew who they are.
    pub(super) anew: bool,
}

/// Sends a browser away. What is left there is the ticket alone.
pub(super) async fn leave_for(
    request: &Request,
    provider: &str,
    redirect_uri: String,
    leaving: Leaving<'_>,
) -> Result<Answer> {
    let begun = async {
        if let Some(elsewhere) = elsewhere(request, leaving.opened_at, &redirect_uri) {
            return Ok(elsewhere);
        }
        let path = own_path(request);
        let return_to = leaving.key.map_or_else(|| path.clone(), |key| format!("{path}?key={key}"));
        let permit = request.permit::<login::Begin>(Target::any())?;
        let logins = request.engine.logins();
        let way = Way { anew: leaving.anew, ..Way::new(redirect_uri, return_to) };
        let begun = logins.begin(permit, provider, way).await?;
        // A redirect would make the others, and whoever they send people on to, targets of our form, which our own policy forbids.
        let url = escaped(&begun.location);
        let body = format!(
            "<meta http-equiv=\"refresh\" content=\"0;url={url}\">\n<p>On to the sign-in page: <a href=\"{url}\">continue</a></p>\n"
        );
        let mut answer = styled(request, StatusCode::OK, "One moment", &body, None);
        answer.headers_mut().append(SET_COOKIE, keep_ticket(&begun.ticket));
        Ok(answer)
    };
    begun.await.or_else(|error: Error| refused(request, error, None))
}

/// A page for whoever opened ours at an address that nobody is sent back to. They would come back without their ticket.
fn elsewhere(request: &Request, opened_at: &str, back_to: &str) -> Option<Answer> {
    let allowed = request.own_origin().ok()?;
    // Browsers without scripts do not say.
    if opened_at.is_empty() || opened_at == allowed {
        return None;
    }
    let path = own_path(request);
    let body = format!(
        "<p class=\"refused\" role=\"alert\">People are sent back to exactly one address, and this page was opened at another.</p>\n\
         <dl>\n<dt>Opened at</dt><dd><code>{}</code></dd>\n<dt>Sent back to</dt><dd><code>{}</code></dd>\n</dl>\n\
         <p><a href=\"{}\">Open it there</a></p>\n",
        escaped(&opened_at.chars().take(MOST_SHOWN).collect::<String>()),
        escaped(back_to),
        escaped(&format!("{allowed}{path}")),
    );
    Some(styled(request, StatusCode::BAD_REQUEST, "The addresses do not match", &body, None))
}

/// Somebody who came back.
pub(super) struct Settled {
    /// The caller, by the token.
    pub(super) call: Call,
    /// What the browser keeps.
    pub(super) token: Issued,
}

/// A browser is back: `settle` says who came, and with which token they stay.
pub(super) async fn come_back(
    request: &Request,
    hub: &Hub,
    provider: &str,
    query: &Pairs,
    settle: impl AsyncFnOnce(&Attempt, &Answered) -> Result<Settled>,
) -> Result<Answer> {
    let state = query.text("state");
    let kept = state.and_then(|state| ticket(&request.headers, state));
    let attempt = request.engine.logins().attempt(&request.site.mount, provider, kept, state);
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(error) => {
            let error = request.permit::<session::Login>(Target::any())?.close::<Answer>(Err(error));
            return error.or_else(|error| refused(request, error, None));
        }
    };
    let answered = answered(query);
    let settled = settle(&attempt, &answered).await;
    // Whoever is told to come again still has the ticket to do so.
    let again = matches!(&settled, Err(error) if error.is(codes::PROVIDER_BUSY));
    let mut answer = match settled {
        Ok(settled) => {
            let mut answer = match key_in(&attempt) {
                None => to_page(request),
                Some(key) => {
                    let (mark, _) = mark(request, hub);
                    match hub.logins().approve(&key, mark, &settled.call).await {
                        Ok(()) => allowed(request, &key),
                        Err(fault) => not_let_in(request, &key, &fault),
                    }
                }
            };
            let token = settled.token.token.expose();
            keep(&mut answer, format!("{COOKIE_NAME}={token}{}", attributes(request, hub)));
            answer
        }
        Err(error) => {
            // Their words are shown to whom they denied: to a browser that was there, and as text.
            let words = answered.error.is_some().then(|| query.text("error_description")).flatten();
            refused(request, error, Some((words, key_in(&attempt).as_deref())))?
        }
    };
    if let Some(gone) = state.and_then(forget_ticket).filter(|_| !again) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(answer)
}

fn key_in(attempt: &Attempt) -> Option<String> {
    let query = Pairs::query(attempt.return_to().split_once('?')?.1).ok()?;
    key_of(&query).map(str::to_owned)
}

/// 303 to the page, without anything that others said.
fn to_page(request: &Request) -> Answer {
    redirect(&own_path(request))
}

/// 303.
pub(super) fn redirect(location: &str) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, header_value(location));
    answer
}

/// Why somebody is not signed in, for them to read: with what others said, where they did, and the key of the program that still waits.
pub(super) fn refused(
    request: &Request,
    error: Error,
    attempt: Option<(Option<&str>, Option<&str>)>,
) -> Result<Answer> {
    if matches!(error.code().kind, Kind::Internal | Kind::Unavailable) {
        return Err(error);
    }
    let (words, key) = attempt.unwrap_or_default();
    let words: Option<String> = words
        .map(|words| words.chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect())
        .filter(|words: &String| !words.is_empty());
    let said = match words.filter(|_| error.code().kind != Kind::Limited) {
        // What keeps them out is ours to say where it is ours.
        Some(words) => format!("The sign-in page says: {}", escaped(&words)),
        None => escaped(error.public_message()),
    };
    let page = own_path(request);
    let again = key.map_or_else(|| page.clone(), |key| format!("{page}?key={key}"));
    let body = format!(
        "<p class=\"refused\" role=\"alert\">{said}</p>\n<p><a href=\"{}\">Try again</a></p>\n<p class=\"note\">Request {} · {}</p>\n",
        escaped(&again),
        escaped(request.id.as_str()),
        error.code().name,
    );
    let detail = error.operator_detail().unwrap_or_default();
    tracing::info!(request = %request.id, %error, detail, "a log-in through others failed");
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = styled(request, status, "You are not signed in", &body, None);
    error_headers(request.site.style, &error, request.about(), answer.headers_mut());
    Ok(answer)
}
