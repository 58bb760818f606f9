//! Muxi Core: the HTTP half of its authentication document, made sound inside.
//!
//! ```text
//! credentials ─ accounts ─► access token (username), refresh token (token_type) ─► chat, features
//! refusals ─ style, fields ─► {"detail": ...} as the document's framework words it
//! ```
//! `docs/surfaces/muxi.md` is the contract.

mod accounts;
mod chat;
mod features;
mod fields;
mod pages;
pub(crate) mod routes;
pub(crate) mod style;
