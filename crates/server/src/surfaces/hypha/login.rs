//! The page where people sign in and let programs in: `/public/apps/hypha-login/`.
//!
//! ```text
//! ?key=…          a program waits: sign in, see what it wants, allow it      ?logout=true   the stay of this browser ends; whom a page
//!                                                                                           of another site sent is asked first
//! (neither)       sign in, for the pages of this server
//! ```
//! Who is signed in stands in the cookie `access_token`, which is one of our tokens and ends with the log-in that it was made of. The first
//! browser that opens a program's link keeps it.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, token, user};
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::identity::sessions::{Login, Which};
use doorward_core::identity::users::NewUser;
use doorward_core::login::Tenant;
use doorward_core::mount::SignUp;
use doorward_core::operation::Call;
use doorward_core::principal::PrincipalKind;
use doorward_core::random;
use doorward_core::secret::SecretText;
use doorward_core::tokens::{HubToken, HubTokenKind, Issued};
use doorward_hub::{Approval, Fault, Hub, PAGE};
use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use http::StatusCode;
use http::header::{HeaderValue, SET_COOKIE};

use super::apps;
use super::journey::{Leaving, SCRIPT};
use super::{COOKIE_NAME, caller, hub, moved, providers, tenant};
use crate::http::browser::cookie;
use crate::http::page::{escaped, page};
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, PagePolicy, error_headers};
use crate::request::Request;

/// The cookie by which a browser is known that opened a program's link.
const BROWSER: &str = "doorward-hypha-browser";
/// How long a browser stays signed in at most.
pub(super) const LONGEST_STAY_S: i64 = 172_800;
/// Longest key that is looked up.
const MAX_KEY_BYTES: usize = 128;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1c2733}\
main{max-width:24rem;margin:8vh auto;padding:2rem;background:#fff;border:1px solid #d9dee4;border-radius:.5rem}\
h1{font-size:1.4rem;margin:0 0 1rem}label{display:block;margin:.8rem 0 .2rem;font-weight:600}\
input{box-sizing:border-box;width:100%;padding:.55rem;font:inherit;border:1px solid #8896a5;border-radius:.3rem}\
button{margin-top:1.2rem;width:100%;padding:.65rem;font:inherit;font-weight:600;color:#fff;background:#1859b3;\
border:0;border-radius:.3rem;cursor:pointer}button.second{background:#fff;color:#1859b3;border:1px solid #1859b3;margin-top:.6rem}\
input:focus,button:focus,a:focus{outline:3px solid #f0a92e;outline-offset:1px}\
.refused{padding:.6rem .8rem;background:#fdecea;border-left:4px solid #b3261e}dt{font-weight:600}dd{margin:0 0 .5rem}\
.note{color:#4a5866;font-size:.9rem}code{word-break:break-all}details{margin-top:1.5rem}summary{cursor:pointer;color:#1859b3}";

/// Closes a window that was opened for this page, and tells a page that holds it in a frame.
const DONE: &str = "const key=document.currentScript.dataset.key;history.replaceState(null,'',location.pathname);\
if(key&&window.parent!==window){window.parent.postMessage({type:'hypha-login-complete',key},'*')}\
if(key&&window.opener){window.opener.postMessage({type:'hypha-login-complete',key},'*')}\
setTimeout(()=>window.close(),300)";

/// A page of ours with its style; with `closes`, its window is closed, and whoever opened it for that key is told.
pub(super) fn styled(
    request: &Request,
    status: StatusCode,
    title: &str,
    body: &str,
    closes: Option<&str>,
) -> Answer {
    scripted(request, status, title, body, closes.map_or(("", ""), |key| (DONE, key)))
}

/// A page of ours with its style, and perhaps a script of ours for `key`.
pub(super) fn scripted(
    request: &Request,
    status: StatusCode,
    title: &str,
    body: &str,
    (script, key): (&str, &str),
) -> Answer {
    let nonce = base64url_encode(&random::bytes::<16>(request.engine.random()));
    let mut html = format!("<style nonce=\"{nonce}\">{STYLE}</style>\n{body}");
    if !script.is_empty() {
        html.push_str(&format!(
            "<script nonce=\"{nonce}\" data-key=\"{}\">{script}</script>\n",
            escaped(key)
        ));
    }
    let mut answer = page(status, title, &html);
    // Pages that the operator lists may show it in a frame; on any other a visitor could be led to click what they do not see.
    let listed: String = request.site.cors.origins().map(|origin| format!(" {origin}")).collect();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'self'{listed}"
    );
    answer.extensions_mut().insert(PagePolicy(policy));
    answer
}

pub(super) fn own_path(request: &Request) -> String {
    format!("{}{PAGE}", request.site.public_prefix)
}

/// `Secure` wherever browsers come by TLS; without it they would drop the cookie on a plain connection.
pub(super) fn attributes(request: &Request, hub: &Hub) -> String {
    let secure = if hub.base_url().starts_with("https://") { "; Secure" } else { "" };
    let path = Some(request.site.public_prefix.as_str()).filter(|prefix| !prefix.is_empty()).unwrap_or("/");
    format!("; Path={path}; HttpOnly; SameSite=Lax{secure}")
}

pub(super) fn keep(answer: &mut Answer, text: String) {
    if let Ok(mut value) = HeaderValue::try_from(text) {
        value.set_sensitive(true);
        answer.headers_mut().append(SET_COOKIE, value);
    }
}

/// The browser's mark: the one it has, or a new one with the cookie that leaves it there.
pub(super) fn mark(request: &Request, hub: &Hub) -> ([u8; 32], Option<String>) {
    let kept = cookie(&request.headers, BROWSER).and_then(|text| base64url_decode(text.as_bytes()).ok());
    let found = kept.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    match found {
        Some(mark) => (mark, None),
        None => {
            let mark: [u8; 32] = random::bytes(request.engine.random());
            let cookie =
                format!("{BROWSER}={}{}; Max-Age=600", base64url_encode(&mark), attributes(request, hub));
            (mark, Some(cookie))
        }
    }
}

/// `GET /login`: the page, wherever it is.
pub(super) async fn lead_there(request: Request) -> Result<Answer> {
    Ok(moved(own_path(&request), request.query.as_deref()))
}

pub(super) fn key_of(query: &Pairs) -> Option<&str> {
    query.text("key").filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES)
}

/// Who is signed in in this browser, if anybody is.
async fn signed_in(request: &Request) -> Result<Option<Call>> {
    match caller::signed_in(request).await {
        Ok(call) if is_of_page(request, &call) => Ok(Some(call)),
        Ok(_) => Ok(None),
        // A stay that has ended is nobody's.
        Err(error) if error.code().kind == Kind::Unauthenticated => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether somebody can be signed in at this page: people with an account here, and the tenant's.
fn is_of_page(request: &Request, call: &Call) -> bool {
    let principal = &call.auth.principal;
    let of_tenant = |tenant: &Tenant| {
        principal.kind == PrincipalKind::User && *principal.authority == *tenant.authority()
    };
    principal.user_id().is_some() || tenant::of(request).is_some_and(of_tenant)
}

/// `GET /public/apps/hypha-login/`
pub(super) async fn show(request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    if apps::stands_for_our_page(&hub) {
        return apps::page_of_start_up(request).await;
    }
    let query = request.query()?;
    if tenant::is_back(&request, &query) {
        return tenant::back(&request, &hub, &query).await;
    }
    if query.text("logout").is_some_and(|text| text == "true") {
        let close = query.text("close").is_some_and(|text| text == "true");
        if caller::is_led_by_others(&request) {
            return Ok(ask_to_leave(&request, close));
        }
        return log_out(&request, &hub, close).await;
    }
    if key_of(&query).is_none()
        && let Some(left) = tenant::left(&request, &hub)
    {
        return Ok(left);
    }
    let somebody = signed_in(&request).await?;
    let Some(key) = key_of(&query) else {
        return Ok(match somebody {
            Some(call) => stays(&request, &call).await,
            None => form(&request, None, (None, false), StatusCode::OK),
        });
    };
    let (mark, cookie) = mark(&request, &hub);
    let mut answer = match hub.logins().open(key, mark) {
        Err(fault) => of_no_use(&request, &fault),
        Ok(approval) => match somebody {
            Some(call) => ask(&request, key, &approval, &call).await,
            None => form(&request, Some((key, &approval)), (None, false), StatusCode::OK),
        },
    };
    if let Some(cookie) = cookie {
        keep(&mut answer, cookie);
    }
    Ok(answer)
}

/// What a person sends from one of the forms.
struct Sent {
    key: Option<String>,
    act: String,
    provider: String,
    anew: bool,
    close: bool,
    at: String,
    username: String,
    email: String,
    password: SecretText,
}

impl Sent {
    fn read(form: &Pairs) -> Self {
        let text = |name: &str| form.text(name).unwrap_or_default().to_owned();
        Self {
            key: key_of(form).map(str::to_owned),
            act: text("act"),
            provider: text("provider"),
            anew: form.text("anew") == Some("true"),
            close: form.text("close") == Some("true"),
            at: text("at"),
            username: text("username"),
            email: text("email"),
            password: SecretText::new(text("password")),
        }
    }
}

/// `POST /public/apps/hypha-login/`: a form of ours.
pub(super) async fn sign_in(mut request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    if apps::stands_for_our_page(&hub) {
        return apps::page_of_start_up(request).await;
    }
    let sent = Sent::read(&Pairs::form(&request.bytes().await?)?);
    if sent.act == "sign-out" {
        caller::must_be_of_our_page(&request)?;
        return log_out(&request, &hub, sent.close).await;
    }
    let (mark, cookie) = mark(&request, &hub);
    if cookie.is_some() && sent.key.is_some() {
        // Whoever did not open the link in this browser has no form for it.
        let fault = Fault::permission("This link was opened in another browser.");
        return Ok(of_no_use(&request, &fault));
    }
    let approval = match sent.key.as_deref().map(|key| hub.logins().open(key, mark)).transpose() {
        Ok(approval) => approval,
        Err(fault) => return Ok(of_no_use(&request, &fault)),
    };
    let waiting = sent.key.as_deref().zip(approval.as_ref());
    let leaving = Leaving { key: sent.key.as_deref(), opened_at: &sent.at, anew: sent.anew };
    match (sent.act.as_str(), tenant::of(&request)) {
        ("tenant", Some(_)) => return tenant::begin(&request, leaving).await,
        ("provider", None) => return providers::begin(&request, &sent.provider, leaving).await,
        _ => {}
    }
    if sent.act == "other" {
        let mut answer = form(&request, waiting, (None, true), StatusCode::OK);
        forget(&request, &hub, &mut answer);
        return Ok(answer);
    }
    let (call, token) = if sent.act == "allow" {
        match signed_in(&request).await? {
            Some(call) => (call, None),
            None => {
                let why = Refused { text: "Please sign in again.", code: None, reason: None };
                return Ok(form(&request, waiting, (Some(why), false), StatusCode::UNAUTHORIZED));
            }
        }
    } else {
        match enter(&request, &sent).await {
            Ok((call, token)) => (call, Some(token)),
            Err(error) if matches!(error.code().kind, Kind::Internal | Kind::Unavailable) => {
                return Err(error);
            }
            Err(error) => {
                let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
                let mut answer = form(&request, waiting, (Some(Refused::of(&error)), false), status);
                error_headers(request.site.style, &error, request.about(), answer.headers_mut());
                return Ok(answer);
            }
        }
    };
    let mut answer = match (&sent.key, &approval) {
        // Signing in with a program waiting says that it may come in: the form said so.
        (Some(key), Some(_)) => match hub.logins().approve(key, mark, &call).await {
            Ok(()) => allowed(&request, key),
            Err(fault) => of_no_use(&request, &fault),
        },
        _ => stays(&request, &call).await,
    };
    if let Some(token) = token {
        let text = format!("{COOKIE_NAME}={}{}", token.expose(), attributes(&request, &hub));
        keep(&mut answer, text);
    }
    Ok(answer)
}

/// Signs somebody in, or up and in; the answer has what the browser keeps.
async fn enter(request: &Request, sent: &Sent) -> Result<(Call, SecretText)> {
    if tenant::of(request).is_some() {
        return Err(Error::new(codes::BAD_REQUEST).message("People sign in through the tenant here."));
    }
    if sent.username.is_empty() || sent.password.expose().is_empty() {
        return Err(Error::new(codes::BAD_FIELD).message("Please give a name and a password."));
    }
    let call = request.call()?;
    if sent.act == "sign-up" {
        let new = NewUser {
            username: Some(sent.username.clone()),
            email: Some(sent.email.clone()).filter(|email| !email.is_empty()),
            password: Some(sent.password.clone()),
            ..NewUser::default()
        };
        let permit = call.permit::<user::SignUp>(Target::any())?;
        request.engine.users().sign_up(permit, new).await?;
    }
    let login = Login {
        login: sent.username.clone(),
        password: sent.password.clone(),
        client: None,
        scope: None,
        source: Some("hypha-login".to_owned()),
        device: None,
    };
    let permit = request.permit::<session::Login>(Target::any())?;
    let stay = request.engine.sessions().login_browser(permit, login).await?;
    let call = call.staying(&stay).await?;
    let made = token_of_stay(request, &hub(request)?, &call, LONGEST_STAY_S).await?;
    Ok((call, made.token))
}

/// What the browser of somebody keeps who is signed in: a token of theirs, for so long at most.
pub(super) async fn token_of_stay(
    request: &Request,
    hub: &Hub,
    call: &Call,
    at_most_s: i64,
) -> Result<Issued> {
    let wanted = HubToken {
        workspaces: call.auth.workspaces.clone(),
        ttl_s: Some(request.site.mount.tokens.max_ttl_s.min(at_most_s)),
        kind: HubTokenKind::SameSubject,
        email: None,
        roles: None,
    };
    hub.token(call, wanted).await
}

pub(super) fn forget(request: &Request, hub: &Hub, answer: &mut Answer) {
    forget_key(answer, COOKIE_NAME, &attributes(request, hub));
}

pub(super) fn forget_key(answer: &mut Answer, name: &str, attributes: &str) {
    keep(answer, format!("{name}={attributes}; Max-Age=0"));
}

/// Asks whoever a page of another site sent here whether they want to leave: nobody is signed out by a link that they followed.
fn ask_to_leave(request: &Request, close: bool) -> Answer {
    let path = escaped(&own_path(request));
    let close = if close { "<input type=\"hidden\" name=\"close\" value=\"true\">\n" } else { "" };
    let body = format!(
        "<p>A page of another site sent you here to sign out. The programs that you let in from this browser are signed out too.</p>\n\
         <form method=\"post\" action=\"{path}\">\n{close}<button name=\"act\" value=\"sign-out\">Sign out</button>\n</form>\n\
         <p><a href=\"{path}\">Stay signed in</a></p>\n"
    );
    styled(request, StatusCode::OK, "Sign out?", &body, None)
}

/// Ends the log-in that this browser keeps, with everything that was made from it.
async fn log_out(request: &Request, hub: &Hub, close: bool) -> Result<Answer> {
    let somebody = signed_in(request).await?;
    if let Some(call) = somebody.as_ref().filter(|call| call.auth.principal.user_id().is_none()) {
        // Whom the tenant vouches for has no session here: the line of the token ends, and so does all that was made of it.
        let permit = call.permit::<token::Revoke>(Target::any())?;
        request.engine.tokens().revoke_own(permit).await?;
    }
    if let Some(call) = somebody
        && let (Some(id), Some(user)) = (call.auth.session.clone(), call.auth.principal.user_id())
    {
        let owner = call.auth.principal.owner_key();
        let permit = call.permit::<session::End>(Target::owned(user.as_str(), &owner))?;
        match request.engine.sessions().end(permit, &user, Which::One(id)).await {
            Ok(_) => {}
            // It has ended already.
            Err(error) if error.code().kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(tenant) = tenant::of(request) {
        return tenant::leave(request, hub, tenant, close);
    }
    let body = "<p>You are signed out here, and so are the programs that you let in from this browser.</p>\n";
    let mut answer = styled(request, StatusCode::OK, "Signed out", body, close.then_some(""));
    forget(request, hub, &mut answer);
    Ok(answer)
}

/// What a program wants, for a person to read.
pub(super) fn wants(approval: &Approval) -> String {
    let from =
        approval.from.map_or_else(|| "this server".to_owned(), |address| address.to_canonical().to_string());
    let reach = match &approval.workspace {
        Some(workspace) => format!("the workspace {workspace} alone"),
        None => "all of your workspaces".to_owned(),
    };
    let life = match approval.ttl_s {
        seconds if seconds >= 7_200 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} minutes", (seconds / 60).max(1)),
    };
    format!(
        "<p>A program asks to act for you. Go on only if you started it yourself.</p>\n<dl>\n<dt>Asked from</dt><dd>{}</dd>\n\
         <dt>It reaches</dt><dd>{}</dd>\n<dt>For</dt><dd>{}</dd>\n</dl>\n",
        escaped(&from),
        escaped(&reach),
        escaped(&life)
    )
}

/// Why a form is there again: a sentence for people, and for programs the code and which of its reasons it is.
#[derive(Clone, Copy)]
struct Refused<'e> {
    text: &'e str,
    code: Option<&'static str>,
    reason: Option<&'static str>,
}

impl<'e> Refused<'e> {
    fn of(error: &'e Error) -> Self {
        Self { text: error.public_message(), code: Some(error.code().name), reason: error.reason() }
    }
}

fn form(
    request: &Request,
    waiting: Option<(&str, &Approval)>,
    (refused, anew): (Option<Refused<'_>>, bool),
    status: StatusCode,
) -> Answer {
    if let Some(tenant) = tenant::of(request) {
        return tenant::form(request, tenant, waiting, (refused.map(|refused| refused.text), anew), status);
    }
    let path = escaped(&own_path(request));
    let key = waiting.map_or_else(String::new, |(key, _)| {
        format!("<input type=\"hidden\" name=\"key\" value=\"{}\">\n", escaped(key))
    });
    let mut body = waiting.map_or_else(String::new, |(_, approval)| wants(approval));
    if let Some(Refused { text, code, reason }) = refused {
        let marked = |name: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| format!(" data-{name}=\"{}\"", escaped(value)))
        };
        let marks = format!("{}{}", marked("code", code), marked("reason", reason));
        body.push_str(&format!("<p class=\"refused\" role=\"alert\"{marks}>{}</p>\n", escaped(text)));
    }
    let button = if waiting.is_some() { "Sign in and allow" } else { "Sign in" };
    body.push_str(&format!(
        "<form method=\"post\" action=\"{path}\">\n{key}\
         <label for=\"username\">Name or e-mail</label>\n\
         <input id=\"username\" name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" required autofocus>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\n\
         <button name=\"act\" value=\"sign-in\">{button}</button>\n</form>\n"
    ));
    if request.site.mount.sign_up == SignUp::Open {
        body.push_str(&format!(
            "<details>\n<summary>No account yet?</summary>\n<form method=\"post\" action=\"{path}\">\n{key}\
             <label for=\"new-username\">Name</label>\n\
             <input id=\"new-username\" name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" required>\n\
             <label for=\"new-email\">E-mail (may stay empty)</label>\n\
             <input id=\"new-email\" name=\"email\" type=\"email\" autocomplete=\"email\">\n\
             <label for=\"new-password\">Password</label>\n\
             <input id=\"new-password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" required>\n\
             <button name=\"act\" value=\"sign-up\">Make an account</button>\n</form>\n</details>\n"
        ));
    }
    if !providers::any(request) {
        return styled(request, status, "Sign in", &body, None);
    }
    let words = if waiting.is_some() { " and allow" } else { "" };
    body.push_str(&providers::buttons(request, &key, words, anew));
    scripted(request, status, "Sign in", &body, (SCRIPT, ""))
}

/// The name of whoever is signed in.
async fn name_of(request: &Request, call: &Call) -> String {
    let owner = call.auth.principal.owner_key();
    let Some(id) = call.auth.principal.user_id() else {
        let email = call.auth.claims.get("email").and_then(|email| email.as_str());
        return email.unwrap_or(&call.auth.principal.subject).to_owned();
    };
    let Ok(permit) = call.permit::<user::Read>(Target::owned(id.as_str(), &owner)) else {
        return String::new();
    };
    match request.engine.users().get(permit, &id).await {
        Ok(found) => found.username.or(found.email).unwrap_or_else(|| id.as_str().to_owned()),
        Err(_) => String::new(),
    }
}

async fn ask(request: &Request, key: &str, approval: &Approval, call: &Call) -> Answer {
    let name = escaped(&name_of(request, call).await);
    let path = escaped(&own_path(request));
    let key = escaped(key);
    let body = format!(
        "{}<p>You are signed in as <strong>{name}</strong>.</p>\n<form method=\"post\" action=\"{path}\">\n\
         <input type=\"hidden\" name=\"key\" value=\"{key}\">\n\
         <button name=\"act\" value=\"allow\">Allow</button>\n\
         <button class=\"second\" name=\"act\" value=\"other\">Use another account</button>\n</form>\n",
        wants(approval)
    );
    styled(request, StatusCode::OK, "Let a program in?", &body, None)
}

pub(super) fn allowed(request: &Request, key: &str) -> Answer {
    let body = "<p>Done. The program can go on; you can close this window.</p>\n";
    styled(request, StatusCode::OK, "Signed in", body, Some(key))
}

async fn stays(request: &Request, call: &Call) -> Answer {
    let name = escaped(&name_of(request, call).await);
    let path = escaped(&own_path(request));
    let body = format!(
        "<p>You are signed in as <strong>{name}</strong>.</p>\n<p><a href=\"{path}?logout=true\">Sign out</a></p>\n"
    );
    styled(request, StatusCode::OK, "Signed in", &body, None)
}

pub(super) fn of_no_use(request: &Request, fault: &Fault) -> Answer {
    let status = super::fault::status(fault);
    let text = match fault.class {
        "AssertionError" => {
            "This link was used already, or is too old. Start again in the program that gave it to you."
        }
        _ => &fault.message,
    };
    let body = format!("<p class=\"refused\" role=\"alert\">{}</p>\n", escaped(text));
    styled(request, status, "This link does not work", &body, None)
}
