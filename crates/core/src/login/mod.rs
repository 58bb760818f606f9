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
//! People of a directory ([`directory`]) type their password here, and the directory says whether it is theirs.
//!
//! A mount can have a [`Tenant`] of its own instead: there the provider's people are the callers themselves, by the tokens it gives them,
//! and have no account here.
//!
//! To add a kind of provider: a file and a row in [`methods`]. To add a well-known one: a row in [`presets`].

mod asking;
pub mod attempt;
pub(crate) mod directory;
mod identified;
mod identities;
pub mod methods;
pub mod presets;
mod service;
mod tenant;
mod turns;

use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use turns::Turns;

pub use attempt::{Attempt, Ticket};
pub use directory::People;
pub use identified::Identified;
pub(crate) use identified::pkce_challenge;
pub use identities::Identities;
pub use methods::{Answered, Brought, LoginMethod};
pub(crate) use service::SPENT;
pub use service::{Arrived, Begun, Came, Logins, Newcomer, Way};
pub use tenant::{TENANT, Tenant};

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
    turns: Turns,
}

impl Engine {
    /// Others through whom people log in.
    #[must_use]
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.settings().providers
    }
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
            turns: Turns::default(),
        }
    }

    fn must_allow(&self, identified: &Identified) -> Result<()> {
        let allowed = identified.is_of(&self.allowed_domains);
        if allowed { Ok(()) } else { Err(Error::new(codes::EMAIL_NOT_ALLOWED)) }
    }
}
