//! What the scanner hands out: members of an object as ranges of the document, and strings decoded on demand.

use std::borrow::Cow;

/// A range of bytes in the scanned document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(crate) fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start as usize..self.end as usize]
    }
}

/// What a value is, told by its first byte; strings also say whether they hold escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    PlainString,
    EscapedString,
    Number,
    True,
    False,
    Null,
}

/// A member of the outermost object: its name (between the quotes) and its value (with quotes, if a string).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(super) name: Span,
    pub(super) name_escaped: bool,
    /// See [`tag`].
    pub(super) name_tag: u64,
    pub(crate) value: Span,
    pub(crate) kind: Kind,
}

impl Member {
    pub(crate) fn name<'a>(&self, text: &'a str) -> Cow<'a, str> {
        unescape(self.name.of(text), self.name_escaped)
    }

    /// The tag of the name, escapes undone.
    pub(crate) fn tag(&self, text: &str) -> u64 {
        if self.name_escaped { tag(&self.name(text)) } else { self.name_tag }
    }

    /// Whether this is the member of that name, whose tag is `wanted`.
    pub(crate) fn is_named(&self, name: &str, wanted: u64, text: &str) -> bool {
        if self.name_escaped {
            self.name(text) == name
        } else {
            self.name_tag == wanted && (name.len() < 8 || self.name.of(text) == name)
        }
    }

    /// The value's text when it is a string.
    pub(crate) fn string<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::PlainString => {
                let quoted = self.value.of(text);
                Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
            }
            Kind::EscapedString => Some(decode_string(self.value.of(text))),
            _ => None,
        }
    }
}

/// Decodes a scanned JSON string, given with its quotes.
pub(crate) fn decode_string(quoted: &str) -> Cow<'_, str> {
    let inner = &quoted[1..quoted.len() - 1];
    unescape(inner, inner.contains('\\'))
}

/// Decodes the inside of a scanned string.
pub(super) fn unescape(inner: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match escape {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let mut unit = u32::from_str_radix(&rest[..4], 16).expect("the scanner saw four hex digits");
                rest = &rest[4..];
                if (0xD800..0xDC00).contains(&unit) {
                    let low = u32::from_str_radix(&rest[2..6], 16).expect("the scanner saw a low surrogate");
                    rest = &rest[6..];
                    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                }
                out.push(char::from_u32(unit).expect("the scanner refused lone surrogates"));
            }
            other => out.push(other as char),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Length and first bytes of a name in one number. Names of up to seven bytes are the same when their tags are.
pub(crate) fn tag(name: &str) -> u64 {
    tag_bytes(name.as_bytes())
}

fn tag_bytes(bytes: &[u8]) -> u64 {
    let start = match bytes.first_chunk::<7>() {
        Some(&[a, b, c, d, e, f, g]) => u64::from_le_bytes([a, b, c, d, e, f, g, 0]),
        None => bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    start | (bytes.len() as u64) << 56
}

/// [`tag`] of a name inside a document, read as one word where the document goes on for long enough.
pub(super) fn tag_at(document: &[u8], name: Span) -> u64 {
    let (start, length) = (name.start as usize, u64::from(name.end - name.start));
    let Some(word) = document[start..].first_chunk::<8>() else {
        return tag_bytes(&document[start..name.end as usize]);
    };
    let kept = length.min(7) * 8;
    (u64::from_le_bytes(*word) & ((1 << kept) - 1)) | length << 56
}

/// [`tag`] for names known when compiling.
pub(crate) const fn const_tag(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut start = [0; 8];
    let mut place = 0;
    while place < 7 && place < bytes.len() {
        start[place] = bytes[place];
        place += 1;
    }
    u64::from_le_bytes(start) | (bytes.len() as u64) << 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_tag_agrees_and_short_names_differ() {
        for name in ["", "a", "iss", "abcdef", "abcdefg", "abcdefgh", "é"] {
            assert_eq!(tag(name), const_tag(name), "{name}");
            let span = Span { start: 1, end: 1 + name.len() as u32 };
            for after in ["\"", "\":123456789"] {
                assert_eq!(tag_at(format!("\"{name}{after}").as_bytes(), span), tag(name), "{name}{after}");
            }
        }
        assert_ne!(tag("iss"), tag("iss\0"));
    }
}
