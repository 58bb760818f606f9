//! Counters in process. A valid credential is never refused by them.

pub mod failures;
