//! One's own account, and the first administrator's.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::own_account::OwnChanges;
use doorward_core::identity::users::{NewUser, UserChanges};
use doorward_core::secret::SecretText;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::users::{own, present};
use super::views;
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// `GET /v1/me`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.users().get(permit, &id).await?;
    Ok(json_answer(StatusCode::OK, &views::user(&found)))
}

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
    current_password: Option<SecretText>,
}

/// `PATCH /v1/me`. A new password needs the current one, and ends every other session; a new address needs it unless the log-in is fresh.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (id, owner) = own(&request)?;
    let target = Target::owned(id.as_str(), &owner);
    let (permit, body) = request.permit_with_json::<user::Update, Changes>(target).await?;
    let Changes { email, username, display_name, user_metadata, password, current_password } = body;
    let changes = UserChanges { email, username, display_name, user_metadata, ..UserChanges::default() };
    let Some(password) = password else {
        let own = OwnChanges { changes, current_password, ..OwnChanges::default() };
        let changed = engine.users().revise(permit, &id, own).await?;
        return Ok(json_answer(StatusCode::OK, &views::user(&changed)));
    };
    if changes != UserChanges::default() {
        // Two transactions, of which the second could fail.
        let message = "Change the password by itself: password and current_password, nothing else.";
        return permit.close(Err(Error::new(codes::BAD_FIELD).message(message)));
    }
    engine.users().set_password(permit, &id, current_password.as_ref(), &password).await?;
    let permit = request.permit::<user::Read>(target)?;
    let found = engine.users().get(permit, &id).await?;
    Ok(json_answer(StatusCode::OK, &views::user(&found)))
}

/// `DELETE /v1/me`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<user::Delete>(Target::owned(id.as_str(), &owner))?;
    request.engine.users().delete(permit, &id).await?;
    Ok(no_content())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    secret: SecretText,
    email: Option<String>,
    username: Option<String>,
    password: SecretText,
    display_name: Option<String>,
}

/// `POST /v1/setup`: the first administrator, by the secret that was printed at the first start.
pub(super) async fn setup(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = request.permit_with_json::<user::SignUp, Setup>(Target::any()).await?;
    let Setup { secret, email, username, password, display_name } = body;
    let new = NewUser { email, username, password: Some(password), display_name, ..NewUser::default() };
    let made = engine.setup().administrator(permit, &secret, new).await?;
    Ok(json_answer(StatusCode::CREATED, &views::user(&made)))
}
