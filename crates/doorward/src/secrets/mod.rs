//! Secrets an operator brings: whether they are any good, and the one that `dev` makes for itself.

pub mod key_files;
mod master;
mod weak;

pub use master::{MasterKeyError, create_master_key, lone_reader, parse_master_key};
pub use weak::{Weakness, weakness};
