//! The log: lines on standard error, for people or for programs.

mod fields;
mod lines;
mod stamp;

use std::io::{IsTerminal, Stderr};
use std::sync::{Arc, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use self::fields::Fields;
use self::lines::{Gathering, Lines};
use self::stamp::Stamp;
use crate::config::{Log, LogFormat};

/// The log while it is written to. Dropped, it writes what waits, and from then on each line by itself. A process that ends otherwise, by
/// [`std::process::exit`], takes what waits with it.
#[must_use = "dropped at once, each line is written by itself"]
pub struct Logging(Arc<Lines<Stderr>>);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The log of this process.
static LOG: OnceLock<Arc<Lines<Stderr>>> = OnceLock::new();

/// Writes what waits, before something is said that must not come before it.
pub(crate) fn write_out() {
    if let Some(lines) = LOG.get() {
        lines.write_out();
    }
}

/// Sends the log to standard error from now on. A second call in one process changes nothing.
pub fn start(log: &Log) -> Logging {
    let filter = EnvFilter::builder().parse_lossy(&log.level);
    let gathered = Lines::to(std::io::stderr());
    // Saying of a line that it cannot be written would fail on the same standard error again, loudly.
    let lines = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_timer(Stamp)
        .with_env_filter(filter)
        .with_writer(Gathering(Arc::clone(&gathered)));
    let subscriber: Box<dyn tracing::Subscriber + Send + Sync> = match log.format {
        LogFormat::Pretty => Box::new(
            lines.fmt_fields(Fields).with_ansi(std::io::stderr().is_terminal()).with_target(false).finish(),
        ),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    };
    // A library's user may have set up tracing already, which is theirs to decide.
    match subscriber.try_init() {
        Ok(()) => {
            let _ = LOG.set(Arc::clone(&gathered));
            if let Err(error) = gathered.start() {
                tracing::warn!(%error, "each line of the log is written by itself");
            }
        }
        Err(_) => tracing::debug!("a log was set up before; it stays"),
    }
    Logging(gathered)
}
