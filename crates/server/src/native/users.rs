//! Accounts: made by whoever signs up, and administered.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::UserId;
use doorward_core::identity::users::{Administration, NewUser, UserChanges};
use doorward_core::principal::Principal;
use doorward_core::secret::SecretText;
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{listing, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// The body of a new account.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewAccount {
    email: Option<String>,
    username: Option<String>,
    password: Option<SecretText>,
    display_name: Option<String>,
    user_metadata: Map<String, Value>,
    roles: Vec<String>,
    admin_metadata: Map<String, Value>,
}

impl From<NewAccount> for NewUser {
    fn from(body: NewAccount) -> Self {
        let NewAccount { email, username, password, display_name, user_metadata, roles, admin_metadata } =
            body;
        Self {
            email,
            username,
            password,
            display_name,
            user_metadata,
            roles,
            admin_metadata,
            ..Self::default()
        }
    }
}

/// A member that is absent, null, or has a value.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// What a person may change about an account, as a body spells it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Changes {
    #[serde(deserialize_with = "present")]
    email: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    username: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    display_name: Option<Option<String>>,
    user_metadata: Option<Map<String, Value>>,
    password: Option<SecretText>,
    roles: Option<Vec<String>>,
    admin_metadata: Option<Map<String, Value>>,
    disabled: Option<bool>,
}

/// `POST /v1/users`: signing up, or an administrator making an account for somebody.
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let made = if request.call()?.auth.administrative {
        let (permit, body) = request.permit_with_json::<user::Create, NewAccount>(Target::any()).await?;
        engine.users().create(permit, body.into()).await?
    } else {
        let (permit, body) = request.permit_with_json::<user::SignUp, NewAccount>(Target::any()).await?;
        engine.users().sign_up(permit, body.into()).await?
    };
    Ok(json_answer(StatusCode::CREATED, &views::user(&made)))
}

/// `GET /v1/users`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<user::List>(Target::any())?;
    let page = match request.query().and_then(|query| listing::page(&query)) {
        Ok(page) => page,
        Err(error) => return permit.close(Err(error)),
    };
    let limit = page.limit;
    let users = request.engine.users().list(permit, page).await?;
    Ok(listing::answer("users", users.iter().map(views::user).collect(), limit))
}

/// `GET /v1/users/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.users().get(permit, &id).await?;
    Ok(json_answer(StatusCode::OK, &views::user(&found)))
}

/// `PATCH /v1/users/{id}`: an administrator's changes. What people change about themselves is at `/v1/me`.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (id, owner) = named(&request)?;
    let target = Target::owned(id.as_str(), &owner);
    let (permit, body) = request.permit_with_json::<user::Administer, Changes>(target).await?;
    let Changes { email, username, display_name, user_metadata, password, roles, admin_metadata, disabled } =
        body;
    let administration = Administration { roles, admin_metadata, disabled, ..Administration::default() };
    let own = UserChanges { email, username, display_name, user_metadata, ..UserChanges::default() };
    let administers = !administration.is_empty();
    let updates = own != UserChanges::default();
    // Each kind is one transaction; two of them in one request could be done by half.
    if [administers, updates, password.is_some()].into_iter().filter(|asked| *asked).count() != 1 {
        let message = "One kind of change at a time: roles, admin_metadata and disabled; \
                       or email, username, display_name and user_metadata; or password.";
        return permit.close(Err(Error::new(codes::BAD_FIELD).message(message)));
    }
    if administers {
        let changed = engine.users().administer(permit, &id, administration).await?;
        return Ok(json_answer(StatusCode::OK, &views::user(&changed)));
    }
    permit.close(Ok(()))?;
    if let Some(password) = password {
        let permit = request.permit::<user::Update>(target)?;
        engine.users().set_password(permit, &id, None, &password).await?;
        let permit = request.permit::<user::Read>(target)?;
        let changed = engine.users().get(permit, &id).await?;
        return Ok(json_answer(StatusCode::OK, &views::user(&changed)));
    }
    let permit = request.permit::<user::Update>(target)?;
    let changed = engine.users().update(permit, &id, own).await?;
    Ok(json_answer(StatusCode::OK, &views::user(&changed)))
}

/// `DELETE /v1/users/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let permit = request.permit::<user::Delete>(Target::owned(id.as_str(), &owner))?;
    request.engine.users().delete(permit, &id).await?;
    Ok(no_content())
}

/// The account a path names, and who owns it: its user.
pub(super) fn named(request: &Request) -> Result<(UserId, String)> {
    let id = UserId::from(request.param("id")?);
    let owner = Principal::local(&id).owner_key();
    Ok((id, owner))
}

/// The caller's own account.
///
/// # Errors
/// `credentials_missing` for nobody; `not_found` for callers who have no account here.
pub(super) fn own(request: &Request) -> Result<(UserId, String)> {
    let principal = &request.call()?.auth.principal;
    match principal.user_id() {
        Some(id) => Ok((id, principal.owner_key())),
        None if request.call()?.auth.is_anonymous() => Err(Error::new(codes::CREDENTIALS_MISSING)),
        None => Err(Error::new(codes::NOT_FOUND).message("You have no account here.")),
    }
}
