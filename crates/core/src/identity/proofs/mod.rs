//! Proofs by mail: somebody shows that an e-mail address is theirs by what was sent to it.
//!
//! ```text
//! sign up · forgot · new address ─ ask ─► a code in the store (hashed), a letter on its way
//! link opened · digits typed ─ arrive ─► code spent, address confirmed, session begun: one transaction
//! link of a flow opened ─ arrive ─► code spent, address confirmed, a code for who began the flow ─ exchange ─► session begun
//! ```
//! A link holds 256 bits; the digits are for people and have few tries. Both are bound to the purpose, the account and the address, are
//! stored as keyed hashes, and using either ends both. Who asks is told the same whether there is an account or not.

mod arrive;
mod ask;
pub mod code;
mod flow;
mod links;
mod moving;
mod nonce;
pub mod redirects;
mod write;

pub use arrive::{Arrived, Shown};
pub use ask::{Asked, Entering};
pub use code::{Purpose, is_of_a_flow};
pub use flow::Challenge;
pub use links::{LinkFor, MadeLink};
pub use redirects::Redirects;
pub use write::Links;

pub(crate) use code::{end_all_writes, end_earlier_writes};

use std::sync::Arc;

use crate::engine::Engine;
use crate::mail::Templates;

/// What a mount demands of e-mail addresses, and where people go from a letter.
#[derive(Debug, Clone, Default)]
pub struct EmailRules {
    /// Whether somebody has to prove an address before logging in with it.
    pub confirm: bool,
    /// Where links may lead in the end.
    pub redirects: Redirects,
    /// Whether the holder of the present address has to agree to another one too.
    pub both_agree: bool,
    /// Letters that one network may ask for in five minutes; 0 for any number.
    pub letters_per_network: u32,
    /// Whether strangers may stay without a name, with nothing but a session.
    pub anonymous: bool,
    /// What is written.
    pub templates: Arc<Templates>,
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
