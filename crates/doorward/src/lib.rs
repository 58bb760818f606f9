//! Doorward as a library: the same parts the program is made of.
//!
//! ```text
//! Sources ─ config ─► Setup ─ assemble ─► Engine and mounts ─ doorward_server::bind ─► a server
//! ```
//!
//! [`assemble`] is the only place that wires. A program that embeds Doorward reads a [`setup::Setup`], looks at what
//! [`refusals`] says about it, and assembles:
//!
//! ```no_run
//! use doorward::cli::Surroundings;
//! use doorward::config::Sources;
//! use doorward::setup::{Mode, Setup};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let surroundings = Surroundings::of_process();
//! let sources = Sources { file: Some("doorward.toml".into()), ..Sources::default() };
//! let setup = Setup::read(Mode::Serve, &sources, &surroundings)?;
//! for warning in doorward::refusals::warnings(&setup) {
//!     eprintln!("{warning}");
//! }
//! let assembled = doorward::assemble::assemble(&setup).await?;
//! assembled.engine.start();
//! # Ok(())
//! # }
//! ```

mod accounts;
mod administrator;
pub mod assemble;
mod certificates;
pub mod cli;
mod client_scripts;
pub mod clock;
pub mod command_runner;
mod commands;
pub mod config;
mod descriptors;
mod directory;
mod doctor;
mod handlers;
mod hypha;
mod locations;
pub mod logging;
mod mailer;
mod others;
pub mod platform;
mod policy;
pub mod random;
pub mod ready;
pub mod refusals;
mod running;
pub mod secrets;
pub mod setup;
mod signals;
mod start_up;
mod succession;
mod supabase;
mod supervisor;
mod telemetry;
pub mod tls;
mod walkthrough;
