//! The bounds that runners with work of their own have in common: so many runs at once, so many that wait, and the next one is refused. One
//! caller has a quarter of these places at most, so that nobody keeps all others out.
//!
//! ```text
//! admit ─ a place, or agents_busy ─► answer: a task of its own ─ waits for its turn ─► carry ─► RunEvent …
//! ```

use std::future::Future;
use std::sync::Arc;

use doorward_core::agents::runner::{Fault, Place, RunEvent, RunInput};
use doorward_core::error::{Error, Result, codes};
use doorward_core::limits::shares::Shares;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{Semaphore, mpsc};

/// When to come back once every place is taken.
const RETRY_AFTER_S: u32 = 1;
/// One caller has one in so many of the places.
const CALLERS: usize = 4;
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
    callers: Shares<String>,
    share: u32,
}

impl Places {
    /// So many at work, and so many that wait.
    pub(crate) fn new(at_work: usize, waiting: usize) -> Self {
        let all = at_work + waiting;
        Self {
            all: Arc::new(Semaphore::new(all)),
            at_work: Semaphore::new(at_work),
            callers: Shares::default(),
            share: u32::try_from(all.div_ceil(CALLERS)).unwrap_or(u32::MAX),
        }
    }

    /// A place for one more run of this caller's.
    ///
    /// # Errors
    /// `agents_busy`.
    pub(crate) fn admit(&self, caller: &str) -> Result<Place> {
        let busy = || Error::new(codes::AGENTS_BUSY).retry_after_s(RETRY_AFTER_S);
        let share = self.callers.hold(caller.to_owned(), self.share);
        let share =
            share.ok_or_else(|| busy().message("So many of your runs go on that no more are taken."))?;
        let place = Arc::clone(&self.all).try_acquire_owned().map_err(|_| busy())?;
        Ok(Place::counted((share, place)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_fills_a_share_keeps_nobody_else_out() {
        let places = Places::new(8, 32);
        let ann: Vec<_> = std::iter::from_fn(|| places.admit("local|ann").ok()).collect();
        assert_eq!(ann.len(), 10);
        let refused = places.admit("local|ann").expect_err("her share is full");
        assert!(refused.is(codes::AGENTS_BUSY) && refused.retry_after() == Some(RETRY_AFTER_S));
        let others: Vec<_> = (0..30).map(|n| places.admit(&format!("local|{n}")).expect("a place")).collect();
        assert!(places.admit("local|bob").is_err_and(|error| error.is(codes::AGENTS_BUSY)), "all are taken");
        drop((ann, others));
        assert!(places.admit("local|ann").is_ok());
        let one = Places::new(1, 0);
        let held = one.admit("local|ann").expect("one is everybody's share of one");
        assert!(one.admit("local|bob").is_err());
        drop(held);
        assert!(one.admit("local|bob").is_ok(), "who was refused for want of a place holds none");
    }
}
