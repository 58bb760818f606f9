//! A caller as Hypha's clients and start-up files know one: `UserInfo` of Hypha 0.21.137.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::{Permission, names};
use crate::authz::roles::ADMIN;
use crate::principal::AuthContext;

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
    pub fn of(
        auth: &AuthContext,
        authority: &str,
        workspace: Option<(&str, Permission)>,
        client: Option<&str>,
        email: Option<String>,
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
            roles: shown_roles(auth),
            is_anonymous: auth.is_anonymous(),
            email,
            parent: auth
                .actors
                .last()
                .map(|parent| parent.subject.to_string())
                .or_else(|| auth.words.as_ref()?.parent.clone()),
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
}

/// The roles that services are shown: those that decide here, unless a start-up file that vouches has words of its own.
fn shown_roles(auth: &AuthContext) -> Vec<String> {
    match &auth.words {
        Some(words) => words.roles.clone(),
        None => auth.roles.iter().map(ToString::to_string).collect(),
    }
}
