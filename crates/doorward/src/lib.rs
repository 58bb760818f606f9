//! Authentication, authorization and API keys inside a Rust service: the engine of Doorward's server, a tower layer and axum extractors.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use doorward::{Doorward, Principal};
//!
//! async fn me(principal: Principal) -> String {
//!     format!("Hello {}", principal.owner_key())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let doorward = Doorward::builder().directory("data").build().await?;
//!     let app = Router::new().route("/me", get(me)).layer(doorward.layer());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! A request to `/me` needs `Authorization: Bearer …` with a token or an API key of this store, or `X-API-Key`. Everything else is answered
//! 401 with a problem (RFC 9457) and `WWW-Authenticate` before a handler runs.
//!
//! # Where to look
//!
//! | to | use |
//! |---|---|
//! | open a store and say what differs from the defaults | [`Doorward::builder`], [`Builder`] |
//! | protect routes; let some be public | [`Doorward::layer`], [`Protect::optional`] |
//! | know who asks | [`Principal`], `Option<Principal>` |
//! | demand a permission, and show each caller their own things | [`actions!`], [`RequirePermission`], [`Filter`] |
//! | demand a role | [`RequireRole`], [`Role`] |
//! | make accounts, log in, issue tokens and API keys, revoke | [`Doorward::system`], [`Doorward::nobody`], [`Caller`] |
//! | check a credential that came without a request | [`Doorward::verify`] |
//! | end a stream when its credential is revoked | [`Caller::leave`] |
//! | test | [`Builder::in_memory`] |
//!
//! `docs/rust-library.md` explains each with an example that CI runs.
//!
//! # What the layer does, and what it leaves to you
//!
//! - Nothing passes by default: a route under the layer needs a caller that is known, and an extractor on a route that is *not* under the
//!   layer answers 500 and says so in the log. It is never anonymous.
//! - A credential that was revoked is refused with the next request; a role that was taken away is gone with the next decision. Other
//!   processes on the same database hear of it within the delay of their feed (half a second).
//! - [`RequirePermission`] says that the caller may do it *at all*. Whose things those are is for your query: apply its
//!   [`filter`](RequirePermission::filter), or [`must_reach`](RequirePermission::must_reach) to what you found.
//! - What a foreign page has a browser send with a session cookie is refused where it changes something, by its method or by what
//!   [`RequirePermission`] asks leave for. A `GET` that changes something without asking so is open to any page that links to it.
//! - Every decision leaves a line in the audit log, as on Doorward's own routes; `doorward audit list` on the same store shows them.
//! - Framing, TLS, timeouts, sizes of bodies and CORS are your server's. Say where the connection's address stands
//!   ([`Protect::address_of`]), or failures are not counted by address.
//! - Secrets come and go as [`SecretText`], which prints nothing. What you do with what [`expose`](doorward_core::secret::Secret::expose)
//!   gives is yours.
//!
//! # Other crates
//!
//! [`Doorward::engine`] is the [`Engine`] itself, with everything that has no short form here. The same package is also the `doorward`
//! program; its inner modules are not part of this API.

mod accounts;
mod administrator;
mod announcing;
#[doc(hidden)]
pub mod assemble;
mod certificates;
#[doc(hidden)]
pub mod cli;
mod client_scripts;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod command_runner;
mod commands;
#[doc(hidden)]
pub mod config;
mod descriptors;
mod directory;
mod doctor;
mod handlers;
mod hypha;
mod library;
mod locations;
#[doc(hidden)]
pub mod logging;
mod mailer;
mod model;
#[doc(hidden)]
pub mod openai_runner;
mod others;
mod places;
#[doc(hidden)]
pub mod platform;
mod policy;
#[doc(hidden)]
pub mod random;
#[doc(hidden)]
pub mod ready;
#[doc(hidden)]
pub mod refusals;
mod running;
#[doc(hidden)]
pub mod secrets;
#[doc(hidden)]
pub mod setup;
mod signals;
mod start_up;
mod stepping_down;
mod succession;
mod supabase;
mod supervisor;
mod telemetry;
#[doc(hidden)]
pub mod tls;
mod walkthrough;

pub use library::{
    Answering, BuildError, Builder, Caller, Doorward, Error, Principal, Protect, Protected,
    RequirePermission, RequireRole, Result, Role, roles,
};

pub use doorward_core::authz::catalogue::{Access as Reaches, Action, ActionDef, AuditClass};
pub use doorward_core::authz::filter::Filter;
pub use doorward_core::authz::{RoleName, Target};
pub use doorward_core::clock::{Clock, ManualClock};
pub use doorward_core::engine::Engine;
pub use doorward_core::error::Kind;
pub use doorward_core::id::{ApiKeyId, SessionId, UserId};
pub use doorward_core::identity::api_keys::{Created as CreatedApiKey, Expiry, NewApiKey};
pub use doorward_core::identity::model::{ApiKeyKind, User};
pub use doorward_core::identity::sessions::{Granted, Login, Which as WhichSessions};
pub use doorward_core::identity::users::NewUser;
pub use doorward_core::operation::Permit;
pub use doorward_core::principal::PrincipalKind;
pub use doorward_core::secret::SecretText;
pub use doorward_core::tokens::issue::{Issued, Subject};
pub use doorward_core::tokens::model::Revoked;
pub use doorward_server::Access as Leave;
