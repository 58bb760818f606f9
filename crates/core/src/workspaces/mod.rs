//! Workspaces: rooms in which clients offer each other services, who owns one, and what a credential was given in it.
//!
//! Beside its owner, a workspace has members: each is one more source of what a caller was given ([`crate::operation::Call::as_member`]), and
//! the one decision function decides.
//!
//! What has no client left and need not stay is kept by the hub in memory; here is what outlives it (`docs/adr/0018`).

pub mod members;
pub mod model;
pub mod names;
mod notes;
mod scope;
mod service;
mod user_info;

pub use doorward_protocols::hypha_scope::Permission;
pub use model::{Member, NewWorkspace, Workspace, WorkspaceChanges};
pub use scope::{EVERY, WorkspaceScope};
pub use service::Workspaces;
pub use user_info::{ScopeInfo, UserInfo};
