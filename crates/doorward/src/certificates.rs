//! The certificate and its key, read again when their files change and when the operator asks.
//!
//! ```text
//! files' metadata, every two seconds ─ changed, and the same at two looks ─► read both ─► judge as at the start ─► shown
//! SIGHUP ─────────────────────────────────────────────────────────────────► read both ─┘        └► refused: the old one stays
//! ```
//! Whatever cannot be shown is said once in the log and counted; it is tried again at each look, because a certificate whose time begins in
//! a minute is good in a minute.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use doorward_core::clock::Clock as _;
use doorward_server::Tls;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::SystemClock;
use crate::config::{Problem, Server};
use crate::secrets::lone_reader;
use crate::setup::{Mode, Setup};
use crate::supervisor::Supervisor;
use crate::tls;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
type Stamp = Option<[i64; 6]>;

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    let (dev, ino, size) = (found.dev().cast_signed(), found.ino().cast_signed(), found.size().cast_signed());
    Some([
        dev,
        ino,
        size,
        found.mtime(),
        found.mtime_nsec(),
        found.ctime().wrapping_mul(1_000_000_000) + found.ctime_nsec(),
    ])
}

/// The certificate that is shown, and what is known of its files.
pub(crate) struct Certificates {
    server: Server,
    /// Whether a key that others can read is refused.
    strict: bool,
    tls: Tls,
    /// The files as they were when they were read.
    shown: [Stamp; 2],
    /// The files at the last look.
    seen: [Stamp; 2],
    /// What was wrong with them, as it was said.
    said: Option<String>,
}

impl Certificates {
    /// Reads them for the first time; `None` for plain HTTP.
    ///
    /// # Errors
    /// As [`tls::read`].
    pub(crate) fn read(setup: &Setup, now_ms: i64) -> Result<Option<Self>, Problem> {
        let server = setup.config.server.clone();
        // Before they are read: what changes while they are is seen to have changed.
        let shown = stamps(&server);
        let Some(tls) = tls::read(&server, now_ms)? else { return Ok(None) };
        let strict = setup.mode == Mode::Serve;
        Ok(Some(Self { server, strict, tls, shown, seen: shown, said: None }))
    }

    /// What listeners show.
    pub(crate) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Looks at the files: `at_once` where somebody says that they are whole.
    fn look(&mut self, now_ms: i64, at_once: bool) {
        let stamps = stamps(&self.server);
        if stamps == self.shown {
            self.said = None;
            return;
        }
        if stamps != std::mem::replace(&mut self.seen, stamps) && !at_once {
            // Whoever writes them may not be done.
            return;
        }
        let read = self.judge(now_ms);
        if self::stamps(&self.server) != stamps {
            // One of them is of before a change and the other of after it; the next look sees both.
            return;
        }
        match read {
            Ok(Some(renewed)) => {
                self.tls.renew(&renewed);
                (self.shown, self.said) = (stamps, None);
                let days =
                    renewed.ends_at_s().saturating_sub(u64::try_from(now_ms / 1000).unwrap_or_default())
                        / 86_400;
                tracing::info!(days, "the certificate was renewed; new connections are shown it");
            }
            // The configuration names files, and that does not change.
            Ok(None) => {}
            Err(problem) => {
                let what = format!("{}: {}; {}", problem.key, problem.what, problem.mend);
                if self.said.as_ref() != Some(&what) {
                    self.tls.count_refusal();
                    tracing::error!("the renewed certificate is not taken, the one before it stays: {what}");
                    self.said = Some(what);
                }
            }
        }
    }

    fn judge(&self, now_ms: i64) -> Result<Option<Tls>, Problem> {
        let key = self.server.tls.as_ref().map(|files| &files.key);
        if let Some((key, mode)) = key.filter(|_| self.strict).and_then(|key| Some((key, lone_reader(key)?)))
        {
            return Err(tls::open_key(key, mode));
        }
        tls::read(&self.server, now_ms)
    }

    /// Looks every now and then, and when a signal comes, for as long as the server lives.
    pub(crate) async fn watch(self, mut asked: Signal, supervisor: Supervisor) {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut mine, mut told) = (self, None);
        loop {
            let at_once = tokio::select! {
                _ = looks.tick() => false,
                // Never taken away while this goes on.
                Some(()) = asked.recv() => true,
                else => return,
            };
            if at_once {
                supervisor.reloading();
                tracing::info!("asked to read the certificate again");
            }
            // Off the runtime's threads: the files may lie on another machine's disk.
            let looked = tokio::task::spawn_blocking(move || {
                mine.look(SystemClock.now_ms(), at_once);
                mine
            });
            match looked.await {
                Ok(back) => mine = back,
                Err(error) => return tracing::error!(%error, "the certificate is watched no more"),
            }
            if mine.said != told {
                told.clone_from(&mine.said);
                supervisor.status(&told.as_ref().map_or_else(String::new, |what| {
                    format!("the renewed certificate is not taken, the one before it stays: {what}")
                }));
            }
            if at_once {
                // There is no word for a reload that failed: how it went is the status, the log and the metric.
                supervisor.ready();
            }
        }
    }
}

fn stamps(server: &Server) -> [Stamp; 2] {
    server.tls.as_ref().map_or([None; 2], |files| [stamp(&files.certificate), stamp(&files.key)])
}

#[cfg(test)]
mod tests;
