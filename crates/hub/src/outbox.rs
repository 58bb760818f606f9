//! What waits to be sent to a client, bounded in bytes: a slow reader holds up whoever writes to it, for a moment, and is then let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

/// Most bytes that wait for one client.
const MOST_BYTES: usize = 16 << 20;
/// What a waiting frame costs beside its bytes.
const EACH: usize = 256;
/// How long a sender waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a transport is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Send these bytes.
    Frame(Bytes),
    /// Send this text.
    Text(String),
    /// Close, with this code (RFC 6455 §7.4.1) and reason.
    Close(u16, String),
}

impl Out {
    fn cost(&self) -> usize {
        EACH + match self {
            Self::Frame(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Close(..) => 0,
        }
    }
}

/// The client is gone, or too slow to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

#[derive(Default)]
struct Level {
    bytes: AtomicUsize,
    /// Told whenever something was taken out.
    taken: Notify,
    closed: AtomicBool,
    /// Counts those who were let go because they did not read.
    let_go: Arc<AtomicU64>,
}

/// The end that is written to.
#[derive(Clone)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<Out>,
    level: Arc<Level>,
}

/// The end that a transport reads from.
pub(crate) struct Outgoing {
    receiver: mpsc::UnboundedReceiver<Out>,
    level: Arc<Level>,
    /// What was taken out last, and may not have been sent yet.
    at_hand: usize,
}

/// An outbox. `let_go` counts whoever does not read what is in it.
pub(crate) fn outbox(let_go: Arc<AtomicU64>) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level { let_go, ..Level::default() });
    (Outbox { sender, level: Arc::clone(&level) }, Outgoing { receiver, level, at_hand: 0 })
}

impl Outbox {
    /// Adds something, once there is room.
    pub(crate) async fn send(&self, out: Out) -> Result<(), Gone> {
        let mut out = Some(out);
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let taken = self.level.taken.notified();
                match self.offer(&mut out) {
                    Some(done) => return done,
                    None => taken.await,
                }
            }
        });
        match waited.await {
            Ok(done) => done,
            Err(_) => Err(self.let_go()),
        }
    }

    /// Adds something at once or lets the client go: for what nobody can wait for.
    pub(crate) fn push(&self, out: Out) -> Result<(), Gone> {
        let mut out = Some(out);
        self.offer(&mut out).unwrap_or_else(|| Err(self.let_go()))
    }

    fn let_go(&self) -> Gone {
        if self.close(1008, "too slow: messages are not read") {
            self.level.let_go.fetch_add(1, Ordering::Relaxed);
        }
        Gone
    }

    fn offer(&self, out: &mut Option<Out>) -> Option<Result<(), Gone>> {
        if self.is_closed() {
            return Some(Err(Gone));
        }
        let cost = out.as_ref().map_or(0, Out::cost);
        let before = self.level.bytes.fetch_add(cost, Ordering::AcqRel);
        // What is larger than all the room is let through alone.
        if before + cost > MOST_BYTES && before > 0 {
            self.level.bytes.fetch_sub(cost, Ordering::AcqRel);
            return None;
        }
        out.take().map(|out| self.sender.send(out).map_err(|_| Gone))
    }

    /// Has the transport close; nothing is added any more. The answer is whether nothing had it close before.
    pub(crate) fn close(&self, code: u16, reason: &str) -> bool {
        let first = !self.level.closed.swap(true, Ordering::AcqRel);
        if first {
            let _ = self.sender.send(Out::Close(code, reason.to_owned()));
        }
        self.level.taken.notify_waiters();
        first
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.level.closed.load(Ordering::Acquire) || self.sender.is_closed()
    }
}

impl Outgoing {
    /// What is next; `None` when nothing comes any more. What was taken before counts as sent.
    pub(crate) async fn next(&mut self) -> Option<Out> {
        self.sent();
        let out = if self.level.closed.load(Ordering::Acquire) {
            // Whoever is let go is told so, and not everything that waits before it.
            self.close_at_once()
        } else {
            self.receiver.recv().await
        };
        self.at_hand = out.as_ref().map_or(0, Out::cost);
        out
    }

    /// Returns once nothing is added any more, whatever waits.
    pub(crate) async fn closing(&self) {
        loop {
            let told = self.level.taken.notified();
            if self.level.closed.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }

    fn close_at_once(&mut self) -> Option<Out> {
        let mut last = None;
        while let Ok(out) = self.receiver.try_recv() {
            self.level.bytes.fetch_sub(out.cost(), Ordering::AcqRel);
            last = Some(out);
        }
        // It is taken off once more when it was sent.
        let cost = last.as_ref().map_or(0, Out::cost);
        self.level.bytes.fetch_add(cost, Ordering::AcqRel);
        last.filter(|out| matches!(out, Out::Close(..)))
    }

    fn sent(&mut self) {
        self.level.bytes.fetch_sub(std::mem::take(&mut self.at_hand), Ordering::AcqRel);
        self.level.taken.notify_waiters();
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.level.closed.store(true, Ordering::Release);
        self.level.taken.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Out {
        Out::Frame(Bytes::from(vec![0; bytes]))
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_let_go_and_holds_no_more_than_its_room() {
        let (outbox, mut outgoing) = outbox(Arc::default());
        for _ in 0..15 {
            outbox.send(frame(1 << 20)).await.expect("there is room");
        }
        assert_eq!(outbox.send(frame(1 << 20)).await, Err(Gone));
        assert!(outbox.level.bytes.load(Ordering::Acquire) <= MOST_BYTES);
        assert_eq!(outbox.push(frame(1)), Err(Gone));
        assert_eq!(outbox.level.let_go.load(Ordering::Relaxed), 1, "it is counted once");
        assert!(matches!(outgoing.next().await, Some(Out::Close(1008, _))));
        assert_eq!(outbox.send(frame(1)).await, Err(Gone));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_goes_on_when_something_was_sent() {
        let (outbox, mut outgoing) = outbox(Arc::default());
        for _ in 0..15 {
            outbox.send(frame(1 << 20)).await.expect("there is room");
        }
        let waiting = tokio::spawn(async move { outbox.send(frame(1 << 20)).await });
        assert!(outgoing.next().await.is_some());
        assert!(outgoing.next().await.is_some());
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn what_is_larger_than_all_the_room_passes_alone() {
        let (outbox, mut outgoing) = outbox(Arc::default());
        outbox.send(frame(MOST_BYTES + 1)).await.expect("nothing else waits");
        assert!(outgoing.next().await.is_some());
        drop(outgoing);
        assert_eq!(outbox.send(frame(1)).await, Err(Gone));
    }
}
