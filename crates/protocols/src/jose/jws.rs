//! The compact serialization (RFC 7515 §7.1): the only form that a credential may have.

use serde::Serialize;

use super::error::{KeyError, TokenError};
use super::header::{Header, HeaderPolicy};
use super::key::VerifyingKey;
use super::signing::SigningKey;
use crate::encoding::{base64url_decode, base64url_encode_into};

/// Longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The three parts of a compact token, still encoded.
#[derive(Debug, Clone, Copy)]
pub struct Compact<'a> {
    /// What is signed: header and payload with the dot between them.
    pub signing_input: &'a [u8],
    /// The encoded header.
    pub header: &'a [u8],
    /// The encoded payload.
    pub payload: &'a [u8],
    /// The encoded signature.
    pub signature: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Splits a token at its two dots.
    ///
    /// # Errors
    /// [`TokenError::TooLarge`] above 8 KiB, [`TokenError::Malformed`] unless there are exactly three parts, of
    /// which header and signature are not empty.
    pub fn split(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::Malformed);
        };
        let parts = Self {
            signing_input: &token[..second],
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
        };
        if parts.header.is_empty() || parts.signature.is_empty() {
            return Err(TokenError::Malformed);
        }
        Ok(parts)
    }

    /// Decodes the header's bytes, for [`Header::parse`].
    ///
    /// # Errors
    /// [`TokenError::Malformed`] unless strict base64url.
    pub fn header_bytes(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.header)
    }

    /// Decodes the payload. Meaningless before the signature is verified.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] unless strict base64url.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.payload)
    }

    /// Decodes the signature's bytes.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] unless strict base64url.
    pub fn signature_bytes(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.signature)
    }
}

fn decode(text: &[u8]) -> Result<Vec<u8>, TokenError> {
    base64url_decode(text).map_err(|_| TokenError::Malformed)
}

/// Verifies a compact JWS of any payload with one key and returns the payload. Claims are not looked at: for
/// credentials use [`super::verify_token`].
///
/// # Errors
/// [`TokenError`]; a `kid` in the header that differs from the key's is [`TokenError::UnknownKey`].
pub fn verify_compact(token: &[u8], key: &VerifyingKey, policy: HeaderPolicy) -> Result<Vec<u8>, TokenError> {
    let parts = Compact::split(token)?;
    let header_bytes = parts.header_bytes()?;
    let header = Header::parse(&header_bytes, policy)?;
    if let (Some(named), Some(own)) = (header.kid.as_deref(), key.kid())
        && named != own
    {
        return Err(TokenError::UnknownKey);
    }
    if header.alg != key.algorithm() {
        return Err(TokenError::AlgorithmNotAllowed);
    }
    let (signature, payload) = (parts.signature_bytes()?, parts.payload_bytes()?);
    if !key.verify(parts.signing_input, &signature) {
        return Err(TokenError::BadSignature);
    }
    Ok(payload)
}

/// Signs claims as a compact token. The header is `{"alg":…,"kid":…,"typ":…}` in that order, without `kid` for
/// a key that has none and without `typ` when it is empty.
///
/// # Errors
/// [`KeyError::Invalid`] when the claims do not serialize, [`KeyError::Provider`] when signing fails.
pub fn sign_compact(key: &SigningKey, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
    let unfit = |_| KeyError::Invalid("the claims do not serialize");
    sign_written(key, typ, |scratch| serde_json::to_writer(scratch, claims).map_err(unfit))
}

/// Signs any payload as a compact JWS, with the header of [`sign_compact`].
///
/// # Errors
/// [`KeyError::Provider`] when signing fails.
pub fn sign_payload(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, KeyError> {
    sign_written(key, typ, |scratch| {
        scratch.extend_from_slice(payload);
        Ok(())
    })
}

/// One buffer serves header, payload and signature in turn: next to Ed25519 even allocations count.
fn sign_written(
    key: &SigningKey,
    typ: &str,
    write_payload: impl FnOnce(&mut Vec<u8>) -> Result<(), KeyError>,
) -> Result<String, KeyError> {
    let mut scratch = Vec::with_capacity(768);
    let mut token = Vec::with_capacity(1024);
    token.extend_from_slice(&key.header().encoded);
    scratch.extend_from_slice(&key.header().rest);
    if !typ.is_empty() {
        scratch.extend_from_slice(b",\"typ\":");
        serde_json::to_writer(&mut scratch, typ)
            .map_err(|_| KeyError::Invalid("the type does not serialize"))?;
    }
    scratch.push(b'}');
    base64url_encode_into(&scratch, &mut token);
    token.push(b'.');
    scratch.clear();
    write_payload(&mut scratch)?;
    base64url_encode_into(&scratch, &mut token);
    scratch.clear();
    key.sign(&token, &mut scratch)?;
    token.push(b'.');
    base64url_encode_into(&scratch, &mut token);
    Ok(String::from_utf8(token).expect("base64url and dots are ASCII"))
}
