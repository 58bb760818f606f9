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
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::RunId;
use doorward_handlers::lines::{Line, Lines, shown};
use doorward_handlers::process::{Group, LAST_WORDS};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc};

use protocol::{Answer, Step};

/// The name in configuration and in the log.
pub(crate) const NAME: &str = "command";
/// Longest line of standard error that is logged, and how many bytes of it are logged in a run.
const LOG_LINE_BYTES: usize = 1 << 10;
const LOG_RUN_BYTES: usize = 64 << 10;
/// When to come back once every place is taken.
const RETRY_AFTER_S: u32 = 1;

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
    places: Arc<Semaphore>,
    processes: Semaphore,
}

/// Why a run ended badly: what the client hears, and what the log says beside it.
type Ending = std::result::Result<(), (Fault, String)>;

impl CommandRunner {
    /// A runner within these bounds.
    #[must_use]
    pub fn new(settings: CommandSettings) -> Self {
        let places = Arc::new(Semaphore::new(settings.processes + settings.queue));
        let processes = Semaphore::new(settings.processes);
        Self { shared: Arc::new(Shared { settings, places, processes }) }
    }
}

impl Runner for CommandRunner {
    fn name(&self) -> &'static str {
        NAME
    }

    fn admit(&self) -> Result<Place> {
        match Arc::clone(&self.shared.places).try_acquire_owned() {
            Ok(permit) => Ok(Place::counted(permit)),
            Err(_) => Err(Error::new(codes::AGENTS_BUSY).retry_after_s(RETRY_AFTER_S)),
        }
    }

    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent> {
        let (events, answered) = mpsc::channel(16);
        let shared = Arc::clone(&self.shared);
        // A task of its own, so that the time limit holds while nobody reads.
        tokio::spawn(async move { shared.carry(input, events).await });
        stream::unfold(answered, |mut answered| async { Some((answered.recv().await?, answered)) }).boxed()
    }
}

impl Shared {
    async fn carry(&self, input: RunInput, events: mpsc::Sender<RunEvent>) {
        let _process = tokio::select! {
            permit = self.processes.acquire() => permit.expect("the semaphore is never closed"),
            () = events.closed() => return,
        };
        let ending = self.process(&input, &events).await;
        drop((_process, input));
        if let Err((fault, detail)) = ending {
            // Nobody may be left to hear it.
            let _ = events.send(RunEvent::Failed(fault, detail)).await;
        }
    }

    /// One process, from its start until it and everything it started is gone.
    async fn process(&self, input: &RunInput, events: &mpsc::Sender<RunEvent>) -> Ending {
        let mut group =
            self.spawn().map_err(|error| (Fault::Failed, format!("cannot be started: {error}")))?;
        let mut stdin = group.child.stdin.take().expect("piped");
        let stdout = group.child.stdout.take().expect("piped");
        let stderr = group.child.stderr.take().expect("piped");
        let mut log = tokio::spawn(log(stderr, input.run.clone()));
        let request = protocol::request(input);
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

    async fn listen(&self, stdout: impl AsyncRead + Unpin, events: &mpsc::Sender<RunEvent>) -> Ending {
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
