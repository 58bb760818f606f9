//! Who calls over plain HTTP: whom the mount's chain found in the places where it looks; and who is signed in at our own page.

use doorward_core::authn::{Offered, Place, Presented};
use doorward_core::error::Result;
use doorward_core::identity::browser::Provenance;
use doorward_core::operation::{Call, Origin};

use super::COOKIE_NAME;
use crate::http::browser::{self, cookie, foreign};
use crate::request::Request;

/// Who is asking.
///
/// # Errors
/// `internal` on an open route.
pub(super) async fn of(request: &Request) -> Result<Call> {
    request.call().cloned()
}

/// Whom the page's own cookie names, wherever else the operator has tokens looked for; else who is asking.
///
/// # Errors
/// The chain's refusal of what the cookie says.
pub(super) async fn signed_in(request: &Request) -> Result<Call> {
    let call = request.call()?;
    let text = cookie(&request.headers, COOKIE_NAME).filter(|text| !text.is_empty());
    let Some(text) = text.filter(|_| call.auth.is_anonymous()) else { return Ok(call.clone()) };
    by_text(request, (*call.origin).clone(), Some(text)).await
}

/// Whose a token is that came in no header: in a first message, a cookie or a query. Without one it is somebody new.
///
/// # Errors
/// The chain's refusal.
pub(super) async fn by_text(request: &Request, origin: Origin, text: Option<&str>) -> Result<Call> {
    let presented = Presented {
        offered: text.map(|text| Offered { place: Place::Bearer, text }),
        client: Some(request.client.address),
        ..Presented::nothing()
    };
    request.engine.authenticate(&request.site.mount, origin, &presented).await
}

/// Refuses what a browser says that a page of another site asks for in somebody's name. Programs say nothing, and pass.
///
/// # Errors
/// `cross_site`.
pub(super) fn must_be_asked_by_a_page_of_ours(request: &Request) -> Result<()> {
    let call = request.call()?;
    // What no browser sends by itself was put there by whoever asks.
    let explicit =
        request.site.sources.find(&request.headers, None, false).is_ok_and(|found| found.is_some());
    if call.auth.is_anonymous() || explicit {
        return Ok(());
    }
    call.made_by_own_page(by_ours(request))
}

fn by_ours(request: &Request) -> Provenance<'_> {
    let public = request.site.public_origin.as_deref();
    let own_origin = !foreign(&request.headers, public, |origin| request.site.cors.lists(origin));
    Provenance { own_origin, says_origin: true, csrf_token: None, needs_token: false }
}

/// As [`must_be_asked_by_a_page_of_ours`], whoever is asking: for a form of our own.
///
/// # Errors
/// `cross_site`.
pub(super) fn must_be_of_our_page(request: &Request) -> Result<()> {
    request.call()?.made_by_own_page(by_ours(request))
}

/// Whether a page of another site led a browser here.
pub(super) fn is_led_by_others(request: &Request) -> bool {
    let public = request.site.public_origin.as_deref();
    browser::is_led_by_others(&request.headers, public, |origin| request.site.cors.lists(origin))
}
