//! Keys that sign tokens: published, rotated, retired.

use std::sync::Arc;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::signing_key;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::KeyId;
use doorward_core::tokens::KeyRing;
use doorward_core::tokens::keys::KeyInfo;
use doorward_core::tokens::profile::Keys;
use doorward_protocols::jose::{Algorithm, Jwk};
use http::header::{CACHE_CONTROL, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tags;
use crate::http::respond::Answer;
use crate::openapi::{Described, Nothing};
use crate::request::Request;

/// A public key (RFC 7517 §4).
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it stands for `Jwk` in the schema")]
struct PublicKey {
    /// `EC`, `RSA` or `OKP`.
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
}

/// A set of public keys (RFC 7517 §5).
#[derive(Serialize, JsonSchema)]
pub(crate) struct PublicKeys {
    #[schemars(with = "Vec<PublicKey>")]
    keys: Vec<Jwk>,
}

pub(super) static PUBLISHED: Described<Nothing, PublicKeys> =
    Described::new("readPublicKeys", &tags::TOKENS, "The public keys that verify tokens now").answers(200);

/// `GET /.well-known/jwks.json` (RFC 7517 §5): the public halves that verify now.
pub(crate) async fn published(request: Request) -> Result<Answer> {
    let keys = match &request.site.mount.tokens.keys {
        Keys::Ring(ring) => ring.public_keys(),
        Keys::Fixed { verify, .. } => verify.iter().filter_map(|key| key.to_public_jwk()).collect(),
    };
    let mut answer = PUBLISHED.answer(&PublicKeys { keys });
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Ok(answer)
}

fn ring(request: &Request) -> Result<Arc<KeyRing>> {
    match &request.site.mount.tokens.keys {
        Keys::Ring(ring) => Ok(Arc::clone(ring)),
        Keys::Fixed { .. } => {
            Err(Error::new(codes::CONFLICT).message("This mount's keys stand in its configuration."))
        }
    }
}

/// A key that signs or verifies tokens, without the key.
#[derive(Serialize, JsonSchema)]
pub(super) struct SigningKey {
    /// The `kid`.
    id: String,
    /// JOSE name.
    algorithm: String,
    created_at_ms: i64,
    /// From when it no longer verifies.
    retired_at_ms: Option<i64>,
    /// Whether it signs now.
    signs: bool,
}

impl From<KeyInfo> for SigningKey {
    fn from(info: KeyInfo) -> Self {
        let KeyInfo { id, algorithm, created_at_ms, retired_at_ms, signs } = info;
        Self { id: id.to_string(), algorithm, created_at_ms, retired_at_ms, signs }
    }
}

/// The keys there are.
#[derive(Serialize, JsonSchema)]
pub(super) struct SigningKeys {
    signing_keys: Vec<SigningKey>,
}

pub(super) static LIST: Described<Nothing, SigningKeys> =
    Described::new("listSigningKeys", &tags::SIGNING, "The signing keys there are; never private halves")
        .answers(200)
        .refuses(&[codes::CONFLICT]);

/// `GET /v1/signing-keys`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<signing_key::Read>(Target::any())?;
    let ring = match ring(&request) {
        Ok(ring) => ring,
        Err(error) => return permit.close(Err(error)),
    };
    let infos = request.engine.signing_keys().list(permit, &ring).await?;
    let signing_keys = infos.into_iter().map(SigningKey::from).collect();
    Ok(LIST.answer(&SigningKeys { signing_keys }))
}

/// A new signing key.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "NewSigningKey")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotation {
    /// JOSE name; that of the present key unless it says otherwise.
    algorithm: Option<String>,
}

pub(super) static ROTATE: Described<Rotation, SigningKey> =
    Described::new("rotateSigningKey", &tags::SIGNING, "Make a new key that signs from now on")
        .notes("The old ones still verify.")
        .takes(r#"{"algorithm": "ES256"}"#)
        .answers(201)
        .refuses(&[codes::CONFLICT]);

/// `POST /v1/signing-keys`: a new key that signs from now on.
pub(super) async fn rotate(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = ROTATE.permit::<signing_key::Rotate>(&mut request, Target::any()).await?;
    let unknown = || Error::new(codes::BAD_FIELD).message("`algorithm` is not one that signs here.");
    let algorithm = body.algorithm.map(|name| name.parse::<Algorithm>().map_err(|_| unknown())).transpose();
    let (algorithm, ring) = match algorithm.and_then(|algorithm| Ok((algorithm, ring(&request)?))) {
        Ok(ready) => ready,
        Err(error) => return permit.close(Err(error)),
    };
    let info = engine.signing_keys().rotate(permit, &ring, algorithm).await?;
    Ok(ROTATE.answer(&info.into()))
}

pub(super) static RETIRE: Described =
    Described::new("retireSigningKey", &tags::SIGNING, "End a signing key: what it signed is refused")
        .refuses(&[codes::CONFLICT]);

/// `DELETE /v1/signing-keys/{id}`: what it signed is refused from now on.
pub(super) async fn retire(request: Request) -> Result<Answer> {
    let id = KeyId::from(request.param("id")?);
    let permit = request.permit::<signing_key::Retire>(Target::named(id.as_str()))?;
    let ring = match ring(&request) {
        Ok(ring) => ring,
        Err(error) => return permit.close(Err(error)),
    };
    request.engine.signing_keys().retire(permit, &ring, &id).await?;
    Ok(RETIRE.done())
}
