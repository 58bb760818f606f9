//! What a workspace is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Permission;

/// Most workspaces that one owner makes. The own one does not count.
pub const MOST_OF_ONE: u32 = 100;
/// Most members of one workspace.
pub const MOST_MEMBERS: usize = 100;
/// Longest name, in characters.
pub(super) const MAX_NAME_CHARS: usize = 200;
/// Longest description, in characters.
pub(super) const MAX_DESCRIPTION_CHARS: usize = 2_048;

/// A room in which clients offer each other services.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// Its id, which everybody names it by ([`super::names`]).
    pub id: String,
    /// A name to show.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who owns it ([`crate::principal::Principal::owner_key`]).
    pub owner: String,
    /// The owners' subjects, as clients see them.
    pub owner_ids: Vec<String>,
    /// Whether it stays when the last client leaves. One that does not is never in the store.
    pub persistent: bool,
    /// When it was made.
    pub created_at_ms: i64,
    /// What else clients say of it: icon, covers, docs, config; at most 16 KiB as JSON.
    pub details: Map<String, Value>,
    /// Who else may be in it, by what follows `ws-user-` in the id of their own workspace ([`super::names::member`]).
    pub members: BTreeMap<String, Member>,
}

impl Workspace {
    /// The owners' ids as clients see them: who made it, and every member who may do all there is to do.
    pub fn owner_names(&self) -> impl Iterator<Item = &str> {
        let administers = |member: &Member| member.permission == Permission::Admin;
        let members = self.members.iter().filter(move |(_, member)| administers(member));
        self.owner_ids.iter().map(String::as_str).chain(members.map(|(name, _)| name.as_str()))
    }
}

/// Somebody who may be in a workspace of another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// How far they reach there.
    pub permission: Permission,
    /// What is made of their being a member is revoked by this, as by the handle of a token.
    pub handle: Arc<str>,
}

/// What a new workspace is made of.
#[derive(Debug, Clone, Default)]
pub struct NewWorkspace {
    /// Its id: one that people make up, or the caller's own.
    pub id: String,
    /// A name to show; the id if absent.
    pub name: Option<String>,
    /// What it is for.
    pub description: String,
    /// Whether it stays when the last client leaves.
    pub persistent: bool,
    /// What else clients say of it.
    pub details: Map<String, Value>,
    /// Who else may be in it, and how far they reach there.
    pub members: BTreeMap<String, Permission>,
}

/// What to change; absent members stay.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceChanges {
    /// The name to show.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Merged into the details; `null` removes a member.
    pub details: Option<Map<String, Value>>,
}
