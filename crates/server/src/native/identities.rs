//! `/v1/me/identities`: the providers that open one's account.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::identity;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::IdentityId;
use doorward_core::identity::model::Identity;
use doorward_core::login::Way;
use doorward_core::secret::SecretText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::login::{AWAY, keeps, redirect_uri};
use super::tags;
use super::users::{named, own};
use crate::http::respond::Answer;
use crate::openapi::{Described, Hidden, Nothing};
use crate::request::Request;

/// A provider that opens the account.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Identity")]
struct Shown {
    id: String,
    /// The provider's name here; `null` where it is configured no more.
    provider: Option<String>,
    /// Who vouches for the subject.
    authority: String,
    /// Who it is, in the authority's own words.
    subject: String,
    /// How its owner recognises it.
    shown: Option<String>,
    created_at_ms: i64,
    last_used_at_ms: i64,
}

/// The providers that open an account.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Identities")]
pub(super) struct AllShown {
    identities: Vec<Shown>,
}

fn view(request: &Request, identity: &Identity) -> Shown {
    let all = request.engine.providers();
    let provider = all.iter().find(|provider| provider.method.authority() == identity.authority);
    Shown {
        id: identity.id.to_string(),
        provider: provider.map(|provider| provider.name.to_string()),
        authority: identity.authority.clone(),
        subject: identity.subject.clone(),
        shown: identity.shown.clone(),
        created_at_ms: identity.created_at_ms,
        last_used_at_ms: identity.last_used_at_ms,
    }
}

pub(super) static LIST: Described<Nothing, AllShown> =
    Described::new("listOwnIdentities", &tags::PROVIDERS, "The providers that open one's account")
        .answers(200);

/// `GET /v1/me/identities`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let permit = request.permit::<identity::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.identities().list(permit, &id).await?;
    let identities = found.iter().map(|identity| view(&request, identity)).collect();
    Ok(LIST.answer(&AllShown { identities }))
}

/// A provider to add.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewIdentity")]
#[serde(deny_unknown_fields)]
pub(super) struct Adding {
    /// Its name, as `GET /v1/login` lists it.
    provider: String,
    /// A path of this server to come back to.
    return_to: Option<String>,
    /// Unless the log-in is at most five minutes old.
    #[schemars(with = "Option<Hidden>")]
    current_password: Option<SecretText>,
}

/// Where the page sends its browser.
#[derive(Serialize, JsonSchema)]
pub(super) struct Location {
    location: String,
}

pub(super) static BEGIN: Described<Adding, Location> = Described::new(
    "addIdentity",
    &tags::PROVIDERS,
    "Begin to add a provider to one's account",
)
.notes("The page then sends its browser to `location`. From a log-in without limits.")
.takes(r#"{"provider": "google", "return_to": "/settings", "current_password": "correct horse battery"}"#)
.answers(200)
.headers(AWAY)
.refuses(&[
    codes::NO_COOKIES,
    codes::BAD_CREDENTIALS,
    codes::LOGIN_TOO_OLD,
    codes::PROVIDER_BUSY,
    codes::PROVIDER_UNAVAILABLE,
    codes::PROVIDER_REFUSED,
    codes::HASHING_BUSY,
]);

/// `POST /v1/me/identities`: where the page has to send its browser, so that the provider is added.
pub(super) async fn begin(mut request: Request) -> Result<Answer> {
    if !request.site.cookies {
        return Err(Error::new(codes::NO_COOKIES));
    }
    let (id, owner) = own(&request)?;
    let (permit, body) =
        BEGIN.permit::<identity::Link>(&mut request, Target::owned(id.as_str(), &owner)).await?;
    let redirect_uri = match redirect_uri(&request, &body.provider) {
        Ok(uri) => uri,
        Err(error) => return permit.close(Err(error)),
    };
    let return_to =
        body.return_to.unwrap_or_else(|| format!("{}/v1/me/identities", request.site.public_prefix));
    let where_to = (body.provider.as_str(), Way::new(redirect_uri, return_to));
    let begun = request.engine.identities().begin(permit, where_to, body.current_password.as_ref()).await?;
    let answer = BEGIN.answer(&Location { location: begun.location.clone() });
    Ok(keeps(answer, &begun))
}

/// A provider to remove.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "RemovedIdentity")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Removing {
    /// Unless the log-in is at most five minutes old, or an administrator removes it.
    #[schemars(with = "Option<Hidden>")]
    current_password: Option<SecretText>,
}

pub(super) static DELETE: Described<Removing> =
    Described::new("removeIdentity", &tags::PROVIDERS, "Remove a provider from one's account")
        .notes("It ends the other sessions.")
        .takes(r#"{"current_password": "correct horse battery"}"#)
        .refuses(&[
            codes::BAD_CREDENTIALS,
            codes::LOGIN_TOO_OLD,
            codes::LAST_WAY_IN,
            codes::CONFLICT,
            codes::HASHING_BUSY,
        ]);

/// `DELETE /v1/me/identities/{id}`
pub(super) async fn delete(mut request: Request) -> Result<Answer> {
    let (id, owner) = own(&request)?;
    let (permit, body) =
        DELETE.permit::<identity::Unlink>(&mut request, Target::owned(id.as_str(), &owner)).await?;
    let identity = match request.param("id") {
        Ok(text) => IdentityId::from(text),
        Err(error) => return permit.close(Err(error)),
    };
    request.engine.identities().unlink(permit, &id, &identity, body.current_password.as_ref()).await?;
    Ok(DELETE.done())
}

pub(super) static LIST_OF: Described<Nothing, AllShown> =
    Described::new("listIdentitiesOfUser", &tags::USERS, "The providers that open somebody's account")
        .answers(200);

/// `GET /v1/users/{id}/identities`
pub(super) async fn list_of(request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let permit = request.permit::<identity::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.identities().list(permit, &id).await?;
    let identities = found.iter().map(|identity| view(&request, identity)).collect();
    Ok(LIST_OF.answer(&AllShown { identities }))
}

pub(super) static DELETE_OF: Described<Removing> =
    Described::new("removeIdentityOfUser", &tags::USERS, "Remove a provider from somebody's account")
        .notes("The last one too: its owner then needs a password, or another provider.")
        .takes("{}")
        .refuses(&[
            codes::BAD_CREDENTIALS,
            codes::LOGIN_TOO_OLD,
            codes::LAST_WAY_IN,
            codes::CONFLICT,
            codes::HASHING_BUSY,
        ]);

/// `DELETE /v1/users/{id}/identities/{identity}`
pub(super) async fn delete_of(mut request: Request) -> Result<Answer> {
    let (id, owner) = named(&request)?;
    let (permit, body) =
        DELETE_OF.permit::<identity::Unlink>(&mut request, Target::owned(id.as_str(), &owner)).await?;
    let identity = match request.param("identity") {
        Ok(text) => IdentityId::from(text),
        Err(error) => return permit.close(Err(error)),
    };
    request.engine.identities().unlink(permit, &id, &identity, body.current_password.as_ref()).await?;
    Ok(DELETE_OF.done())
}
