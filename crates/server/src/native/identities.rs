//! `/v1/me/identities`: the providers that open one's account.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::identity;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::IdentityId;
use doorward_core::identity::model::Identity;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::login::{redirect_uri, sent_away};
use super::users::own;
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
}

/// `POST /v1/me/identities`: where the page has to send its browser, so that the provider is added.
pub(super) async fn begin(mut request: Request) -> Result<Answer> {
    if !request.site.cookies {
        return Err(Error::new(codes::NO_COOKIES));
    }
    let (id, owner) = own(&request)?;
    let (permit, body) =
        request.permit_with_json::<identity::Link, Adding>(Target::owned(id.as_str(), &owner)).await?;
    let begun = async {
        let redirect_uri = redirect_uri(&request, &body.provider)?;
        let return_to =
            body.return_to.unwrap_or_else(|| format!("{}/v1/me/identities", request.site.public_prefix));
        request.engine.identities().begin(&permit, &body.provider, redirect_uri, return_to).await
    };
    let begun = begun.await;
    match begun {
        // Nothing is added yet; the way back asks for leave once more.
        Ok(begun) => {
            permit.into_grant().finish(doorward_core::audit::Outcome::Begun, None).await;
            Ok(sent_away(&begun, StatusCode::OK))
        }
        Err(error) => permit.close(Err(error)),
    }
}

/// `DELETE /v1/me/identities/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<identity::Unlink>(Target::owned(id.as_str(), &owner))?;
    let identity = IdentityId::from(request.param("id")?);
    request.engine.identities().unlink(permit, &identity).await?;
    Ok(no_content())
}
