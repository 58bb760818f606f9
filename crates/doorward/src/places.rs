//! The bounds that runners with work of their own have in common: so many runs at once, so many that wait, and the next one is refused.
//!
//! ```text
//! admit ─ a place, or agents_busy ─► answer: a task of its own ─ waits for its turn ─► carry ─► RunEvent …
//! ```

use std::future::Future;
use std::sync::Arc;

use doorward_core::agents::runner::{Fault, Place, RunEvent, RunInput};
use doorward_core::error::{Error, Result, codes};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{Semaphore, mpsc};

/// When to come back once every place is taken.
const RETRY_AFTER_S: u32 = 1;
/// Most events that wait for whoever hears the run; then its work waits.
const AHEAD: usize = 16;

/// Why a run ended badly: what the client hears, and what the log says beside it.
pub(crate) type Ending = std::result::Result<(), (Fault, String)>;

/// Where a run hears what happens in it.
pub(crate) type Events = mpsc::Sender<RunEvent>;

/// How many runs there may be.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    at_work: Semaphore,
}

impl Places {
    /// So many at work, and so many that wait.
    pub(crate) fn new(at_work: usize, waiting: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_work + waiting)), at_work: Semaphore::new(at_work) }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// `agents_busy`.
    pub(crate) fn admit(&self) -> Result<Place> {
        match Arc::clone(&self.all).try_acquire_owned() {
            Ok(permit) => Ok(Place::counted(permit)),
            Err(_) => Err(Error::new(codes::AGENTS_BUSY).retry_after_s(RETRY_AFTER_S)),
        }
    }
}

/// How a runner does the work of one run.
pub(crate) trait Carry: Send + Sync + 'static {
    /// Its places.
    fn places(&self) -> &Places;
    /// From beginning to end. It ends early, with everything that it began, when `events` are closed: nobody wants it any more.
    fn carry(&self, input: &RunInput, events: &Events) -> impl Future<Output = Ending> + Send;
}

/// Answers in a task of its own, so that limits of time hold while nobody reads. Dropping the stream ends the work.
pub(crate) fn answer<C: Carry>(runner: &Arc<C>, input: RunInput) -> BoxStream<'static, RunEvent> {
    let (events, answered) = mpsc::channel(AHEAD);
    let runner = Arc::clone(runner);
    tokio::spawn(async move {
        let turn = tokio::select! {
            permit = runner.places().at_work.acquire() => permit.expect("the semaphore is never closed"),
            () = events.closed() => return,
        };
        let ending = runner.carry(&input, &events).await;
        drop((turn, input));
        if let Err((fault, detail)) = ending {
            // Nobody may be left to hear it.
            let _ = events.send(RunEvent::Failed(fault, detail)).await;
        }
    });
    stream::unfold(answered, |mut answered| async { Some((answered.recv().await?, answered)) }).boxed()
}
