//! One's own account, and the first administrator's.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::own_account::OwnChanges;
use doorward_core::identity::users::{NewUser, UserChanges};
use doorward_core::secret::SecretText;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::users::{own, present};
use super::{tags, views};
use crate::http::respond::Answer;
use crate::openapi::{Described, Hidden, Nothing};
use crate::request::Request;

pub(super) static GET: Described<Nothing, views::User> =
    Described::new("readOwnAccount", &tags::OWN, "One's own account").answers(200);

/// `GET /v1/me`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.users().get(permit, &id).await?;
    Ok(GET.answer(&(&found).into()))
}

/// What a person changes about their own account. A member that is absent stays as it is; `null` takes it away.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "OwnChanges")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Changes {
    /// Needs `current_password`, or a log-in without limits that is at most five minutes old: letters open accounts.
    #[serde(deserialize_with = "present")]
    #[schemars(length(max = 254))]
    email: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schemars(length(min = 1, max = 64))]
    username: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schemars(length(min = 1, max = 128))]
    display_name: Option<Option<String>>,
    user_metadata: Option<Map<String, Value>>,
    /// By itself, with `current_password`. It ends every other session.
    #[schemars(with = "Option<Hidden>")]
    password: Option<SecretText>,
    #[schemars(with = "Option<Hidden>")]
    current_password: Option<SecretText>,
}

pub(super) static CHANGE: Described<Changes, views::User> =
    Described::new("changeOwnAccount", &tags::OWN, "Change one's own account")
        .takes(r#"{"display_name": "Ada"}"#)
        .answers(200)
        .refuses(&[
            codes::BAD_CREDENTIALS,
            codes::WEAK_PASSWORD,
            codes::SAME_PASSWORD,
            codes::NAMELESS,
            codes::LOGIN_TOO_OLD,
            codes::EMAIL_TAKEN,
            codes::USERNAME_TAKEN,
            codes::CONFLICT,
            codes::HASHING_BUSY,
        ]);

/// `PATCH /v1/me`. A new password needs the current one, and ends every other session; a new address needs it unless the log-in is fresh.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (id, owner) = own(&request)?;
    let target = Target::owned(id.as_str(), &owner);
    let (permit, body) = CHANGE.permit::<user::Update>(&mut request, target).await?;
    let Changes { email, username, display_name, user_metadata, password, current_password } = body;
    let changes = UserChanges { email, username, display_name, user_metadata, ..UserChanges::default() };
    let Some(password) = password else {
        let own = OwnChanges { changes, current_password, ..OwnChanges::default() };
        let changed = engine.users().revise(permit, &id, own).await?;
        return Ok(CHANGE.answer(&(&changed).into()));
    };
    if changes != UserChanges::default() {
        // Two transactions, of which the second could fail.
        let message = "Change the password by itself: password and current_password, nothing else.";
        return permit.close(Err(Error::new(codes::BAD_FIELD).message(message)));
    }
    engine.users().set_password(permit, &id, current_password.as_ref(), &password).await?;
    let permit = request.permit::<user::Read>(target)?;
    let found = engine.users().get(permit, &id).await?;
    Ok(CHANGE.answer(&(&found).into()))
}

pub(super) static DELETE: Described = Described::new(
    "deleteOwnAccount",
    &tags::OWN,
    "Delete one's own account and everything that hangs on it",
)
.refuses(&[codes::LAST_ADMIN, codes::CONFLICT]);

/// `DELETE /v1/me`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<user::Delete>(Target::owned(id.as_str(), &owner))?;
    request.engine.users().delete(permit, &id).await?;
    Ok(DELETE.done())
}

/// The first administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    /// What was printed at the first start.
    #[schemars(with = "Hidden")]
    secret: SecretText,
    #[schemars(length(max = 254))]
    email: Option<String>,
    #[schemars(length(min = 1, max = 64))]
    username: Option<String>,
    #[schemars(with = "Hidden")]
    password: SecretText,
    #[schemars(length(min = 1, max = 128))]
    display_name: Option<String>,
}

pub(super) static SETUP: Described<Setup, views::User> = Described::new(
    "setUp",
    &tags::ENTRY,
    "Make the first administrator",
)
.notes("Answered on the machine itself, once. Username or address; either will do to log in.")
.for_anybody()
.takes(r#"{"secret": "printed-at-the-first-start", "username": "root", "password": "correct horse battery"}"#)
.answers(201)
.refuses(&[
    codes::LOOPBACK_ONLY,
    codes::SETUP_CLOSED,
    codes::CODE_SPENT,
    codes::WEAK_PASSWORD,
    codes::EMAIL_TAKEN,
    codes::USERNAME_TAKEN,
    codes::CONFLICT,
    codes::HASHING_BUSY,
]);

/// `POST /v1/setup`: the first administrator, by the secret that was printed at the first start.
pub(super) async fn setup(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = SETUP.permit::<user::SignUp>(&mut request, Target::any()).await?;
    let Setup { secret, email, username, password, display_name } = body;
    let new = NewUser { email, username, password: Some(password), display_name, ..NewUser::default() };
    let made = engine.setup().administrator(permit, &secret, new).await?;
    Ok(SETUP.answer(&(&made).into()))
}
