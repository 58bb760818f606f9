//! One spelling of a request path (RFC 3986 §3.3, §6.2.2), decided on before any route is looked up.
//!
//! A gateway that decides on one reading of a path while the server behind it acts on another can be walked
//! around. So a path is either canonical after one harmless step (escapes of unreserved characters decoded,
//! the other escapes in upper case) or refused; nothing is resolved, merged or guessed.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use crate::ascii::alphanumeric_or;

/// Longest path.
pub const MAX_PATH_BYTES: usize = 4 << 10;

/// A path in its one spelling: starts with `/`, has no empty segment but possibly the last (a trailing slash
/// is kept, and means another path than without), no dot segments, and only ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalPath(String);

/// Why a path was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More than 4 KiB.
    #[error("the path is longer than 4 KiB")]
    TooLong,
    /// Does not start with `/`.
    #[error("the path is not absolute")]
    NotAbsolute,
    /// A character that may not stand in a path: backslash, control, space, query, non-ASCII…
    #[error("the path holds a character that is not allowed")]
    BadCharacter,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a broken escape")]
    BadEscape,
    /// An escaped slash, backslash or control character, or escaped bytes that are not UTF-8.
    #[error("the path escapes a character that must not be escaped")]
    ForbiddenEscape,
    /// An escaped percent sign before two hexadecimal digits: a second decoding would read something else.
    #[error("the path is escaped twice")]
    DoubleEscape,
    /// `.` or `..` as a segment, escaped or not.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// Two slashes in a row.
    #[error("the path holds an empty segment")]
    EmptySegment,
}

impl PathError {
    /// Stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "path_too_long",
            Self::NotAbsolute => "path_not_absolute",
            Self::BadCharacter => "path_bad_character",
            Self::BadEscape => "path_bad_escape",
            Self::ForbiddenEscape => "path_forbidden_escape",
            Self::DoubleEscape => "path_double_escape",
            Self::DotSegment => "path_dot_segment",
            Self::EmptySegment => "path_empty_segment",
        }
    }
}

/// Brings a path to its one spelling, or refuses it. The query must have been cut off already.
///
/// # Errors
/// [`PathError`].
pub fn canonical(path: &[u8]) -> Result<CanonicalPath, PathError> {
    // 1. Size and start.
    if path.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong);
    }
    if path.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    // 2. What needs no change, which is nearly every path: one look at each byte.
    let plain = path.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(path.len());
    let (same, mut rest) = path.split_at(plain);
    let mut out = String::with_capacity(path.len());
    out.push_str(std::str::from_utf8(same).map_err(|_| PathError::BadCharacter)?);
    let is_escaped = !rest.is_empty();
    // 3. Character by character.
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(PathError::BadEscape) };
                let decoded = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low);
                rest = tail;
                push_escaped(decoded.ok_or(PathError::BadEscape)?, &mut out)?;
            }
            _ if PLAIN[usize::from(byte)] => out.push(byte as char),
            _ => return Err(PathError::BadCharacter),
        }
    }
    if is_escaped {
        whole_escapes(&out)?;
    }
    // 4. Segments, after decoding, so that `%2e` counts as a dot.
    let mut segments = out[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(PathError::DotSegment),
            "" if segments.peek().is_some() => return Err(PathError::EmptySegment),
            _ => {}
        }
    }
    Ok(CanonicalPath(out))
}

/// Judges the escapes that were kept, on the result: in `%25%32%66` each one alone is harmless.
fn whole_escapes(out: &str) -> Result<(), PathError> {
    let twice = out.match_indices("%25").any(|(at, _)| {
        matches!(out.as_bytes()[at + 3..], [high, low, ..] if hex(high).is_some() && hex(low).is_some())
    });
    if twice {
        return Err(PathError::DoubleEscape);
    }
    // Escaped bytes are UTF-8: an overlong form of a slash is no text at all.
    if percent_decode_str(out).decode_utf8().is_err() {
        return Err(PathError::ForbiddenEscape);
    }
    Ok(())
}

fn push_escaped(byte: u8, out: &mut String) -> Result<(), PathError> {
    match byte {
        b'/' | b'\\' | 0x00..=0x1F | 0x7F => Err(PathError::ForbiddenEscape),
        _ if is_unreserved(byte) => {
            out.push(byte as char);
            Ok(())
        }
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.extend(['%', DIGITS[usize::from(byte >> 4)] as char, DIGITS[usize::from(byte & 15)] as char]);
            Ok(())
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// A slash, or RFC 3986 `pchar` without escapes.
static PLAIN: [bool; 256] = alphanumeric_or(b"/-._~!$&'()*+,;=:@");

impl CanonicalPath {
    /// The path as it is matched and forwarded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments as they stand in the path, still escaped. `/` has none; a trailing slash adds an empty one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let inner = &self.0[1..];
        inner.split('/').take(if inner.is_empty() { 0 } else { usize::MAX })
    }

    /// The segments with their escapes decoded: what a handler behind us will see as an identifier.
    pub fn decoded_segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.segments().map(|segment| percent_decode_str(segment).decode_utf8_lossy())
    }

    /// Whether the path ends in a slash (`/` does).
    pub fn has_trailing_slash(&self) -> bool {
        self.0.ends_with('/')
    }
}

impl AsRef<str> for CanonicalPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
