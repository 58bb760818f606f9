//! Secrets an operator brings: whether they are any good, and the one that `dev` makes for itself.

pub mod key_files;
mod master;
mod readers;
mod weak;

pub use master::{MasterKeyError, create_master_key, parse_master_key};
pub use readers::lone_reader;
pub use weak::{Weakness, weakness};
