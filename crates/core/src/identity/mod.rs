//! Users, passwords, sessions and API keys.

pub mod model;
