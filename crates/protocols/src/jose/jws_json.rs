//! The forms of JWS that credentials never have: flattened and general JSON (RFC 7515 §7.2), detached content
//! (Appendix F), and unencoded payloads (RFC 7797). For documents exchanged with other systems; nothing on the
//! way of a credential calls this.
//!
//! Policy on top of the RFCs: `alg` may stand in the unprotected header of the JSON forms (the cookbook's
//! §4.7 does), which is safe here because the key, not the header, decides; `crit` and `b64` must be
//! protected; `b64` is the one extension understood.

use serde_json::{Map, Value, json};

use super::alg::Algorithm;
use super::error::KeyError;
use super::key::VerifyingKey;
use super::signing::SigningKey;
use crate::encoding::{base64url_decode, base64url_encode};
use crate::json::{self, Limits};

/// Most signatures in one document: each costs a verification.
pub const MAX_SIGNATURES: usize = 16;

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not a JWS of the expected form.
    #[error("the document is malformed: {0}")]
    Malformed(&'static str),
    /// A header that is not acceptable.
    #[error("the header is refused: {0}")]
    Header(&'static str),
    /// No signature was made with an algorithm that a given key is bound to.
    #[error("no signature is of an algorithm that the keys allow")]
    AlgorithmNotAllowed,
    /// No signature verifies.
    #[error("no signature verifies")]
    BadSignature,
    /// Signing failed.
    #[error("signing failed")]
    Key(#[from] KeyError),
}

/// One signature of a document, before verification.
#[derive(Debug, Clone)]
struct Signed {
    protected: String,
    alg: Algorithm,
    kid: Option<String>,
    encoded: bool,
    signature: Vec<u8>,
}

/// A parsed document: a payload and its signatures.
#[derive(Debug, Clone)]
pub struct Document {
    /// As it stands in the document: base64url, or text where `b64` is false. `None` when detached.
    payload: Option<String>,
    encoded: bool,
    signatures: Vec<Signed>,
}

impl Document {
    /// Parses the flattened or general JSON serialization.
    ///
    /// # Errors
    /// [`JwsError::Malformed`] or [`JwsError::Header`].
    pub fn parse_json(bytes: &[u8]) -> Result<Self, JwsError> {
        let map: Map<String, Value> = json::parse_as(bytes, Limits::STRANGER)
            .map_err(|_| JwsError::Malformed("not a strict JSON object"))?;
        let payload = match map.get("payload") {
            None => None,
            Some(Value::String(payload)) => Some(payload.clone()),
            Some(_) => return Err(JwsError::Malformed("payload is not a string")),
        };
        let signatures = match map.get("signatures") {
            // §7.2.2: the flattened form must not hold a signatures list, nor the general form a signature.
            Some(_) if ["signature", "protected", "header"].iter().any(|name| map.contains_key(*name)) => {
                return Err(JwsError::Malformed("both flattened and general"));
            }
            Some(Value::Array(list)) if (1..=MAX_SIGNATURES).contains(&list.len()) => list
                .iter()
                .map(|one| one.as_object().ok_or(JwsError::Malformed("a signature is not an object")))
                .map(|one| one.and_then(Signed::from_map))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(JwsError::Malformed("signatures is not a list of 1 to 16")),
            None => vec![Signed::from_map(&map)?],
        };
        Self::checked(payload, signatures)
    }

    /// Parses the compact form, allowing an empty (detached) payload and RFC 7797's unencoded one.
    ///
    /// # Errors
    /// [`JwsError::Malformed`] or [`JwsError::Header`]. An unencoded payload in this form may not hold a dot
    /// (RFC 7797 §5.2); detach it.
    pub fn parse_compact(text: &str) -> Result<Self, JwsError> {
        if text.len() > Limits::STRANGER.max_bytes {
            return Err(JwsError::Malformed("too large"));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [protected, payload, signature] = parts[..] else {
            return Err(JwsError::Malformed("not three parts"));
        };
        let signed = Signed::new(protected.to_owned(), &Map::new(), signature)?;
        let payload = (!payload.is_empty()).then(|| payload.to_owned());
        Self::checked(payload, vec![signed])
    }

    fn checked(payload: Option<String>, signatures: Vec<Signed>) -> Result<Self, JwsError> {
        let encoded = signatures.first().ok_or(JwsError::Malformed("no signature"))?.encoded;
        // RFC 7797 §3: all signatures must agree.
        if signatures.iter().any(|signed| signed.encoded != encoded) {
            return Err(JwsError::Header("signatures disagree about b64"));
        }
        if encoded && payload.as_deref().is_some_and(|text| base64url_decode(text.as_bytes()).is_err()) {
            return Err(JwsError::Malformed("payload is not canonical base64url"));
        }
        Ok(Self { payload, encoded, signatures })
    }

    /// Whether the payload travels apart.
    pub fn is_detached(&self) -> bool {
        self.payload.is_none()
    }

    /// How many signatures there are.
    pub fn signature_count(&self) -> usize {
        self.signatures.len()
    }

    /// Verifies with the given keys: one signature that verifies under the key bound to its algorithm (and of
    /// its `kid`, where both name one) is enough. Returns the payload's bytes and how many signatures
    /// verified.
    ///
    /// `detached` is the payload when it travels apart, and must be absent otherwise.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn verify(
        &self,
        keys: &[VerifyingKey],
        detached: Option<&[u8]>,
    ) -> Result<(Vec<u8>, usize), JwsError> {
        let (on_wire, payload) = match (&self.payload, detached) {
            (Some(text), None) if self.encoded => {
                let bytes = base64url_decode(text.as_bytes());
                (text.clone().into_bytes(), bytes.map_err(|_| JwsError::Malformed("payload"))?)
            }
            (Some(text), None) => (text.clone().into_bytes(), text.clone().into_bytes()),
            (None, Some(bytes)) if self.encoded => (base64url_encode(bytes).into_bytes(), bytes.to_vec()),
            (None, Some(bytes)) => (bytes.to_vec(), bytes.to_vec()),
            (None, None) => return Err(JwsError::Malformed("the payload is detached")),
            (Some(_), Some(_)) => return Err(JwsError::Malformed("the payload is not detached")),
        };
        let (mut tried, mut good) = (false, 0);
        for signed in &self.signatures {
            let input = [signed.protected.as_bytes(), b".", &on_wire].concat();
            let mut fitting = keys.iter().filter(|key| signed.may_use(key)).inspect(|_| tried = true);
            good += usize::from(fitting.any(|key| key.verify(&input, &signed.signature)));
        }
        match (good, tried) {
            (0, false) => Err(JwsError::AlgorithmNotAllowed),
            (0, true) => Err(JwsError::BadSignature),
            _ => Ok((payload, good)),
        }
    }
}

impl Signed {
    fn from_map(map: &Map<String, Value>) -> Result<Self, JwsError> {
        let text = |name: &str| match map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(JwsError::Malformed("a member of a signature is not a string")),
        };
        let signature = text("signature")?.ok_or(JwsError::Malformed("signature is missing"))?;
        let unprotected = match map.get("header") {
            None => &Map::new(),
            Some(Value::Object(header)) => header,
            Some(_) => return Err(JwsError::Malformed("header is not an object")),
        };
        Self::new(text("protected")?.unwrap_or("").to_owned(), unprotected, signature)
    }

    fn new(protected: String, unprotected: &Map<String, Value>, signature: &str) -> Result<Self, JwsError> {
        let protected_map: Map<String, Value> = match protected.as_str() {
            "" => Map::new(),
            text => {
                let bytes = base64url_decode(text.as_bytes())
                    .map_err(|_| JwsError::Malformed("protected is not canonical base64url"))?;
                json::parse_as(&bytes, Limits::TOKEN)
                    .map_err(|_| JwsError::Header("protected is not a strict JSON object"))?
            }
        };
        // §4: the two headers must not name the same member.
        if unprotected.keys().any(|name| protected_map.contains_key(name)) {
            return Err(JwsError::Header("a member is both protected and not"));
        }
        if ["crit", "b64"].iter().any(|name| unprotected.contains_key(*name)) {
            return Err(JwsError::Header("crit and b64 must be protected"));
        }
        let text = |name: &str| match protected_map.get(name).or_else(|| unprotected.get(name)) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(JwsError::Header("a member has the wrong type")),
        };
        let alg = text("alg")?.ok_or(JwsError::Header("no algorithm"))?;
        Ok(Self {
            alg: alg.parse().map_err(|_| JwsError::Header("unknown algorithm"))?,
            kid: text("kid")?.map(str::to_owned),
            encoded: is_encoded(&protected_map)?,
            signature: base64url_decode(signature.as_bytes())
                .map_err(|_| JwsError::Malformed("signature is not canonical base64url"))?,
            protected,
        })
    }

    fn may_use(&self, key: &VerifyingKey) -> bool {
        key.algorithm() == self.alg
            && match (self.kid.as_deref(), key.kid()) {
                (Some(named), Some(own)) => named == own,
                _ => true,
            }
    }
}

/// `crit` (RFC 7515 §4.1.11) and `b64` (RFC 7797 §3, §6): `b64` counts only where `crit` lists it, and nothing
/// else may be listed.
fn is_encoded(protected: &Map<String, Value>) -> Result<bool, JwsError> {
    let critical = match protected.get("crit") {
        None => false,
        Some(Value::Array(names)) if names.len() == 1 && names[0] == "b64" => true,
        Some(_) => return Err(JwsError::Header("crit lists something that is not understood")),
    };
    match (protected.get("b64"), critical) {
        (None, false) => Ok(true),
        (Some(Value::Bool(encoded)), true) => Ok(*encoded),
        (Some(Value::Bool(true)), false) => Ok(true),
        (Some(Value::Bool(false)), false) => Err(JwsError::Header("b64 is false without crit")),
        (Some(_), _) => Err(JwsError::Header("b64 is not a boolean")),
        (None, true) => Err(JwsError::Header("crit lists an absent member")),
    }
}

/// The headers of a signature to make.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// The protected header as JSON text, signed byte for byte; empty for none.
    pub protected: &'a str,
    /// The unprotected header.
    pub unprotected: Option<&'a Map<String, Value>>,
}

/// A signature of its parts, which [`to_compact`], [`to_flattened`] and [`to_general`] put together.
#[derive(Debug, Clone)]
pub struct Parts {
    protected: String,
    unprotected: Option<Map<String, Value>>,
    payload: String,
    signature: String,
}

/// Signs a payload under the given headers, whose `alg` must be the key's.
///
/// # Errors
/// [`JwsError`]; an unencoded payload must be UTF-8.
pub fn sign(key: &SigningKey, headers: Headers<'_>, payload: &[u8]) -> Result<Parts, JwsError> {
    let protected = base64url_encode(headers.protected.as_bytes());
    let empty = Map::new();
    let checked = Signed::new(protected, headers.unprotected.unwrap_or(&empty), "")?;
    if checked.alg != key.algorithm() {
        return Err(JwsError::AlgorithmNotAllowed);
    }
    let on_wire = if checked.encoded {
        base64url_encode(payload)
    } else {
        let text = std::str::from_utf8(payload).map_err(|_| JwsError::Malformed("payload is not text"))?;
        text.to_owned()
    };
    let mut signature = Vec::new();
    key.sign(format!("{}.{on_wire}", checked.protected).as_bytes(), &mut signature)?;
    Ok(Parts {
        protected: checked.protected,
        unprotected: headers.unprotected.cloned(),
        payload: on_wire,
        signature: base64url_encode(&signature),
    })
}

impl Parts {
    fn members(&self) -> Map<String, Value> {
        let mut map = Map::new();
        if !self.protected.is_empty() {
            map.insert("protected".into(), json!(self.protected));
        }
        if let Some(header) = &self.unprotected {
            map.insert("header".into(), json!(header));
        }
        map.insert("signature".into(), json!(self.signature));
        map
    }
}

/// The compact form; `detached` leaves the payload out.
///
/// # Errors
/// [`JwsError::Malformed`] when there is an unprotected header, no protected one, or a dot in an unencoded
/// payload that is not detached.
pub fn to_compact(parts: &Parts, detached: bool) -> Result<String, JwsError> {
    if parts.unprotected.is_some() || parts.protected.is_empty() {
        return Err(JwsError::Malformed("the compact form has exactly a protected header"));
    }
    let payload = if detached { "" } else { parts.payload.as_str() };
    if payload.contains('.') {
        return Err(JwsError::Malformed("an unencoded payload with a dot must be detached"));
    }
    Ok(format!("{}.{payload}.{}", parts.protected, parts.signature))
}

/// The flattened JSON form; `detached` leaves the payload out.
pub fn to_flattened(parts: &Parts, detached: bool) -> Value {
    let mut map = parts.members();
    if !detached {
        map.insert("payload".into(), json!(parts.payload));
    }
    Value::Object(map)
}

/// The general JSON form of signatures over one payload; `detached` leaves the payload out.
///
/// # Errors
/// [`JwsError::Malformed`] when there is no signature or the payloads differ.
pub fn to_general(signatures: &[Parts], detached: bool) -> Result<Value, JwsError> {
    let first = signatures.first().ok_or(JwsError::Malformed("no signature"))?;
    if signatures.iter().any(|one| one.payload != first.payload) {
        return Err(JwsError::Malformed("signatures over different payloads"));
    }
    let list: Vec<Value> = signatures.iter().map(|one| Value::Object(one.members())).collect();
    let mut map = Map::from_iter([("signatures".to_owned(), Value::Array(list))]);
    if !detached {
        map.insert("payload".into(), json!(first.payload));
    }
    Ok(Value::Object(map))
}
