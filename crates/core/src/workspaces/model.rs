//! What a workspace is made of.

use serde_json::{Map, Value};

/// Most workspaces that one owner makes. The own one does not count.
pub const MOST_OF_ONE: u32 = 100;
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
