//! Counters: failed attempts, which never refuse a valid credential, and the operator's own limits.

pub mod failures;
pub mod rules;
pub mod shares;
mod used;
pub mod windows;
