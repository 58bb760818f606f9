//! Which pages of other origins may read answers (Fetch §3.2). They never read what a cookie opens: credentials are
//! not allowed, and every origin is named: there is no wildcard.

use std::collections::HashSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HOST,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use parking_lot::Mutex;

use super::respond::header_value;

/// Most refused origins that are told apart in the log; a stranger chooses their names.
const MAX_TOLD: usize = 64;

/// The origins a mount lets in.
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
    request_headers: HeaderValue,
    exposed: HeaderValue,
    told: Mutex<HashSet<HeaderValue>>,
}

/// What a request says of the page it comes from.
pub(crate) struct Asked {
    origin: Option<HeaderValue>,
    /// It is a page of the host itself, which reads answers whatever we say.
    is_own: bool,
    preflight: bool,
}

impl Asked {
    pub(crate) fn of(headers: &HeaderMap, is_options: bool) -> Self {
        let origin = headers.get(ORIGIN);
        let page = origin.and_then(|origin| origin.to_str().ok()?.split_once("://"));
        let host = page.and_then(|_| headers.get(HOST));
        Self {
            is_own: page.zip(host).is_some_and(|((_, page), host)| page == host),
            origin: origin.cloned(),
            preflight: is_options && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
        }
    }
}

impl Cors {
    /// `key_headers` are those of the surface, beside the ones every surface takes; so are whatever else its clients send.
    /// `exposed` are headers of the surface's answers that pages may read.
    pub(crate) fn new(origins: &[String], key_headers: &[&str], exposed: &[&str]) -> Self {
        let names = ["authorization", "content-type", "x-api-key"];
        let readable = ["retry-after", "www-authenticate", "x-request-id"];
        Self {
            origins: origins.iter().map(|origin| header_value(origin)).collect(),
            request_headers: header_value(&[&names, key_headers].concat().join(", ")),
            exposed: header_value(&[&readable, exposed].concat().join(", ")),
            told: Mutex::default(),
        }
    }

    /// The origins that the operator lets in.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        self.origins.iter().filter_map(|origin| origin.to_str().ok())
    }

    /// Whether the operator lets pages of this origin in.
    pub(crate) fn lists(&self, origin: &HeaderValue) -> bool {
        self.origins.contains(origin)
    }

    /// Says on an answer whether the page that asked may read it.
    pub(crate) fn stamp(&self, asked: &Asked, mount: &str, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = &asked.origin else { return };
        if !self.origins.contains(origin) {
            if !asked.is_own {
                self.tell(origin, mount);
            }
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone());
        if asked.preflight
            && let Some(methods) = headers.get(ALLOW).cloned()
        {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.request_headers.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }

    fn tell(&self, origin: &HeaderValue, mount: &str) {
        let mut told = self.told.lock();
        if told.len() < MAX_TOLD && told.insert(origin.clone()) {
            tracing::warn!(
                mount,
                ?origin,
                "a page of this origin may not read answers; add it to cors_origins of the mount if it should"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(origins: &[&str], origin: Option<&'static str>, preflight: bool) -> HeaderMap {
        let origins: Vec<String> = origins.iter().map(|&text| text.to_owned()).collect();
        let mut headers = HeaderMap::from_iter([(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))]);
        let asked = Asked { origin: origin.map(HeaderValue::from_static), is_own: false, preflight };
        Cors::new(&origins, &["x-key"], &["x-total"]).stamp(&asked, "m", &mut headers);
        headers
    }

    #[test]
    fn a_page_of_the_host_itself_is_no_stranger() {
        let own = |origin: &'static str| {
            let headers = HeaderMap::from_iter([
                (ORIGIN, HeaderValue::from_static(origin)),
                (HOST, HeaderValue::from_static("127.0.0.1:9527")),
            ]);
            Asked::of(&headers, false).is_own
        };
        assert!(own("http://127.0.0.1:9527"));
        for other in ["http://127.0.0.1", "http://127.0.0.1:95270", "null", "http://evil.example"] {
            assert!(!own(other), "{other}");
        }
    }

    #[test]
    fn only_a_listed_origin_is_let_in_and_caches_know_it() {
        let ours = "https://app.example";
        for (name, origins, origin, let_in) in [
            ("listed", &[ours][..], Some(ours), true),
            ("foreign", &[ours], Some("https://evil.example"), false),
            ("prefix", &[ours], Some("https://app.example.evil"), false),
            ("null", &[ours], Some("null"), false),
            ("no page", &[ours], None, false),
            ("nothing configured", &[], Some(ours), false),
        ] {
            let headers = stamped(origins, origin, true);
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), let_in, "{name}");
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS), let_in, "{name}");
            assert_eq!(headers.contains_key(VARY), !origins.is_empty(), "{name}");
        }
        assert!(!stamped(&[ours], Some(ours), false).contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
