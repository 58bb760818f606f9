//! The embedded agent server: threads, messages, runs.

pub mod model;
