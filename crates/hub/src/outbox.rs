//! What waits to be sent to a client, bounded in bytes: a slow reader holds up whoever writes to it, for a moment, and is then let go.
//!
//! One lock for each client, held to put something in or take it out; nothing is allocated for a client that nothing waits for.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most bytes that wait for one client.
const MOST_BYTES: usize = 16 << 20;
/// What a waiting frame costs beside its bytes.
const EACH: usize = 256;
/// How long a sender waits for room.
const PATIENCE: Duration = Duration::from_secs(2);
/// Room for so many that wait is kept for the next ones; what a burst took beyond it is given back.
const KEPT: usize = 64;

/// What a transport is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Send these bytes.
    Frame(Bytes),
    /// Send these bytes as one: a head of ours, and what came behind it, as it came and where it came.
    Large(Bytes, Bytes),
    /// Send this text.
    Text(String),
    /// Close, with this code (RFC 6455 §7.4.1) and reason.
    Close(u16, String),
}

impl Out {
    fn cost(&self) -> usize {
        EACH + match self {
            Self::Frame(bytes) => bytes.len(),
            Self::Large(head, tail) => head.len() + tail.len(),
            Self::Text(text) => text.len(),
            Self::Close(..) => 0,
        }
    }
}

/// The client is gone, or too slow to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Why something was not added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// The client is gone.
    Gone,
    /// There is no room for it now.
    Full(Out),
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Out>,
    /// Cost of what is queued, and of what was taken out and may not have been sent yet.
    bytes: usize,
    closed: bool,
    /// Nobody takes anything out any more.
    abandoned: bool,
    reader: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Told whenever something was sent.
    sent: Notify,
    /// Counts those who were let go because they did not read.
    let_go: Arc<AtomicU64>,
}

/// The end that is written to.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Shared>);

/// The end that a transport reads from.
pub(crate) struct Outgoing {
    shared: Arc<Shared>,
    /// Cost of what was taken out, and may not have been sent yet.
    at_hand: usize,
}

/// An outbox. `let_go` counts whoever does not read what is in it.
pub(crate) fn outbox(let_go: Arc<AtomicU64>) -> (Outbox, Outgoing) {
    let shared = Arc::new(Shared { let_go, ..Shared::default() });
    (Outbox(Arc::clone(&shared)), Outgoing { shared, at_hand: 0 })
}

impl Outbox {
    /// Adds something, once there is room.
    pub(crate) async fn send(&self, out: Out) -> Result<(), Gone> {
        let mut out = match self.offer(out) {
            Ok(()) => return Ok(()),
            Err(NotAdded::Gone) => return Err(Gone),
            Err(NotAdded::Full(out)) => out,
        };
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let sent = self.0.sent.notified();
                match self.offer(out) {
                    Ok(()) => return Ok(()),
                    Err(NotAdded::Gone) => return Err(Gone),
                    Err(NotAdded::Full(again)) => out = again,
                }
                sent.await;
            }
        });
        match waited.await {
            Ok(done) => done,
            Err(_) => Err(self.let_go()),
        }
    }

    /// Adds something at once or lets the client go: for what nobody can wait for.
    pub(crate) fn push(&self, out: Out) -> Result<(), Gone> {
        self.offer(out).map_err(|not_added| match not_added {
            NotAdded::Full(_) => self.let_go(),
            NotAdded::Gone => Gone,
        })
    }

    fn let_go(&self) -> Gone {
        if self.close(1008, "too slow: messages are not read") {
            self.0.let_go.fetch_add(1, Ordering::Relaxed);
        }
        Gone
    }

    /// Adds something if there is room.
    pub(crate) fn offer(&self, out: Out) -> Result<(), NotAdded> {
        let reader = {
            let mut waiting = self.0.waiting.lock();
            if waiting.closed || waiting.abandoned {
                return Err(NotAdded::Gone);
            }
            let cost = out.cost();
            // What is larger than all the room is let through alone.
            if waiting.bytes + cost > MOST_BYTES && waiting.bytes > 0 {
                return Err(NotAdded::Full(out));
            }
            waiting.bytes += cost;
            waiting.queue.push_back(out);
            waiting.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// Has the transport close; nothing is added any more. Whoever is let go is told so, and not everything that waits before it.
    /// The answer is whether nothing had it close before.
    pub(crate) fn close(&self, code: u16, reason: &str) -> bool {
        let reader = {
            let mut waiting = self.0.waiting.lock();
            if waiting.closed {
                return false;
            }
            waiting.closed = true;
            waiting.bytes -= waiting.queue.drain(..).map(|out| out.cost()).sum::<usize>();
            let close = Out::Close(code, reason.to_owned());
            waiting.bytes += close.cost();
            waiting.queue.push_back(close);
            waiting.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        self.0.sent.notify_waiters();
        true
    }

    pub(crate) fn is_closed(&self) -> bool {
        let waiting = self.0.waiting.lock();
        waiting.closed || waiting.abandoned
    }
}

impl Outgoing {
    /// What is next; `None` when nothing comes any more. What was taken before counts as sent.
    pub(crate) async fn next(&mut self) -> Option<Out> {
        self.sent();
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns once nothing is added any more, whatever waits.
    pub(crate) async fn closing(&self) {
        loop {
            let told = self.shared.sent.notified();
            if self.shared.waiting.lock().closed {
                return;
            }
            told.await;
        }
    }

    /// What is next; `None` when nothing comes any more. It takes its room until it is [`Outgoing::sent`].
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Out>> {
        let mut waiting = self.shared.waiting.lock();
        if let Some(out) = waiting.queue.pop_front() {
            if waiting.queue.is_empty() && waiting.queue.capacity() > KEPT {
                waiting.queue = VecDeque::new();
            }
            self.at_hand += out.cost();
            return Poll::Ready(Some(out));
        }
        if waiting.closed {
            return Poll::Ready(None);
        }
        match &mut waiting.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Says that everything that was taken out was sent.
    pub(crate) fn sent(&mut self) {
        if self.at_hand > 0 {
            self.shared.waiting.lock().bytes -= std::mem::take(&mut self.at_hand);
            self.shared.sent.notify_waiters();
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        {
            let mut waiting = self.shared.waiting.lock();
            waiting.abandoned = true;
            waiting.queue = VecDeque::new();
            waiting.reader = None;
        }
        self.shared.sent.notify_waiters();
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
        assert!(outbox.0.waiting.lock().bytes <= MOST_BYTES);
        assert_eq!(outbox.push(frame(1)), Err(Gone));
        assert_eq!(outbox.0.let_go.load(Ordering::Relaxed), 1, "it is counted once");
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
