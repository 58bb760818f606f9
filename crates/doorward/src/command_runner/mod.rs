//! The runner that is a program of the operator's: one process for each run, JSON lines in and out.
//!
//! ```text
//! admit ─ a place, or agents_busy ─► wait for a process ─► spawn in a group of its own, environment cleared
//!   request line ─► stdin        stdout ─ lines ─ protocol ─► RunEvent        stderr ─► the log
//! done · error · end · bad line · too much · too long · nobody wants it ─► the whole group is killed
//! ```

mod protocol;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::runner::{Fault, Place, RunEvent, RunInput, Runner};
use doorward_core::error::Result;
use doorward_core::id::RunId;
use doorward_handlers::lines::{Line, Lines, shown};
use doorward_handlers::process::{Group, LAST_WORDS};
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::Command;

use crate::places::{Carry, Ending, Events, Places, answer};
use protocol::{Answer, Step};

/// The name in configuration and in the log.
pub(crate) const NAME: &str = "command";
/// Longest line of standard error that is logged, and how many bytes of it are logged in a run.
const LOG_LINE_BYTES: usize = 1 << 10;
const LOG_RUN_BYTES: usize = 64 << 10;

/// What to run and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Where it works; `None` is the server's own directory.
    pub directory: Option<PathBuf>,
    /// Everything it finds in its environment.
    pub environment: Vec<(String, String)>,
    /// Longest time from its start to its `done`.
    pub time_limit: Duration,
    /// Most bytes of its standard output.
    pub max_output_bytes: usize,
    /// Longest line of it.
    pub max_line_bytes: usize,
    /// Most processes at once.
    pub processes: usize,
    /// Most runs that wait for one.
    pub queue: usize,
}

/// The runner.
pub struct CommandRunner {
    shared: Arc<Shared>,
}

struct Shared {
    settings: CommandSettings,
    places: Places,
}

impl CommandRunner {
    /// A runner within these bounds.
    #[must_use]
    pub fn new(settings: CommandSettings) -> Self {
        let places = Places::new(settings.processes, settings.queue);
        Self { shared: Arc::new(Shared { settings, places }) }
    }
}

impl Runner for CommandRunner {
    fn name(&self) -> &'static str {
        NAME
    }

    fn admit(&self, caller: &str) -> Result<Place> {
        self.shared.places.admit(caller)
    }

    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent> {
        answer(&self.shared, input)
    }
}

impl Carry for Shared {
    fn places(&self) -> &Places {
        &self.places
    }

    /// One process, from its start until it and everything it started is gone.
    async fn carry(&self, input: &RunInput, events: &Events) -> Ending {
        let mut group =
            self.spawn().map_err(|error| (Fault::Failed, format!("cannot be started: {error}")))?;
        let mut stdin = group.child.stdin.take().expect("piped");
        let stdout = group.child.stdout.take().expect("piped");
        let stderr = group.child.stderr.take().expect("piped");
        let mut log = tokio::spawn(log(stderr, input.run.clone()));
        let request = protocol::request(input, &input.context.read().await?);
        // An agent need not read what it is told, so a closed pipe is no failure. The end of input follows the line.
        let tell = async move {
            let _ = stdin.write_all(request.as_bytes()).await;
            drop(stdin);
            std::future::pending::<Ending>().await
        };
        let ending = tokio::select! {
            ending = self.listen(stdout, events) => ending,
            ending = tell => ending,
            () = tokio::time::sleep(self.settings.time_limit) => {
                Err((Fault::TimedOut, format!("it took longer than {:?}", self.settings.time_limit)))
            }
            () = group.left_alone() => Err((Fault::Exited, "what it started holds its output open".to_owned())),
            () = events.closed() => Ok(()),
        };
        // Standard output can end a moment before the process does; only then is there a code to report.
        let ending = match ending {
            Err((Fault::Exited, what)) => {
                Err((Fault::Exited, format!("{what}{}", group.ended(events.closed()).await)))
            }
            other => other,
        };
        group.kill();
        let _ = group.child.wait().await;
        if tokio::time::timeout(LAST_WORDS, &mut log).await.is_err() {
            log.abort();
        }
        ending
    }
}

impl Shared {
    fn spawn(&self) -> std::io::Result<Group> {
        let settings = &self.settings;
        let (program, arguments) =
            settings.command.split_first().expect("the configuration demands a program");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(settings.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = &settings.directory {
            command.current_dir(directory);
        }
        Group::spawn(command)
    }

    async fn listen(&self, stdout: impl AsyncRead + Unpin, events: &Events) -> Ending {
        let settings = &self.settings;
        let mut lines = Lines::new(stdout, settings.max_line_bytes);
        let mut answer = Answer::default();
        loop {
            let line = lines.next().await;
            if lines.taken() > settings.max_output_bytes {
                return Err((Fault::TooLong, format!("more than {} bytes", settings.max_output_bytes)));
            }
            let line = match line {
                Ok(Line::Whole(line)) => line,
                Ok(Line::Cut(_)) => {
                    let what = format!("a line of more than {} bytes", settings.max_line_bytes);
                    return Err((Fault::TooLong, what));
                }
                Ok(Line::End) => return Err((Fault::Exited, "no done".to_owned())),
                Err(error) => return Err((Fault::Failed, format!("cannot be read: {error}"))),
            };
            match answer.take(&line)? {
                Step::Nothing => {}
                // Whoever listened is gone; `events.closed` ends the process.
                Step::Text(text) => drop(events.send(RunEvent::Text(text)).await),
                Step::Done => return Ok(()),
            }
        }
    }
}

/// Standard error, into our log. All of it is read, so that the agent never waits for us.
async fn log(stderr: impl AsyncRead + Unpin, run: RunId) {
    let mut lines = Lines::new(stderr, LOG_LINE_BYTES);
    let mut room = LOG_RUN_BYTES;
    while let Ok(line) = lines.next().await {
        let (line, cut) = match line {
            Line::Whole(line) => (line, false),
            Line::Cut(line) => (line, true),
            Line::End => return,
        };
        if room == 0 {
            continue;
        }
        room = room.saturating_sub(line.len().max(1));
        let text = shown(&line);
        tracing::info!(runner = NAME, %run, cut, "{text}");
        if room == 0 {
            tracing::warn!(runner = NAME, %run, "the agent says more than is logged of a run");
        }
    }
}

#[cfg(test)]
mod tests;
