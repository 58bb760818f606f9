//! Accounts: made by whoever signs up, and administered.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::{Code, Error, Result, codes};
use doorward_core::id::UserId;
use doorward_core::identity::users::{Administration, NewUser, UserChanges};
use doorward_core::principal::Principal;
use doorward_core::secret::SecretText;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::listing::{self, Listed};
use super::{tags, views};
use crate::http::respond::Answer;
use crate::openapi::{Described, Hidden, Nothing};
use crate::request::Request;

/// A new account. It has a user name, an address, or both.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "NewUser")]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewAccount {
    /// An address, folded to lower case.
    #[schemars(length(max = 254))]
    email: Option<String>,
    /// 1 to 64 letters, digits, `.`, `_` or `-`, folded to lower case.
    #[schemars(length(min = 1, max = 64))]
    username: Option<String>,
    /// Whoever signs up needs one.
    #[schemars(with = "Option<Hidden>")]
    password: Option<SecretText>,
    #[schemars(length(min = 1, max = 128))]
    display_name: Option<String>,
    /// At most 16 KiB.
    user_metadata: Map<String, Value>,
    /// For administrators; `user` unless it says otherwise.
    roles: Vec<String>,
    /// For administrators; at most 16 KiB.
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

/// Changes of an account, one kind at a time: `roles`, `admin_metadata` and `disabled`; or `email`, `username`, `display_name` and
/// `user_metadata`; or `password`. A member that is absent stays as it is; `null` takes a name away.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "UserChanges")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Changes {
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
    #[schemars(with = "Option<Hidden>")]
    password: Option<SecretText>,
    roles: Option<Vec<String>>,
    admin_metadata: Option<Map<String, Value>>,
    disabled: Option<bool>,
}

/// What a new account, or a change of one, may come to.
static CREATE_REFUSES: &[&Code] = &[
    codes::SIGN_UP_CLOSED,
    codes::WEAK_PASSWORD,
    codes::UNKNOWN_ROLE,
    codes::EMAIL_TAKEN,
    codes::USERNAME_TAKEN,
    codes::CONFLICT,
    codes::HASHING_BUSY,
    codes::MAIL_TOO_SOON,
];

pub(super) static CREATE: Described<NewAccount, views::User> =
    Described::new("makeUser", &tags::ENTRY, "Sign up, or make an account for somebody")
        .notes("Open or closed by the mount's `sign_up`; administrators may always, and with `roles` and `admin_metadata`.")
        .for_anybody()
        .takes(r#"{"username": "ada", "password": "correct horse battery"}"#)
        .answers(201)
        .refuses(CREATE_REFUSES);

/// `POST /v1/users`: signing up, or an administrator making an account for somebody.
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let made = if request.call()?.auth.administrative {
        let (permit, body) = CREATE.permit::<user::Create>(&mut request, Target::any()).await?;
        engine.users().create(permit, body.into()).await?
    } else {
        let (permit, body) = CREATE.permit::<user::SignUp>(&mut request, Target::any()).await?;
        engine.users().sign_up(permit, body.into()).await?
    };
    Ok(CREATE.answer(&(&made).into()))
}

pub(super) static LIST: Described<Nothing, Listed<views::User>> =
    Described::new("listUsers", &tags::USERS, "All accounts").parameters(listing::PAGE).answers(200);

/// `GET /v1/users`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<user::List>(Target::any())?;
    let page = match request.query().and_then(|query| listing::page(&query)) {
        Ok(page) => page,
        Err(error) => return permit.close(Err(error)),
    };
    let limit = page.limit;
    let users = request.engine.users().list(permit, page).await?;
    Ok(LIST.answer(&Listed::new(users.iter().map(views::User::from), limit)))
}

pub(super) static GET: Described<Nothing, views::User> =
    Described::new("readUser", &tags::USERS, "An account")
        .notes("One's own without being an administrator.")
        .answers(200);

/// `GET /v1/users/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.users().get(permit, &id).await?;
    Ok(GET.answer(&(&found).into()))
}

pub(super) static CHANGE: Described<Changes, views::User> =
    Described::new("changeUser", &tags::USERS, "Change an account")
        .takes(r#"{"roles": ["user", "premium"]}"#)
        .answers(200)
        .refuses(&[
            codes::BAD_CREDENTIALS,
            codes::WEAK_PASSWORD,
            codes::UNKNOWN_ROLE,
            codes::NAMELESS,
            codes::LOGIN_TOO_OLD,
            codes::EMAIL_TAKEN,
            codes::USERNAME_TAKEN,
            codes::LAST_ADMIN,
            codes::CONFLICT,
            codes::HASHING_BUSY,
        ]);

/// `PATCH /v1/users/{id}`: an administrator's changes. What people change about themselves is at `/v1/me`.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (id, owner) = named(&request)?;
    let target = Target::owned(id.as_str(), &owner);
    let (permit, body) = CHANGE.permit::<user::Administer>(&mut request, target).await?;
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
        return Ok(CHANGE.answer(&(&changed).into()));
    }
    permit.close(Ok(()))?;
    if let Some(password) = password {
        let permit = request.permit::<user::Update>(target)?;
        engine.users().set_password(permit, &id, None, &password).await?;
        let permit = request.permit::<user::Read>(target)?;
        let changed = engine.users().get(permit, &id).await?;
        return Ok(CHANGE.answer(&(&changed).into()));
    }
    let permit = request.permit::<user::Update>(target)?;
    let changed = engine.users().update(permit, &id, own).await?;
    Ok(CHANGE.answer(&(&changed).into()))
}

pub(super) static DELETE: Described =
    Described::new("deleteUser", &tags::USERS, "Delete an account and everything that hangs on it")
        .refuses(&[codes::LAST_ADMIN, codes::CONFLICT]);

/// `DELETE /v1/users/{id}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let permit = request.permit::<user::Delete>(Target::owned(id.as_str(), &owner))?;
    request.engine.users().delete(permit, &id).await?;
    Ok(DELETE.done())
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
