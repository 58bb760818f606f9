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
//! A mount can have a [`Tenant`] of its own instead: there the provider's people are the callers themselves, by the tokens it gives them,
//! and have no account here.
//!
//! To add a kind of provider: a file and a row in [`methods`]. To add a well-known one: a row in [`presets`].

mod asking;
pub mod attempt;
mod identified;
mod identities;
pub mod methods;
pub mod presets;
mod service;
mod tenant;

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result, codes};
use crate::limits::shares::{Share, Shares};

pub use attempt::{Attempt, Ticket};
pub use identified::Identified;
pub use identities::Identities;
pub use methods::{Answered, Brought, LoginMethod};
pub use service::{Arrived, Begun, Logins, Newcomer, Way};
pub use tenant::{Settled, TENANT, Tenant};

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

    fn must_allow(&self, identified: &Identified) -> Result<()> {
        let allowed = identified.is_of(&self.allowed_domains);
        if allowed { Ok(()) } else { Err(Error::new(codes::EMAIL_NOT_ALLOWED)) }
    }
}

/// A provider that is being asked: given back when it has answered.
struct Asking<'p> {
    _share: Share,
    _asking: SemaphorePermit<'p>,
}
