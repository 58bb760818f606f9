//! The processes of one file: kept alive, and loaded anew when the file changes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use doorward_core::ports::handlers::{Both, BuiltIns, HandlerFault, Handlers, Then};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::asking::Answering;
use crate::settings::Settings;
use crate::worker::{Loaded, StartError, Worker};

/// The pause before a process is started again, at first and at most; one that lived for a while begins anew.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const LIVED: Duration = Duration::from_secs(30);
/// How often it is looked whether files changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is done with a process that has loaded its files, before anybody is answered by it.
pub trait Prepare: Send + Sync {
    /// Prepares it, or says why it is of no use.
    fn prepare<'a>(&'a self, process: Fresh) -> BoxFuture<'a, Result<(), String>>;
}

/// A process that has loaded its files and was asked nothing yet.
pub struct Fresh {
    worker: Arc<Worker>,
    within: Duration,
}

impl Fresh {
    /// Asks it, for as long as loading may take.
    ///
    /// # Errors
    /// [`HandlerFault`].
    pub async fn call(&self, function: &str, with: &Value) -> Result<Value, HandlerFault> {
        self.worker.call(function, with, self.within).await
    }

    /// Its channel, which is its first asker's.
    #[must_use]
    pub fn channel(&self) -> Option<tokio::net::UnixStream> {
        self.worker.take_channel()
    }
}

/// Who prepares processes, once there is somebody.
type Preparing = Arc<OnceLock<Arc<dyn Prepare>>>;

/// The place of a process, which changes.
type Slot = Arc<Mutex<Arc<Worker>>>;

/// The processes of one file.
pub struct Host {
    settings: Arc<Settings>,
    slots: Vec<Slot>,
    next: AtomicUsize,
    /// How often files were loaded anew.
    loads: Arc<AtomicU64>,
    /// Who answers what user code asks; set once there is somebody.
    answering: Answering,
    preparing: Preparing,
    keeping: Vec<tokio::task::JoinHandle<()>>,
}

impl Host {
    /// Starts the processes and waits until each has loaded its file.
    ///
    /// # Errors
    /// [`StartError`] of the first that could not.
    pub async fn open(settings: Settings) -> Result<Self, StartError> {
        let settings = Arc::new(settings);
        let answering = Answering::default();
        let starting = (0..settings.workers.max(1)).map(|_| Worker::start(&settings, &answering));
        let workers = futures_util::future::try_join_all(starting).await?;
        let slots: Vec<Slot> =
            workers.into_iter().map(|worker| Arc::new(Mutex::new(Arc::new(worker)))).collect();
        let loads = Arc::<AtomicU64>::default();
        let preparing = Preparing::default();
        let keep = |slot: &Slot| {
            let kept = Kept {
                slot: Arc::clone(slot),
                settings: Arc::clone(&settings),
                loads: Arc::clone(&loads),
                answering: Arc::clone(&answering),
                preparing: Arc::clone(&preparing),
            };
            tokio::spawn(kept.keep())
        };
        let keeping = slots.iter().map(keep).collect();
        Ok(Self { settings, slots, next: AtomicUsize::new(0), loads, answering, preparing, keeping })
    }

    /// Has every process prepared, those that there are now and each that takes a place later.
    ///
    /// # Errors
    /// Why one of those that there are is of no use.
    pub async fn prepare_with(&self, prepare: Arc<dyn Prepare>) -> Result<(), StartError> {
        // Said once, at the start; whoever says it again is not heard.
        let _ = self.preparing.set(prepare);
        let workers: Vec<_> = self.slots.iter().map(|slot| Arc::clone(&slot.lock())).collect();
        for worker in workers {
            prepared(worker, &self.settings, &self.preparing).await?;
        }
        Ok(())
    }

    /// What was loaded, as the first process says.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        self.slots.first().map(|slot| slot.lock().loaded.clone()).expect("there is a process")
    }

    /// The one that lives and has least to do.
    fn choose(&self) -> Option<Arc<Worker>> {
        let begin = self.next.fetch_add(1, Ordering::Relaxed);
        let workers =
            (0..self.slots.len()).map(|n| Arc::clone(&self.slots[(begin + n) % self.slots.len()].lock()));
        workers.filter(|worker| worker.is_alive()).min_by_key(|worker| worker.under_way())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.keeping.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Handlers for Host {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn places(&self) -> usize {
        self.settings.queue.saturating_mul(self.slots.len())
    }

    fn answer_with(&self, built_ins: Arc<dyn BuiltIns>) {
        // Said once, at the start; whoever says it again is not heard.
        let _ = self.answering.set(built_ins);
    }

    fn by_authorization(&self) -> Option<u64> {
        let loads = self.loads.load(Ordering::Acquire);
        self.slots.iter().all(|slot| slot.lock().loaded.by_authorization).then_some(loads)
    }

    fn call<'a>(&'a self, function: &'static str, with: Value) -> BoxFuture<'a, Result<Value, HandlerFault>> {
        async move {
            let worker =
                self.choose().ok_or_else(|| HandlerFault::Away("no process of it is alive".to_owned()))?;
            worker.call(function, &with, self.settings.within).await
        }
        .boxed()
    }

    fn call_then<'a>(&'a self, function: &'static str, with: Value, then: Then) -> BoxFuture<'a, Both> {
        async move {
            let Some(worker) = self.choose() else {
                return (Err(HandlerFault::Away("no process of it is alive".to_owned())), None);
            };
            worker.call_then(function, &with, &then, self.settings.within).await
        }
        .boxed()
    }
}

/// A process that is kept in its place.
struct Kept {
    slot: Slot,
    settings: Arc<Settings>,
    loads: Arc<AtomicU64>,
    answering: Answering,
    preparing: Preparing,
}

/// A process as it takes its place.
async fn prepared(
    worker: Arc<Worker>,
    settings: &Settings,
    preparing: &Preparing,
) -> Result<Arc<Worker>, StartError> {
    if let Some(prepare) = preparing.get() {
        let fresh = Fresh { worker: Arc::clone(&worker), within: settings.start_within };
        prepare.prepare(fresh).await.map_err(|what| StartError::Broken(what, None))?;
    }
    Ok(worker)
}

impl Kept {
    async fn start(&self) -> Result<Arc<Worker>, StartError> {
        let worker = Worker::start(&self.settings, &self.answering).await?;
        prepared(Arc::new(worker), &self.settings, &self.preparing).await
    }

    async fn keep(self) {
        let Self { slot, settings, loads, .. } = &self;
        let mut pause = PAUSE;
        loop {
            let worker = Arc::clone(&slot.lock());
            let since = Instant::now();
            tokio::select! {
                () = worker.ended() => {}
                worker = self.changed(&worker) => {
                    tracing::info!(handler = %settings.name, "loaded anew");
                    let old = std::mem::replace(&mut *slot.lock(), worker);
                    loads.fetch_add(1, Ordering::AcqRel);
                    tokio::spawn(retire(old, settings.within));
                    continue;
                }
            }
            drop(worker);
            if since.elapsed() >= LIVED {
                pause = PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
            loop {
                match self.start().await {
                    Ok(worker) => {
                        tracing::warn!(handler = %settings.name, "started again");
                        *slot.lock() = worker;
                        loads.fetch_add(1, Ordering::AcqRel);
                        break;
                    }
                    Err(error) => {
                        tracing::error!(handler = %settings.name, %error, "cannot be started again; it is tried anew");
                        tokio::time::sleep(pause).await;
                        pause = LONGEST_PAUSE.min(pause * 2);
                    }
                }
            }
        }
    }

    /// A process with the files as they are now, once they have changed and can be loaded.
    async fn changed(&self, worker: &Worker) -> Arc<Worker> {
        if !self.settings.reload {
            return std::future::pending().await;
        }
        let files: Vec<PathBuf> = worker.loaded.files.iter().map(PathBuf::from).collect();
        let mut seen = stamps(&files);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = stamps(&files);
            if now == seen {
                continue;
            }
            seen = now;
            match self.start().await {
                Ok(worker) => return worker,
                // What ran goes on: a half-written file must not take the server down.
                Err(error) => {
                    tracing::error!(handler = %self.settings.name, "{error}; what was loaded before goes on")
                }
            }
        }
    }
}

/// Lets what is under way be finished.
async fn retire(worker: Arc<Worker>, within: Duration) {
    let deadline = Instant::now() + within;
    while worker.under_way() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.give_up();
}

fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |file: &PathBuf| {
        let about = std::fs::metadata(file).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    files.iter().map(stamp).collect()
}
