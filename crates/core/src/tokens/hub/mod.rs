//! Tokens of a hub: short texts that a client shows to come back, or that somebody is given for one workspace.
//!
//! ```text
//! API key, log-in, visitor ─ SameSubject ─► reconnection token ─ SameSubject ─► renewed, under the same jti
//!                          └ Child ───────► a new subject, confined to one workspace ─ SameSubject ─► renewed
//! ```
//! Whatever is made from a credential ends with it: by its end in time, and by every handle it can be revoked by. A renewal keeps the
//! `jti`, so that revoking any token of a line ends the line.

mod claims;
mod issue;

pub(crate) use claims::{Kept, Read};
pub use issue::{HubToken, HubTokenKind};

/// `typ` of these tokens.
pub const HUB_TOKEN: &str = "hub+jwt";
/// Claims that only the issuer of such a token writes, beside those of every token.
pub(super) const RESERVED: &[&str] =
    &["authority", "home", "limits", "par", "parent", "gty", "until", "confined", "administrative", "words"];
/// `gty` of a child's, as Hypha has it.
const CHILD: &str = "client-credentials";
/// Most credentials that one is made from, and most principals it acts for.
const MAX_GENERATIONS: usize = 8;
