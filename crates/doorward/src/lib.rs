//! doorward

pub mod clock;
pub mod config;
pub mod logging;
pub mod platform;
pub mod random;
pub mod ready;
pub mod secrets;
