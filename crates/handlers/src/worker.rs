//! One process: started, asked, and given up when it does not answer.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pipe;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doorward_core::ports::handlers::{Both, HandlerFault, Refused, Then};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::asking::{self, Answering, Beside};
use crate::frame::{self, Frame};
use crate::output;
use crate::process::Group;
use crate::runtimes::{Runtime, Sockets};
use crate::settings::Settings;

/// The frames' version that we speak.
const VERSION: u64 = 1;
/// Why a call is not even sent.
const TOO_LARGE: &str = "what it is asked is larger than 16 MiB";
/// Most frames that are written together.
const TOGETHER: usize = 64;
/// How much is read of a socket at once: several answers, mostly.
const READ_AHEAD: usize = 16 << 10;
/// A process that was not heard for this long after a time-out is given up.
const PONG_WITHIN: Duration = Duration::from_secs(2);

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The interpreter's version.
    pub version: String,
    /// What the file registers, for people to read.
    pub registers: Vec<String>,
    /// The user's files that were loaded.
    pub files: Vec<String>,
    /// Whether who somebody is depends on the Authorization header alone.
    pub by_authorization: bool,
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

/// Calls that nobody waits for any more and that have not come to an end.
#[derive(Default)]
struct Left {
    all: HashSet<u64>,
    /// Those of them that should have: each may hold a thread.
    overdue: HashSet<u64>,
}

/// A process that has loaded its file.
pub(crate) struct Worker {
    pub(crate) loaded: Loaded,
    name: Arc<str>,
    frames: mpsc::Sender<Vec<u8>>,
    pending: Pending,
    pongs: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>,
    places: Arc<Semaphore>,
    next: AtomicU64,
    left: Arc<Mutex<Left>>,
    /// Whether the event loop is being asked for a sign of life: one question at a time tells as much as many.
    pinging: AtomicBool,
    within: Duration,
    most_stuck: usize,
    runtime: &'static Runtime,
    give_up: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    /// Its channel, until somebody takes it.
    channel: Mutex<Option<UnixStream>>,
}

impl Worker {
    /// Starts a process and waits until its file is loaded.
    pub(crate) async fn start(settings: &Settings, answering: &Answering) -> Result<Self, StartError> {
        let failed = |what: &str, error: &dyn fmt::Display| StartError::Process(format!("{what}: {error}"));
        let (ours, theirs) = Pipe::pair().map_err(|error| failed("no socket", &error))?;
        let (answered, asking) = Pipe::pair().map_err(|error| failed("no socket", &error))?;
        answered.set_nonblocking(true).map_err(|error| failed("no socket", &error))?;
        let channel =
            settings.channel.then(Pipe::pair).transpose().map_err(|error| failed("no socket", &error))?;
        let (channel, their_channel) = channel.unzip();
        if settings.runtime.sockets == Sockets::HandedOver {
            let others: Vec<&Pipe> = std::iter::once(&asking).chain(&their_channel).collect();
            asking::hand_over(&ours, &others).map_err(|error| failed("no socket", &error))?;
        }
        ours.set_nonblocking(true).map_err(|error| failed("no socket", &error))?;
        let mut plan = (settings.runtime.plan)(settings).map_err(StartError::Process)?;
        plan.env_clear().envs(settings.environment.iter().cloned());
        plan.current_dir(&settings.directory);
        plan.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = settings.interpreter.display();
        let mut group =
            Group::of(plan).map_err(|error| failed(&format!("{program} cannot be started"), &error))?;
        if let Some(stdout) = group.child.stdout.take() {
            tokio::spawn(output::log(stdout, Arc::clone(&settings.name), "stdout"));
        }
        if let Some(stderr) = group.child.stderr.take() {
            tokio::spawn(output::log(stderr, Arc::clone(&settings.name), "stderr"));
        }
        // The process has its end, or will: ours would keep the socket open after it is gone.
        drop((asking, their_channel));
        let stream = UnixStream::from_std(ours).map_err(|error| failed("no socket", &error))?;
        let answered = UnixStream::from_std(answered).map_err(|error| failed("no socket", &error))?;
        let channel = channel.map(|channel| {
            channel.set_nonblocking(true)?;
            UnixStream::from_std(channel)
        });
        let channel = channel.transpose().map_err(|error| failed("no socket", &error))?;
        tokio::spawn(asking::answer(answered, Arc::clone(answering), settings.within));
        let (mut from, mut to) = stream.into_split();
        let loading = async {
            let begin = frame::encode(&settings.runtime.begin(settings)).expect("our own sources are small");
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
        let first = match first {
            Some(Frame::Unreadable { why, .. }) => return Err(failed("it did not load", &why)),
            Some(Frame::Whole(first)) => Some(first),
            None => None,
        };
        let Some(first) = first else {
            let how = group.ended(std::future::pending()).await;
            return Err(StartError::Process(format!(
                "{program} ended before it had loaded{how}; the log has what it said"
            )));
        };
        let loaded = loaded(&first, settings.runtime)?;
        let worker = Self::running(settings, loaded, group, (from, to), answering);
        *worker.channel.lock() = channel;
        Ok(worker)
    }

    fn running(
        settings: &Settings,
        loaded: Loaded,
        mut group: Group,
        (from, to): (OwnedReadHalf, OwnedWriteHalf),
        answering: &Answering,
    ) -> Self {
        let (frames, mut queued) = mpsc::channel::<Vec<u8>>(settings.queue + 16);
        let (give_up, mut given_up) = watch::channel(false);
        let (over, ended) = watch::channel(false);
        let (pending, pongs) = (Pending::default(), Arc::default());
        let left = Arc::<Mutex<Left>>::default();
        let beside = (settings.runtime.sockets == Sockets::One)
            .then(|| Beside::new(frames.clone(), Arc::clone(answering), settings.within));
        let listening = listen(from, Arc::clone(&pending), Arc::clone(&pongs), Arc::clone(&left), beside);
        let waiting = Arc::clone(&pending);
        let name = Arc::clone(&settings.name);
        tokio::spawn(async move {
            let telling = async {
                let mut to = BufWriter::new(to);
                let mut waiting = Vec::new();
                // What has queued goes out together: a process that is woken once reads it all.
                while queued.recv_many(&mut waiting, TOGETHER).await > 0 {
                    for bytes in waiting.drain(..) {
                        if frame::write(&mut to, &bytes).await.is_err() {
                            return;
                        }
                    }
                    if to.flush().await.is_err() {
                        return;
                    }
                }
            };
            let why = tokio::select! {
                why = listening => why,
                () = telling => "its socket is closed".to_owned(),
                _ = given_up.wait_for(|given_up| *given_up) => String::new(),
            };
            // At once, not after its last words. Whoever waits is told by the dropped sender; whoever enters from here on looks whether it lives.
            over.send_replace(true);
            waiting.lock().clear();
            let how = if why.is_empty() { String::new() } else { group.ended(std::future::pending()).await };
            group.kill();
            let _ = group.child.wait().await;
            if !why.is_empty() {
                tracing::error!(handler = %name, "the process is gone: {why}{how}");
            }
        });
        Self {
            loaded,
            name: Arc::clone(&settings.name),
            frames,
            pending,
            pongs,
            places: Arc::new(Semaphore::new(settings.queue)),
            next: AtomicU64::new(1),
            left,
            pinging: AtomicBool::new(false),
            within: settings.within,
            most_stuck: (settings.runtime.most_stuck)(settings),
            runtime: settings.runtime,
            give_up,
            ended,
            channel: Mutex::default(),
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

    /// Its channel; whoever is first has it.
    pub(crate) fn take_channel(&self) -> Option<UnixStream> {
        self.channel.lock().take()
    }

    /// Ends the process.
    pub(crate) fn give_up(&self) {
        self.give_up.send_replace(true);
    }

    /// Asks, and waits for at most `within`.
    pub(crate) async fn call(self: &Arc<Self>, function: &str, with: &Value, within: Duration) -> Answer {
        let Ok(_place) = self.places.try_acquire() else { return away("its queue is full") };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(frame) = frame::encode(&json!({"id": id, "call": function, "with": with})) else {
            return Err(HandlerFault::Invalid(TOO_LARGE.to_owned()));
        };
        let answered = self.expect(id);
        self.wait(id, Some(frame), answered, within).await
    }

    /// Asks twice in one frame, the second time only if there is an answer to the first; waits for at most `within` for each.
    pub(crate) async fn call_then(
        self: &Arc<Self>,
        function: &str,
        with: &Value,
        then: &Then,
        within: Duration,
    ) -> Both {
        let Ok(_place) = self.places.try_acquire() else { return (away("its queue is full"), None) };
        let first = self.next.fetch_add(2, Ordering::Relaxed);
        let second = first + 1;
        let behind = json!({"id": second, "call": then.function, "with": then.with, "take": then.take});
        let whole = json!({"id": first, "call": function, "with": with, "then": behind});
        let Some(frame) = frame::encode(&whole) else {
            return (Err(HandlerFault::Invalid(TOO_LARGE.to_owned())), None);
        };
        let answered = self.expect(first);
        // Expected before the first is asked: the two answers may come together.
        let behind = self.expect(second);
        let mut unasked = Unasked { worker: self, id: Some(second) };
        let answer = self.wait(first, Some(frame), answered, within).await;
        if answer.is_err() {
            return (answer, None);
        }
        unasked.id = None;
        (answer, Some(self.wait(second, None, behind, within).await))
    }

    fn expect(&self, id: u64) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        self.pending.lock().insert(id, answer);
        answered
    }

    /// Waits for an answer that is expected, after sending what asks for it.
    async fn wait(
        self: &Arc<Self>,
        id: u64,
        frame: Option<Vec<u8>>,
        answered: oneshot::Receiver<Answer>,
        within: Duration,
    ) -> Answer {
        let mut waiting = Waiting { worker: self, id, patience: self.within, done: false };
        let asked = async {
            if let Some(frame) = frame
                && (!self.is_alive() || self.frames.send(frame).await.is_err())
            {
                return away("its process is gone");
            }
            answered.await.unwrap_or_else(|_| away("its process is gone"))
        };
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => {
                waiting.done = true;
                answer
            }
            Err(_) => {
                waiting.patience = PONG_WITHIN;
                away(&format!("no answer within {} ms", within.as_millis()))
            }
        }
    }

    /// After a call that nobody waits for any more: a process that is not heard, or whose threads are all held, is of no use.
    async fn look_after(self: Arc<Self>, id: u64, patience: Duration) {
        let ((), heard) = tokio::join!(tokio::time::sleep(patience), self.is_heard(patience));
        if !heard && self.is_alive() {
            tracing::error!(handler = %self.name, "its event loop is blocked; it is started anew");
            return self.give_up();
        }
        let overdue = {
            let mut left = self.left.lock();
            if !left.all.contains(&id) {
                return;
            }
            left.overdue.insert(id);
            left.overdue.len()
        };
        if overdue >= self.most_stuck {
            let held = self.runtime.held;
            tracing::error!(handler = %self.name, overdue, "calls that never ended hold its {held}; it is started anew");
            self.give_up();
        }
    }

    /// Whether the event loop gives a sign of life; so it is taken while somebody else asks for one.
    async fn is_heard(&self, within: Duration) -> bool {
        if self.pinging.swap(true, Ordering::AcqRel) {
            return true;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (pong, heard) = oneshot::channel();
        self.pongs.lock().insert(id, pong);
        let ping = frame::encode(&json!({ "ping": id })).expect("a small frame");
        let asked = async { self.frames.send(ping).await.is_ok() && heard.await.is_ok() };
        let heard = tokio::time::timeout(within, asked).await.unwrap_or(false);
        self.pongs.lock().remove(&id);
        self.pinging.store(false, Ordering::Release);
        heard
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn away(why: &str) -> Answer {
    Err(HandlerFault::Away(why.to_owned()))
}

/// A question behind another that was not asked after all: nobody answers it, so nobody waits for its end. One that has been asked in
/// this very moment is called off.
struct Unasked<'w> {
    worker: &'w Worker,
    id: Option<u64>,
}

impl Drop for Unasked<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        self.worker.pending.lock().remove(&id);
        if let Some(cancel) = frame::encode(&json!({ "cancel": id })) {
            let _ = self.worker.frames.try_send(cancel);
        }
    }
}

/// A call that is waited for; when nobody waits any more, the process is told, and looked at.
struct Waiting<'w> {
    worker: &'w Arc<Worker>,
    id: u64,
    /// How long it may take from then on.
    patience: Duration,
    done: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let worker = self.worker;
        worker.left.lock().all.insert(self.id);
        if worker.pending.lock().remove(&self.id).is_none() {
            // It was answered in this moment, or its process is gone.
            worker.left.lock().all.remove(&self.id);
            return;
        }
        if let Some(cancel) = frame::encode(&json!({ "cancel": self.id })) {
            // When its queue is full it has other troubles.
            let _ = worker.frames.try_send(cancel);
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Arc::clone(worker).look_after(self.id, self.patience));
        }
    }
}

/// Takes answers until none come any more; the result says why.
async fn listen(
    from: OwnedReadHalf,
    pending: Pending,
    pongs: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>,
    left: Arc<Mutex<Left>>,
    beside: Option<Beside>,
) -> String {
    let mut from = BufReader::with_capacity(READ_AHEAD, from);
    loop {
        let (id, answer) = match frame::read(&mut from).await {
            Ok(Some(Frame::Unreadable { id, why })) => (id, Err(HandlerFault::Invalid(why))),
            Ok(Some(Frame::Whole(frame))) => {
                if let Some(id) = frame.get("pong").and_then(Value::as_u64) {
                    pongs.lock().remove(&id).map(|pong| pong.send(()));
                    continue;
                }
                if let Some(beside) = beside.as_ref().filter(|_| frame.get("ask").is_some()) {
                    beside.take(frame);
                    continue;
                }
                let Some(id) = frame.get("id").and_then(Value::as_u64) else {
                    return "it sent a frame that is no answer".to_owned();
                };
                (id, answer_of(frame))
            }
            Ok(None) => return "it closed its socket".to_owned(),
            Err(error) => return format!("its socket: {error}"),
        };
        match pending.lock().remove(&id) {
            // Whoever asked may have left in this moment.
            Some(waiting) => drop(waiting.send(answer)),
            // Nobody waits any more: it has come to an end after all.
            None => {
                let mut left = left.lock();
                left.all.remove(&id);
                left.overdue.remove(&id);
            }
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

fn loaded(first: &Value, runtime: &Runtime) -> Result<Loaded, StartError> {
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
        version: first.get(runtime.key).and_then(Value::as_str).unwrap_or_default().to_owned(),
        registers: texts("registers"),
        files: texts("files"),
        by_authorization: first.get("by_authorization") == Some(&Value::Bool(true)),
    })
}
