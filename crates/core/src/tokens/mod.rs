//! Tokens: keys, issuing, verifying, refreshing, revoking.

pub mod model;
