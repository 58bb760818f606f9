//! Reading the `Cookie` header (RFC 6265 §4.2, §5.4).

use super::{HttpAuthError, is_token_byte, visible_text};

/// Most pairs that are kept; browsers send about 180 at most for one site.
const MAX_PAIRS: usize = 200;

/// The cookies of one request. Values are not interpreted.
#[derive(Clone, Default)]
pub struct Cookies<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl std::fmt::Debug for Cookies<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// Parses a `Cookie` value. Pairs that are not well formed are left out, because another application on the
/// same host may have set them; they can never be looked up.
///
/// # Errors
/// [`HttpAuthError::TooLarge`] (16 KiB or 200 pairs) or [`HttpAuthError::NotText`].
pub fn parse_cookies(header: &[u8]) -> Result<Cookies<'_>, HttpAuthError> {
    let text = visible_text(header)?;
    let mut pairs = Vec::new();
    for pair in text.split(';') {
        let Some((name, value)) = pair.trim_matches(' ').split_once('=') else { continue };
        let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        if name.is_empty() || !name.bytes().all(is_token_byte) || !inner.bytes().all(is_cookie_octet) {
            continue;
        }
        if pairs.len() == MAX_PAIRS {
            return Err(HttpAuthError::TooLarge);
        }
        pairs.push((name, inner));
    }
    Ok(Cookies { pairs })
}

impl<'a> Cookies<'a> {
    /// The value of a cookie; names are case-sensitive.
    ///
    /// # Errors
    /// [`HttpAuthError::DuplicateCookie`] when the name occurs twice: a cookie planted from a sibling domain
    /// or a deeper path must not be able to stand in for ours.
    pub fn get(&self, name: &str) -> Result<Option<&'a str>, HttpAuthError> {
        let mut values = self.pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1);
        let first = values.next();
        if values.next().is_some() { Err(HttpAuthError::DuplicateCookie) } else { Ok(first) }
    }

    /// Every pair, in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.pairs.iter().copied()
    }
}

/// RFC 6265 §4.1.1 `cookie-octet`.
fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E)
}
