//! The headers of a request to the upstream, and of its answer: own lists, never what merely was not forbidden.
//!
//! A deny list would have to know every spelling of every identity header (`X-User_Id` reaches a WSGI server as
//! `X-User-Id`); with a list of what passes, none of them does.

use std::borrow::Cow;
use std::sync::Arc;

use doorward_core::error::Result;
use doorward_core::principal::AuthContext;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RANGE, RETRY_AFTER, USER_AGENT,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::http::origin::X_FORWARDED_FOR;
use crate::http::respond::{X_REQUEST_ID, header_value};
use crate::request::Request;

/// What passes from client to upstream.
static REQUEST: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    USER_AGENT,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    RANGE,
    HeaderName::from_static("last-event-id"),
];

/// What passes from upstream to client.
static ANSWER: [HeaderName; 8] = [
    CONTENT_TYPE,
    CONTENT_DISPOSITION,
    CONTENT_LANGUAGE,
    CONTENT_RANGE,
    ACCEPT_RANGES,
    ETAG,
    LAST_MODIFIED,
    RETRY_AFTER,
];

/// Who is asking: the subject alone, for servers that know one header for a user.
static X_FORWARDED_USER: HeaderName = HeaderName::from_static("x-forwarded-user");
/// Who is asking, with the authority that vouches for it: `authority|subject`.
static X_DOORWARD_PRINCIPAL: HeaderName = HeaderName::from_static("x-doorward-principal");
/// The caller's roles, separated by commas.
static X_DOORWARD_ROLES: HeaderName = HeaderName::from_static("x-doorward-roles");

/// All of that, signed (`doorward_core::tokens::assertion`).
static X_DOORWARD_ASSERTION: HeaderName = HeaderName::from_static("x-doorward-assertion");

/// Percent-encoded in values: whatever is not visible ASCII, and the percent sign itself, so that it can be undone.
const VALUE: &AsciiSet = &CONTROLS.add(b'%').add(b' ').add(b',');

/// The headers of a request to the upstream.
pub(super) fn outbound(request: &Request, auth: &AuthContext, has_body: bool) -> HeaderMap {
    let mut headers = own(request, auth, has_body);
    for name in &REQUEST {
        if let Some(value) = request.headers.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers
}

/// The headers of a request this process makes by itself: nothing in them is the client's, who could otherwise ask for a
/// part of the answer, or for none.
pub(super) fn own(request: &Request, auth: &AuthContext, has_body: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(X_REQUEST_ID.clone(), value(request.id.as_str()));
    headers.insert(X_FORWARDED_FOR.clone(), value(&request.client.address.to_string()));
    if !auth.is_anonymous() {
        headers.insert(X_FORWARDED_USER.clone(), value(&auth.principal.subject));
        headers.insert(X_DOORWARD_PRINCIPAL.clone(), value(&auth.principal.owner_key()));
        headers.insert(X_DOORWARD_ROLES.clone(), roles_value(&auth.roles));
    }
    headers
}

/// States who asks under a signature, where the mount wants that.
///
/// # Errors
/// When it cannot be signed.
pub(super) fn state(request: &Request, auth: &AuthContext, headers: &mut HeaderMap) -> Result<()> {
    let Some(assertions) = request.site.assertions.as_ref().filter(|_| !auth.is_anonymous()) else {
        return Ok(());
    };
    let stated = assertions.of(auth, request.id.as_str(), request.engine.now_ms())?;
    let mut stated = HeaderValue::from_str(stated.expose()).expect("a compact token is visible ASCII");
    stated.set_sensitive(true);
    headers.insert(X_DOORWARD_ASSERTION.clone(), stated);
    Ok(())
}

/// The headers of the upstream's answer that its client sees.
pub(super) fn inbound(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in &ANSWER {
        if let Some(value) = upstream.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers
}

/// The text itself where nothing has to be encoded.
fn encoded(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, VALUE).into()
}

/// Roles as a header's value, separated by commas.
pub(crate) fn roles_value(roles: &[Arc<str>]) -> HeaderValue {
    if let [role] = roles {
        return value(role);
    }
    let roles: Vec<_> = roles.iter().map(|role| encoded(role)).collect();
    header_value(&roles.join(","))
}

/// Any text as a header's value.
pub(crate) fn value(text: &str) -> HeaderValue {
    header_value(&encoded(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_subject_is_one_header_value() {
        for (subject, expected) in
            [("alice", "alice"), ("Zoë", "Zo%C3%AB"), ("a\r\nX: y", "a%0D%0AX:%20y"), ("100%", "100%25")]
        {
            assert_eq!(value(subject), expected, "{subject:?}");
        }
    }

    #[test]
    fn an_answer_keeps_what_describes_its_body_and_nothing_else() {
        let mut upstream = HeaderMap::new();
        for name in [
            "content-type",
            "set-cookie",
            "server",
            "x-frame-options",
            "access-control-allow-origin",
            "connection",
        ] {
            upstream.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        assert_eq!(inbound(&upstream).keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    }
}
