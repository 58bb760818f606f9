//! Keys that verify. Parsed once, bound to one algorithm for life.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::{hmac, rsa as provider_rsa, signature::ParsedPublicKey};

use super::alg::{Algorithm, Family};
use super::error::KeyError;
use super::jwk::{Jwk, Material, RsaPublic};
use super::{der, pem, rsa, signing::SigningKey};

/// How short an HMAC secret may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretRule {
    /// At least as long as the hash (RFC 7518 §3.2).
    Strict,
    /// Any length from one byte: for the configuration files of platforms that take short secrets. Such a key
    /// answers true to [`VerifyingKey::is_weak`], and the caller says so to the operator.
    Compat,
}

/// A key that verifies signatures of exactly one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    alg: Algorithm,
    kid: Option<String>,
    weak: bool,
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    Hmac(Box<hmac::Key>),
    Public(Box<ParsedPublicKey>, Box<Material>),
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("alg", &self.alg).field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// An HMAC key.
    ///
    /// # Errors
    /// [`KeyError::WrongKeyForAlgorithm`] for an asymmetric algorithm, [`KeyError::SecretTooShort`] by the rule
    /// (an empty secret always is), [`KeyError::SecretIsPem`] for a PEM document: whoever configures one means
    /// a public key, and as an HMAC secret it would let everybody sign.
    pub fn from_secret(
        secret: &[u8],
        alg: Algorithm,
        kid: Option<String>,
        rule: SecretRule,
    ) -> Result<Self, KeyError> {
        let Family::Hmac(hash) = alg.family() else {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        };
        let needed = match rule {
            SecretRule::Strict => alg.hash_bytes(),
            SecretRule::Compat => 1,
        };
        if secret.len() < needed {
            return Err(KeyError::SecretTooShort { actual: secret.len(), needed });
        }
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err(KeyError::SecretIsPem);
        }
        let weak = secret.len() < alg.hash_bytes();
        Ok(Self { alg, kid, weak, inner: Inner::Hmac(Box::new(hmac::Key::new(hash, secret))) })
    }

    /// A public key from PEM: `PUBLIC KEY`, `RSA PUBLIC KEY`, `CERTIFICATE` (its key alone is taken; neither
    /// its dates nor its issuer are judged), or the public half of `PRIVATE KEY`, `RSA PRIVATE KEY` and
    /// `EC PRIVATE KEY`. Lines may be separated by real line breaks or by the two characters `\n`, as in
    /// environment files.
    ///
    /// # Errors
    /// [`KeyError`]: not PEM, not one key, or a key that does not fit `alg`.
    pub fn from_pem(text: &str, alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        if alg.is_symmetric() {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        }
        match pem::read_key(text)? {
            pem::KeyBlock::Spki(der) => Self::from_spki(&der, alg, kid),
            pem::KeyBlock::RsaPublic(der) => Self::from_rsa_der(&der, alg, kid),
            pem::KeyBlock::Certificate(der) => {
                let spki =
                    der::certificate_spki(&der).ok_or(KeyError::Invalid("not an X.509 certificate"))?;
                Self::from_spki(spki, alg, kid)
            }
            pem::KeyBlock::Private(private) => {
                SigningKey::from_private_block(private, alg, kid).map(|key| key.verifying_key())
            }
        }
    }

    /// A public key from a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// [`KeyError`] when it is not a key of the kind and curve that `alg` takes.
    pub fn from_spki(spki: &[u8], alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        match alg.family() {
            Family::Hmac(_) => Err(KeyError::WrongKeyForAlgorithm(alg.name())),
            Family::Rsa(..) => Self::from_rsa_der(spki, alg, kid),
            Family::Ec(curve) => {
                let parsed = ParsedPublicKey::new(curve.verification(), spki)
                    .map_err(|_| KeyError::WrongKeyForAlgorithm(alg.name()))?;
                let canonical: PublicKeyX509Der<'_> = parsed.as_der().map_err(|_| KeyError::Provider)?;
                let point = der::spki_key_bits(canonical.as_ref()).ok_or(KeyError::Provider)?;
                Self::from_ec_point(point, alg, kid)
            }
            Family::Ed25519 => {
                let x = der::spki_key_bits(spki).ok_or(KeyError::WrongKeyForAlgorithm(alg.name()))?;
                ParsedPublicKey::new(&aws_lc_rs::signature::ED25519, spki)
                    .map_err(|_| KeyError::WrongKeyForAlgorithm(alg.name()))?;
                Self::from_ed25519(x, alg, kid)
            }
        }
    }

    /// A key from a JWK that names its algorithm, or whose type allows only one (elliptic curves).
    ///
    /// # Errors
    /// [`KeyError::AlgorithmNeeded`] for RSA and symmetric keys without `alg`; [`KeyError::Forbidden`] when
    /// `use` or `key_ops` do not allow verifying; otherwise as the other constructors. Symmetric keys obey
    /// [`SecretRule::Strict`].
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let alg = jwk.algorithm()?.ok_or(KeyError::AlgorithmNeeded)?;
        Self::from_jwk_as(jwk, alg)
    }

    /// A key from a JWK, for an algorithm the caller chose; the JWK's own `alg`, if any, must be the same.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_jwk`], and [`KeyError::WrongKeyForAlgorithm`].
    pub fn from_jwk_as(jwk: &Jwk, alg: Algorithm) -> Result<Self, KeyError> {
        jwk.allows("verify")?;
        if jwk.algorithm()?.is_some_and(|own| own != alg) {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        }
        let kid = jwk.kid().map(str::to_owned);
        match (jwk.material(), alg.family()) {
            (Material::Oct(secret), Family::Hmac(_)) => {
                Self::from_secret(secret.expose(), alg, kid, SecretRule::Strict)
            }
            (Material::Rsa { public, .. }, Family::Rsa(..)) => Self::from_rsa(&public.n, &public.e, alg, kid),
            (Material::Ec { curve, x, y, .. }, Family::Ec(needed)) if *curve == needed => {
                Self::from_ec_point(&ec_point(x, y), alg, kid)
            }
            (Material::Ed25519 { x, .. }, Family::Ed25519) => Self::from_ed25519(x, alg, kid),
            _ => Err(KeyError::WrongKeyForAlgorithm(alg.name())),
        }
    }

    fn from_rsa_der(der: &[u8], alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        let key = provider_rsa::PublicKey::from_der(der).map_err(|_| match der::spki_key_bits(der) {
            Some(bits) => match der::rsa_public_key(bits) {
                // The provider refuses some sizes and exponents itself: ask our own rules why.
                Some((n, e)) => rsa::check_public(n, e).err().unwrap_or(KeyError::Invalid("RSA key")),
                None => KeyError::WrongKeyForAlgorithm(alg.name()),
            },
            None => match der::rsa_public_key(der) {
                Some((n, e)) => rsa::check_public(n, e).err().unwrap_or(KeyError::Invalid("RSA key")),
                None => KeyError::Invalid("not an RSA public key"),
            },
        })?;
        let (n, e) = der::rsa_public_key(key.as_ref()).ok_or(KeyError::Provider)?;
        Self::from_rsa(n, e, alg, kid)
    }

    pub(super) fn from_rsa(
        n: &[u8],
        e: &[u8],
        alg: Algorithm,
        kid: Option<String>,
    ) -> Result<Self, KeyError> {
        let Family::Rsa(parameters, _) = alg.family() else {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        };
        rsa::check_public(n, e)?;
        let parsed = provider_rsa::PublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map_err(|_| KeyError::Invalid("RSA key"))?;
        let material = Material::Rsa { public: RsaPublic { n: n.to_vec(), e: e.to_vec() }, private: None };
        Ok(Self::public(alg, kid, parsed, material))
    }

    pub(super) fn from_ec_point(point: &[u8], alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        let Family::Ec(curve) = alg.family() else {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        };
        let size = curve.field_bytes();
        // SEC 1 §2.3.3: 04 || x || y. Compressed and hybrid points have no JWK spelling and are not taken.
        let [4, coordinates @ ..] = point else {
            return Err(KeyError::Invalid("the point is not uncompressed"));
        };
        if coordinates.len() != 2 * size {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        }
        let parsed = ParsedPublicKey::new(curve.verification(), point)
            .map_err(|_| KeyError::Invalid("the point is not on the curve"))?;
        let (x, y) = coordinates.split_at(size);
        Ok(Self::public(alg, kid, parsed, Material::Ec { curve, x: x.to_vec(), y: y.to_vec(), d: None }))
    }

    pub(super) fn from_ed25519(x: &[u8], alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        if x.len() != 32 || alg != Algorithm::EdDSA {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        }
        let parsed = ParsedPublicKey::new(&aws_lc_rs::signature::ED25519, x)
            .map_err(|_| KeyError::Invalid("Ed25519 key"))?;
        Ok(Self::public(alg, kid, parsed, Material::Ed25519 { x: x.to_vec(), d: None }))
    }

    fn public(alg: Algorithm, kid: Option<String>, parsed: ParsedPublicKey, material: Material) -> Self {
        Self { alg, kid, weak: false, inner: Inner::Public(Box::new(parsed), Box::new(material)) }
    }

    /// The one algorithm this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.alg
    }

    /// The key's id, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_kid(mut self, kid: Option<String>) -> Self {
        self.kid = kid;
        self
    }

    /// Whether this is an HMAC key shorter than its hash.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Verifies a raw signature (for ECDSA `r || s`, RFC 7518 §3.4). HMAC tags are compared in constant time.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.inner {
            Inner::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Inner::Public(key, _) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// The public JWK with `alg`, `use` and `kid`; none for HMAC keys.
    pub fn to_public_jwk(&self) -> Option<Jwk> {
        match &self.inner {
            Inner::Hmac(_) => None,
            Inner::Public(_, material) => {
                Some(Jwk::public(self.alg, self.kid.clone(), Material::clone(material)))
            }
        }
    }
}

/// SEC 1 §2.3.3, uncompressed.
pub(super) fn ec_point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}
