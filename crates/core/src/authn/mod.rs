//! From a credential to a principal.
//!
//! ```text
//! Presented ─► method 1 ─ not present ─► method 2 ─ … ─► nobody
//!                 ├ accepted ─► AuthContext          stop
//!                 └ rejected ─► refusal              stop: never "the next one will do"
//! ```
//! To add a method: a file in `methods/` and a row in [`methods::BUILTIN`].

mod algorithm;
pub mod built_in;
mod chain;
mod hosted;
pub mod methods;
mod presented;
mod remembered;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

pub use chain::Chain;
pub use presented::{Glanced, Headers, Line, NoHeaders, Offered, Place, Presented};
pub use remembered::LONGEST_MS;

use crate::engine::Engine;
use crate::error::Error;
use crate::principal::AuthContext;

/// What a method makes of what was presented.
pub enum Outcome {
    /// Nothing of mine; ask the next.
    NotPresent,
    /// This is who it is.
    Accepted(Arc<AuthContext>),
    /// Mine, and not good. The chain stops.
    Rejected(Error),
}

/// An outcome at once where memory holds it, later where the store has to be asked.
pub enum Answer<'a> {
    /// Known now; the hot path allocates nothing for it.
    Now(Outcome),
    /// Being looked up.
    Later(BoxFuture<'a, Outcome>),
}

/// What memory alone says of what was presented.
pub enum Recall {
    /// Nothing of mine, of these bytes as they stand.
    NotMine,
    /// Somebody it would accept.
    Known(Arc<AuthContext>),
    /// It has to be asked.
    Ask,
}

/// A way to turn a credential into a principal.
pub trait Authenticator: Send + Sync {
    /// The name in configuration and in the audit log.
    fn name(&self) -> &'static str;

    /// Looks at what was presented. Cheap when it is not this method's.
    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a>;

    /// What memory says, in a look-up, at this moment. Of whoever is not known nothing is verified, refused, noted or forgotten here: they are
    /// asked about by [`Authenticator::authenticate`] afterwards. A method that lets in by anything but the whole of a credential has to
    /// be asked.
    fn recall(&self, _: &Glanced<'_>, _now_ms: i64) -> Recall {
        Recall::Ask
    }
}

/// The caller's roles, as somebody who may vouch for them says: those that are defined here, beside the one that everybody has.
pub(crate) fn vouched_roles(engine: &Engine, named: Option<&[Value]>) -> Vec<Arc<str>> {
    engine.roles().vouched(named.unwrap_or_default())
}
