//! People, their passwords, sessions and API keys.

pub mod administered;
pub mod anonymous;
pub mod api_keys;
pub mod browser;
pub mod hashes;
pub mod model;
pub mod own_account;
pub mod password;
pub mod project_keys;
pub mod proofs;
pub mod sessions;
pub mod setup;
pub mod transfer;
pub mod users;
pub mod validate;
