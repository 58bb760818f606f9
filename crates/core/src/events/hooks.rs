//! Hooks: functions of this process that are told what happened. Each has a queue and a task of its own, so that one that is
//! slow or fails neither delays the operation nor another hook; each is told in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::catalogue::EventDef;
use super::event::Event;

/// Events that wait for one hook; more are lost, and counted.
const QUEUE: usize = 4_096;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function that is told what happened.
pub trait Hook: Send + Sync {
    /// What to call it in the log.
    fn name(&self) -> &str;

    /// Whether it wants events of this kind. Asked once, at the start.
    fn wants(&self, def: &'static EventDef) -> bool;

    /// Is told. May fail or take its time: nobody waits for it.
    fn handle(&self, event: Arc<Event>) -> BoxFuture<'_, Result<(), String>>;
}

/// One hook, and the way to it.
struct Line {
    hook: Arc<dyn Hook>,
    wants: Vec<&'static EventDef>,
    sender: mpsc::Sender<Arc<Event>>,
    waiting: Mutex<Option<mpsc::Receiver<Arc<Event>>>>,
    lost: AtomicU64,
}

/// Every hook.
#[derive(Default)]
pub(crate) struct Hooks {
    lines: Vec<Arc<Line>>,
}

impl Hooks {
    pub(crate) fn new(hooks: Vec<Arc<dyn Hook>>) -> Self {
        let line = |hook: Arc<dyn Hook>| {
            let wants = super::catalogue::ALL.iter().filter(|def| hook.wants(def)).copied().collect();
            let (sender, receiver) = mpsc::channel(QUEUE);
            let (waiting, lost) = (Mutex::new(Some(receiver)), AtomicU64::new(0));
            Arc::new(Line { hook, wants, sender, waiting, lost })
        };
        Self { lines: hooks.into_iter().map(line).collect() }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether any wants this.
    pub(crate) fn want(&self, def: &'static EventDef) -> bool {
        self.lines.iter().any(|line| line.wants.contains(&def))
    }

    /// Tells those who want it. Never waits.
    pub(crate) fn tell(&self, event: &Arc<Event>) {
        for line in self.lines.iter().filter(|line| line.wants.contains(&event.def)) {
            if line.sender.try_send(Arc::clone(event)).is_err() {
                let lost = line.lost.fetch_add(1, Ordering::Relaxed) + 1;
                // One line for the first and for each power of two: a flood of losses must not flood the log.
                if lost.is_power_of_two() {
                    tracing::warn!(hook = line.hook.name(), lost, "a hook is behind; events are lost to it");
                }
            }
        }
    }

    /// Starts telling. What waits since before is told first.
    pub(crate) fn start(&self) {
        for line in &self.lines {
            let Some(receiver) = line.waiting.lock().take() else { continue };
            tokio::spawn(serve(Arc::clone(&line.hook), receiver));
        }
    }
}

async fn serve(hook: Arc<dyn Hook>, mut events: mpsc::Receiver<Arc<Event>>) {
    while let Some(event) = events.recv().await {
        let name = event.def.hook;
        let call = AssertUnwindSafe(async { hook.handle(event).await }).catch_unwind();
        let problem = match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(Ok(()))) => continue,
            Ok(Ok(Err(problem))) => problem,
            Ok(Err(_)) => "it panicked".to_owned(),
            Err(_) => format!("it took longer than {} s", PATIENCE.as_secs()),
        };
        tracing::warn!(hook = hook.name(), event = name, problem, "a hook failed");
    }
}
