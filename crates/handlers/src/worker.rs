//! One process: started, asked, and given up when it does not answer.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pipe;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use doorward_core::ports::handlers::{HandlerFault, Refused};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::frame;
use crate::output;
use crate::process::Group;
use crate::python::{BOOT, begin};
use crate::settings::Settings;

/// The frames' version that we speak.
const VERSION: u64 = 1;
/// A process that was not heard for this long after a time-out is given up.
const PONG_WITHIN: Duration = Duration::from_secs(2);

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The interpreter's version.
    pub python: String,
    /// What the file registers, for people to read.
    pub registers: Vec<String>,
    /// The user's files that were loaded.
    pub files: Vec<String>,
}

/// Why there is no worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The file cannot be used: what is wrong, and where in it.
    Broken(String, Option<String>),
    /// The interpreter cannot be started, ended, or took too long.
    Process(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(what, Some(place)) => write!(f, "{place}: {what}"),
            Self::Broken(what, None) => f.write_str(what),
            Self::Process(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartError {}

/// What comes back for a call.
type Answer = Result<Value, HandlerFault>;
type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A process that has loaded its file.
pub(crate) struct Worker {
    pub(crate) loaded: Loaded,
    name: Arc<str>,
    frames: mpsc::Sender<Vec<u8>>,
    pending: Pending,
    pongs: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>,
    places: Arc<Semaphore>,
    next: AtomicU64,
    /// Calls whose time was over and that have not answered since: each may hold a thread.
    stuck: Arc<AtomicUsize>,
    most_stuck: usize,
    give_up: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Worker {
    /// Starts a process and waits until its file is loaded.
    pub(crate) async fn start(settings: &Settings) -> Result<Self, StartError> {
        let failed = |what: &str, error: &dyn fmt::Display| StartError::Process(format!("{what}: {error}"));
        let (ours, theirs) = Pipe::pair().map_err(|error| failed("no socket", &error))?;
        ours.set_nonblocking(true).map_err(|error| failed("no socket", &error))?;
        let mut plan = std::process::Command::new(&settings.python);
        plan.args(["-u", "-c", BOOT]).env_clear().envs(settings.environment.iter().cloned());
        plan.current_dir(&settings.directory);
        plan.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let python = settings.python.display();
        let mut group =
            Group::of(plan).map_err(|error| failed(&format!("{python} cannot be started"), &error))?;
        if let Some(stdout) = group.child.stdout.take() {
            tokio::spawn(output::log(stdout, Arc::clone(&settings.name), "stdout"));
        }
        if let Some(stderr) = group.child.stderr.take() {
            tokio::spawn(output::log(stderr, Arc::clone(&settings.name), "stderr"));
        }
        let stream = UnixStream::from_std(ours).map_err(|error| failed("no socket", &error))?;
        let (mut from, mut to) = stream.into_split();
        let loading = async {
            let begin = frame::encode(&begin(settings)).expect("our own sources are small");
            let sent = frame::write(&mut to, &begin).await;
            let first = frame::read(&mut from).await.and_then(|first| sent.map(|()| first));
            first.map_err(|error| failed("it did not load", &error))
        };
        let first = match tokio::time::timeout(settings.start_within, loading).await {
            Ok(first) => first?,
            Err(_) => {
                let what = format!("it did not load within {} s", settings.start_within.as_secs());
                return Err(StartError::Process(what));
            }
        };
        let Some(first) = first else {
            let how = group.ended(std::future::pending()).await;
            return Err(StartError::Process(format!(
                "{python} ended before it had loaded{how}; the log has what it said"
            )));
        };
        let loaded = loaded(&first)?;
        Ok(Self::running(settings, loaded, group, (from, to)))
    }

    fn running(
        settings: &Settings,
        loaded: Loaded,
        mut group: Group,
        (from, mut to): (OwnedReadHalf, OwnedWriteHalf),
    ) -> Self {
        let (frames, mut queued) = mpsc::channel::<Vec<u8>>(settings.queue + 16);
        let (give_up, mut given_up) = watch::channel(false);
        let (over, ended) = watch::channel(false);
        let (pending, pongs) = (Pending::default(), Arc::default());
        let stuck = Arc::new(AtomicUsize::new(0));
        let listening = listen(from, Arc::clone(&pending), Arc::clone(&pongs), Arc::clone(&stuck));
        let waiting = Arc::clone(&pending);
        let name = Arc::clone(&settings.name);
        tokio::spawn(async move {
            let telling = async {
                while let Some(bytes) = queued.recv().await {
                    if frame::write(&mut to, &bytes).await.is_err() {
                        return;
                    }
                }
            };
            let why = tokio::select! {
                why = listening => why,
                () = telling => "its socket is closed".to_owned(),
                _ = given_up.wait_for(|given_up| *given_up) => String::new(),
            };
            let how = if why.is_empty() { String::new() } else { group.ended(std::future::pending()).await };
            group.kill();
            let _ = group.child.wait().await;
            if !why.is_empty() {
                tracing::error!(handler = %name, "the process is gone: {why}{how}");
            }
            // Whoever waits is told by the dropped sender.
            waiting.lock().clear();
            over.send_replace(true);
        });
        Self {
            loaded,
            name: Arc::clone(&settings.name),
            frames,
            pending,
            pongs,
            places: Arc::new(Semaphore::new(settings.queue)),
            next: AtomicU64::new(1),
            stuck,
            most_stuck: (settings.threads / 2).max(1),
            give_up,
            ended,
        }
    }

    /// Calls that are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.pending.lock().len()
    }

    pub(crate) fn is_alive(&self) -> bool {
        !*self.ended.borrow()
    }

    /// Returns when the process is gone.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.clone();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Ends the process.
    pub(crate) fn give_up(&self) {
        self.give_up.send_replace(true);
    }

    /// Asks, and waits for at most `within`.
    pub(crate) async fn call(self: &Arc<Self>, function: &str, with: &Value, within: Duration) -> Answer {
        let away = |why: &str| Err(HandlerFault::Away(why.to_owned()));
        let Ok(_place) = self.places.try_acquire() else { return away("its queue is full") };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(frame) = frame::encode(&json!({"id": id, "call": function, "with": with})) else {
            return Err(HandlerFault::Invalid("what it is asked is larger than 16 MiB".to_owned()));
        };
        let (answer, answered) = oneshot::channel();
        self.pending.lock().insert(id, answer);
        let mut waiting = Waiting { worker: self, id, done: false };
        if !self.is_alive() || self.frames.send(frame).await.is_err() {
            return away("its process is gone");
        }
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => {
                waiting.done = true;
                answer
            }
            Ok(Err(_)) => away("its process is gone"),
            Err(_) => {
                self.overdue();
                Err(HandlerFault::Away(format!("no answer within {} ms", within.as_millis())))
            }
        }
    }

    /// After a time-out: a process that is not heard, or whose threads are all held, is of no use.
    fn overdue(self: &Arc<Self>) {
        let stuck = self.stuck.fetch_add(1, Ordering::AcqRel) + 1;
        if stuck >= self.most_stuck {
            tracing::error!(handler = %self.name, stuck, "calls that never ended hold its threads; it is started anew");
            return self.give_up();
        }
        let worker = Arc::clone(self);
        tokio::spawn(async move {
            let id = worker.next.fetch_add(1, Ordering::Relaxed);
            let (pong, heard) = oneshot::channel();
            worker.pongs.lock().insert(id, pong);
            let Some(ping) = frame::encode(&json!({ "ping": id })) else { return };
            let asked = async { worker.frames.send(ping).await.is_ok() && heard.await.is_ok() };
            if !tokio::time::timeout(PONG_WITHIN, asked).await.unwrap_or(false) && worker.is_alive() {
                tracing::error!(handler = %worker.name, "its event loop is blocked; it is started anew");
                worker.give_up();
            }
            worker.pongs.lock().remove(&id);
        });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// A call that is waited for; when nobody waits any more, the process is told.
struct Waiting<'w> {
    worker: &'w Worker,
    id: u64,
    done: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.worker.pending.lock().remove(&self.id);
        if let Some(cancel) = frame::encode(&json!({ "cancel": self.id })) {
            // When its queue is full it has other troubles.
            let _ = self.worker.frames.try_send(cancel);
        }
    }
}

/// Takes answers until none come any more; the result says why.
async fn listen(
    mut from: OwnedReadHalf,
    pending: Pending,
    pongs: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>,
    stuck: Arc<AtomicUsize>,
) -> String {
    loop {
        let frame = match frame::read(&mut from).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return "it closed its socket".to_owned(),
            Err(error) => return format!("its socket: {error}"),
        };
        if let Some(id) = frame.get("pong").and_then(Value::as_u64) {
            pongs.lock().remove(&id).map(|pong| pong.send(()));
            continue;
        }
        let Some(id) = frame.get("id").and_then(Value::as_u64) else {
            return "it sent a frame that is no answer".to_owned();
        };
        match pending.lock().remove(&id) {
            // Whoever asked may have left in this moment.
            Some(answer) => drop(answer.send(answer_of(frame))),
            // Its time was over, or nobody waits any more: it has come to an end after all.
            None => drop(stuck.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1))),
        }
    }
}

fn answer_of(mut frame: Value) -> Answer {
    if let Some(answer) = frame.get_mut("answer") {
        return Ok(answer.take());
    }
    if let Some(refused) = frame.get_mut("refuse") {
        return match serde_json::from_value::<Refused>(refused.take()) {
            Ok(refused) if (400..600).contains(&refused.status) => Err(HandlerFault::Refused(refused)),
            _ => Err(HandlerFault::Invalid("a refusal has a status of 400 to 599".to_owned())),
        };
    }
    let text = |name: &str| frame.get(name).and_then(Value::as_str).map(str::to_owned);
    match (text("invalid"), text("fault")) {
        (Some(what), _) => Err(HandlerFault::Invalid(what)),
        (None, Some(what)) => Err(HandlerFault::Raised(what)),
        (None, None) => Err(HandlerFault::Away("it sent an answer that is none".to_owned())),
    }
}

fn loaded(first: &Value) -> Result<Loaded, StartError> {
    if let Some(broken) = first.get("broken") {
        let text = |name: &str| broken.get(name).and_then(Value::as_str).map(str::to_owned);
        return Err(StartError::Broken(text("what").unwrap_or_default(), text("where")));
    }
    if first.get("ready").and_then(Value::as_u64) != Some(VERSION) {
        return Err(StartError::Process("it speaks another version of the frames".to_owned()));
    }
    let texts = |name: &str| {
        let all = first.get(name).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(Loaded {
        python: first.get("python").and_then(Value::as_str).unwrap_or_default().to_owned(),
        registers: texts("registers"),
        files: texts("files"),
    })
}
