//! Workspaces: rooms in which clients offer each other services, who owns one, and what a credential was given in it.
//!
//! What has no client left and need not stay is kept by the hub in memory; here is what outlives it (`docs/adr/0018`).

pub mod model;
pub mod names;
mod scope;
mod service;
mod user_info;

pub use doorward_protocols::hypha_scope::Permission;
pub use model::{NewWorkspace, Workspace, WorkspaceChanges};
pub use scope::{EVERY, WorkspaceScope};
pub use service::Workspaces;
pub use user_info::{ScopeInfo, UserInfo};
