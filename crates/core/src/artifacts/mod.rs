//! Artifacts: manifests that are kept in a workspace under a name, perhaps within another, as Hypha's artifact manager has them
//! (0.21.137; no files, versions or stages).
//!
//! ```text
//! a caller ─ what it may in the workspace ───────────┐
//!          ─ what the artifact's own permissions lend ┴─► the decision, aimed at the workspace ─► permit ─► act
//! ```

pub mod model;
mod permissions;
mod service;
mod views;

pub use model::{Artifact, ArtifactChanges, ArtifactQuery, NewArtifact, Place};
pub use permissions::Lent;
pub use service::{Artifacts, Leave};
pub(crate) use views::Views;
