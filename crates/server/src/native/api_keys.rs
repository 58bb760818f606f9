//! API keys: made (and shown once), listed, revoked.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::api_key;
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{ApiKeyId, UserId};
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::ApiKeyKind;
use doorward_core::principal::Principal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::listing::{self, Listed};
use super::users::own;
use super::{tags, views};
use crate::http::respond::Answer;
use crate::openapi::{Described, Nothing, Parameter, SecondsOrNever, Values};
use crate::request::Request;

/// A new key.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewApiKey")]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// What it may be used for: `read`, `write`, `*`, `resource:*` or `resource:action`.
    #[schemars(length(min = 1))]
    scopes: Vec<String>,
    /// Seconds, up to ten years, or `"never"`.
    #[schemars(with = "SecondsOrNever")]
    expires_in: Value,
    /// `user` unless it says otherwise.
    #[schemars(with = "Option<views::KeyKind>")]
    kind: Option<ApiKeyKind>,
    /// Whose it is, where an administrator makes it for somebody.
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

pub(super) static CREATE: Described<NewKey, views::MadeApiKey> = Described::new(
    "makeApiKey",
    &tags::KEYS,
    "Make an API key, which is shown this once",
)
.notes(
    "A user key for oneself; a key of kind `admin` or for somebody else needs an administrator's credential.",
)
.takes(r#"{"name": "nightly job", "scopes": ["read"], "expires_in": 2592000}"#)
.answers(201)
.refuses(&[codes::UNKNOWN_SCOPE]);

/// `POST /v1/api-keys`: a user key for oneself, or any key by an administrator.
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    // Which leave is needed depends on the body; whoever has neither is told so before what is wrong with the body.
    let asked = CREATE.read(&mut request).await.and_then(Asked::new);
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
    Ok(CREATE.answer(&views::MadeApiKey::new(&created.key, created.secret.expose())))
}

pub(super) static LIST: Described<Nothing, Listed<views::ApiKey>> =
    Described::new("listApiKeys", &tags::KEYS, "One's API keys, without the keys")
        .notes("With `all=true` everybody's, with `user_id` somebody's: for administrators.")
        .parameters(&[
            listing::LIMIT,
            listing::AFTER,
            Parameter::query("all", Values::OneOf(&["true"]), "Those of everybody."),
            Parameter::query("user_id", Values::Text, "Those of this user."),
        ])
        .answers(200);

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
    Ok(LIST.answer(&Listed::new(keys.iter().map(views::ApiKey::from), limit)))
}

pub(super) static REVOKE: Described = Described::new("revokeApiKey", &tags::KEYS, "Revoke an API key");

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
    Ok(REVOKE.done())
}
