//! A caller as Hypha's clients know one: `UserInfo` of Hypha 0.21.137.

use std::collections::BTreeMap;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::authz::roles::ADMIN;
use doorward_core::operation::Call;
use doorward_core::principal::AuthContext;
use doorward_core::workspaces::{Permission, names};
use doorward_protocols::hypha::value;
use serde::Serialize;
use serde_json::json;

use crate::hub::Hub;

/// Who somebody is, and how far they reach.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UserInfo {
    /// The subject; that of whom others vouch for has their name before it.
    pub id: String,
    /// Role names.
    pub roles: Vec<String>,
    /// Whether nobody in particular.
    pub is_anonymous: bool,
    /// The address, where it is known.
    pub email: Option<String>,
    /// Whose token it descends from.
    pub parent: Option<String>,
    /// When the credential ends, in seconds.
    pub expires_at: Option<i64>,
    /// What it reaches.
    pub scope: ScopeInfo,
    /// The workspace it is in.
    pub current_workspace: Option<String>,
}

/// What a caller reaches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScopeInfo {
    /// The workspace it is in.
    pub current_workspace: Option<String>,
    /// `r`, `rw` or `a`, by workspace.
    pub workspaces: BTreeMap<String, &'static str>,
    /// The client that it is.
    pub client_id: Option<String>,
    /// What services make of it.
    pub extra_scopes: Vec<String>,
}

impl UserInfo {
    /// The caller, who is in `workspace` as `client` with `permission`. `authority` is the one of the mount.
    #[must_use]
    pub(crate) fn of(
        auth: &AuthContext,
        authority: &str,
        workspace: Option<(&str, Permission)>,
        client: Option<&str>,
        person: Person,
    ) -> Self {
        let own = names::own(&auth.principal, authority);
        let mut workspaces: BTreeMap<String, &'static str> =
            auth.workspaces.given.iter().map(|(name, given)| (name.to_string(), given.as_str())).collect();
        if !auth.workspaces.confined {
            workspaces.insert(own.clone(), Permission::Admin.as_str());
        }
        if auth.administrative && auth.roles.iter().any(|role| &**role == ADMIN) {
            workspaces.insert("*".to_owned(), Permission::Admin.as_str());
        }
        if let Some((name, permission)) = workspace {
            workspaces.insert(name.to_owned(), permission.as_str());
        }
        let current = workspace.map(|(name, _)| name.to_owned());
        Self {
            id: own[names::OWN.len()..].to_owned(),
            roles: auth.roles.iter().map(ToString::to_string).collect(),
            is_anonymous: auth.is_anonymous(),
            email: person.email,
            parent: auth.actors.last().map(|parent| parent.subject.to_string()),
            expires_at: auth.expires_at_s,
            scope: ScopeInfo {
                current_workspace: current.clone(),
                workspaces,
                client_id: client.map(str::to_owned),
                extra_scopes: auth.workspaces.extra.iter().map(ToString::to_string).collect(),
            },
            current_workspace: current,
        }
    }

    /// The server itself, when it asks a client for something.
    #[must_use]
    pub fn root(workspace: &str) -> Self {
        Self {
            id: "root".to_owned(),
            roles: vec!["admin".to_owned()],
            is_anonymous: false,
            email: None,
            parent: None,
            expires_at: None,
            scope: ScopeInfo {
                current_workspace: Some(workspace.to_owned()),
                workspaces: BTreeMap::from([("*".to_owned(), Permission::Admin.as_str())]),
                client_id: None,
                extra_scopes: Vec::new(),
            },
            current_workspace: Some(workspace.to_owned()),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }

    /// As MessagePack, as frames carry it.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        value::write(&value::from_json(&self.to_json()))
    }
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
