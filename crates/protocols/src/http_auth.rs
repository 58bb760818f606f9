//! HTTP authentication headers (RFC 9110 §11, RFC 6750, RFC 7617) and cookies (RFC 6265), as bytes in and
//! typed credentials out. What is not spelled as the standards spell it is refused, never guessed at.

mod challenge;
mod cookies;

pub use challenge::Challenge;
pub use cookies::{Cookies, parse_cookies};

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ascii::alphanumeric_or;
use crate::jose::SecretBytes;

/// Longest header value that is looked at.
pub const MAX_HEADER_BYTES: usize = 16 << 10;

/// An authentication scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 7617.
    Basic,
    /// `ApiKey`, as several platforms spell it.
    ApiKey,
    /// Any other name, in lower case.
    Other(String),
}

/// A parsed `Authorization` value. The credential is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The scheme, whose name is case-insensitive.
    pub scheme: Scheme,
    /// What follows it. For Bearer and Basic a `token68`; for ApiKey visible ASCII without spaces.
    pub credential: &'a str,
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Why a header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpAuthError {
    /// More than 16 KiB.
    #[error("the header is too large")]
    TooLarge,
    /// A byte outside visible ASCII and space.
    #[error("the header holds bytes outside ASCII text")]
    NotText,
    /// No scheme, or one that is not a token.
    #[error("the header names no authentication scheme")]
    NoScheme,
    /// A scheme without a credential.
    #[error("the header holds no credential")]
    NoCredential,
    /// A credential with characters the scheme does not allow.
    #[error("the credential is malformed")]
    BadCredential,
    /// Two cookies of one name: which one counts would depend on the reader.
    #[error("the cookie is present twice")]
    DuplicateCookie,
}

impl HttpAuthError {
    /// Stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "auth_header_too_large",
            Self::NotText => "auth_header_not_text",
            Self::NoScheme => "auth_header_no_scheme",
            Self::NoCredential => "auth_header_no_credential",
            Self::BadCredential => "auth_header_bad_credential",
            Self::DuplicateCookie => "auth_cookie_duplicate",
        }
    }
}

/// Parses an `Authorization` value: a scheme, one run of spaces, a credential.
///
/// # Errors
/// [`HttpAuthError`]. Credentials of unknown schemes may be any text, since their grammar is not known here.
pub fn parse_authorization(header: &[u8]) -> Result<Authorization<'_>, HttpAuthError> {
    // As nearly every client spells it, so that its hundreds of bytes are looked at once. What is a token68 is visible, and ends at no space.
    if header.len() <= MAX_HEADER_BYTES
        && let Some(credential) = header.strip_prefix(b"Bearer ")
        && is_token68(credential)
        && let Ok(credential) = std::str::from_utf8(credential)
    {
        return Ok(Authorization { scheme: Scheme::Bearer, credential });
    }
    let text = visible_text(header)?.trim_matches(' ');
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(HttpAuthError::NoScheme);
    }
    let scheme = match name {
        _ if name.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        _ if name.eq_ignore_ascii_case("basic") => Scheme::Basic,
        _ if name.eq_ignore_ascii_case("apikey") => Scheme::ApiKey,
        other => Scheme::Other(other.to_ascii_lowercase()),
    };
    let credential = rest.trim_start_matches(' ');
    if credential.is_empty() {
        return Err(HttpAuthError::NoCredential);
    }
    let good = match scheme {
        Scheme::Bearer | Scheme::Basic => is_token68(credential.as_bytes()),
        Scheme::ApiKey => !credential.contains(' '),
        Scheme::Other(_) => true,
    };
    if good { Ok(Authorization { scheme, credential }) } else { Err(HttpAuthError::BadCredential) }
}

/// The credential of a `Bearer` header as nearly every client spells it, with its grammar unread. It is for looking up what was read as a
/// whole before, byte for byte: what is found so had that grammar, and what is not is for [`parse_authorization`].
#[must_use]
pub fn unread_bearer(header: &[u8]) -> Option<&[u8]> {
    header.strip_prefix(b"Bearer ").filter(|_| header.len() <= MAX_HEADER_BYTES)
}

/// A user name and password. Neither is shown by `Debug`.
#[derive(Clone)]
pub struct Basic {
    /// Everything before the first colon.
    pub user: String,
    /// Everything after it, UTF-8.
    pub password: SecretBytes,
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basic(..)")
    }
}

/// Decodes the credential of the Basic scheme (RFC 7617 §2): padded canonical base64 of `user:password` in
/// UTF-8 without control characters.
///
/// # Errors
/// [`HttpAuthError::BadCredential`].
pub fn decode_basic(credential: &str) -> Result<Basic, HttpAuthError> {
    let bytes = STANDARD.decode(credential).map_err(|_| HttpAuthError::BadCredential)?;
    let pair = SecretBytes::new(bytes);
    let text = std::str::from_utf8(pair.expose()).map_err(|_| HttpAuthError::BadCredential)?;
    let (user, password) = text.split_once(':').ok_or(HttpAuthError::BadCredential)?;
    if text.chars().any(char::is_control) {
        return Err(HttpAuthError::BadCredential);
    }
    Ok(Basic { user: user.to_owned(), password: SecretBytes::new(password.as_bytes().to_vec()) })
}

/// Header bytes as text, if they are bounded visible ASCII and spaces.
fn visible_text(header: &[u8]) -> Result<&str, HttpAuthError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(HttpAuthError::TooLarge);
    }
    // Every byte is looked at whatever the others are, so that many are at once.
    if !header.iter().fold(true, |good, byte| good & (0x20..0x7F).contains(byte)) {
        return Err(HttpAuthError::NotText);
    }
    std::str::from_utf8(header).map_err(|_| HttpAuthError::NotText)
}

/// Whether it may stand in a token, such as a method or the name of a header (RFC 9110 §5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");

/// RFC 9110 §11.2: base64, base64url and base32 with padding at the end alone.
fn is_token68(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &bytes[..bytes.len() - padding];
    !body.is_empty() && body.iter().fold(true, |good, byte| good & is_token68_byte(*byte))
}

/// Whether it is a byte of token68 but for its padding. Comparisons alone, so that many bytes are looked at at once: each request with a
/// token has hundreds of them.
fn is_token68_byte(byte: u8) -> bool {
    // "-./" and the digits stand in a row.
    (b'-'..=b'9').contains(&byte)
        | (byte | 0x20).is_ascii_lowercase()
        | (byte == b'+')
        | (byte == b'_')
        | (byte == b'~')
}

#[cfg(test)]
mod tests;
