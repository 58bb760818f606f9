//! doorward

pub mod config;
