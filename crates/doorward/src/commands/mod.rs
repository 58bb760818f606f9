//! The commands there are. To add one: a file here, and a row in [`BUILTIN`].

mod audit;
mod backup;
mod completions;
mod config;
mod dev;
mod doctor;
mod explain;
mod handlers;
mod key;
mod man;
mod migrate;
mod policy;
mod restore;
mod serve;
mod session;
mod supabase;
mod token;
mod user;
mod webhook;

use crate::cli::Descriptor;

/// Every command, in the order of `--help`.
pub(crate) static BUILTIN: &[&Descriptor] = &[
    &dev::COMMAND,
    &serve::COMMAND,
    &user::COMMAND,
    &key::COMMAND,
    &token::COMMAND,
    &session::COMMAND,
    &supabase::COMMAND,
    &audit::COMMAND,
    &webhook::COMMAND,
    &explain::COMMAND,
    &policy::COMMAND,
    &config::COMMAND,
    &doctor::COMMAND,
    &handlers::COMMAND,
    &migrate::COMMAND,
    &backup::COMMAND,
    &restore::COMMAND,
    &completions::COMMAND,
    &man::COMMAND,
];
