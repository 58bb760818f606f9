//! JSON Web Keys (RFC 7517, parameters of RFC 7518 §6 and RFC 8037 §2), read strictly.

use aws_lc_rs::digest;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::alg::{Algorithm, Curve};
use super::error::KeyError;
use super::secret::SecretBytes;
use crate::encoding::{base64url_decode, base64url_encode};
use crate::json::{self, Limits};

/// One key. Serializes as its *public* members only; symmetric keys serialize without `k`.
#[derive(Debug, Clone)]
pub struct Jwk {
    kid: Option<String>,
    alg: Option<String>,
    public_use: Option<String>,
    key_ops: Option<Vec<String>>,
    material: Material,
}

/// The numbers of a key.
#[derive(Debug, Clone)]
pub(crate) enum Material {
    Rsa { public: RsaPublic, private: Option<RsaPrivate> },
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8>, d: Option<SecretBytes> },
    Ed25519 { x: Vec<u8>, d: Option<SecretBytes> },
    Oct(SecretBytes),
}

/// Modulus and exponent, big-endian without leading zeros.
#[derive(Debug, Clone)]
pub(crate) struct RsaPublic {
    pub(crate) n: Vec<u8>,
    pub(crate) e: Vec<u8>,
}

/// RFC 7518 §6.3.2; all six are needed to sign.
#[derive(Debug, Clone)]
pub(crate) struct RsaPrivate {
    pub(crate) d: SecretBytes,
    pub(crate) p: SecretBytes,
    pub(crate) q: SecretBytes,
    pub(crate) dp: SecretBytes,
    pub(crate) dq: SecretBytes,
    pub(crate) qi: SecretBytes,
}

impl Jwk {
    /// Reads one key from JSON text.
    ///
    /// # Errors
    /// [`KeyError::Json`] for unacceptable JSON (duplicate members too), [`KeyError::Invalid`] for a missing,
    /// mistyped or wrongly encoded member or an unknown key type or curve. Whether the numbers make a good key
    /// is judged when it is turned into a [`super::VerifyingKey`] or [`super::SigningKey`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let limits = Limits { max_bytes: 32 << 10, ..Limits::TOKEN };
        Self::from_map(&json::parse_as(bytes, limits)?)
    }

    pub(crate) fn from_map(map: &Map<String, Value>) -> Result<Self, KeyError> {
        let material = match text(map, "kty")?.ok_or(KeyError::Invalid("kty is missing"))? {
            "RSA" => Material::Rsa {
                public: RsaPublic { n: needed(map, "n")?, e: needed(map, "e")? },
                private: rsa_private(map)?,
            },
            "EC" => {
                let curve = match text(map, "crv")? {
                    Some("P-256") => Curve::P256,
                    Some("P-384") => Curve::P384,
                    Some("P-521") => Curve::P521,
                    _ => return Err(KeyError::Invalid("unknown curve")),
                };
                let coordinate = |name| {
                    needed(map, name).and_then(|bytes| match bytes.len() == curve.field_bytes() {
                        true => Ok(bytes),
                        false => Err(KeyError::Invalid("a coordinate does not have the curve's length")),
                    })
                };
                let d = match map.contains_key("d") {
                    true => Some(coordinate("d")?.into()),
                    false => None,
                };
                Material::Ec { curve, x: coordinate("x")?, y: coordinate("y")?, d }
            }
            "OKP" => {
                if text(map, "crv")? != Some("Ed25519") {
                    return Err(KeyError::Invalid("unknown curve"));
                }
                let (x, d) = (needed(map, "x")?, bytes(map, "d")?);
                if x.len() != 32 || d.as_ref().is_some_and(|d| d.len() != 32) {
                    return Err(KeyError::Invalid("an Ed25519 key has 32 bytes"));
                }
                Material::Ed25519 { x, d: d.map(SecretBytes::new) }
            }
            "oct" => Material::Oct(needed(map, "k")?.into()),
            _ => return Err(KeyError::Invalid("unknown key type")),
        };
        let jwk = Self {
            kid: text(map, "kid")?.map(str::to_owned),
            alg: text(map, "alg")?.map(str::to_owned),
            public_use: text(map, "use")?.map(str::to_owned),
            key_ops: operations(map)?,
            material,
        };
        if let Some(alg) = jwk.alg.as_deref().and_then(|alg| alg.parse::<Algorithm>().ok()) {
            jwk.fits(alg)?;
        }
        Ok(jwk)
    }

    pub(crate) fn public(alg: Algorithm, kid: Option<String>, material: Material) -> Self {
        Self {
            kid,
            alg: Some(alg.name().to_owned()),
            public_use: Some("sig".to_owned()),
            key_ops: None,
            material,
        }
    }

    fn fits(&self, alg: Algorithm) -> Result<(), KeyError> {
        use super::alg::Family;
        match (&self.material, alg.family()) {
            (Material::Rsa { .. }, Family::Rsa(..))
            | (Material::Ed25519 { .. }, Family::Ed25519)
            | (Material::Oct(_), Family::Hmac(_)) => Ok(()),
            (Material::Ec { curve, .. }, Family::Ec(needed)) if *curve == needed => Ok(()),
            _ => Err(KeyError::WrongKeyForAlgorithm(alg.name())),
        }
    }

    /// The key's id.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The registered key type (RFC 7518 §6.1, RFC 8037 §2).
    pub fn kty(&self) -> &'static str {
        match self.material {
            Material::Rsa { .. } => "RSA",
            Material::Ec { .. } => "EC",
            Material::Ed25519 { .. } => "OKP",
            Material::Oct(_) => "oct",
        }
    }

    /// Whether verifier and signer share this key.
    pub fn is_symmetric(&self) -> bool {
        matches!(self.material, Material::Oct(_))
    }

    /// The signature algorithm that `alg` names, or the only one the key's curve allows; none when an RSA or
    /// symmetric key names none.
    ///
    /// # Errors
    /// [`KeyError::Forbidden`] when `alg` names something else than a signature algorithm of this crate.
    pub fn algorithm(&self) -> Result<Option<Algorithm>, KeyError> {
        match (&self.alg, &self.material) {
            (Some(name), _) => {
                let alg =
                    name.parse().map_err(|_| KeyError::Forbidden("alg is not a signature algorithm"))?;
                Ok(Some(alg))
            }
            (None, Material::Ec { curve, .. }) => Ok(Some(curve.algorithm())),
            (None, Material::Ed25519 { .. }) => Ok(Some(Algorithm::EdDSA)),
            (None, Material::Rsa { .. } | Material::Oct(_)) => Ok(None),
        }
    }

    /// Checks `use` and `key_ops` (RFC 7517 §4.2, §4.3) for `"sign"` or `"verify"`.
    pub(crate) fn allows(&self, operation: &str) -> Result<(), KeyError> {
        if self.public_use.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err(KeyError::Forbidden("use is not sig"));
        }
        if self.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|one| one == operation)) {
            return Err(KeyError::Forbidden("key_ops does not list the operation"));
        }
        Ok(())
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    /// The members that identify the key, in lexical order: also what RFC 7638 §3.2 hashes.
    fn identity(&self) -> Vec<(&'static str, String)> {
        match &self.material {
            Material::Rsa { public, .. } => vec![
                ("e", base64url_encode(&public.e)),
                ("kty", "RSA".to_owned()),
                ("n", base64url_encode(&public.n)),
            ],
            Material::Ec { curve, x, y, .. } => vec![
                ("crv", curve.name().to_owned()),
                ("kty", "EC".to_owned()),
                ("x", base64url_encode(x)),
                ("y", base64url_encode(y)),
            ],
            Material::Ed25519 { x, .. } => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", base64url_encode(x))]
            }
            Material::Oct(secret) => {
                vec![("k", base64url_encode(secret.expose())), ("kty", "oct".to_owned())]
            }
        }
    }

    /// The SHA-256 thumbprint in base64url (RFC 7638): the same for a key and its public half. Do not publish
    /// the thumbprint of a symmetric key (§7): it confirms guesses.
    pub fn thumbprint(&self) -> String {
        let members: Vec<String> =
            self.identity().iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let canonical = zeroize::Zeroizing::new(format!("{{{}}}", members.join(",")));
        base64url_encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.is_symmetric() {
            map.serialize_entry("kty", "oct")?;
        } else {
            for (name, value) in self.identity() {
                map.serialize_entry(name, &value)?;
            }
        }
        for (name, value) in [("kid", &self.kid), ("alg", &self.alg), ("use", &self.public_use)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(operations) = &self.key_ops {
            // The public half of a signing pair verifies.
            let public: Vec<&str> =
                operations.iter().map(String::as_str).filter(|one| *one != "sign").collect();
            map.serialize_entry("key_ops", &public)?;
        }
        map.end()
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, KeyError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::Invalid("a member that must be a string is not")),
    }
}

fn bytes(map: &Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, KeyError> {
    let decode = |text: &str| {
        base64url_decode(text.as_bytes())
            .map_err(|_| KeyError::Invalid("a number is not canonical base64url"))
    };
    text(map, name)?.map(decode).transpose()
}

fn needed(map: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    bytes(map, name)?.ok_or(KeyError::Invalid("a number of the key is missing"))
}

fn rsa_private(map: &Map<String, Value>) -> Result<Option<RsaPrivate>, KeyError> {
    if !map.contains_key("d") {
        return Ok(None);
    }
    if map.contains_key("oth") {
        return Err(KeyError::Invalid("RSA keys of more than two primes"));
    }
    let number = |name| needed(map, name).map(SecretBytes::new);
    Ok(Some(RsaPrivate {
        d: number("d")?,
        p: number("p")?,
        q: number("q")?,
        dp: number("dp")?,
        dq: number("dq")?,
        qi: number("qi")?,
    }))
}

/// RFC 7517 §4.3: an array of strings, none of them twice.
fn operations(map: &Map<String, Value>) -> Result<Option<Vec<String>>, KeyError> {
    let Some(value) = map.get("key_ops") else { return Ok(None) };
    let wrong = KeyError::Invalid("key_ops is not a list of distinct names");
    let mut names: Vec<String> = Vec::new();
    for one in value.as_array().ok_or(wrong.clone())? {
        match one.as_str() {
            Some(name) if !names.iter().any(|known| known == name) => names.push(name.to_owned()),
            _ => return Err(wrong),
        }
    }
    Ok(Some(names))
}
