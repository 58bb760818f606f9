//! The embedded agent server, and who owns what an upstream keeps.

pub mod model;
pub mod ownership;
pub mod runner;
pub mod runs;
pub mod threads;
