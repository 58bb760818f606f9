//! API keys: made (and shown once), listed, revoked.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::api_key;
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{ApiKeyId, UserId};
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::ApiKeyKind;
use doorward_core::principal::Principal;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::users::own;
use super::{listing, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    scopes: Vec<String>,
    /// Seconds, or `"never"`.
    expires_in: Value,
    kind: Option<ApiKeyKind>,
    user_id: Option<String>,
}

fn expiry(value: &Value) -> Result<Expiry> {
    match value {
        Value::String(text) if text == "never" => Ok(Expiry::Never),
        value => value.as_i64().map(Expiry::InSeconds).ok_or_else(|| {
            Error::new(codes::BAD_FIELD).message("`expires_in` is a number of seconds or \"never\".")
        }),
    }
}

/// A new key as the engine takes it.
struct Asked {
    new: NewApiKey,
    kind: ApiKeyKind,
    owner: Option<UserId>,
}

impl Asked {
    fn new(body: NewKey) -> Result<Self> {
        let expiry = expiry(&body.expires_in)?;
        let new = NewApiKey { name: body.name, scopes: body.scopes, expiry };
        Ok(Self { new, kind: body.kind.unwrap_or(ApiKeyKind::User), owner: body.user_id.map(UserId::from) })
    }
}

/// `POST /v1/api-keys`: a user key for oneself, or any key by an administrator.
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    // Which leave is needed depends on the body; whoever has neither is told so before what is wrong with the body.
    let asked = request.json::<NewKey>().await.and_then(Asked::new);
    let created = match asked {
        Ok(Asked { new, kind, owner }) if kind == ApiKeyKind::Admin || owner.is_some() => {
            let permit = request.permit::<api_key::CreateAdmin>(Target::any())?;
            let owner = match owner.map_or_else(|| own(&request).map(|(id, _)| id), Ok) {
                Ok(owner) => owner,
                Err(error) => return permit.close(Err(error)),
            };
            engine.api_keys().create_for(permit, &owner, kind, new).await?
        }
        asked => {
            let permit = request.permit::<api_key::Create>(Target::any())?;
            match asked {
                Ok(asked) => engine.api_keys().create(permit, asked.new).await?,
                Err(error) => return permit.close(Err(error)),
            }
        }
    };
    let mut view = views::api_key(&created.key);
    view["key"] = Value::from(created.secret.expose().as_str());
    Ok(json_answer(StatusCode::CREATED, &view))
}

/// `GET /v1/api-keys`: one's own; of everybody with `?all=true`, of one user with `?user_id=`, for administrators.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<api_key::Read>(Target::any())?;
    let asked = request.query().and_then(|query| {
        let page = listing::page(&query)?;
        let owner = match (query.text("all"), query.text("user_id")) {
            (None, None) => Some(own(&request)?.0),
            (Some("true"), None) => None,
            (None, Some(id)) => Some(UserId::from(id)),
            _ => return Err(Error::new(codes::BAD_FIELD).message("Send `all=true` or `user_id`, not both.")),
        };
        let is_own = owner.as_ref().is_some_and(|id| own(&request).is_ok_and(|(own, _)| own == *id));
        if is_own || *permit.filter() == Filter::Everything {
            Ok((page, owner))
        } else {
            Err(Error::new(codes::FORBIDDEN))
        }
    });
    let (page, owner) = match asked {
        Ok(asked) => asked,
        Err(error) => return permit.close(Err(error)),
    };
    let limit = page.limit;
    let keys = request.engine.api_keys().list(permit, owner.as_ref(), page).await?;
    Ok(listing::answer("api_keys", keys.iter().map(views::api_key).collect(), limit))
}

/// `DELETE /v1/api-keys/{id}`
pub(super) async fn revoke(request: Request) -> Result<Answer> {
    let id = ApiKeyId::from(request.param("id")?);
    let permit = match request.engine.api_keys().owner(&id).await {
        Ok(user) => {
            let owner = Principal::local(&user).owner_key();
            request.permit::<api_key::Revoke>(Target::owned(id.as_str(), &owner))?
        }
        Err(error) => {
            return request.permit::<api_key::Revoke>(Target::named(id.as_str()))?.close(Err(error));
        }
    };
    request.engine.api_keys().revoke(permit, &id).await?;
    Ok(no_content())
}
