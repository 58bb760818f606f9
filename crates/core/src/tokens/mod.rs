//! Tokens: the keys that sign them, issuing, verifying, refreshing, introspecting and revoking.

pub mod assertion;
pub mod held;
pub mod issue;
pub mod keys;
pub mod model;
pub mod profile;
pub mod refresh;
pub mod remote_keys;
pub mod revoke;
pub mod seal;
pub mod seen;

pub use assertion::Assertions;
pub use held::Facts;
pub use issue::{Issued, Subject};
pub use keys::{KeyInfo, KeyRing, SigningKeys};
pub use profile::{Keys, RefreshForm, RefreshRules, TokenProfile};
pub use remote_keys::{RemoteKeys, Source};
pub use revoke::Tokens;
