//! Supabase Auth (GoTrue), as far as LangGraph's document needs it.
//!
//! ```text
//! apikey ─ authn/methods/project_key ─► who may ask at all
//! signup · token · user · logout ─ accounts, tokens ─► the engine's own users, sessions, refresh families
//! letters ─ proofs ─► verify: 303 with the session behind the #
//! refusals ─ style ─► {"code", "error_code", "msg"}, or {"code", "message"} for newer clients
//! ```
//! `docs/surfaces/supabase.md` is the contract.

mod about;
mod accounts;
mod links;
mod proofs;
pub(crate) mod routes;
pub(crate) mod style;
mod tokens;
mod views;
