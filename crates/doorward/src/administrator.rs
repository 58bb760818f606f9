//! `dev`'s administrator: an account without a password, and a key that lives as long as the server, also where another process takes
//! its place: scripts hold it.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{api_key, user};
use doorward_core::authz::roles::ADMIN;
use doorward_core::error::Error;
use doorward_core::id::{ApiKeyId, UserId};
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::ApiKeyKind;
use doorward_core::identity::users::NewUser;
use doorward_core::operation::Call;
use doorward_core::ports::store::Users as _;
use doorward_core::principal::Principal;
use doorward_core::secret::SecretText;

use crate::assemble::Assembled;
use crate::cli::Failure;

const NAME: &str = "dev-admin";
/// A server that is killed cannot end its key.
const LIFE_S: i64 = 30 * 86_400;

fn call(assembled: &Assembled) -> Call {
    let native = assembled.mounts.first().expect("a native mount is always there");
    assembled.engine.system_call(&native.mount, "dev")
}

/// The key.
pub(crate) struct DevKey {
    id: ApiKeyId,
    owner: UserId,
    pub(crate) secret: SecretText,
}

impl DevKey {
    /// For the process that takes this one's place.
    pub(crate) fn handed_on(&self) -> SecretText {
        SecretText::new(format!("{} {} {}", self.id, self.owner, self.secret.expose()))
    }

    /// What the process before this one had; `None` for anything else.
    pub(crate) fn from_before(text: &SecretText) -> Option<Self> {
        let mut words = text.expose().split(' ');
        let (id, owner, secret) = (words.next()?, words.next()?, words.next()?);
        words.next().is_none().then(|| Self { id: id.into(), owner: owner.into(), secret: secret.into() })
    }
}

/// A fresh key that may do everything.
///
/// # Errors
/// The store's.
pub(crate) async fn dev_key(assembled: &Assembled) -> Result<DevKey, Failure> {
    let call = call(assembled);
    let owner = account(assembled, &call).await?;
    let new = NewApiKey {
        name: "dev server".to_owned(),
        scopes: vec!["*".to_owned()],
        expiry: Expiry::InSeconds(LIFE_S),
    };
    let permit = call.permit::<api_key::CreateAdmin>(Target::any())?;
    let made = assembled.engine.api_keys().create_for(permit, &owner, ApiKeyKind::Admin, new).await?;
    Ok(DevKey { id: made.key.id, owner: made.key.owner, secret: made.secret })
}

/// Ends it; one that was revoked meanwhile has ended already.
///
/// # Errors
/// The store's.
pub(crate) async fn end_dev_key(assembled: &Assembled, key: &DevKey) -> Result<(), Failure> {
    let owner = Principal::local(&key.owner).owner_key();
    let permit = call(assembled).permit::<api_key::Revoke>(Target::owned(key.id.as_str(), &owner))?;
    match assembled.engine.api_keys().revoke(permit, &key.id).await {
        Err(error) if error.is(doorward_core::error::codes::NOT_FOUND) => Ok(()),
        other => Ok(other?),
    }
}

async fn account(assembled: &Assembled, call: &Call) -> Result<UserId, Failure> {
    if let Some(user) = assembled.store.user_by_login(NAME).await.map_err(Error::from)? {
        return Ok(user.id);
    }
    let new = NewUser {
        username: Some(NAME.to_owned()),
        display_name: Some("Administrator of the dev server".to_owned()),
        roles: vec![ADMIN.to_owned()],
        ..NewUser::default()
    };
    let permit = call.permit::<user::Create>(Target::any())?;
    Ok(assembled.engine.users().create(permit, new).await?.id)
}
