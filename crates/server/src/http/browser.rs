//! Our cookies, and whether a request that came with it was made by a page of ours.
//!
//! A browser sends a cookie whoever made the page, so what a request changes by it needs three things that another site's
//! page cannot bring together: the `Origin` of ours, a body that is JSON (which a form cannot send), and a token that only a page
//! of ours can read. `SameSite=Lax` and `__Host-` stand before that (RFC 6265bis §4.1.2.7, §4.1.3.2).

use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::browser::{Provenance, Stay};
use doorward_core::login::Ticket;
use doorward_core::login::attempt::{LIFE_MS, slot};
use doorward_core::operation::Call;
use doorward_protocols::http_auth::parse_cookies;
use http::Method;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN, REFERER, TRANSFER_ENCODING,
    UPGRADE,
};

use super::extract::{Media, media};

/// The cookie's name: with this prefix a browser takes it only over TLS (or from this machine), for this host alone and
/// for all of it.
const NAME: &str = "__Host-doorward-session";
/// The cookies of log-ins that are under way, but for their place.
const TICKET: &str = "__Host-doorward-login-";
const X_CSRF_TOKEN: &str = "x-csrf-token";
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What our cookie says. One that is there twice, or in a header that cannot be read, says nothing: a sibling domain may have planted it.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, NAME)
}

/// What the cookie of this name says, if it was sent once.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = None;
    for value in headers.get_all(COOKIE) {
        let cookies = parse_cookies(value.as_bytes()).ok()?;
        if let Some(text) = cookies.get(name).ok()? {
            if found.is_some() {
                return None;
            }
            found = Some(text);
        }
    }
    found
}

/// The header that leaves the cookie with the browser, for as long as it runs.
pub(crate) fn keep(stay: &Stay) -> HeaderValue {
    let mut value = HeaderValue::from_str(&format!("{NAME}={}; {ATTRIBUTES}", stay.cookie.expose()))
        .expect("ids and base64url are visible ASCII");
    value.set_sensitive(true);
    value
}

/// The header that takes it back.
pub(crate) fn forget() -> HeaderValue {
    HeaderValue::from_static("__Host-doorward-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The ticket of the log-in with this state.
pub(crate) fn ticket<'h>(headers: &'h HeaderMap, state: &str) -> Option<&'h str> {
    cookie(headers, &format!("{TICKET}{}", slot(state)?))
}

/// The header that leaves a ticket with the browser, for as long as its log-in may take.
pub(crate) fn keep_ticket(ticket: &Ticket) -> HeaderValue {
    let (slot, text, life_s) = (ticket.slot, ticket.text.expose(), LIFE_MS / 1000);
    let value = HeaderValue::from_str(&format!("{TICKET}{slot}={text}; {ATTRIBUTES}; Max-Age={life_s}"));
    let mut value = value.expect("base64url is visible ASCII");
    value.set_sensitive(true);
    value
}

/// The header that takes the ticket of the log-in with this state back.
pub(crate) fn forget_ticket(state: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{TICKET}{}=; {ATTRIBUTES}; Max-Age=0", slot(state)?)).ok()
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Whether the browser says that the page is of our own origin: the configured one, or else the host it sent the request
/// to, which a page cannot choose.
pub(crate) fn own_origin(headers: &HeaderMap, public: Option<&str>) -> bool {
    // Set by browsers alone, and not by pages (Fetch Metadata §2.2).
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return false;
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next().and_then(|origin| origin.to_str().ok()), origins.next())
    else {
        return false;
    };
    is_ours(origin, headers, public)
}

/// Whether the browser says that nobody but our own origin had a part in the request, redirects among them. Unlike `none`: whoever types an
/// address may be sent on from there.
fn is_of_same_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    sites.next().is_some_and(|site| site == "same-origin") && sites.next().is_none()
}

fn is_ours(origin: &str, headers: &HeaderMap, public: Option<&str>) -> bool {
    match (public, headers.get(HOST).and_then(|host| host.to_str().ok())) {
        (Some(public), _) => origin == public,
        (None, Some(host)) => {
            let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            authority.is_some_and(|authority| !authority.is_empty() && authority.eq_ignore_ascii_case(host))
        }
        (None, None) => false,
    }
}

/// Whether anything is said of the page.
pub(crate) fn says_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE)
}

/// Whether a browser says that the page is of another origin, and of none that is let in. Nothing is said by programs.
pub(crate) fn foreign(
    headers: &HeaderMap,
    public: Option<&str>,
    listed: impl Fn(&HeaderValue) -> bool,
) -> bool {
    let origin = headers.get(ORIGIN);
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        _ if origin.is_some_and(listed) => false,
        Some(b"same-origin" | b"none") => false,
        Some(_) => true,
        None => origin.is_some() && !own_origin(headers, public),
    }
}

/// Whether a page of another origin led a browser here by a link, and none that is let in. Somebody who types an address, or a program that
/// opens it, is led by nobody. Browsers that say nothing of the way (on plain connections to other machines) show the page by its
/// `Referer`, unless that page hides itself.
pub(crate) fn is_led_by_others(
    headers: &HeaderMap,
    public: Option<&str>,
    listed: impl Fn(&HeaderValue) -> bool,
) -> bool {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if matches!(site, Some(b"same-origin" | b"none")) {
        return false;
    }
    let page = headers.get(REFERER);
    let origin = page.and_then(|page| page.to_str().ok()).and_then(origin_of);
    let is_listed =
        origin.and_then(|origin| HeaderValue::from_str(origin).ok()).is_some_and(|one| listed(&one));
    // Where the browser says itself that another led here, a `Referer` of ours is what a redirect on the way left standing.
    if site.is_some() {
        !is_listed
    } else {
        page.is_some() && !is_listed && !origin.is_some_and(|one| is_ours(one, headers, public))
    }
}

/// Whether a browser shows what it asks for as a page of its own.
pub(crate) fn is_shown_as_a_page(headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

/// Scheme and authority of an address.
fn origin_of(address: &str) -> Option<&str> {
    let begin = address.find("://")? + 3;
    let end = address[begin..].find(['/', '?', '#']).map_or(address.len(), |end| begin + end);
    Some(&address[..end])
}

/// What a request came with.
pub(crate) struct Brought<'r> {
    pub(crate) method: &'r Method,
    pub(crate) headers: &'r HeaderMap,
    /// Whether a token or key let the caller in, which no browser sends by itself.
    pub(crate) explicit: bool,
}

/// Refuses what a browser must not do for a page that is not ours: with the cookie, by the strict rules above; where nobody
/// shows a credential at all, because the mount is open or a proxy vouches, if it says itself that the page is another's. Requests
/// that change nothing pass.
///
/// # Errors
/// `cross_site`; `unsupported_media_type` for a body that is not JSON.
pub(crate) fn check(
    call: &Call,
    brought: &Brought<'_>,
    public: Option<&str>,
    listed: impl Fn(&HeaderValue) -> bool,
) -> Result<()> {
    if passes(brought) { Ok(()) } else { check_change(call, brought, public, listed) }
}

/// Whether [`check`] lets a request pass whoever sends it: with what no browser sends by itself, or because its method changes nothing.
pub(crate) fn passes(brought: &Brought<'_>) -> bool {
    brought.explicit || (brought.method.is_safe() && !brought.headers.contains_key(UPGRADE))
}

/// As [`check`], for what is known to change something whatever its method. Browsers name no `Origin` where they look, and add no header
/// of a page's where they show what a link leads to: there it has to do that they say themselves that the whole way was within our origin.
///
/// # Errors
/// As there.
pub(crate) fn check_change(
    call: &Call,
    brought: &Brought<'_>,
    public: Option<&str>,
    listed: impl Fn(&HeaderValue) -> bool,
) -> Result<()> {
    let Brought { method, headers, explicit } = *brought;
    if explicit {
        return Ok(());
    }
    let upgrade = headers.contains_key(UPGRADE);
    if !call.auth.ambient {
        let own_origin = !foreign(headers, public, listed);
        let provenance = Provenance { own_origin, says_origin: true, csrf_token: None, needs_token: false };
        return call.made_by_own_page(provenance);
    }
    let csrf_token = headers.get(X_CSRF_TOKEN).and_then(|value| value.to_str().ok());
    // A page cannot add headers to the request that opens a WebSocket; its origin has to do. Nor can a link.
    let looks = method.is_safe() && !upgrade;
    let needs_token = !(upgrade || (looks && is_shown_as_a_page(headers)));
    let own_origin = own_origin(headers, public) || (looks && is_of_same_origin(headers));
    call.made_by_own_page(Provenance {
        own_origin,
        says_origin: says_origin(headers),
        csrf_token,
        needs_token,
    })?;
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if (has_body || headers.contains_key(CONTENT_TYPE)) && media(headers)? != Media::Json {
        return Err(Error::new(codes::UNSUPPORTED_MEDIA));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                value.parse().expect("a value"),
            );
        }
        map
    }

    #[test]
    fn who_led_a_browser_here_is_told_by_what_browsers_say() {
        let listed = |origin: &HeaderValue| origin == "https://app.example";
        let page = |referer: &'static str| ("referer", referer);
        for (name, said, expected) in [
            ("typed, or opened by a program", &[("sec-fetch-site", "none")][..], false),
            ("a page of ours", &[("sec-fetch-site", "same-origin")], false),
            ("another site", &[("sec-fetch-site", "cross-site")], true),
            ("a sibling", &[("sec-fetch-site", "same-site"), page("https://x.auth.example/")], true),
            (
                "ours, but for a redirect of another's on the way",
                &[("sec-fetch-site", "cross-site"), page("https://auth.example/x")],
                true,
            ),
            (
                "ours, but for a redirect of a sibling's",
                &[("sec-fetch-site", "same-site"), page("https://auth.example/x")],
                true,
            ),
            (
                "one that is listed",
                &[("sec-fetch-site", "cross-site"), page("https://app.example/a?b")],
                false,
            ),
            (
                "one that looks like it",
                &[("sec-fetch-site", "cross-site"), page("https://app.example.evil/")],
                true,
            ),
            ("by the page alone", &[page("https://evil.example")], true),
            ("ours by the page alone", &[page("https://auth.example/x")], false),
            ("no address", &[page("evil")], true),
            ("nothing is said", &[], false),
        ] {
            let led = is_led_by_others(&headers(said), Some("https://auth.example"), listed);
            assert_eq!(led, expected, "{name}");
        }
    }

    #[test]
    fn a_page_is_ours_by_the_configured_origin_or_by_the_host_it_asked() {
        let public = Some("https://auth.example");
        let cases = [
            (
                "the configured one",
                public,
                &[("origin", "https://auth.example"), ("host", "inside:1")][..],
                true,
            ),
            ("another one", public, &[("origin", "https://evil.example"), ("host", "evil.example")], false),
            ("another scheme", public, &[("origin", "http://auth.example")], false),
            ("the host", None, &[("origin", "http://127.0.0.1:8420"), ("host", "127.0.0.1:8420")], true),
            ("another port", None, &[("origin", "http://127.0.0.1:1"), ("host", "127.0.0.1:8420")], false),
            ("none", None, &[("host", "127.0.0.1:8420")], false),
            ("null", None, &[("origin", "null"), ("host", "null")], false),
            ("two", None, &[("origin", "http://a"), ("origin", "http://a"), ("host", "a")], false),
            ("no host", None, &[("origin", "http://a")], false),
            (
                "a sibling",
                None,
                &[("origin", "http://a"), ("host", "a"), ("sec-fetch-site", "same-site")],
                false,
            ),
            (
                "a stranger",
                None,
                &[("origin", "http://a"), ("host", "a"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "said twice",
                None,
                &[("origin", "http://a"), ("host", "a"), ("sec-fetch-site", "same-origin")],
                true,
            ),
        ];
        for (name, public, pairs, expected) in cases {
            assert_eq!(own_origin(&headers(pairs), public), expected, "{name}");
        }
    }

    #[test]
    fn a_page_is_foreign_when_its_browser_says_so_and_it_is_not_listed() {
        let listed = |origin: &HeaderValue| origin == "https://app.example";
        let host = ("host", "auth.example");
        for (name, pairs, expected) in [
            ("a program", &[host][..], false),
            ("a page of ours", &[host, ("origin", "https://auth.example")], false),
            (
                "a page of ours behind a proxy",
                &[host, ("origin", "https://x"), ("sec-fetch-site", "same-origin")],
                false,
            ),
            (
                "a listed one",
                &[host, ("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            ("another's", &[host, ("origin", "https://evil.example")], true),
            (
                "another's, said twice",
                &[host, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
                true,
            ),
            ("a sibling's", &[host, ("origin", "https://b.example"), ("sec-fetch-site", "same-site")], true),
            ("an opaque one", &[host, ("origin", "null")], true),
        ] {
            assert_eq!(foreign(&headers(pairs), None, listed), expected, "{name}");
        }
    }

    #[test]
    fn our_cookie_counts_when_it_is_there_once() {
        let ours = "__Host-doorward-session=ses_1.mac";
        let cases = [
            (&[("cookie", ours)][..], Some("ses_1.mac")),
            (&[("cookie", "a=b; __Host-doorward-session=ses_1.mac; c=d")], Some("ses_1.mac")),
            (&[("cookie", "a=b"), ("cookie", ours)], Some("ses_1.mac")),
            (&[("cookie", ours), ("cookie", ours)], None),
            (&[("cookie", "__Host-doorward-session=x; __Host-doorward-session=y")], None),
            (&[("cookie", "doorward-session=x")], None),
            (&[], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(session_cookie(&headers(pairs)), expected, "{pairs:?}");
        }
    }
}
