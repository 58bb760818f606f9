//! PEM (RFC 7468): finding the one key in a text, however its line breaks survived.

use super::error::KeyError;
use super::secret::SecretBytes;

/// Longest PEM text that is looked at: a certificate chain fits.
const MAX_BYTES: usize = 64 << 10;

/// A key as it was labelled.
pub(super) enum KeyBlock {
    Spki(Vec<u8>),
    RsaPublic(Vec<u8>),
    Certificate(Vec<u8>),
    Private(PrivateBlock),
}

/// A private key as it was labelled.
pub(super) enum PrivateBlock {
    Pkcs8(SecretBytes),
    Pkcs1(SecretBytes),
    Sec1(SecretBytes),
}

/// Finds the one key in a PEM text. Several certificates are a chain, whose first is the key's.
///
/// # Errors
/// [`KeyError`] naming what is wrong with the document as a whole.
pub(super) fn read_key(text: &str) -> Result<KeyBlock, KeyError> {
    if text.len() > MAX_BYTES {
        return Err(KeyError::NotPem);
    }
    let blocks = ::pem::parse_many(unescaped(text)).map_err(|_| KeyError::NotPem)?;
    if blocks.is_empty() {
        return Err(KeyError::NotPem);
    }
    let mut found = None;
    for block in blocks {
        let tag = block.tag().to_owned();
        // RFC 1421 headers stand only in pass-phrase protected keys of the old formats.
        if tag == "ENCRYPTED PRIVATE KEY" || block.headers().iter().next().is_some() {
            return Err(KeyError::Encrypted);
        }
        let der = block.into_contents();
        let key = match tag.as_str() {
            "PUBLIC KEY" => KeyBlock::Spki(der),
            "RSA PUBLIC KEY" => KeyBlock::RsaPublic(der),
            "CERTIFICATE" => KeyBlock::Certificate(der),
            "PRIVATE KEY" => KeyBlock::Private(PrivateBlock::Pkcs8(der.into())),
            "RSA PRIVATE KEY" => KeyBlock::Private(PrivateBlock::Pkcs1(der.into())),
            "EC PRIVATE KEY" => KeyBlock::Private(PrivateBlock::Sec1(der.into())),
            // `openssl ecparam -genkey` writes the curve before the key.
            _ => continue,
        };
        match (&found, &key) {
            (None, _) => found = Some(key),
            (Some(KeyBlock::Certificate(_)), KeyBlock::Certificate(_)) => {}
            (Some(_), _) => return Err(KeyError::SeveralKeysInPem),
        }
    }
    found.ok_or(KeyError::NoKeyInPem)
}

/// Environment files carry PEM on one line, with `\n` (or `\r\n`) spelled out and sometimes in quotes.
fn unescaped(text: &str) -> String {
    let trimmed = text.trim().trim_matches(['"', '\'']);
    trimmed.replace("\\r", "").replace("\\n", "\n")
}
