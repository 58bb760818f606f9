//! Who calls over plain HTTP: whom the mount's chain found, or whom the browser's `access_token` cookie names where nothing else was shown.
//!
//! A browser sends the cookie whoever made the page. What changes something is taken from a page of ours or of a listed origin alone.

use doorward_core::authn::{Offered, Place, Presented};
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::browser::Provenance;
use doorward_core::operation::{Call, Origin};
use http::header::ORIGIN;

use crate::http::browser::{cookie, own_origin, says_origin};
use crate::request::Request;

/// The cookie that Hypha's pages use.
pub(super) const COOKIE_NAME: &str = "access_token";

/// Who is asking.
///
/// # Errors
/// The chain's refusal of what the cookie says; `cross_site` for what another's page wants changed.
pub(super) async fn of(request: &Request) -> Result<Call> {
    let call = request.call()?;
    if !call.auth.is_anonymous() {
        return Ok(call.clone());
    }
    let Some(text) = cookie(&request.headers, COOKIE_NAME).filter(|text| !text.is_empty()) else {
        return Ok(call.clone());
    };
    let listed = request.headers.get(ORIGIN).is_some_and(|origin| request.site.cors.lists(origin));
    if !request.method.is_safe() && !listed {
        let own = own_origin(&request.headers, request.site.public_origin.as_deref());
        let says_origin = says_origin(&request.headers);
        let provenance = Provenance {
            own_origin: own || !says_origin,
            says_origin: true,
            csrf_token: None,
            needs_token: false,
        };
        call.made_by_own_page(provenance)?;
    }
    let found = by_text(request, (*call.origin).clone(), Some(text)).await?;
    if found.auth.is_anonymous() && found.auth.credential.is_none() {
        return Err(Error::new(codes::TOKEN_INVALID));
    }
    Ok(found)
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
