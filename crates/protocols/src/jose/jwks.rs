//! JWK sets (RFC 7517 §5).

use serde::Serialize;
use serde_json::{Map, Value};

use super::alg::Algorithm;
use super::error::KeyError;
use super::jwk::Jwk;
use super::key::VerifyingKey;
use crate::json::{self, Limits};

/// Most keys in a set: more would let its publisher choose how long a look-up takes.
pub const MAX_KEYS: usize = 100;

/// A set of keys with distinct ids, all symmetric or all asymmetric. Serializes as `{"keys":[…]}`, public
/// members only.
#[derive(Debug, Clone, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    #[serde(skip)]
    ignored: usize,
}

/// A key of a set that cannot verify, and why.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// The key's id, if it has one.
    pub kid: Option<String>,
    /// Why it was passed over.
    pub reason: KeyError,
}

impl JwkSet {
    /// Reads a set from JSON text. Keys whose type or curve is unknown are counted and left out, as RFC 7517
    /// §5 asks; their ids still count as taken.
    ///
    /// # Errors
    /// [`KeyError::Json`], [`KeyError::TooManyKeys`], [`KeyError::DuplicateKid`], [`KeyError::MixedSet`] (a
    /// public set that also holds a shared secret is a leak, and invites confusing one kind for the other), or
    /// the error of a key of known type.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let document: Map<String, Value> = json::parse_as(bytes, Limits::STRANGER)?;
        let list = document.get("keys").and_then(Value::as_array);
        let list = list.ok_or(KeyError::Invalid("a key set has a list named keys"))?;
        if list.len() > MAX_KEYS {
            return Err(KeyError::TooManyKeys(MAX_KEYS));
        }
        let mut kids: Vec<&str> = Vec::new();
        let (mut keys, mut ignored) = (Vec::new(), 0);
        for entry in list {
            let map = entry.as_object().ok_or(KeyError::Invalid("a key is an object"))?;
            if let Some(kid) = map.get("kid").and_then(Value::as_str) {
                if kids.contains(&kid) {
                    return Err(KeyError::DuplicateKid(kid.chars().take(64).collect()));
                }
                kids.push(kid);
            }
            if is_known(map) { keys.push(Jwk::from_map(map)?) } else { ignored += 1 }
        }
        Self::checked(keys, ignored)
    }

    /// A set of keys that are already in hand.
    ///
    /// # Errors
    /// [`KeyError::TooManyKeys`], [`KeyError::DuplicateKid`], [`KeyError::MixedSet`].
    pub fn new(keys: Vec<Jwk>) -> Result<Self, KeyError> {
        for (index, key) in keys.iter().enumerate() {
            if let Some(kid) = key.kid().filter(|kid| keys[..index].iter().any(|k| k.kid() == Some(*kid))) {
                return Err(KeyError::DuplicateKid(kid.chars().take(64).collect()));
            }
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyError::TooManyKeys(MAX_KEYS));
        }
        Self::checked(keys, 0)
    }

    fn checked(keys: Vec<Jwk>, ignored: usize) -> Result<Self, KeyError> {
        if keys.iter().any(Jwk::is_symmetric) && !keys.iter().all(Jwk::is_symmetric) {
            return Err(KeyError::MixedSet);
        }
        Ok(Self { keys, ignored })
    }

    /// The keys, in the order of the document.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// How many keys of unknown type or curve were left out.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// The keys that can verify, and those that cannot with the reason. RSA and symmetric keys that name no
    /// algorithm are taken for `unnamed`, if given (some large issuers publish RSA keys without `alg`).
    pub fn verifying_keys(&self, unnamed: Option<Algorithm>) -> (Vec<VerifyingKey>, Vec<Skipped>) {
        let (mut usable, mut skipped) = (Vec::new(), Vec::new());
        for key in &self.keys {
            let alg = key.algorithm().and_then(|own| own.or(unnamed).ok_or(KeyError::AlgorithmNeeded));
            match alg.and_then(|alg| VerifyingKey::from_jwk_as(key, alg)) {
                Ok(verifying) => usable.push(verifying),
                Err(reason) => skipped.push(Skipped { kid: key.kid().map(str::to_owned), reason }),
            }
        }
        (usable, skipped)
    }
}

fn is_known(map: &Map<String, Value>) -> bool {
    let named = |name: &str| map.get(name).and_then(Value::as_str);
    match named("kty") {
        Some("RSA" | "oct") => true,
        Some("EC") => matches!(named("crv"), Some("P-256" | "P-384" | "P-521")),
        Some("OKP") => named("crv") == Some("Ed25519"),
        _ => false,
    }
}
