//! Strict JSON for anything a stranger sends (RFC 8259, with the freedoms of its §4, §6, §8 and §9 closed).
//!
//! UTF-8 only and no byte order mark, member names unique at every level, depth and size bounded, nothing
//! after the value, no lone surrogates, no number beyond a double. A single scanner (`scan`) enforces all of
//! it before any typed value is built, so that the value a policy saw is the value a handler gets.

mod member;
mod scan;

pub(crate) use member::{Kind, Member, const_tag, tag};
pub(crate) use scan::{plain_length, scan_object};

use serde::de::DeserializeOwned;

/// How large and how deep a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in the whole document.
    pub max_bytes: usize,
    /// Most nested arrays and objects; values above [`Limits::DEEPEST`] count as that.
    pub max_depth: usize,
}

impl Limits {
    /// A request body: 1 MiB, 32 levels.
    pub const STRANGER: Self = Self { max_bytes: 1 << 20, max_depth: 32 };
    /// A token's header or claims: 8 KiB, 16 levels.
    pub const TOKEN: Self = Self { max_bytes: 8 << 10, max_depth: 16 };
    /// No limit may go deeper: typed parsing recurses on the stack.
    pub const DEEPEST: usize = 120;
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More bytes than the limit.
    #[error("the document is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit that was passed.
        max_bytes: usize,
    },
    /// More levels than the limit.
    #[error("the document is nested deeper than {max_depth} levels")]
    TooDeep {
        /// The limit that was passed.
        max_depth: usize,
    },
    /// An object names the same member twice (shown shortened).
    #[error("the member {0:?} appears twice in one object")]
    DuplicateMember(String),
    /// Not JSON.
    #[error("{what} at byte {offset}")]
    Syntax {
        /// Where, counted from 0.
        offset: usize,
        /// What was wrong, as a fixed phrase without any of the input.
        what: &'static str,
    },
    /// JSON, but not of the expected shape. The message names fields and types, never values.
    #[error("{message}")]
    Shape {
        /// What was expected.
        message: String,
    },
}

impl JsonError {
    /// Stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "json_too_large",
            Self::TooDeep { .. } => "json_too_deep",
            Self::DuplicateMember(_) => "json_duplicate_member",
            Self::Syntax { .. } => "json_syntax",
            Self::Shape { .. } => "json_shape",
        }
    }
}

/// Checks that `bytes` are one acceptable document, without building anything.
///
/// # Errors
/// Any [`JsonError`] but `Shape`.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), JsonError> {
    scan::scan(bytes, limits)
}

/// Parses a document into a tree.
///
/// # Errors
/// Any [`JsonError`] but `Shape`.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<serde_json::Value, JsonError> {
    parse_as(bytes, limits)
}

/// Checks a document as [`parse`] does, then reads it as `T`.
///
/// # Errors
/// Any [`JsonError`]; `Shape` when it is not a `T`.
pub fn parse_as<T: DeserializeOwned>(bytes: &[u8], limits: Limits) -> Result<T, JsonError> {
    scan::scan(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape { message: without_values(&error) })
}

/// Serde quotes the offending value ("invalid type: string \"hunter2\", expected u32"), and that value may be
/// a password: only what was expected is kept. Field names stay, shortened.
fn without_values(error: &serde_json::Error) -> String {
    const LONGEST: usize = 200;
    let full = error.to_string();
    let quotes_a_value =
        ["invalid type: ", "invalid value: ", "invalid length "].iter().any(|p| full.contains(p));
    let kept = match (quotes_a_value, full.rfind(", expected ")) {
        (false, _) => full.as_str(),
        (true, Some(at)) => &full[at + 2..],
        (true, None) => "a value has the wrong type",
    };
    kept.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
