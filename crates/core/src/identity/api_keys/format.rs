//! How a key is spelled: `dw_user_` or `dw_admin_`, 43 base-62 digits (256 bits), 6 more as a checksum.

use aws_lc_rs::digest::{SHA256, digest};
use doorward_protocols::encoding::{base62_encode, base62_width};

use crate::identity::model::ApiKeyKind;
use crate::random::{Random, bytes};
use crate::secret::SecretText;

const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;
/// Longest text that can be a key.
pub const MAX_BYTES: usize = 80;

fn prefix(kind: ApiKeyKind) -> &'static str {
    match kind {
        ApiKeyKind::User => "dw_user_",
        ApiKeyKind::Admin => "dw_admin_",
    }
}

/// Whether a text begins like one of our keys.
#[must_use]
pub fn is_ours(text: &[u8]) -> bool {
    [ApiKeyKind::User, ApiKeyKind::Admin].into_iter().any(|kind| text.starts_with(prefix(kind).as_bytes()))
}

fn checksum(body: &str) -> String {
    base62_encode(&digest(&SHA256, body.as_bytes()).as_ref()[..CHECK_BYTES])
}

/// A new key.
#[must_use]
pub fn generate(random: &dyn Random, kind: ApiKeyKind) -> SecretText {
    let body = format!("{}{}", prefix(kind), base62_encode(&bytes::<SECRET_BYTES>(random)));
    let check = checksum(&body);
    SecretText::new(body + &check)
}

/// Whether the last digits fit the others. Says nothing about whether the key exists.
#[must_use]
pub fn checksum_holds(text: &str) -> bool {
    let Some(split) = text.len().checked_sub(base62_width(CHECK_BYTES)) else { return false };
    let length = |kind| prefix(kind).len() + base62_width(SECRET_BYTES);
    let lengths = [length(ApiKeyKind::User), length(ApiKeyKind::Admin)];
    text.is_ascii() && lengths.contains(&split) && checksum(&text[..split]) == text[split..]
}

/// The part of a key that may be shown.
#[must_use]
pub fn hint(key: &SecretText, kind: ApiKeyKind) -> String {
    key.expose().chars().take(prefix(kind).len() + 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_typing_error_anywhere_breaks_the_checksum() {
        for kind in [ApiKeyKind::User, ApiKeyKind::Admin] {
            let key = generate(&SeededRandom::new(3), kind);
            let good = key.expose();
            assert!(
                is_ours(good.as_bytes()) && checksum_holds(good) && good.len() <= MAX_BYTES,
                "{}",
                good.len()
            );
            for place in prefix(kind).len()..good.len() {
                let mut bad = good.clone().into_bytes();
                bad[place] = if bad[place] == b'x' { b'y' } else { b'x' };
                assert!(!checksum_holds(&String::from_utf8(bad).expect("ASCII")), "place {place}");
            }
            assert!(!checksum_holds(&good[..good.len() - 1]) && !checksum_holds(&format!("{good}x")));
        }
        assert!(!checksum_holds("") && !checksum_holds("dw_user_é") && !is_ours(b"dw_"));
    }
}
