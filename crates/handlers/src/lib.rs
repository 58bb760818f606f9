//! User code out of process.
//!
//! ```text
//! engine ─ ports::Handlers ─► host ─ a worker that lives ─► frames over a Unix socket ─► python, node: runner ─► the user's function
//!                               │                                                                            │
//!                               └ restart with back-off, reload on change      answer · refuse · invalid · fault ─┘
//! ```
//! A worker is a process in a group of its own, with an environment of its own; its socket is handed to it when it starts. It is killed with
//! everything it started. No answer is never an answer: crash, time-out and a full queue are all "away".
//! The frames are described in `docs/reference/handler-protocol.md`.

mod asking;
mod frame;
mod host;
pub mod lines;
mod output;
pub mod process;
mod runtimes;
mod settings;
mod worker;

pub use host::{Fresh, Host, Prepare};
pub use runtimes::{PYTHON, Runtime};
pub use settings::Settings;
pub use worker::{Loaded, StartError};
