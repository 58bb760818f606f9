//! Signing in through providers (`[providers.NAME]`): a button each on the page, and where they send people back to.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::session;
use doorward_core::error::{Error, Result, codes};
use doorward_core::login::Provider;

use super::hub;
use super::journey::{Leaving, Settled, come_back, leave_for, refused};
use super::login::{LONGEST_STAY_S, own_path, token_of_stay};
use super::tenant;
use crate::coming_back::come_in;
use crate::http::page::escaped;
use crate::http::respond::Answer;
use crate::request::Request;

/// Those whom the page offers, by name and label: none where the people are a tenant's.
fn offered(request: &Request) -> impl Iterator<Item = &Provider> {
    let all = if tenant::of(request).is_some() { &[] } else { request.engine.providers() };
    all.iter().map(|provider| &**provider)
}

/// Whether the page offers any.
pub(super) fn any(request: &Request) -> bool {
    offered(request).next().is_some()
}

/// The buttons; `fields` is what every form of the page holds, `words` what one agrees to by pressing.
pub(super) fn buttons(request: &Request, fields: &str, words: &str, anew: bool) -> String {
    let path = escaped(&own_path(request));
    let anew = if anew { "<input type=\"hidden\" name=\"anew\" value=\"true\">\n" } else { "" };
    let mut buttons = String::new();
    for provider in offered(request) {
        buttons.push_str(&format!(
            "<form class=\"provider\" method=\"post\" action=\"{path}\">\n{fields}{anew}\
             <input type=\"hidden\" name=\"at\" value=\"\">\n<input type=\"hidden\" name=\"act\" value=\"provider\">\n\
             <button class=\"second\" name=\"provider\" value=\"{}\">Sign in with {}{words}</button>\n</form>\n",
            escaped(&provider.name),
            escaped(&provider.label),
        ));
    }
    buttons
}

/// Where a provider sends people back to: an address of its own, so that one cannot take what another gave (RFC 9700 §4.4.2), but for
/// the one that the operator lets use the short address of Hypha's document.
fn callback(request: &Request, provider: &str) -> Result<String> {
    let short = request.site.oauth_callback.as_deref() == Some(provider);
    let name = if short { String::new() } else { format!("/{provider}") };
    Ok(format!("{}{}/oauth/callback{name}", request.own_origin()?, request.site.public_prefix))
}

/// Sends a browser to a provider.
pub(super) async fn begin(request: &Request, provider: &str, leaving: Leaving<'_>) -> Result<Answer> {
    match callback(request, provider) {
        Ok(callback) => leave_for(request, provider, callback, leaving).await,
        Err(error) => refused(request, error, None),
    }
}

/// `GET /oauth/callback/{provider}`
pub(super) async fn named(request: Request) -> Result<Answer> {
    let provider = request.param("provider")?.to_owned();
    let short = request.site.oauth_callback.as_deref() == Some(&provider);
    back(&request, Some(provider.as_str()).filter(|_| !short)).await
}

/// `GET /oauth/callback`
pub(super) async fn short(request: Request) -> Result<Answer> {
    back(&request, request.site.oauth_callback.as_deref()).await
}

/// Somebody is back from a provider, at the address that is this provider's.
async fn back(request: &Request, provider: Option<&str>) -> Result<Answer> {
    let hub = hub(request)?;
    let Some(provider) = provider.filter(|name| offered(request).any(|one| *one.name == **name)) else {
        let error = Error::new(codes::NOT_FOUND).message("No provider sends people back to this address.");
        return refused(request, error, None);
    };
    let query = match request.query() {
        Ok(query) => query,
        Err(error) => return refused(request, error, None),
    };
    come_back(request, &hub, provider, &query, async |attempt, answered| {
        if attempt.links() {
            // An identity is added where one's account is looked after.
            let error = Error::new(codes::LOGIN_EXPIRED).operator("it was to add an identity");
            return request.permit::<session::Login>(Target::any())?.close(Err(error));
        }
        let came = come_in(request, attempt, answered).await?;
        let ends_s = request.engine.now_ms().div_euclid(1000).saturating_add(came.vouched_s);
        // Nobody stays here for longer than the provider answers for them, nor do the programs that they let in.
        let call = request.call()?.staying(&came.stay).await?.ending_by(ends_s);
        let token = token_of_stay(request, &hub, &call, came.vouched_s.min(LONGEST_STAY_S)).await?;
        Ok(Settled { call, token })
    })
    .await
}
