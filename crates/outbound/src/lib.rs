//! Every outbound request whose target a user, a tenant, a token or a document has a say in. One policy, one client:
//!
//! ```text
//! Ask ─ target (scheme, host, port) ─► policy ─► connector: resolve, check every address, connect to those ─► TLS ─► Reply
//! ```
//! https alone; no redirects, no compressed or larger answers than 1 MiB, 5 seconds for all of it; never to addresses
//! of this machine or network, in whatever spelling or form. Origins that the operator lists are let through as they
//! are: that is the way to an identity provider inside, and to a test server.
//!
//! Letters go to the operator's mail server ([`Smtp`]), and passwords of a directory's people to the operator's directory ([`Ldap`]), traces to the operator's
//! collector ([`Collector`]): those are the operator's choice alone.
//!
//! The operator's own agent server, store and proxies are not meant: nobody else chooses their addresses.

pub mod address;
mod client;
mod collector;
mod connector;
mod ldap;
pub mod policy;
mod smtp;

pub use client::{BuildError, Client, Settings};
pub use collector::{Collector, NotTaken};
pub use ldap::{Ldap, LdapSettings};
pub use smtp::{Protection, Smtp, SmtpSettings};
