//! The engine: who somebody is, what they may touch, and what was done about it.
//!
//! Everything that decides lives here, behind ports that other crates implement. A request flows one way:
//!
//! ```text
//! Presented ─ authn::Chain ─► Call ─ authz::decide ─► Permit ─ a service ─► effect + audit
//! ```
//!
//! There is no HTTP, no SQL, no environment and no system clock in this crate: time is [`clock::Clock`],
//! randomness is [`random::Random`], durable state is [`ports::Store`].

pub mod agents;
pub mod anomalies;
pub mod artifacts;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod clock;
pub mod engine;
pub mod error;
pub mod events;
mod forms;
pub mod id;
pub mod identity;
pub mod limits;
pub mod live;
pub mod login;
pub mod mail;
pub mod memory;
pub mod mount;
pub mod operation;
pub mod ports;
pub mod principal;
pub mod random;
pub mod secret;
pub mod start_up;
pub mod tokens;
pub mod user_code;
pub mod vitals;
pub mod workspaces;

pub use engine::Engine;
pub use error::{Error, Result};
