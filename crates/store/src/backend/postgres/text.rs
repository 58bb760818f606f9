//! PostgreSQL's TEXT holds every character but NUL, and a label may hold NUL.
//!
//! NUL is kept as U+10FFFF (a noncharacter) and `0`, and U+10FFFF itself as itself twice: every text has one spelling, so
//! that what is equal stays equal.

use std::borrow::Cow;

const MARK: &str = "\u{10FFFF}";

pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    // The mark's first byte, which few texts have.
    if !text.bytes().any(|byte| byte == 0 || byte == MARK.as_bytes()[0]) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(MARK, "\u{10FFFF}\u{10FFFF}").replace('\0', "\u{10FFFF}0"))
}

pub(super) fn unescaped(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mark = MARK.as_bytes();
    if !bytes.contains(&mark[0]) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        match rest.strip_prefix(mark) {
            Some(after) if after.starts_with(b"0") => {
                out.push(0);
                rest = &after[1..];
            }
            Some(after) => {
                out.extend_from_slice(mark);
                rest = after.strip_prefix(mark).unwrap_or(after);
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_none_keeps_a_nul() {
        let texts = [
            "",
            "plain",
            "\0",
            "a\0b\0",
            MARK,
            "\u{10FFFF}0",
            "\u{10FFFF}\0",
            "\0\u{10FFFF}\u{10FFFF}0",
            "𐀀é",
        ];
        for text in texts {
            let kept = escaped(text);
            assert!(!kept.contains('\0'), "{text:?}");
            assert_eq!(unescaped(kept.as_bytes()), text.as_bytes(), "{text:?}");
        }
        let kept: std::collections::BTreeSet<_> = texts.iter().map(|text| escaped(text)).collect();
        assert_eq!(kept.len(), texts.len(), "two texts have one spelling");
    }
}
