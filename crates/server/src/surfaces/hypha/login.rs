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
use doorward_core::operation::Call;
use doorward_core::principal::PrincipalKind;
use doorward_core::random;
use doorward_core::secret::SecretText;
use doorward_core::tokens::{HubToken, HubTokenKind, Issued};
use doorward_hub::{Fault, Hub, PAGE};
use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use http::StatusCode;
use http::header::{HeaderValue, SET_COOKIE};

use super::apps;
use super::journey::Leaving;
use super::pages::{
    Before, Refused, allowed, ask, ask_to_leave, form, not_let_in, of_no_use, signed_out, stays, turned_away,
};
use super::{COOKIE_NAME, caller, hub, moved, providers, tenant};
use crate::http::browser::cookie;
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, error_headers};
use crate::request::Request;

/// The cookie by which a browser is known that opened a program's link.
const BROWSER: &str = "doorward-hypha-browser";
/// How long a browser stays signed in at most.
pub(super) const LONGEST_STAY_S: i64 = 172_800;
/// Longest key that is looked up.
const MAX_KEY_BYTES: usize = 128;
/// What the form says that makes an account.
const SIGN_UP: &str = "sign-up";

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
            None => form(&request, None, Before::default(), StatusCode::OK),
        });
    };
    let (mark, cookie) = mark(&request, &hub);
    let mut answer = match hub.logins().open(key, mark) {
        Err(fault) => of_no_use(&request, &fault),
        Ok(approval) => match somebody {
            Some(call) => ask(&request, key, &approval, &call).await,
            None => form(&request, Some((key, &approval)), Before::default(), StatusCode::OK),
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
    if let Some(key) = sent.key.as_deref().filter(|_| sent.act == "refuse") {
        return Ok(match hub.logins().refuse(key, mark) {
            Ok(()) => turned_away(&request),
            Err(fault) => of_no_use(&request, &fault),
        });
    }
    if sent.act == "other" {
        let before = Before { anew: true, ..Before::default() };
        let mut answer = form(&request, waiting, before, StatusCode::OK);
        forget(&request, &hub, &mut answer);
        return Ok(answer);
    }
    let (call, token) = if sent.act == "allow" {
        match signed_in(&request).await? {
            Some(call) => (call, None),
            None => {
                let refused = Some(Refused { text: "Please sign in again.", code: None, reason: None });
                let before = Before { refused, ..Before::default() };
                return Ok(form(&request, waiting, before, StatusCode::UNAUTHORIZED));
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
                let before = Before {
                    refused: Some(Refused::of(&error)),
                    anew: false,
                    signing_up: sent.act == SIGN_UP,
                    username: &sent.username,
                    email: &sent.email,
                };
                let mut answer = form(&request, waiting, before, status);
                error_headers(request.site.style, &error, request.about(), answer.headers_mut());
                return Ok(answer);
            }
        }
    };
    let mut answer = match (&sent.key, &approval) {
        // Signing in with a program waiting says that it may come in: the form said so.
        (Some(key), Some(_)) => match hub.logins().approve(key, mark, &call).await {
            Ok(()) => allowed(&request, key),
            Err(fault) => not_let_in(&request, key, &fault),
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
    if sent.act == SIGN_UP {
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
    let mut answer = signed_out(request, close);
    forget(request, hub, &mut answer);
    Ok(answer)
}
