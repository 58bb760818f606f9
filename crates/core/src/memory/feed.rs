//! Following the store's change feed, so that every process on a store knows what any of them did.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::ports::StoreError;
use crate::ports::store::{Change, Store};
use crate::tokens::model::Revoked;

/// How often the feed is read. Half a second from revocation to refusal is promised; this leaves room.
pub const POLL: Duration = Duration::from_millis(100);
/// Nobody is let in on knowledge older than this.
pub const STALE_AFTER_MS: i64 = 5_000;
const AT_ONCE: u32 = 1_000;

/// Where this process stands in the feed.
#[derive(Default)]
pub struct Feed {
    seq: AtomicI64,
    /// On the steady clock: one that is set back must not make old knowledge new.
    read_at_ms: AtomicI64,
    following: AtomicBool,
    stop: Notify,
}

impl Feed {
    /// Whether what memory knows may decide at this moment.
    ///
    /// # Errors
    /// `revocations_unknown` when the store has not answered for [`STALE_AFTER_MS`].
    pub fn fresh(&self, clock: &dyn Clock) -> Result<()> {
        if self.following.load(Ordering::Acquire)
            && clock.steady_ms() - self.read_at_ms.load(Ordering::Acquire) > STALE_AFTER_MS
        {
            return Err(Error::new(codes::FEED_STALE).retry_after_s(1));
        }
        Ok(())
    }

    /// How old what memory knows is, in seconds; 0 where nothing follows the store.
    pub(crate) fn age_s(&self, steady_ms: i64) -> f64 {
        let age_ms = steady_ms - self.read_at_ms.load(Ordering::Acquire);
        let followed = self.following.load(Ordering::Acquire);
        let age_ms = u32::try_from(age_ms.max(0)).unwrap_or(u32::MAX);
        if followed { f64::from(age_ms) / 1000.0 } else { 0.0 }
    }

    /// Ends [`follow`].
    pub fn stop(&self) {
        self.following.store(false, Ordering::Release);
        self.stop.notify_one();
    }
}

/// Fills the memory of a starting process.
///
/// # Errors
/// The store's.
pub async fn load(engine: &Engine) -> Result<()> {
    let now_ms = engine.now_ms();
    // The position is read first: what happens during the scan is then applied twice, never missed.
    let newest = engine.store().newest_change().await?;
    scan(engine.store(), now_ms, |revoked, at_ms, until_ms| {
        engine.memory().revocations.insert(&revoked, at_ms, until_ms);
    })
    .await?;
    engine.feed().seq.store(newest, Ordering::Release);
    engine.feed().read_at_ms.store(engine.clock().steady_ms(), Ordering::Release);
    Ok(())
}

async fn scan(
    store: &dyn Store,
    now_ms: i64,
    mut each: impl FnMut(Revoked, i64, i64) + Send,
) -> Result<(), StoreError> {
    let mut unknown = false;
    store
        .each_revocation(
            now_ms,
            Box::new(|kind, subject, at_ms, until_ms| match Revoked::from_parts(kind, subject) {
                Some(revoked) => each(revoked, at_ms, until_ms),
                None => unknown = true,
            }),
        )
        .await?;
    if unknown {
        return Err(StoreError::Corrupt("a revocation is of an unknown kind".into()));
    }
    Ok(())
}

/// Reads what is new and applies it.
///
/// # Errors
/// The store's; nothing is skipped then.
pub async fn catch_up(engine: &Engine) -> Result<()> {
    let feed = engine.feed();
    let asked_at_ms = engine.clock().steady_ms();
    loop {
        let seq = feed.seq.load(Ordering::Acquire);
        let news = engine.store().changes_after(seq, AT_ONCE).await?;
        let Some((last, _)) = news.last() else { break };
        let last = *last;
        if news[0].0 > seq + 1 {
            // Changes that this process never saw were cleared out: start over from the whole state.
            load(engine).await?;
            engine.memory().generations.bump_all();
            engine.reload_keys().await?;
            break;
        }
        // The rings first: what is verified under the new version must have seen the new keys.
        if news.iter().any(|(_, change)| *change == Change::Keys) {
            engine.reload_keys().await?;
        }
        for (_, change) in &news {
            engine.hear(change);
        }
        feed.seq.store(last, Ordering::Release);
        if news.len() < AT_ONCE as usize {
            break;
        }
    }
    feed.read_at_ms.store(asked_at_ms, Ordering::Release);
    Ok(())
}

/// Follows the feed until [`Feed::stop`].
pub async fn follow(engine: Engine) {
    engine.feed().following.store(true, Ordering::Release);
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = engine.feed().stop.notified() => return,
        }
        match catch_up(&engine).await {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the change feed answers again");
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(?error, "the change feed does not answer; after 5 s requests are refused");
            }
            Err(_) => {}
        }
    }
}
