//! Supabase Auth (GoTrue): everything but providers, single sign-on and second factors, which wait for their ways of logging in.
//!
//! ```text
//! apikey ─ authn/methods/project_key ─► who may ask at all
//! signup · token · user · logout ─ accounts, tokens ─► the engine's own users, sessions, refresh families
//! letters ─ asking ─► sent · proofs ─► verify: 303 with the session behind the #
//! service key ─ admin, links ─► accounts administered, links handed out
//! refusals ─ style ─► {"code", "error_code", "msg"}, or {"code", "message"} for newer clients
//! ```
//! `docs/surfaces/supabase.md` is the contract.

mod about;
mod accounts;
mod admin;
mod asking;
mod later;
mod links;
mod proofs;
pub(crate) mod routes;
pub(crate) mod style;
mod tokens;
mod views;
