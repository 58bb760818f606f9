//! The protected header of a compact token (RFC 7515 §4).

use std::borrow::Cow;

use super::alg::Algorithm;
use crate::json::{self, Limits};

/// Whose token this is, and so how much freedom its header and claims have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderPolicy {
    /// We made it: `alg`, `kid`, `typ` and `cty` alone, and times are integers.
    #[default]
    Own,
    /// Somebody else made it: further members are ignored (never used as a source of keys) unless `crit`
    /// names them, and times may carry a fraction.
    External,
}

/// A parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// The algorithm the sender claims; only ever compared with the key's.
    pub alg: Algorithm,
    /// Which key; only ever used as a map key.
    pub kid: Option<Cow<'a, str>>,
    /// The token's media type.
    pub typ: Option<Cow<'a, str>>,
    /// The payload's media type.
    pub cty: Option<Cow<'a, str>>,
}

/// Why a header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not one strict JSON object.
    #[error("not an acceptable JSON object")]
    NotAnObject,
    /// No `alg`.
    #[error("no algorithm")]
    NoAlgorithm,
    /// An algorithm this crate does not know, such as `none`.
    #[error("unknown algorithm")]
    UnknownAlgorithm,
    /// A member of the wrong type.
    #[error("a member has the wrong type")]
    WrongType,
    /// A member that credentials of ours never carry.
    #[error("a member that is not allowed")]
    UnexpectedMember,
    /// `crit` is present: it names something this path does not know (RFC 7515 §4.1.11).
    #[error("a critical extension that is not understood")]
    Critical,
}

impl HeaderError {
    /// Stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "token_header_malformed",
            Self::NoAlgorithm => "token_header_no_alg",
            Self::UnknownAlgorithm => "token_header_unknown_alg",
            Self::WrongType => "token_header_wrong_type",
            Self::UnexpectedMember => "token_header_unexpected_member",
            Self::Critical => "token_header_critical",
        }
    }
}

impl<'a> Header<'a> {
    /// Parses the decoded header of a credential.
    ///
    /// # Errors
    /// [`HeaderError`]; under [`HeaderPolicy::Own`] also for any member beyond the four.
    pub fn parse(bytes: &'a [u8], policy: HeaderPolicy) -> Result<Self, HeaderError> {
        let text = std::str::from_utf8(bytes).map_err(|_| HeaderError::NotAnObject)?;
        if let Some(header) = Self::plain(text) {
            return Ok(header);
        }
        let members = json::scan_object(text, Limits::TOKEN).map_err(|_| HeaderError::NotAnObject)?;
        let (mut alg, mut kid, mut typ, mut cty) = (None, None, None, None);
        for member in &members {
            let slot = match &*member.name(text) {
                "alg" => {
                    let name = member.string(text).ok_or(HeaderError::WrongType)?;
                    alg = Some(name.parse().map_err(|_| HeaderError::UnknownAlgorithm)?);
                    continue;
                }
                "kid" => &mut kid,
                "typ" => &mut typ,
                "cty" => &mut cty,
                // No extension is understood here, so whatever `crit` lists, or however malformed it is, the
                // answer is the same.
                "crit" => return Err(HeaderError::Critical),
                _ if policy == HeaderPolicy::External => continue,
                _ => return Err(HeaderError::UnexpectedMember),
            };
            *slot = Some(member.string(text).ok_or(HeaderError::WrongType)?);
        }
        Ok(Self { alg: alg.ok_or(HeaderError::NoAlgorithm)?, kid, typ, cty })
    }

    /// The header as nearly every signer writes it: `alg`, `kid`, `typ`, in any order, without escapes and
    /// space. `None` for everything else, which the strict scanner then judges; what is read here it reads alike.
    fn plain(text: &'a str) -> Option<Self> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        let mut rest = text.strip_prefix('{')?;
        loop {
            let (name, value, next) = plain_member(rest)?;
            let slot = match name {
                "alg" => &mut alg,
                "kid" => &mut kid,
                "typ" => &mut typ,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
            match next.as_bytes() {
                [b',', ..] => rest = &next[1..],
                b"}" => break,
                _ => return None,
            }
        }
        let alg = alg?.parse().ok()?;
        Some(Self { alg, kid: kid.map(Cow::Borrowed), typ: typ.map(Cow::Borrowed), cty: None })
    }

    /// Whether `typ` is one of `allowed` (RFC 7515 §4.1.9: case does not matter and `application/` may be left
    /// out). An empty entry allows the absence of `typ`; an empty list allows everything.
    pub fn has_type(&self, allowed: &[&str]) -> bool {
        let typ = without_application(self.typ.as_deref().unwrap_or(""));
        allowed.is_empty() || allowed.iter().any(|one| without_application(one).eq_ignore_ascii_case(typ))
    }
}

/// `"abc":"value"` at the start of a text, with a name of three bytes and a value without escapes; and the rest.
fn plain_member(text: &str) -> Option<(&str, &str, &str)> {
    let bytes = text.as_bytes();
    let (b'"', b"\":\"") = (*bytes.first()?, bytes.get(4..7)?) else { return None };
    let end = 7 + json::plain_length(&bytes[7..]);
    // Slicing by `get`: a name of other than single-byte letters may not split here.
    (bytes.get(end) == Some(&b'"')).then_some((text.get(1..4)?, text.get(7..end)?, text.get(end + 1..)?))
}

fn without_application(media_type: &str) -> &str {
    match media_type.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_headers_hold_four_members_and_no_more() {
        let header = br#"{"alg":"ES256","kid":"k\u0031","typ":"at+jwt","cty":"x"}"#;
        let parsed = Header::parse(header, HeaderPolicy::Own).unwrap();
        assert_eq!((parsed.alg, parsed.kid.as_deref()), (Algorithm::ES256, Some("k1")));
        for (name, text, own, external) in [
            ("extra member", r#"{"alg":"ES256","x":1}"#, Some(HeaderError::UnexpectedMember), None),
            ("jwk", r#"{"alg":"ES256","jwk":{}}"#, Some(HeaderError::UnexpectedMember), None),
            (
                "crit",
                r#"{"alg":"ES256","crit":["exp"]}"#,
                Some(HeaderError::Critical),
                Some(HeaderError::Critical),
            ),
            (
                "empty crit",
                r#"{"alg":"ES256","crit":[]}"#,
                Some(HeaderError::Critical),
                Some(HeaderError::Critical),
            ),
            (
                "none",
                r#"{"alg":"none"}"#,
                Some(HeaderError::UnknownAlgorithm),
                Some(HeaderError::UnknownAlgorithm),
            ),
            ("no alg", r#"{"kid":"a"}"#, Some(HeaderError::NoAlgorithm), Some(HeaderError::NoAlgorithm)),
            (
                "alg twice",
                r#"{"alg":"ES256","alg":"HS256"}"#,
                Some(HeaderError::NotAnObject),
                Some(HeaderError::NotAnObject),
            ),
            (
                "kid number",
                r#"{"alg":"ES256","kid":1}"#,
                Some(HeaderError::WrongType),
                Some(HeaderError::WrongType),
            ),
            ("array", r#"["alg"]"#, Some(HeaderError::NotAnObject), Some(HeaderError::NotAnObject)),
        ] {
            assert_eq!(Header::parse(text.as_bytes(), HeaderPolicy::Own).err(), own, "{name}");
            assert_eq!(Header::parse(text.as_bytes(), HeaderPolicy::External).err(), external, "{name}");
        }
    }

    #[test]
    fn the_short_reading_agrees_with_the_scanner_and_declines_the_rest() {
        for text in [
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"ES256","kid":"sig_1","typ":"at+jwt"}"#,
            r#"{"typ":"JWT","alg":"RS256"}"#,
        ] {
            let short = Header::plain(text).expect("plain");
            let spaced = text.replace(':', ": ");
            let long = Header::parse(spaced.as_bytes(), HeaderPolicy::Own).unwrap();
            assert!(Header::plain(&spaced).is_none(), "{spaced}");
            assert_eq!((short.alg, short.kid, short.typ), (long.alg, long.kid, long.typ), "{text}");
        }
        for text in [
            "",
            "{}",
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","kid":"a\u0062"}"#,
            r#"{"alg":"HS256","kid":"a"b"}"#,
            r#"{"alg":"HS256","crit":"x"}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"kid":"a"}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256",}"#,
            r#"{"alg":"HS256"}}"#,
            r#"{"alg":"HS256","":"x"}"#,
            r#"{"alg":"HS256"} "#,
        ] {
            assert!(Header::plain(text).is_none(), "{text}");
        }
    }

    #[test]
    fn types_compare_without_case_and_prefix() {
        let typed = |typ: Option<&'static str>| Header {
            alg: Algorithm::ES256,
            kid: None,
            typ: typ.map(Cow::Borrowed),
            cty: None,
        };
        for (typ, allowed, accepted) in [
            (Some("at+jwt"), &["at+jwt"][..], true),
            (Some("application/AT+JWT"), &["at+jwt"], true),
            (Some("at+jwt"), &["application/at+jwt"], true),
            (Some("JWT"), &["at+jwt"], false),
            (Some("é"), &["at+jwt"], false),
            (None, &["at+jwt"], false),
            (None, &["at+jwt", ""], true),
            (None, &[], true),
        ] {
            assert_eq!(typed(typ).has_type(allowed), accepted, "{typ:?} {allowed:?}");
        }
    }
}
