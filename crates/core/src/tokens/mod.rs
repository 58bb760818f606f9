//! Tokens: the keys that sign them, issuing, verifying, refreshing, introspecting and revoking.

pub mod assertion;
pub mod held;
pub mod hub;
pub mod issue;
pub mod keys;
pub mod model;
pub mod profile;
pub mod refresh;
pub mod remote_keys;
mod restored;
pub mod revoke;
pub mod seal;
pub mod seen;
mod store_keys;

pub use assertion::Assertions;
pub use held::Facts;
pub use hub::{HubToken, HubTokenKind};
pub use issue::{Issued, Subject};
pub use keys::{KeyInfo, KeyRing, SigningKeys};
pub use profile::{Keys, PersonClaims, RefreshForm, RefreshRules, TokenProfile};
pub use remote_keys::{RemoteKeys, Source};
pub use revoke::Tokens;
pub(crate) use store_keys::StoreKeys;
