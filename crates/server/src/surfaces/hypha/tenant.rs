//! Signing in through the mount's Auth0 tenant: the page has one button, which sends people there.
//!
//! ```text
//! page ─ POST ─► this browser's ticket, and on to the tenant ─► / of the site ─► page?code=… ─► signed in, and the program with it
//!                                                     └─ denied ─► the tenant's words, as text; nobody is signed in
//! ?logout=true ─► our stay ends ─► the tenant's ends ─► exactly the page
//! ```
//! What a program wants is said on the page before the button is pressed: who comes back has agreed to that. The key of the program stands
//! in the ticket, which is sealed, and belongs to the browser that opened its link, so that nobody agrees for anybody else.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{login, session};
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::login::{Answered, Attempt, TENANT, Tenant, Way};
use doorward_hub::{Approval, Hub};
use http::header::{LOCATION, SET_COOKIE};
use http::{Response, StatusCode};

use super::COOKIE_NAME;
use super::login::{
    allowed, attributes, forget, forget_key, keep, key_of, mark, of_no_use, own_path, scripted, styled, wants,
};
use crate::http::body::Body;
use crate::http::browser::{cookie, forget_ticket, keep_ticket, ticket};
use crate::http::page::escaped;
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, error_headers, header_value};
use crate::request::Request;

/// The cookie of a browser that is on its way to end its stay at the tenant, in a window that is to be closed then.
const CLOSING: &str = "doorward-hypha-closing";
/// Most characters of what a tenant says that are shown.
const MOST_SHOWN: usize = 300;

/// Says where the page was opened, which our own policy keeps out of the request's head. In a frame the tenant is shown in a window of its
/// own, which tells this page when it is done.
const SCRIPT: &str = "const form=document.getElementById('tenant');form.elements.at.value=location.origin;\
if(window.parent!==window){\
form.addEventListener('submit',()=>{form.target='hypha-login';window.open('',form.target,'width=600,height=700')});\
window.addEventListener('message',(event)=>{if(event.origin===location.origin&&event.data?.type==='hypha-login-complete'){\
window.parent.postMessage(event.data,'*');document.querySelector('main').textContent='Done. The program can go on.'}})}";

/// The tenant of the request's mount.
pub(super) fn of(request: &Request) -> Option<&Tenant> {
    request.site.mount.tenant.as_deref()
}

/// The site's root, as the tenant has to list it: without a slash at the end.
fn site_root(request: &Request) -> Result<String> {
    let path = request.site.public_prefix.strip_suffix(&request.site.prefix).unwrap_or_default();
    Ok(format!("{}{path}", request.own_origin()?))
}

/// The page with the button.
pub(super) fn form(
    request: &Request,
    tenant: &Tenant,
    waiting: Option<(&str, &Approval)>,
    (refused, anew): (Option<&str>, bool),
    status: StatusCode,
) -> Answer {
    let mut body = waiting.map_or_else(String::new, |(_, approval)| wants(approval));
    if let Some(refused) = refused {
        body.push_str(&format!("<p class=\"refused\" role=\"alert\">{}</p>\n", escaped(refused)));
    }
    let hidden = |name: &str, value: &str| {
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value))
    };
    let mut fields = waiting.map_or_else(String::new, |(key, _)| hidden("key", key));
    fields.push_str(&hidden("at", ""));
    if anew {
        fields.push_str(&hidden("anew", "true"));
    }
    let button = if waiting.is_some() { "Sign in and allow" } else { "Sign in" };
    body.push_str(&format!(
        "<form id=\"tenant\" method=\"post\" action=\"{}\">\n{fields}<button name=\"act\" value=\"tenant\" autofocus>{button}</button>\n\
         </form>\n<p class=\"note\">You sign in at {}.</p>\n",
        escaped(&own_path(request)),
        escaped(&tenant.domain),
    ));
    scripted(request, status, "Sign in", &body, (SCRIPT, ""))
}

/// Sends a browser to the tenant. What is left there is the ticket alone.
pub(super) async fn begin(
    request: &Request,
    key: Option<&str>,
    (opened_at, anew): (&str, bool),
) -> Result<Answer> {
    let begun = async {
        let root = site_root(request)?;
        if let Some(elsewhere) = elsewhere(request, opened_at, &root) {
            return Ok(elsewhere);
        }
        let path = own_path(request);
        let return_to = key.map_or_else(|| path.clone(), |key| format!("{path}?key={key}"));
        let permit = request.permit::<login::Begin>(Target::any())?;
        let way = Way { anew, ..Way::new(root, return_to) };
        let begun = request.engine.logins().begin(permit, TENANT, way).await?;
        // A redirect would make the tenant, and whoever it sends people on to, targets of our form, which our own policy forbids.
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

/// A page for whoever opened ours at an address that the tenant does not send people back to. They would come back without their ticket.
fn elsewhere(request: &Request, opened_at: &str, root: &str) -> Option<Answer> {
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
        escaped(root),
        escaped(&format!("{allowed}{path}")),
    );
    Some(styled(request, StatusCode::BAD_REQUEST, "The addresses do not match", &body, None))
}

/// Whether a request is of somebody whom the tenant has sent back.
pub(super) fn is_back(request: &Request, query: &Pairs) -> bool {
    of(request).is_some() && query.text("state").is_some()
}

/// `GET …?code=…&state=…`: they are back.
pub(super) async fn back(request: &Request, hub: &Hub, query: &Pairs) -> Result<Answer> {
    let state = query.text("state");
    let kept = state.and_then(|state| ticket(&request.headers, state));
    let attempt = request.engine.logins().attempt(&request.site.mount, TENANT, kept, state);
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(error) => {
            let error = request.permit::<session::Login>(Target::any())?.close::<Answer>(Err(error));
            return error.or_else(|error| refused(request, error, None));
        }
    };
    let text = |name: &str| query.text(name).map(str::to_owned);
    let answered = Answered { code: text("code"), error: text("error"), iss: text("iss") };
    let permit = request.permit::<session::Login>(Target::any())?;
    let settled = request.engine.logins().settle(permit, &attempt, &answered).await;
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
                        Err(fault) => of_no_use(request, &fault),
                    }
                }
            };
            let token = settled.token.token.expose();
            keep(&mut answer, format!("{COOKIE_NAME}={token}{}", attributes(request, hub)));
            answer
        }
        Err(error) => {
            // The tenant's words are shown to whom it denied: to a browser that was there, and as text.
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

/// 303 to the page, without anything that the tenant said.
fn to_page(request: &Request) -> Answer {
    redirect(&own_path(request))
}

fn redirect(location: &str) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, header_value(location));
    answer
}

/// Why somebody is not signed in, for them to read: with what the tenant said, where it did, and the key of the program that still waits.
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
    let said = match words {
        Some(words) => format!("The sign-in page says: {}", escaped(&words)),
        None => escaped(error.public_message()),
    };
    let page = own_path(request);
    let again = key.map_or_else(|| page.clone(), |key| format!("{page}?key={key}"));
    let body = format!(
        "<p class=\"refused\" role=\"alert\">{said}</p>\n<p><a href=\"{}\">Try again</a></p>\n<p class=\"note\">Request {} · {}</p>\n",
        escaped(&again),
        escaped(&request.id),
        error.code().name,
    );
    let detail = error.operator_detail().unwrap_or_default();
    tracing::info!(request = %request.id, %error, detail, "a log-in through a tenant failed");
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = styled(request, status, "You are not signed in", &body, None);
    error_headers(request.site.style, &error, request.about(), answer.headers_mut());
    Ok(answer)
}

/// Sends a browser whose stay here has ended to the tenant, to end it there; `close` says that its window is to be closed in the end.
pub(super) fn leave(request: &Request, hub: &Hub, tenant: &Tenant, close: bool) -> Result<Answer> {
    let page = format!("{}{}", request.own_origin()?, own_path(request));
    let mut answer = redirect(&tenant.logout_url(&page));
    forget(request, hub, &mut answer);
    if close {
        keep(&mut answer, format!("{CLOSING}=1; Max-Age=300{}", attributes(request, hub)));
    }
    Ok(answer)
}

/// The last page of a window that was opened to sign out, once its browser is back from the tenant.
pub(super) fn left(request: &Request, hub: &Hub) -> Option<Answer> {
    of(request)?;
    cookie(&request.headers, CLOSING)?;
    let body = "<p>You are signed out, here and where you signed in.</p>\n";
    let mut answer = styled(request, StatusCode::OK, "Signed out", body, Some(""));
    forget_key(&mut answer, CLOSING, &attributes(request, hub));
    Some(answer)
}
