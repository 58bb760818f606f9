//! What a credential was given in workspaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_protocols::hypha_scope::Scope;

use super::Permission;

/// The name that stands for every workspace.
pub const EVERY: &str = "*";

/// What a credential was given in workspaces, beside what its holder owns, and what it is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceScope {
    /// The workspace that it is for, if it is for one (`wid`).
    pub current: Option<Arc<str>>,
    /// How far it reaches into which workspace; `*` stands for every one and is honoured of administrators alone.
    pub given: BTreeMap<Arc<str>, Permission>,
    /// The one client that may use it (`cid`).
    pub client_id: Option<Arc<str>>,
    /// What services make of it. Nothing is decided by them here.
    pub extra: Vec<Arc<str>>,
    /// Workspaces of others with which it ends: what was given in one is nothing in a later one of that name.
    pub ends_with: Vec<Arc<str>>,
    /// Whether what was given is all that it reaches: not even what its holder owns, and nothing else here.
    pub confined: bool,
}

impl WorkspaceScope {
    /// How far it was given to reach into a workspace: the further of its own entry and that of every workspace.
    #[must_use]
    pub fn permission(&self, workspace: &str) -> Option<Permission> {
        self.given.get(workspace).copied().max(self.given.get(EVERY).copied())
    }

    /// Whether an extra scope makes it a token for something special, which connects nobody (Hypha 0.21.137: one that holds `:`).
    #[must_use]
    pub fn is_specialised(&self) -> bool {
        self.extra.iter().any(|one| one.contains(':'))
    }
}

impl From<Scope> for WorkspaceScope {
    /// What a claim says. Whether it confines is not in the claim.
    fn from(scope: Scope) -> Self {
        Self {
            current: scope.current.map(Into::into),
            given: scope.workspaces.into_iter().map(|(name, permission)| (name.into(), permission)).collect(),
            client_id: scope.client_id.map(Into::into),
            extra: scope.extra.into_iter().map(Into::into).collect(),
            ends_with: Vec::new(),
            confined: false,
        }
    }
}

impl From<&WorkspaceScope> for Scope {
    fn from(scope: &WorkspaceScope) -> Self {
        Self {
            current: scope.current.as_deref().map(Into::into),
            workspaces: scope
                .given
                .iter()
                .map(|(name, permission)| (name.to_string(), *permission))
                .collect(),
            client_id: scope.client_id.as_deref().map(Into::into),
            extra: scope.extra.iter().map(ToString::to_string).collect(),
        }
    }
}
