//! Keys that sign. The parsed key pair is kept: parsing costs more than most signatures.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, RsaSignatureEncoding};
use aws_lc_rs::{hmac, rsa as provider_rsa};

use super::alg::{Algorithm, Family};
use super::error::KeyError;
use super::jwk::{Jwk, Material};
use super::key::{SecretRule, VerifyingKey, ec_point};
use super::pem::{self, KeyBlock, PrivateBlock};
use super::secret::SecretBytes;
use super::{der, rsa};
use crate::encoding::base64url_encode;

/// A key that signs with exactly one algorithm, together with its verifying half.
pub struct SigningKey {
    inner: Inner,
    verifying: VerifyingKey,
    header: HeaderStart,
}

/// `{"alg":…,"kid":…`, which every token of this key starts with: encoded as far as whole groups of base64url go,
/// and the bytes that are left.
pub(super) struct HeaderStart {
    pub(super) encoded: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

impl HeaderStart {
    fn of(text: &[u8]) -> Self {
        let (groups, rest) = text.split_at(text.len() / 3 * 3);
        Self { encoded: base64url_encode(groups).into_bytes(), rest: rest.to_vec() }
    }
}

enum Inner {
    Hmac(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>, &'static RsaSignatureEncoding),
    Ec(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("alg", &self.algorithm())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// An HMAC key.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_secret`].
    pub fn from_secret(
        secret: &[u8],
        alg: Algorithm,
        kid: Option<String>,
        rule: SecretRule,
    ) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::from_secret(secret, alg, kid, rule)?;
        let Family::Hmac(hash) = alg.family() else {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        };
        Ok(Self::with(Inner::Hmac(Box::new(hmac::Key::new(hash, secret))), verifying))
    }

    /// A key pair from unencrypted PKCS#8 DER (RFC 5208, RFC 8410).
    ///
    /// # Errors
    /// [`KeyError`] when it is not a private key of the kind and curve that `alg` takes.
    pub fn from_pkcs8(pkcs8: &[u8], alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        let wrong = |_| KeyError::WrongKeyForAlgorithm(alg.name());
        match alg.family() {
            Family::Hmac(_) => Err(KeyError::WrongKeyForAlgorithm(alg.name())),
            Family::Rsa(..) => Self::from_rsa_pair(RsaKeyPair::from_pkcs8(pkcs8).map_err(wrong)?, alg, kid),
            Family::Ec(curve) => {
                Self::from_ec_pair(EcdsaKeyPair::from_pkcs8(curve.signing(), pkcs8).map_err(wrong)?, alg, kid)
            }
            Family::Ed25519 => {
                Self::from_ed_pair(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(wrong)?, alg, kid)
            }
        }
    }

    /// A key pair from PEM: `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`, with real or spelled-out line
    /// breaks.
    ///
    /// # Errors
    /// [`KeyError::NotPrivate`] for a public key or certificate; otherwise as [`VerifyingKey::from_pem`].
    pub fn from_pem(text: &str, alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        if alg.is_symmetric() {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        }
        match pem::read_key(text)? {
            KeyBlock::Private(block) => Self::from_private_block(block, alg, kid),
            KeyBlock::Spki(_) | KeyBlock::RsaPublic(_) | KeyBlock::Certificate(_) => {
                Err(KeyError::NotPrivate)
            }
        }
    }

    pub(super) fn from_private_block(
        block: PrivateBlock,
        alg: Algorithm,
        kid: Option<String>,
    ) -> Result<Self, KeyError> {
        let wrong = |_| KeyError::WrongKeyForAlgorithm(alg.name());
        match (block, alg.family()) {
            (PrivateBlock::Pkcs8(der), _) => Self::from_pkcs8(der.expose(), alg, kid),
            (PrivateBlock::Pkcs1(der), Family::Rsa(..)) => {
                Self::from_rsa_pair(RsaKeyPair::from_der(der.expose()).map_err(wrong)?, alg, kid)
            }
            (PrivateBlock::Sec1(der), Family::Ec(curve)) => {
                let pair =
                    EcdsaKeyPair::from_private_key_der(curve.signing(), der.expose()).map_err(wrong)?;
                Self::from_ec_pair(pair, alg, kid)
            }
            _ => Err(KeyError::WrongKeyForAlgorithm(alg.name())),
        }
    }

    /// A key from a private or symmetric JWK that names its algorithm or is on a curve.
    ///
    /// # Errors
    /// [`KeyError::NotPrivate`] for a public JWK; [`KeyError::Forbidden`] when `use` or `key_ops` do not allow
    /// signing; otherwise as [`VerifyingKey::from_jwk`].
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let alg = jwk.algorithm()?.ok_or(KeyError::AlgorithmNeeded)?;
        Self::from_jwk_as(jwk, alg)
    }

    /// A key from a private or symmetric JWK for an algorithm the caller chose.
    ///
    /// # Errors
    /// As [`SigningKey::from_jwk`], and [`KeyError::WrongKeyForAlgorithm`].
    pub fn from_jwk_as(jwk: &Jwk, alg: Algorithm) -> Result<Self, KeyError> {
        jwk.allows("sign")?;
        if jwk.algorithm()?.is_some_and(|own| own != alg) {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        }
        let kid = jwk.kid().map(str::to_owned);
        match (jwk.material(), alg.family()) {
            (Material::Oct(secret), Family::Hmac(_)) => {
                Self::from_secret(secret.expose(), alg, kid, SecretRule::Strict)
            }
            (Material::Rsa { public, private }, Family::Rsa(..)) => {
                let private = private.as_ref().ok_or(KeyError::NotPrivate)?;
                rsa::check_public(&public.n, &public.e)?;
                let pair = RsaKeyPair::from_components(&provider_rsa::KeyPairComponents {
                    public_key: provider_rsa::PublicKeyComponents { n: &public.n[..], e: &public.e[..] },
                    d: private.d.expose(),
                    p: private.p.expose(),
                    q: private.q.expose(),
                    dP: private.dp.expose(),
                    dQ: private.dq.expose(),
                    qInv: private.qi.expose(),
                })
                .map_err(|_| KeyError::Invalid("RSA private key"))?;
                Self::from_rsa_pair(pair, alg, kid)
            }
            (Material::Ec { curve, x, y, d }, Family::Ec(needed)) if *curve == needed => {
                let d = d.as_ref().ok_or(KeyError::NotPrivate)?;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    curve.signing(),
                    d.expose(),
                    &ec_point(x, y),
                )
                .map_err(|_| KeyError::Invalid("elliptic curve private key"))?;
                Self::from_ec_pair(pair, alg, kid)
            }
            (Material::Ed25519 { x, d }, Family::Ed25519) => {
                let d = d.as_ref().ok_or(KeyError::NotPrivate)?;
                let pair = Ed25519KeyPair::from_seed_and_public_key(d.expose(), x)
                    .map_err(|_| KeyError::Invalid("Ed25519 private key"))?;
                Self::from_ed_pair(pair, alg, kid)
            }
            _ => Err(KeyError::WrongKeyForAlgorithm(alg.name())),
        }
    }

    fn with(inner: Inner, verifying: VerifyingKey) -> Self {
        let mut header = format!("{{\"alg\":\"{}\"", verifying.algorithm()).into_bytes();
        if let Some(kid) = verifying.kid() {
            header.extend_from_slice(b",\"kid\":");
            header.extend_from_slice(serde_json::Value::from(kid).to_string().as_bytes());
        }
        Self { inner, verifying, header: HeaderStart::of(&header) }
    }

    pub(super) fn header(&self) -> &HeaderStart {
        &self.header
    }

    fn from_rsa_pair(pair: RsaKeyPair, alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        let Family::Rsa(_, encoding) = alg.family() else {
            return Err(KeyError::WrongKeyForAlgorithm(alg.name()));
        };
        let (n, e) = der::rsa_public_key(pair.public_key().as_ref()).ok_or(KeyError::Provider)?;
        let verifying = VerifyingKey::from_rsa(n, e, alg, kid)?;
        Ok(Self::with(Inner::Rsa(Box::new(pair), encoding), verifying))
    }

    fn from_ec_pair(pair: EcdsaKeyPair, alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::from_ec_point(pair.public_key().as_ref(), alg, kid)?;
        Ok(Self::with(Inner::Ec(Box::new(pair)), verifying))
    }

    fn from_ed_pair(pair: Ed25519KeyPair, alg: Algorithm, kid: Option<String>) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::from_ed25519(pair.public_key().as_ref(), alg, kid)?;
        Ok(Self::with(Inner::Ed25519(Box::new(pair)), verifying))
    }

    /// Makes a new key. The second value is what to store: PKCS#8 DER for [`SigningKey::from_pkcs8`], or the
    /// raw secret (as long as the hash) for [`SigningKey::from_secret`]. RSA keys have 2048 bits.
    ///
    /// # Errors
    /// [`KeyError::Provider`] when the provider's generator fails.
    pub fn generate(alg: Algorithm) -> Result<(Self, SecretBytes), KeyError> {
        let failed = |_| KeyError::Provider;
        match alg.family() {
            Family::Hmac(_) => {
                let mut secret = SecretBytes::new(vec![0; alg.hash_bytes()]);
                provider_random().fill(secret.expose_mut()).map_err(failed)?;
                Ok((Self::from_secret(secret.expose(), alg, None, SecretRule::Strict)?, secret))
            }
            Family::Rsa(..) => {
                let pair = RsaKeyPair::generate(provider_rsa::KeySize::Rsa2048).map_err(failed)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                let stored = SecretBytes::new(der.as_ref().to_vec());
                Ok((Self::from_rsa_pair(pair, alg, None)?, stored))
            }
            Family::Ec(curve) => {
                let pair = EcdsaKeyPair::generate(curve.signing()).map_err(failed)?;
                let stored = SecretBytes::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec());
                Ok((Self::from_ec_pair(pair, alg, None)?, stored))
            }
            Family::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let stored = SecretBytes::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec());
                Ok((Self::from_ed_pair(pair, alg, None)?, stored))
            }
        }
    }

    /// The one algorithm this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// The key's id, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.verifying.kid()
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_kid(self, kid: Option<String>) -> Self {
        Self::with(self.inner, self.verifying.with_kid(kid))
    }

    /// The half that verifies.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// The public JWK; none for HMAC keys.
    pub fn to_public_jwk(&self) -> Option<Jwk> {
        self.verifying.to_public_jwk()
    }

    /// Appends the raw signature of `message` to `out`.
    ///
    /// # Errors
    /// [`KeyError::Provider`] when the provider fails; `out` is then as it was.
    pub fn sign(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), KeyError> {
        let failed = |_| KeyError::Provider;
        match &self.inner {
            Inner::Hmac(key) => out.extend_from_slice(hmac::sign(key, message).as_ref()),
            Inner::Rsa(pair, encoding) => {
                let start = out.len();
                out.resize(start + pair.public_modulus_len(), 0);
                if pair.sign(*encoding, &provider_random(), message, &mut out[start..]).is_err() {
                    out.truncate(start);
                    return Err(KeyError::Provider);
                }
            }
            Inner::Ec(pair) => {
                out.extend_from_slice(pair.sign(&provider_random(), message).map_err(failed)?.as_ref());
            }
            Inner::Ed25519(pair) => out.extend_from_slice(pair.try_sign(message).map_err(failed)?.as_ref()),
        }
        Ok(())
    }
}

/// The provider signs and generates with its own generator and ignores what it is handed; only HMAC secrets
/// are filled from this one.
#[expect(clippy::disallowed_methods, reason = "key generation and blinding belong to the crypto provider")]
fn provider_random() -> SystemRandom {
    SystemRandom::new()
}
