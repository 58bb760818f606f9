//! Text in pages, whoever makes them: the server's own and those of letters.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text as it may stand in an element or a quoted attribute (HTML §13.3): it means nothing but itself there.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What lets in one style or script that stands in a page, and no other (CSP Level 3 §2.3.1, hash-source). A page that is the same for
/// everybody can say it, where a nonce has to differ each time.
#[must_use]
pub fn hash_source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::{escaped, hash_source};

    #[test]
    fn a_hash_source_is_padded_base64_of_sha256() {
        assert_eq!(hash_source(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    }

    #[test]
    fn nothing_ends_an_element_or_a_quoted_attribute() {
        assert_eq!(escaped("<b a=\"x\" c='y'>&amp;"), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
        assert_eq!(escaped("plain é 日本"), "plain é 日本");
    }
}
