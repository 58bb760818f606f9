//! Where a mount's callers may show who they are, in an order that the operator gives: the first place that holds something decides,
//! in whatever order it came over the wire. What stands in a place twice has two readings and is refused, wherever its place is in
//! the order.
//!
//! ```text
//! ["header:cf-authorization", "authorization", "cookie:access_token", "query:token"]
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use doorward_core::authn::{Offered, Place};
use doorward_core::error::{Error, Result, codes};
use doorward_protocols::http_auth::{decode_basic, parse_cookies};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::extract::single;

/// Longest name of a header, a cookie or a member of a query.
const MAX_NAME_BYTES: usize = 64;
/// Headers that say something else; names of such families are no places either.
const TAKEN: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
const TAKEN_FAMILIES: &[&str] =
    &["accept-", "access-control-", "content-", "proxy-", "sec-", "x-doorward-", "x-forwarded-"];
/// Our own cookies, which are read by methods of their own.
const OUR_COOKIES: &str = "__Host-doorward-";

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization`: `Bearer …`, `ApiKey …`, a token by itself, or Basic with the token as the password.
    Authorization,
    /// A header that holds the token, perhaps behind the word Bearer.
    Header(HeaderName),
    /// A cookie.
    Cookie(Cow<'static, str>),
    /// A member of the query.
    Query(Cow<'static, str>),
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenSourceError {
    /// Another form.
    #[error("{0:?} names no place")]
    Form(String),
    /// A header that says something else.
    #[error("the header {0} says something else than who is asking")]
    Taken(String),
    /// One of our own cookies.
    #[error("the cookie {0} is Doorward's own")]
    OurCookie(String),
}

impl FromStr for TokenSource {
    type Err = TokenSourceError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let form = || TokenSourceError::Form(text.to_owned());
        if text.eq_ignore_ascii_case("authorization") {
            return Ok(Self::Authorization);
        }
        let (kind, name) = text.split_once(':').ok_or_else(form)?;
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(form());
        }
        match kind {
            "header" => {
                let name = name.to_ascii_lowercase();
                let taken =
                    TAKEN.contains(&&*name) || TAKEN_FAMILIES.iter().any(|family| name.starts_with(family));
                // These two are read in a way of their own.
                if taken || name == COOKIE.as_str() || name == AUTHORIZATION.as_str() {
                    return Err(TokenSourceError::Taken(name));
                }
                HeaderName::from_bytes(name.as_bytes()).map(Self::Header).map_err(|_| form())
            }
            "cookie" if name.starts_with(OUR_COOKIES) => Err(TokenSourceError::OurCookie(name.to_owned())),
            // RFC 6265 §4.1.1: a cookie's name is a token; so is a header's.
            "cookie" if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(Self::Cookie(name.to_owned().into()))
            }
            "query" if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) => {
                Ok(Self::Query(name.to_owned().into()))
            }
            _ => Err(form()),
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization => f.write_str("authorization"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

/// What was found. Not shown by `Debug`, because it has none.
pub(crate) struct Shown<'h> {
    place: Place,
    text: Cow<'h, str>,
    /// Whether a browser sends it by itself, whoever made the page.
    pub(crate) by_browser: bool,
}

impl<'h> Shown<'h> {
    pub(crate) fn as_offered(&self) -> Offered<'_> {
        Offered { place: self.place, text: &self.text }
    }

    /// The same, by itself.
    pub(crate) fn into_owned(self) -> Shown<'static> {
        Shown { place: self.place, text: self.text.into_owned().into(), by_browser: self.by_browser }
    }

    fn token(text: impl Into<Cow<'h, str>>) -> Self {
        Self { place: Place::Bearer, text: text.into(), by_browser: false }
    }
}

impl<'h> From<Offered<'h>> for Shown<'h> {
    fn from(offered: Offered<'h>) -> Self {
        Self { place: offered.place, text: offered.text.into(), by_browser: false }
    }
}

/// A mount's places, in their order.
pub(crate) struct Sources {
    list: Cow<'static, [TokenSource]>,
    /// Whether the operator listed them: then they are looked at where a WebSocket is opened too, whose clients say in a message of
    /// their own who they are.
    pub(crate) listed: bool,
}

impl Sources {
    /// The operator's, or else the surface's own.
    pub(crate) fn new(listed: Vec<TokenSource>, usual: &'static [TokenSource]) -> Self {
        let by_operator = !listed.is_empty();
        Self { list: if by_operator { listed.into() } else { usual.into() }, listed: by_operator }
    }

    /// Whether there is an order at all; without one, the credential's own form says what it is.
    pub(crate) fn are_ordered(&self) -> bool {
        !self.list.is_empty()
    }

    /// What stands in the first place that holds something. Without `cookies` they are no places.
    ///
    /// # Errors
    /// `bad_header` for a header or cookie that stands twice or is no ASCII; `bad_request` for a member of a query that does.
    pub(crate) fn find<'h>(
        &self,
        headers: &'h HeaderMap,
        query: Option<&'h str>,
        cookies: bool,
    ) -> Result<Option<Shown<'h>>> {
        let mut found = None;
        for source in self.list.iter() {
            let here = match source {
                TokenSource::Authorization => single(headers, &AUTHORIZATION)?.map(authorization),
                TokenSource::Header(name) => single(headers, name)?.map(|value| Shown::token(bare(value))),
                TokenSource::Cookie(name) if cookies => cookie(headers, name)?
                    .filter(|value| !value.is_empty())
                    .map(|value| Shown { by_browser: true, ..Shown::token(value) }),
                TokenSource::Cookie(_) => None,
                TokenSource::Query(name) => member(query, name)?.map(Shown::token),
            };
            found = found.or(here);
        }
        Ok(found)
    }

    /// The headers among them, but for `Authorization`.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|source| match source {
            TokenSource::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The query as everybody else is to see it: what says who is asking is nobody's argument, and goes no further.
    pub(crate) fn without_tokens(&self, query: Option<&str>) -> Option<String> {
        let query = query?;
        let names: Vec<&str> = self
            .list
            .iter()
            .filter_map(|source| match source {
                TokenSource::Query(name) => Some(&**name),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return Some(query.to_owned());
        }
        let others =
            query.split('&').filter(|pair| !names.iter().any(|name| decoded(split(pair).0) == *name));
        let others = others.collect::<Vec<_>>().join("&");
        (!others.is_empty()).then_some(others)
    }
}

/// What an `Authorization` header says where every form of it is taken. What cannot be read is refused by the chain like a
/// credential that nobody recognises.
fn authorization(value: &str) -> Shown<'_> {
    let other = || Shown { place: Place::OtherScheme, text: value.into(), by_browser: false };
    let trimmed = value.trim_matches(' ');
    let Some((scheme, rest)) = trimmed.split_once(' ') else {
        let scheme_alone =
            ["bearer", "basic", "apikey", ""].iter().any(|word| trimmed.eq_ignore_ascii_case(word));
        return if scheme_alone { other() } else { Shown::token(trimmed) };
    };
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Shown::token(rest);
    }
    if scheme.eq_ignore_ascii_case("apikey") {
        return Shown { place: Place::ApiKeyScheme, ..Shown::token(rest) };
    }
    if scheme.eq_ignore_ascii_case("basic")
        && let Ok(basic) = decode_basic(rest)
        && let Ok(password) = std::str::from_utf8(basic.password.expose())
        && !password.is_empty()
    {
        return Shown::token(password.to_owned());
    }
    other()
}

/// A token without the word before it.
fn bare(value: &str) -> &str {
    let trimmed = value.trim_matches(' ');
    match trimmed.split_once(' ') {
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest.trim_start_matches(' '),
        _ => trimmed,
    }
}

/// A cookie that was sent once. Where a header cannot be read there is none, for it may hold another.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    let twice = || Error::new(codes::BAD_HEADER).message(format!("The cookie {name} stands twice."));
    let mut found = None;
    for value in headers.get_all(COOKIE) {
        let Ok(cookies) = parse_cookies(value.as_bytes()) else { return Ok(None) };
        if let Some(text) = cookies.get(name).map_err(|_| twice())?
            && found.replace(text).is_some()
        {
            return Err(twice());
        }
    }
    Ok(found)
}

fn split(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// A name or value of a query (WHATWG URL §5.1).
fn decoded(text: &str) -> Cow<'_, str> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}

fn member<'h>(query: Option<&'h str>, name: &str) -> Result<Option<Cow<'h, str>>> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&') {
        let (key, value) = split(pair);
        if decoded(key) == name && found.replace(decoded(value)).is_some() {
            return Err(Error::new(codes::BAD_REQUEST).message(format!("The query names {name} twice.")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
