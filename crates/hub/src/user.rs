//! What is known of whoever is connected, beside what their credential says.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::operation::Call;
pub use doorward_core::workspaces::UserInfo;
use doorward_protocols::hypha::value;

use crate::hub::Hub;

/// As MessagePack, as frames carry it.
pub(crate) fn packed(user: &UserInfo) -> Vec<u8> {
    value::write(&value::from_json(&user.to_json()))
}

/// What is known of a person, for the services that they use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) picture: Option<String>,
}

impl Person {
    /// What their token says, and for people of our own what stands in their account, where their token lets them see it.
    pub(crate) async fn of(hub: &Hub, call: &Call) -> Self {
        let claim = |name: &str| {
            let found = call.auth.claims.get(name).and_then(|claim| claim.as_str());
            found.map(str::to_owned)
        };
        let mut person = Self { email: claim("email"), name: claim("name"), picture: claim("picture") };
        let Some(id) = call.auth.principal.user_id() else { return person };
        let owner = call.auth.principal.owner_key();
        if call.auth.workspaces.confined {
            return person;
        }
        if let Ok(permit) = call.permit::<user::Read>(Target::owned(id.as_str(), &owner))
            && let Ok(found) = hub.engine().users().get(permit, &id).await
        {
            // An address that nobody has proven is anybody's to write down.
            person.email = found.proven_email();
            person.name = found.username.or(person.name);
        }
        person
    }
}
