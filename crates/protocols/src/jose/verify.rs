//! Verifying a credential: the numbered order of checks.
//!
//! ```text
//!  size, three parts, header ─► 1 algorithm is the key's ─► 2 signature ─► typ
//!     ─► 3 exp ─► 4 nbf ─► 5 iat (and lifetime) ─► 6 iss ─► 7 aud ─► required claims
//! ```
//! Nothing of the payload is parsed before the signature holds. Whether the token was revoked (8) is for the
//! caller, who has the memory of it.

use std::borrow::Cow;
use std::sync::Arc;

use super::alg::Algorithm;
use super::claims::Claims;
use super::error::TokenError;
use super::header::{Header, HeaderPolicy};
use super::jws::Compact;
use super::key::VerifyingKey;
use super::key_set::{Candidates, KeySet};
use crate::encoding::{base64url_decode, base64url_decode_into};

/// What a token must satisfy. Start from `Expect::default()`: strict, own tokens, 30 s leeway, and `now_s` 0.
#[derive(Debug, Clone)]
pub struct Expect<'a> {
    /// The time, in seconds since 1970.
    pub now_s: i64,
    /// How far clocks may differ.
    pub leeway_s: i64,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
    /// The issuers to accept; `None` accepts any and none.
    pub issuer: Option<&'a [String]>,
    /// The audiences we answer to, one of which the token must name; `None` accepts any and none.
    pub audience: Option<&'a [String]>,
    /// Longest distance from `iat` to `exp`; when set, both are required.
    pub max_lifetime_s: Option<i64>,
    /// Accepted `typ` values, as in [`Header::has_type`]: an empty list accepts any.
    pub types: &'a [&'a str],
    /// Whose tokens these are.
    pub headers: HeaderPolicy,
    /// Claims that must be present.
    pub required: &'a [&'static str],
}

impl Default for Expect<'_> {
    fn default() -> Self {
        Self {
            now_s: 0,
            leeway_s: 30,
            require_exp: true,
            issuer: None,
            audience: None,
            max_lifetime_s: None,
            types: &[],
            headers: HeaderPolicy::Own,
            required: &[],
        }
    }
}

/// A token whose signature and claims hold.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// The key that verified it; its id and algorithm are the token's.
    pub key: Arc<VerifyingKey>,
}

impl Verified {
    /// The algorithm that was checked.
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// The id of the key that verified, which an attacker cannot choose.
    pub fn kid(&self) -> Option<&str> {
        self.key.kid()
    }
}

/// Verifies a compact token against the keys and expectations, in the order the module documents.
///
/// # Errors
/// The first check that fails.
pub fn verify_token(
    token: impl AsRef<[u8]>,
    keys: &KeySet,
    expect: &Expect<'_>,
) -> Result<Verified, TokenError> {
    let parts = Compact::split(token.as_ref())?;
    let (mut header_room, mut signature_room) = (Room::<160>::new(), Room::<512>::new());
    let header = Header::parse(header_room.decode(parts.header)?, expect.headers)?;
    let signature = signature_room.decode(parts.signature)?;
    let key = verified_by(&parts, &header, signature, keys)?;
    if !header.has_type(expect.types) {
        return Err(TokenError::WrongType);
    }
    let claims = Claims::parse(parts.payload_bytes()?, expect.headers).map_err(|_| TokenError::Malformed)?;
    check_claims(&claims, expect)?;
    Ok(Verified { claims, key: Arc::clone(key) })
}

/// Who a token says it is from, believed by nobody yet: to choose whose keys are asked. `None` for what is no token.
pub fn claimed_issuer(token: &str) -> Option<String> {
    let payload = Compact::split(token.as_bytes()).ok()?.payload_bytes().ok()?;
    let claims = Claims::parse(payload, HeaderPolicy::External).ok()?;
    claims.iss().map(Cow::into_owned)
}

/// Room for what one token's part decodes to: on the stack for every usual size (of a signature: RSA with 4096 bits),
/// so that a refusal allocates nothing.
struct Room<const SHORT: usize> {
    short: [u8; SHORT],
    long: Vec<u8>,
}

impl<const SHORT: usize> Room<SHORT> {
    fn new() -> Self {
        Self { short: [0; SHORT], long: Vec::new() }
    }

    fn decode(&mut self, text: &[u8]) -> Result<&[u8], TokenError> {
        if text.len() / 4 * 3 + 3 <= SHORT {
            let length = base64url_decode_into(text, &mut self.short).map_err(|_| TokenError::Malformed)?;
            Ok(&self.short[..length])
        } else {
            self.long = base64url_decode(text).map_err(|_| TokenError::Malformed)?;
            Ok(&self.long)
        }
    }
}

/// Checks 1 and 2.
fn verified_by<'k>(
    parts: &Compact<'_>,
    header: &Header<'_>,
    signature: &[u8],
    keys: &'k KeySet,
) -> Result<&'k Arc<VerifyingKey>, TokenError> {
    match keys.candidates(header)? {
        Candidates::One(key) => {
            if key.algorithm() != header.alg {
                return Err(TokenError::AlgorithmNotAllowed);
            }
            if !key.verify(parts.signing_input, signature) {
                return Err(TokenError::BadSignature);
            }
            Ok(key)
        }
        Candidates::Several(candidates) => {
            let mut tried = false;
            for key in candidates.iter().filter(|key| key.algorithm() == header.alg) {
                if key.verify(parts.signing_input, signature) {
                    return Ok(key);
                }
                tried = true;
            }
            Err(if tried { TokenError::BadSignature } else { TokenError::AlgorithmNotAllowed })
        }
    }
}

/// Checks 3 to 7 and the required claims. Sums saturate: a hostile time at the edge of the range must neither
/// wrap nor panic.
///
/// # Errors
/// The first check that fails.
pub fn check_claims(claims: &Claims, expect: &Expect<'_>) -> Result<(), TokenError> {
    let latest_start_s = expect.now_s.saturating_add(expect.leeway_s);
    match claims.exp {
        None if expect.require_exp || expect.max_lifetime_s.is_some() => return Err(TokenError::MissingExp),
        // RFC 7519 §4.1.4: on or after `exp` the token is refused.
        Some(exp) if expect.now_s >= exp.saturating_add(expect.leeway_s) => return Err(TokenError::Expired),
        _ => {}
    }
    if claims.nbf.is_some_and(|nbf| nbf > latest_start_s) {
        return Err(TokenError::NotYetValid);
    }
    if claims.iat.is_some_and(|iat| iat > latest_start_s) {
        return Err(TokenError::IssuedInFuture);
    }
    if let (Some(max_s), Some(exp)) = (expect.max_lifetime_s, claims.exp) {
        let iat = claims.iat.ok_or(TokenError::MissingClaim("iat"))?;
        if exp.saturating_sub(iat) > max_s {
            return Err(TokenError::LifetimeTooLong);
        }
    }
    if let Some(issuers) = expect.issuer {
        let iss = claims.iss().ok_or(TokenError::MissingClaim("iss"))?;
        if !issuers.iter().any(|known| *known == iss) {
            return Err(TokenError::WrongIssuer);
        }
    }
    if let Some(audiences) = expect.audience {
        if !claims.has_aud() {
            return Err(TokenError::MissingClaim("aud"));
        }
        if !claims.is_for(audiences) {
            return Err(TokenError::WrongAudience);
        }
    }
    match expect.required.iter().find(|name| !claims.has(name)) {
        Some(name) => Err(TokenError::MissingClaim(name)),
        None => Ok(()),
    }
}
