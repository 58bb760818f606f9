//! State that all processes of an installation share, or that one process keeps for itself.

use std::future::Future;
use std::pin::Pin;

use crate::limits::failures::FailureRule;

/// What came of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// How many are counted in the window, this one included unless it was one too many.
    pub used: u32,
    /// Whether it was one too many.
    pub exceeded: bool,
    /// When the window ends.
    pub ends_at_ms: i64,
}

/// A result that is there, or comes later: what one process keeps costs no allocation.
pub enum Soon<'a, T> {
    /// The result.
    Now(T),
    /// The result, later.
    Later(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<T> Soon<'_, T> {
    /// Waits for it.
    pub async fn get(self) -> T {
        match self {
            Self::Now(result) => result,
            Self::Later(future) => future.await,
        }
    }
}

/// Shared state. Counters never refuse by themselves: what cannot be counted, because whoever counts is away, is let in.
pub trait Shared: Send + Sync {
    /// Counts one under `key`, unless `limit` are counted in the window that runs. A window begins with the first one in
    /// it and is `window_ms` long. A limit of 0 looks without counting.
    fn hit<'a>(&'a self, key: &'a str, limit: u32, window_ms: i64, now_ms: i64) -> Soon<'a, Hit>;

    /// Whether this is the first use of a name within `hold_ms`, counted from it. `None` when that cannot be told, because whoever knows is
    /// away or has no room: unlike what is counted, that lets nobody in. Times are those of a clock that never goes back.
    fn first<'a>(&'a self, name: &'a str, hold_ms: i64, steady_ms: i64) -> Soon<'a, Option<bool>>;

    /// Notes a failure under `key`, in windows that grow by `rule`. `Some(seconds)` when what is allowed is used up: how long to
    /// wait.
    fn fail<'a>(&'a self, key: &'a str, rule: &'a FailureRule, now_ms: i64) -> Soon<'a, Option<u32>>;
}
