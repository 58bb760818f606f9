//! Doorward inside an application: the same engine that the server runs on, its layer and its extractors.
//!
//! ```text
//! Builder ─ Setup ─ assemble ─► Doorward ─┬─ layer ─► Protect: who asks, on each request ─► Principal, RequirePermission, RequireRole
//!                                         └─ system, nobody, verify ─► Caller: the engine's services, without HTTP
//! ```
//! Nothing here decides. The layer asks the chain of a mount, extractors ask the one decision function, and what a [`Caller`] does is
//! what the engine's services do, with their permits and audit lines.

mod actions;
mod arrived;
mod builder;
mod caller;
mod embedded;
mod error;
mod extract;
mod layer;

pub use actions::roles;
pub use builder::{Builder, Role};
pub use caller::Caller;
pub use embedded::Doorward;
pub use error::{BuildError, Error, Result};
pub use extract::{Principal, RequirePermission, RequireRole};
pub use layer::{Answering, Protect, Protected};
