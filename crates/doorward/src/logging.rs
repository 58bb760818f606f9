//! The log: lines on standard error, for people or for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Sends the log to standard error from now on. A second call in one process changes nothing.
pub fn start(log: &Log) {
    let filter = EnvFilter::builder().parse_lossy(&log.level);
    // A line that cannot be written, because the disk of the log is full, must not take the process with it: saying so on the
    // same standard error would fail again, loudly.
    let lines = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let subscriber: Box<dyn tracing::Subscriber + Send + Sync> = match log.format {
        LogFormat::Pretty => {
            Box::new(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).finish())
        }
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    };
    // A library's user may have set up tracing already, which is theirs to decide.
    if subscriber.try_init().is_err() {
        tracing::debug!("a log was set up before; it stays");
    }
}
