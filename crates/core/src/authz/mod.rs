//! What a principal may do: one decision function over roles, scopes and owners.

pub mod application;
pub mod areas;
pub mod catalogue;
pub mod condition;
pub mod custom;
pub mod decision;
pub mod explain;
pub mod filter;
pub mod roles;
pub mod scopes;

pub use application::{ActionError, Catalogue, RoleName};
pub use decision::{Denial, Target, decide};
pub use explain::{Explanation, RoleFact, explain};
pub use roles::{Reach, RoleDef, Roles};
