//! Proofs by mail: somebody shows that an e-mail address is theirs by what was sent to it.
//!
//! ```text
//! sign up · forgot · new address ─ ask ─► a code in the store (hashed), a letter on its way
//! link opened · digits typed ─ arrive ─► code spent, address confirmed, session begun: one transaction
//! ```
//! A link holds 256 bits; the digits are for people and have few tries. Both are bound to the purpose, the account and the address, are
//! stored as keyed hashes, and using either ends both. Who asks is told the same whether there is an account or not.

mod arrive;
mod ask;
pub mod code;
pub mod redirects;

pub use arrive::Shown;
pub use ask::{Asked, Links};
pub use code::Purpose;
pub use redirects::Redirects;

pub(crate) use code::end_recovery_writes;

use crate::engine::Engine;

/// What a mount demands of e-mail addresses, and where people go from a letter.
#[derive(Debug, Clone, Default)]
pub struct EmailRules {
    /// Whether somebody has to prove an address before logging in with it.
    pub confirm: bool,
    /// Where links may lead in the end.
    pub redirects: Redirects,
}

/// Proofs by mail, as a service.
pub struct Proofs<'e> {
    engine: &'e Engine,
}

impl<'e> Proofs<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }
}
