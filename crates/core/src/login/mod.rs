//! Logging in through somebody else: a provider says who it is, and we say whose account that is.
//!
//! ```text
//! begin ─ attempt sealed into a cookie ─► provider ─► back with a code ─ opened, spent ─► method.identify
//!                                                                                             │ authority, subject
//!              ┌──────────── an identity of ours? ◄───────────────────────────────────────────┘
//!              ├─ yes ─► its account's session
//!              └─ no  ─► a new account, where sign-up is open; never somebody's by its e-mail address alone
//! ```
//! A provider's word opens an account only if its owner added that provider, or the account was made through it: an address that
//! two parties both have proves nothing about either (pre-hijacking, and providers that confirm no addresses).
//!
//! To add a kind of provider: a file and a row in [`methods`]. To add a well-known one: a row in [`presets`].

mod asking;
pub mod attempt;
mod identified;
mod identities;
pub mod methods;
pub mod presets;
mod service;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::limits::shares::Shares;

pub use attempt::{Attempt, Ticket};
pub use identified::Identified;
pub use identities::Identities;
pub use methods::{Answered, LoginMethod};
pub use service::{Arrived, Begun, Logins, Newcomer};

/// Log-ins that are asked of one provider at once, and those of one network; more are told to come again.
const AT_ONCE: usize = 32;
const OF_ONE_NETWORK: u32 = 8;

/// Somebody who says who people are.
pub struct Provider {
    /// Its name in URLs.
    pub name: Arc<str>,
    /// What people call it.
    pub label: String,
    /// How it is asked.
    pub method: Arc<dyn LoginMethod>,
    /// Whether people it knows and we do not are given an account; `None` leaves it to the mount.
    pub sign_up: Option<bool>,
    /// Domains of e-mail addresses that people must have; empty for all.
    pub allowed_domains: Vec<String>,
    asking: Semaphore,
    shares: Shares,
}

impl Provider {
    /// A provider.
    #[must_use]
    pub fn new(name: &str, label: String, method: Arc<dyn LoginMethod>) -> Self {
        Self {
            name: name.into(),
            label,
            method,
            sign_up: None,
            allowed_domains: Vec::new(),
            asking: Semaphore::new(AT_ONCE),
            shares: Shares::default(),
        }
    }
}
