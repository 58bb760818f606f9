//! Signing in through the mount's Auth0 tenant: the page has one button, which sends people there.
//!
//! ```text
//! page ─ POST ─► away ([`super::journey`]) ─► / of the site ─► page?code=… ─► signed in
//! ?logout=true ─► our stay ends ─► the tenant's ends ─► exactly the page
//! ```

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::session;
use doorward_core::error::Result;
use doorward_core::login::{TENANT, Tenant};
use doorward_hub::{Approval, Hub};
use http::{Method, StatusCode};

use super::caller;
use super::journey::{Leaving, SCRIPT, Settled, come_back, leave_for, redirect, refused};
use super::login::{attributes, forget, forget_key, keep, own_path, token_of_stay};
use super::pages::{scripted, styled, wants};
use crate::http::browser::cookie;
use crate::http::page::escaped;
use crate::http::pairs::Pairs;
use crate::http::respond::Answer;
use crate::request::Request;

/// The cookie of a browser that is on its way to end its stay at the tenant, in a window that is to be closed then.
const CLOSING: &str = "doorward-hypha-closing";

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
    (refusal, anew): (Option<&str>, bool),
    status: StatusCode,
) -> Answer {
    let mut body = waiting.map_or_else(String::new, |(_, approval)| wants(approval));
    if let Some(refusal) = refusal {
        body.push_str(&format!("<p class=\"refused\" role=\"alert\">{}</p>\n", escaped(refusal)));
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

/// Sends a browser to the tenant.
pub(super) async fn begin(request: &Request, leaving: Leaving<'_>) -> Result<Answer> {
    match site_root(request) {
        Ok(root) => leave_for(request, TENANT, root, leaving).await,
        Err(error) => refused(request, error, None),
    }
}

/// Whether a request is of somebody whom the tenant has sent back.
pub(super) fn is_back(request: &Request, query: &Pairs) -> bool {
    of(request).is_some() && query.text("state").is_some()
}

/// `GET …?code=…&state=…`: they are back.
pub(super) async fn back(request: &Request, hub: &Hub, query: &Pairs) -> Result<Answer> {
    come_back(request, hub, TENANT, query, async |attempt, answered| {
        let permit = request.permit::<session::Login>(Target::any())?;
        let call = request.engine.logins().settle(permit, attempt, answered).await?;
        // As everybody gets it here; and the caller by that, so that what they let in from this browser ends with it.
        let token = token_of_stay(request, hub, &call, request.site.mount.tokens.max_ttl_s).await?;
        let call = caller::by_text(request, (*call.origin).clone(), Some(token.token.expose())).await?;
        Ok(Settled { call, token })
    })
    .await
}

/// Sends a browser whose stay here has ended to the tenant, to end it there; `close` says that its window is to be closed in the end.
pub(super) fn leave(request: &Request, hub: &Hub, tenant: &Tenant, close: bool) -> Result<Answer> {
    let page = format!("{}{}", request.own_origin()?, own_path(request));
    let away = tenant.logout_url(&page);
    // As in `begin`: where a form of ours leads by a redirect is our own policy's business.
    let mut answer = match request.method == Method::POST {
        true => {
            let url = escaped(&away);
            let body = format!(
                "<meta http-equiv=\"refresh\" content=\"0;url={url}\">\n<p>On to where you signed in: <a href=\"{url}\">continue</a></p>\n"
            );
            styled(request, StatusCode::OK, "One moment", &body, None)
        }
        false => redirect(&away),
    };
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
