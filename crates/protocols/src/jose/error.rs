//! Why a token or a key was refused. Every variant has a stable code; none carries any of the input's secrets.

use super::header::HeaderError;

/// Why a token was refused. The order of the variants follows the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than 8 KiB.
    #[error("the token is larger than 8 KiB")]
    TooLarge,
    /// Not three parts of strict base64url, or the payload is not a JSON object of acceptable claims.
    #[error("the token is malformed")]
    Malformed,
    /// The header is not acceptable.
    #[error("the token's header is refused: {0}")]
    Header(HeaderError),
    /// No key answers to the token's `kid`.
    #[error("the token names no known key")]
    UnknownKey,
    /// 1. The header's algorithm is not the one the key is bound to.
    #[error("the token's algorithm is not the key's")]
    AlgorithmNotAllowed,
    /// 2. The signature does not verify.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// The header's `typ` is not one of the expected ones: another kind of token.
    #[error("the token is of another type")]
    WrongType,
    /// 3. `exp` is required and absent.
    #[error("the token never expires")]
    MissingExp,
    /// 3. `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// 4. `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// 5. `iat` lies ahead.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// 5. `exp` lies further from `iat` than allowed.
    #[error("the token lives too long")]
    LifetimeTooLong,
    /// 6. `iss` is not one of the expected issuers.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// 7. `aud` names none of the expected audiences.
    #[error("the token is for another audience")]
    WrongAudience,
    /// A claim that this check needs is absent.
    #[error("the token lacks the claim {0:?}")]
    MissingClaim(&'static str),
}

impl TokenError {
    /// Stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::Header(error) => error.code(),
            Self::UnknownKey => "token_unknown_key",
            Self::AlgorithmNotAllowed => "token_algorithm_not_allowed",
            Self::BadSignature => "token_bad_signature",
            Self::WrongType => "token_wrong_type",
            Self::MissingExp => "token_missing_exp",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedInFuture => "token_issued_in_future",
            Self::LifetimeTooLong => "token_lifetime_too_long",
            Self::WrongIssuer => "token_wrong_issuer",
            Self::WrongAudience => "token_wrong_audience",
            Self::MissingClaim(_) => "token_missing_claim",
        }
    }

    /// True for a token that was good once: the client should refresh, not log in again.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Expired)
    }
}

impl From<HeaderError> for TokenError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block, or one that does not decode.
    #[error("not a PEM document")]
    NotPem,
    /// The PEM holds no block that is a key.
    #[error("the PEM document holds no key")]
    NoKeyInPem,
    /// The PEM holds more than one key.
    #[error("the PEM document holds more than one key")]
    SeveralKeysInPem,
    /// The private key is protected by a pass phrase.
    #[error("the private key is encrypted; decrypt it first")]
    Encrypted,
    /// The key is of another kind than the algorithm takes (RSA, curve, symmetric).
    #[error("the key does not fit the algorithm {0}")]
    WrongKeyForAlgorithm(&'static str),
    /// The key's encoding or its numbers are not acceptable.
    #[error("the key is invalid: {0}")]
    Invalid(&'static str),
    /// An RSA modulus outside 2048 to 8192 bits.
    #[error("the RSA key has {0} bits; 2048 to 8192 are accepted")]
    RsaSize(usize),
    /// An RSA modulus with the fingerprint of CVE-2017-15361.
    #[error("the RSA key was made by a generator with the ROCA weakness")]
    Roca,
    /// A secret shorter than the algorithm's hash (RFC 7518 §3.2).
    #[error("the secret has {actual} bytes; the algorithm needs {needed}")]
    SecretTooShort {
        /// Bytes given.
        actual: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// The secret is a PEM document: almost certainly a public key used as an HMAC secret by mistake.
    #[error("the secret is a PEM document; choose an asymmetric algorithm")]
    SecretIsPem,
    /// A public key where a private one is needed.
    #[error("a private key is needed")]
    NotPrivate,
    /// The JWK's `use`, `key_ops` or `alg` forbids this use.
    #[error("the key may not be used for this: {0}")]
    Forbidden(&'static str),
    /// The JWK names no algorithm and its type allows several.
    #[error("the key names no algorithm")]
    AlgorithmNeeded,
    /// The JWK or JWK set is not acceptable JSON.
    #[error("the key is not acceptable JSON: {0}")]
    Json(#[from] crate::json::JsonError),
    /// Two keys of a set share a `kid`.
    #[error("two keys share the kid {0:?}")]
    DuplicateKid(String),
    /// A set mixes symmetric and asymmetric keys.
    #[error("the key set mixes symmetric and asymmetric keys")]
    MixedSet,
    /// A set of more than 100 keys.
    #[error("the key set holds more than {0} keys")]
    TooManyKeys(usize),
    /// The crypto provider failed.
    #[error("the crypto provider failed")]
    Provider,
}

impl KeyError {
    /// Stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPem => "key_not_pem",
            Self::NoKeyInPem => "key_none_in_pem",
            Self::SeveralKeysInPem => "key_several_in_pem",
            Self::Encrypted => "key_encrypted",
            Self::WrongKeyForAlgorithm(_) => "key_wrong_for_algorithm",
            Self::Invalid(_) => "key_invalid",
            Self::RsaSize(_) => "key_rsa_size",
            Self::Roca => "key_roca",
            Self::SecretTooShort { .. } => "key_secret_too_short",
            Self::SecretIsPem => "key_secret_is_pem",
            Self::NotPrivate => "key_not_private",
            Self::Forbidden(_) => "key_forbidden_use",
            Self::AlgorithmNeeded => "key_algorithm_needed",
            Self::Json(error) => error.code(),
            Self::DuplicateKid(_) => "key_duplicate_kid",
            Self::MixedSet => "key_mixed_set",
            Self::TooManyKeys(_) => "key_too_many",
            Self::Provider => "key_provider_failed",
        }
    }
}
