//! `/v1/me/identities`: the providers that open one's account.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::identity;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::IdentityId;
use doorward_core::identity::model::Identity;
use doorward_core::login::Way;
use doorward_core::secret::SecretText;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::login::{redirect_uri, sent_away};
use super::users::{named, own};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

fn view(request: &Request, identity: &Identity) -> Value {
    let all = request.engine.providers();
    let provider = all.iter().find(|provider| provider.method.authority() == identity.authority);
    json!({
        "id": identity.id,
        "provider": provider.map(|provider| &*provider.name),
        "authority": identity.authority,
        "subject": identity.subject,
        "shown": identity.shown,
        "created_at_ms": identity.created_at_ms,
        "last_used_at_ms": identity.last_used_at_ms,
    })
}

/// `GET /v1/me/identities`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<identity::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.identities().list(permit, &id).await?;
    let shown: Vec<_> = found.iter().map(|identity| view(&request, identity)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "identities": shown })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adding {
    provider: String,
    return_to: Option<String>,
    current_password: Option<SecretText>,
}

/// `POST /v1/me/identities`: where the page has to send its browser, so that the provider is added.
pub(super) async fn begin(mut request: Request) -> Result<Answer> {
    if !request.site.cookies {
        return Err(Error::new(codes::NO_COOKIES));
    }
    let (id, owner) = own(&request)?;
    let (permit, body) =
        request.permit_with_json::<identity::Link, Adding>(Target::owned(id.as_str(), &owner)).await?;
    let redirect_uri = match redirect_uri(&request, &body.provider) {
        Ok(uri) => uri,
        Err(error) => return permit.close(Err(error)),
    };
    let return_to =
        body.return_to.unwrap_or_else(|| format!("{}/v1/me/identities", request.site.public_prefix));
    let where_to = (body.provider.as_str(), Way::new(redirect_uri, return_to));
    let begun = request.engine.identities().begin(permit, where_to, body.current_password.as_ref()).await?;
    Ok(sent_away(&begun, StatusCode::OK))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Removing {
    current_password: Option<SecretText>,
}

/// `DELETE /v1/me/identities/{id}`
pub(super) async fn delete(mut request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let (permit, body) =
        request.permit_with_json::<identity::Unlink, Removing>(Target::owned(id.as_str(), &owner)).await?;
    let identity = match request.param("id") {
        Ok(text) => IdentityId::from(text),
        Err(error) => return permit.close(Err(error)),
    };
    request.engine.identities().unlink(permit, &id, &identity, body.current_password.as_ref()).await?;
    Ok(no_content())
}

/// `GET /v1/users/{id}/identities`
pub(super) async fn list_of(request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let permit = request.permit::<identity::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.identities().list(permit, &id).await?;
    let shown: Vec<_> = found.iter().map(|identity| view(&request, identity)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "identities": shown })))
}

/// `DELETE /v1/users/{id}/identities/{identity}`
pub(super) async fn delete_of(mut request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let (permit, body) =
        request.permit_with_json::<identity::Unlink, Removing>(Target::owned(id.as_str(), &owner)).await?;
    let identity = match request.param("identity") {
        Ok(text) => IdentityId::from(text),
        Err(error) => return permit.close(Err(error)),
    };
    request.engine.identities().unlink(permit, &id, &identity, body.current_password.as_ref()).await?;
    Ok(no_content())
}
