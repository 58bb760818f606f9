//! From a request to what the engine asks for. Nothing is verified here; what has two readings is refused.

use doorward_core::authn::{Headers, Offered, Place};
use doorward_core::error::{Error, Result, codes};
use doorward_protocols::http_auth::{HttpAuthError, Scheme, parse_authorization, unread_bearer};
use doorward_protocols::json::{self, JsonError, Limits};
use http::header::AsHeaderName;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sources::{Shown, Sources};
use crate::surfaces::Surface;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static X_SUPABASE_API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");

/// Most bytes of a user agent that are kept.
const MAX_USER_AGENT_BYTES: usize = 256;

/// What stands once, or twice.
#[derive(Clone, Copy, Default)]
struct Stands<'h> {
    first: Option<&'h HeaderValue>,
    again: bool,
}

impl<'h> Stands<'h> {
    fn here(&mut self, value: &'h HeaderValue) {
        self.again = self.first.is_some();
        self.first = self.first.or(Some(value));
    }

    /// # Errors
    /// `bad_header` where it stands twice.
    fn once(self, name: &HeaderName) -> Result<Option<&'h HeaderValue>> {
        if self.again { Err(twice(name.as_str())) } else { Ok(self.first) }
    }
}

/// The headers that nearly every request is asked for, found in one pass: as long as there are fewer than thirty, that is cheaper than to
/// look each of them up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heads<'h> {
    authorization: Stands<'h>,
    api_key: Stands<'h>,
    user_agent: Option<&'h HeaderValue>,
}

impl<'h> Heads<'h> {
    pub(crate) fn of(headers: &'h HeaderMap) -> Self {
        let mut heads = Self::default();
        for (name, value) in headers {
            if *name == AUTHORIZATION {
                heads.authorization.here(value);
            } else if *name == X_API_KEY {
                heads.api_key.here(value);
            } else if *name == USER_AGENT {
                heads.user_agent = heads.user_agent.or(Some(value));
            }
        }
        heads
    }

    /// What is offered where it is plain to see, unread: one Bearer token or one key, as nearly every client sends it, or nothing at all. Absent
    /// for everything else, which is to be read as a whole.
    pub(crate) fn plainly(
        &self,
        headers: &HeaderMap,
        surface: &Surface,
    ) -> Option<Option<(Place, &'h [u8])>> {
        let is_plain = !self.authorization.again
            && !self.api_key.again
            && !surface.key_headers.iter().any(|name| headers.contains_key(*name));
        match (self.authorization.first, self.api_key.first) {
            (None, None) if is_plain => Some(None),
            (Some(value), None) if is_plain => {
                unread_bearer(value.as_bytes()).map(|token| Some((Place::Bearer, token)))
            }
            (None, Some(key)) if is_plain => Some(Some((Place::ApiKeyHeader, key.as_bytes()))),
            _ => None,
        }
    }

    /// What the client calls itself, shortened.
    pub(crate) fn user_agent(&self) -> Option<String> {
        user_agent(self.user_agent?)
    }
}

/// What a client calls itself, shortened.
pub(crate) fn user_agent(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    Some(text[..text.len().min(MAX_USER_AGENT_BYTES)].to_owned())
}

/// What a request shows of who it is from: by the mount's places, or where it has none in particular, the one credential there is.
///
/// # Errors
/// As [`offered`] and [`Sources::find`].
pub(crate) fn shown<'h>(
    (heads, headers, query): (&Heads<'h>, &'h HeaderMap, Option<&'h str>),
    (surface, sources, cookies): (&Surface, &Sources, bool),
    protocol_token: Option<&'h str>,
) -> Result<Option<Shown<'h>>> {
    if !sources.are_ordered() {
        return Ok(offered((heads, headers), surface, protocol_token)?.map(Shown::from));
    }
    let found = sources.find(headers, query, cookies)?;
    match (protocol_token, &found) {
        (Some(text), Some(first)) if first.as_offered().text != text => Err(two_credentials()),
        (Some(text), None) => Ok(Some(Offered { place: Place::Bearer, text }.into())),
        _ => Ok(found),
    }
}

/// The one credential a request offers, if any.
///
/// # Errors
/// `bad_header` when a credential header is repeated or not ASCII text, or when two say different things.
///
/// `protocol_token` is what a WebSocket's handshake brought as a subprotocol.
fn offered<'h>(
    (heads, headers): (&Heads<'h>, &'h HeaderMap),
    surface: &Surface,
    protocol_token: Option<&'h str>,
) -> Result<Option<Offered<'h>>> {
    let key_headers = surface.key_headers;
    let mut found = heads.authorization.once(&AUTHORIZATION)?.map(from_authorization).transpose()?;
    if found.is_some() && surface.spare_keys {
        return Ok(found);
    }
    match (protocol_token, &found) {
        (Some(text), Some(first)) if first.text != text => return Err(two_credentials()),
        (Some(text), None) => found = Some(Offered { place: Place::Bearer, text }),
        _ => {}
    }
    let usual = heads.api_key.once(&X_API_KEY)?.map(|value| text(value, X_API_KEY.as_str())).transpose()?;
    found = beside(found, usual)?;
    for name in key_headers {
        found = beside(found, single(headers, *name)?)?;
    }
    Ok(found)
}

/// What is offered, where a header for keys says this: the same once more, or the first.
fn beside<'h>(found: Option<Offered<'h>>, key: Option<&'h str>) -> Result<Option<Offered<'h>>> {
    match (found, key) {
        (Some(first), Some(text)) if first.text != text => Err(two_credentials()),
        (None, Some(text)) => Ok(Some(Offered { place: Place::ApiKeyHeader, text })),
        (found, _) => Ok(found),
    }
}

fn two_credentials() -> Error {
    Error::new(codes::BAD_HEADER).message("Two different credentials are offered. Send one.")
}

fn from_authorization(value: &HeaderValue) -> Result<Offered<'_>> {
    match parse_authorization(value.as_bytes()) {
        Ok(parsed) => {
            let place = match parsed.scheme {
                Scheme::Bearer => Place::Bearer,
                Scheme::ApiKey => Place::ApiKeyScheme,
                Scheme::Basic | Scheme::Other(_) => Place::OtherScheme,
            };
            Ok(Offered { place, text: parsed.credential })
        }
        Err(HttpAuthError::TooLarge | HttpAuthError::NotText) => Err(not_text(AUTHORIZATION.as_str())),
        // An explicit credential that cannot be read is refused by the chain like one nobody recognises.
        Err(_) => Ok(Offered { place: Place::OtherScheme, text: text(value, AUTHORIZATION.as_str())? }),
    }
}

/// What a header of that name says, if it is there once. A name that is known beforehand is best a static: it need not be read again.
pub(crate) fn single(
    headers: &HeaderMap,
    name: impl AsHeaderName + AsRef<str> + Copy,
) -> Result<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(twice(name.as_ref()));
    }
    text(first, name.as_ref()).map(Some)
}

fn twice(name: &str) -> Error {
    Error::new(codes::BAD_HEADER).message(format!("The header {name} stands twice."))
}

fn text<'h>(value: &'h HeaderValue, name: &str) -> Result<&'h str> {
    value.to_str().map_err(|_| not_text(name))
}

fn not_text(name: &str) -> Error {
    Error::new(codes::BAD_HEADER).message(format!("The header {name} is not ASCII text."))
}

/// The headers of a request as authentication methods may ask for them.
pub(crate) struct Seen<'r>(pub(crate) &'r HeaderMap);

impl Headers for Seen<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    fn each(&self, each: &mut dyn FnMut(&str, &str)) {
        for (name, value) in self.0 {
            if let Ok(text) = value.to_str() {
                each(name.as_str(), text);
            }
        }
    }
}

/// The version of the API that the client wants, where it says so.
pub(crate) fn api_version(headers: &HeaderMap) -> Option<&str> {
    headers.get(&X_SUPABASE_API_VERSION)?.to_str().ok()
}

/// The media type of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// None is named.
    Unnamed,
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// Reads `Content-Type`.
///
/// # Errors
/// `unsupported_media_type` for anything but JSON and forms in UTF-8; `bad_header` when it stands twice.
pub(crate) fn media(headers: &HeaderMap) -> Result<Media> {
    let Some(value) = single(headers, &CONTENT_TYPE)? else { return Ok(Media::Unnamed) };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let is_utf8 = parameters.split(';').map(str::trim).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, "utf-8"));
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" if is_utf8 => Ok(Media::Json),
        "application/x-www-form-urlencoded" if is_utf8 => Ok(Media::Form),
        _ => Err(Error::new(codes::UNSUPPORTED_MEDIA)),
    }
}

/// Reads a JSON object. An empty body is `{}`: clients that always send the content type mean nothing by it.
///
/// # Errors
/// `bad_json` naming the member or position, `too_large`.
pub(crate) fn json_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // A list would pass for an object whose members all have defaults.
    if !matches!(bytes.trim_ascii_start().first(), None | Some(b'{')) {
        return Err(Error::new(codes::BAD_JSON).message("The body is not a JSON object."));
    }
    json::parse_as(bytes, Limits::STRANGER).map_err(unreadable)
}

/// Reads a JSON list.
///
/// # Errors
/// As [`json_body`].
pub(crate) fn json_list(bytes: &[u8]) -> Result<Vec<Value>> {
    match json::parse(bytes, Limits::STRANGER) {
        Ok(Value::Array(items)) => Ok(items),
        Ok(_) => Err(Error::new(codes::BAD_JSON).message("The body is not a JSON list.")),
        Err(error) => Err(unreadable(error)),
    }
}

fn unreadable(error: JsonError) -> Error {
    match error {
        JsonError::TooLarge { .. } => Error::new(codes::TOO_LARGE).message(capital(&error.to_string())),
        _ => Error::new(codes::BAD_JSON).message(capital(&error.to_string())),
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

#[cfg(test)]
mod tests;
