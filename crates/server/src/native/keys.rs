//! Keys that sign tokens: published, rotated, retired.

use std::sync::Arc;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::signing_key;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::KeyId;
use doorward_core::tokens::KeyRing;
use doorward_core::tokens::keys::KeyInfo;
use doorward_core::tokens::profile::Keys;
use doorward_protocols::jose::Algorithm;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// `GET /.well-known/jwks.json` (RFC 7517 §5): the public halves that verify now.
pub(crate) async fn published(request: Request) -> Result<Answer> {
    let keys: Vec<Value> = match &request.site.mount.tokens.keys {
        Keys::Ring(ring) => ring.public_keys().iter().map(|key| json!(key)).collect(),
        Keys::Fixed { verify, .. } => {
            verify.iter().filter_map(|key| key.to_public_jwk()).map(|key| json!(key)).collect()
        }
    };
    let mut answer = json_answer(StatusCode::OK, &json!({ "keys": keys }));
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

fn view(info: &KeyInfo) -> Value {
    json!({
        "id": info.id,
        "algorithm": info.algorithm,
        "created_at_ms": info.created_at_ms,
        "retired_at_ms": info.retired_at_ms,
        "signs": info.signs,
    })
}

/// `GET /v1/signing-keys`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<signing_key::Read>(Target::any())?;
    let ring = match ring(&request) {
        Ok(ring) => ring,
        Err(error) => return permit.close(Err(error)),
    };
    let infos = request.engine.signing_keys().list(permit, &ring).await?;
    Ok(json_answer(StatusCode::OK, &json!({ "signing_keys": infos.iter().map(view).collect::<Vec<_>>() })))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    algorithm: Option<String>,
}

/// `POST /v1/signing-keys`: a new key that signs from now on.
pub(super) async fn rotate(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = request.permit_with_json::<signing_key::Rotate, Rotation>(Target::any()).await?;
    let unknown = || Error::new(codes::BAD_FIELD).message("`algorithm` is not one that signs here.");
    let algorithm = body.algorithm.map(|name| name.parse::<Algorithm>().map_err(|_| unknown())).transpose();
    let (algorithm, ring) = match algorithm.and_then(|algorithm| Ok((algorithm, ring(&request)?))) {
        Ok(ready) => ready,
        Err(error) => return permit.close(Err(error)),
    };
    let info = engine.signing_keys().rotate(permit, &ring, algorithm).await?;
    Ok(json_answer(StatusCode::CREATED, &view(&info)))
}

/// `DELETE /v1/signing-keys/{id}`: what it signed is refused from now on.
pub(super) async fn retire(request: Request) -> Result<Answer> {
    let id = KeyId::from(request.param("id")?);
    let permit = request.permit::<signing_key::Retire>(Target::named(id.as_str()))?;
    let ring = match ring(&request) {
        Ok(ring) => ring,
        Err(error) => return permit.close(Err(error)),
    };
    request.engine.signing_keys().retire(permit, &ring, &id).await?;
    Ok(no_content())
}
