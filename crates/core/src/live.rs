//! Long-lived connections end when what let them in ends.
//!
//! A stream registers under everything that can be revoked about its caller and waits on the guard; revocation
//! and logout end it within the feed's delay.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::memory::revocations::Key;
use crate::tokens::model::Revoked;

type Streams = Mutex<HashMap<Key, HashMap<u64, watch::Sender<bool>>>>;

/// The streams there are.
#[derive(Default)]
pub struct Live {
    streams: Arc<Streams>,
    next: AtomicU64,
}

/// A stream's registration; dropping it forgets the stream.
pub struct LiveGuard {
    streams: Arc<Streams>,
    keys: Vec<Key>,
    number: u64,
    ended: watch::Receiver<bool>,
}

impl Live {
    /// No streams.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a stream that any of these keys ends.
    #[must_use]
    pub fn register(&self, keys: Vec<Key>) -> LiveGuard {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, ended) = watch::channel(false);
        let mut streams = self.streams.lock();
        for key in &keys {
            streams.entry(*key).or_default().insert(number, sender.clone());
        }
        drop(streams);
        LiveGuard { streams: Arc::clone(&self.streams), keys, number, ended }
    }

    /// How many streams there are: all of them end when everything is revoked.
    #[must_use]
    pub fn count(&self) -> u32 {
        let everything = Key::of(&Revoked::All);
        self.streams.lock().get(&everything).map_or(0, |all| u32::try_from(all.len()).unwrap_or(u32::MAX))
    }

    /// Ends every stream that was let in by this; whether there was one.
    pub fn end(&self, key: Key) -> bool {
        let ended = self.streams.lock().remove(&key);
        let was_there = ended.is_some();
        for sender in ended.into_iter().flat_map(HashMap::into_values) {
            sender.send_replace(true);
        }
        was_there
    }

    /// Ends every stream.
    pub fn end_all(&self) {
        for streams in std::mem::take(&mut *self.streams.lock()).into_values() {
            for sender in streams.into_values() {
                sender.send_replace(true);
            }
        }
    }
}

impl LiveGuard {
    /// Returns when the stream has to close.
    pub async fn ended(&mut self) {
        while !*self.ended.borrow_and_update() {
            // Senders live in the table until the stream is told or dropped, so an error means the table is gone.
            if self.ended.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        for key in &self.keys {
            if let Some(under) = streams.get_mut(key) {
                under.remove(&self.number);
                if under.is_empty() {
                    streams.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_when_any_of_its_keys_does_and_is_forgotten_when_dropped() {
        let live = Live::new();
        let (session, token) = (Key::of_session("s"), Key::of_token("t"));
        let mut stream = live.register(vec![session, token]);
        let other = live.register(vec![Key::of_session("other")]);
        live.end(token);
        stream.ended().await;
        drop(stream);
        assert_eq!(live.streams.lock().len(), 1);
        drop(other);
        assert!(live.streams.lock().is_empty());
    }
}
