//! Text encodings of bytes, in the one strict spelling that protocols allow.
//!
//! Base64url here means RFC 4648 §5 without padding (RFC 7515 §2): no `=`, no white space, no other
//! alphabet, and the unused low bits of the last character must be zero. Two spellings of the same bytes
//! would let a token be altered without its signature noticing.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;

/// The strict engine, with the instruction set of this processor found out once: a token spends more time in
/// base64 than in any other parsing.
static URL_SAFE_NO_PAD: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// The text is not the canonical encoding of any bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not canonical unpadded base64url")]
pub struct EncodingError;

/// Encodes bytes as unpadded base64url.
pub fn base64url_encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the unpadded base64url of `bytes` to ASCII text held as bytes.
pub fn base64url_encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + (bytes.len() * 4).div_ceil(3), 0);
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut out[start..]);
    written.expect("four characters hold three bytes");
}

/// Decodes strict unpadded base64url.
///
/// # Errors
/// [`EncodingError`] on padding, white space, a character outside the alphabet, an impossible length, or
/// unused bits that are not zero.
pub fn base64url_decode(text: &[u8]) -> Result<Vec<u8>, EncodingError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| EncodingError)
}

/// Decodes strict unpadded base64url into the start of `out` and returns the number of bytes written.
///
/// # Errors
/// [`EncodingError`] as [`base64url_decode`], or when `out` is too small.
pub fn base64url_decode_into(text: &[u8], out: &mut [u8]) -> Result<usize, EncodingError> {
    URL_SAFE_NO_PAD.decode_slice(text, out).map_err(|_| EncodingError)
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Encodes bytes as one big-endian number in base 62 (digits, upper case, lower case), left-padded with `0`
/// to the width that the largest value of that length needs: equal lengths in give equal lengths out.
///
/// Cost grows with the square of the length: meant for identifiers and tokens, not for documents.
pub fn base62_encode(bytes: &[u8]) -> String {
    let width = base62_width(bytes.len());
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut remainder = 0u32;
        for byte in &mut number {
            let current = (remainder << 8) | u32::from(*byte);
            *byte = (current / 62) as u8;
            remainder = current % 62;
        }
        digits.push(BASE62[remainder as usize] as char);
    }
    zeroize::Zeroize::zeroize(&mut number);
    digits.iter().rev().collect()
}

/// Characters that [`base62_encode`] emits for `bytes_len` bytes: the smallest `w` with `62^w >= 256^len`.
pub fn base62_width(bytes_len: usize) -> usize {
    // ln(256)/ln(62) = 1.343593…; rounded up in the sixth digit it stays exact far beyond any token length.
    (bytes_len * 1_343_594).div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_refuses_every_non_canonical_spelling() {
        for (name, text) in [
            ("padding", "Zg=="),
            ("space", "Zm 9v"),
            ("newline", "Zm9v\n"),
            ("standard alphabet", "+/+/"),
            ("trailing bits", "Zh"),
            ("lone character", "Z"),
            ("non-ascii", "Zm9\u{e9}"),
        ] {
            assert_eq!(base64url_decode(text.as_bytes()), Err(EncodingError), "{name}");
        }
        assert_eq!(base64url_decode(b"Zg").as_deref(), Ok(&b"f"[..]));
        assert_eq!(base64url_decode(b"").as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn base62_has_a_fixed_width_and_keeps_every_bit() {
        assert_eq!(base62_encode(&[]), "");
        assert_eq!(base62_encode(&[0]), "00");
        assert_eq!(base62_encode(&[61]), "0z");
        assert_eq!(base62_encode(&[255]), "47");
        assert_eq!(base62_encode(&[255; 32]).len(), base62_encode(&[0; 32]).len());
        assert_eq!(base62_encode(&[255; 32]).len(), 43);
        assert_ne!(base62_encode(&[1, 0]), base62_encode(&[0, 1]));
    }
}
