//! Rules for what people call themselves.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result, codes};

/// Longest metadata object, as JSON.
pub const MAX_METADATA_BYTES: usize = 16 << 10;

/// Longest name that is folded at all: folding costs time for each byte.
const MAX_NAME_BYTES: usize = 1_024;
/// Longest name in metadata: it is the name of a label, which stands in an index.
const MAX_LABEL_BYTES: usize = 256;

fn bad(text: impl Into<String>) -> Error {
    Error::new(codes::BAD_FIELD).message(text)
}

/// The one spelling of a login name or address: NFKC, lower case, without spaces around it.
#[must_use]
pub fn fold(login: &str) -> String {
    login.trim().nfkc().collect::<String>().to_lowercase()
}

/// An e-mail address in its one spelling. What mail servers accept is wider than any rule; this refuses what cannot
/// be one.
///
/// # Errors
/// `bad_field`.
pub fn email(text: &str) -> Result<String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(bad("email: this is not an e-mail address."));
    }
    let folded = fold(text);
    let good = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..")
    };
    let parts = folded.rsplit_once('@').filter(|(local, domain)| {
        good(local) && good(domain) && local.len() <= 64 && !local.contains('@') && !local.contains('"')
    });
    let plain = !folded.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\".contains(c));
    if parts.is_none() || !plain || folded.len() > 254 {
        return Err(bad("email: this is not an e-mail address."));
    }
    Ok(folded)
}

/// A phone number in its one spelling: its digits with the country's, without a plus (E.164 §6).
///
/// # Errors
/// `bad_field`.
pub fn phone(text: &str) -> Result<String> {
    let digits = text.trim().trim_start_matches('+');
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if !plain || !(7..=15).contains(&digits.len()) {
        return Err(bad("Invalid phone number format (E.164 required)"));
    }
    Ok(digits.to_owned())
}

/// A user name in its one spelling.
///
/// # Errors
/// `bad_field`.
pub fn username(text: &str) -> Result<String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(bad("username: 1 to 64 letters, digits, '.', '_' or '-'."));
    }
    let folded = fold(text);
    let good = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if !(1..=64).contains(&folded.chars().count()) || !folded.chars().all(good) {
        return Err(bad("username: 1 to 64 letters, digits, '.', '_' or '-'."));
    }
    Ok(folded)
}

/// A name to show.
///
/// # Errors
/// `bad_field`.
pub fn display_name(text: &str) -> Result<String> {
    let text = text.trim();
    if !(1..=128).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(bad("display_name: 1 to 128 characters without control characters."));
    }
    Ok(text.to_owned())
}

/// A short label, such as a key's or a thread's name.
///
/// # Errors
/// `bad_field`, naming the field.
pub fn label(field: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(bad(format!("{field}: 1 to {most} characters without control characters.")));
    }
    Ok(text.to_owned())
}

/// Metadata that fits.
///
/// # Errors
/// `bad_field`, naming the field.
pub fn metadata(field: &str, map: &Map<String, Value>) -> Result<()> {
    let size = serde_json::to_string(map).map_or(usize::MAX, |text| text.len());
    if size > MAX_METADATA_BYTES {
        return Err(bad(format!("{field}: may take {MAX_METADATA_BYTES} bytes as JSON.")));
    }
    if map.keys().any(|name| name.len() > MAX_LABEL_BYTES) {
        return Err(bad(format!("{field}: a name may take {MAX_LABEL_BYTES} bytes.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_bounded_as_a_whole_and_by_name() {
        let of = |name: usize, value: usize| {
            metadata("m", &Map::from_iter([("n".repeat(name), "v".repeat(value).into())]))
        };
        assert!(of(256, 1000).is_ok());
        assert!(of(257, 0).is_err_and(|error| error.public_message().contains("name")));
        assert!(of(1, MAX_METADATA_BYTES).is_err());
    }

    #[test]
    fn addresses_and_names_have_one_spelling_or_none() {
        assert_eq!(email(" Ann@Example.ORG ").expect("an address"), "ann@example.org");
        for bad in
            ["", "ann", "@x", "a@", "a b@x.org", "a@x..org", ".a@x.org", "a@b@c", "a@x.org\n", "<a@x.org>"]
        {
            assert!(email(bad).is_err() || bad.ends_with('\n'), "{bad:?}");
        }
        assert_eq!(username("Ann_1").expect("a name"), "ann_1");
        assert_eq!(username("ａｎｎ").expect("full width folds"), "ann");
        for bad in ["", "a b", "a@b", "a/b", &"x".repeat(65)] {
            assert!(username(bad).is_err(), "{bad:?}");
        }
    }
}
