//! What waits to be sent to a client, bounded in bytes: a slow reader holds up whoever writes to it, for a moment, and is then let go.
//! What waits for all of them is bounded too ([`crate::space`]): where that is full it is the sender who is told.
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

use crate::space::{Full, Share};

/// Most bytes that wait for one client.
const MOST_BYTES: usize = 16 << 20;
/// What a waiting frame costs beside its bytes.
const EACH: usize = 256;
/// So much may wait for a client without a part of the room of all, so that answers and signs of life reach whoever reads.
const FREE: usize = 4 << 10;
/// What is taken of the room of all at once.
const PIECE: usize = 64 << 10;
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

/// Why something does not reach a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The client is gone, or too slow to stay.
    Gone,
    /// What waits in the hub takes all the room there is, or all that the client's network may have.
    NoRoom(Full),
}

/// Why something was not added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// The client is gone.
    Gone,
    /// There is no room for it now: too much waits for this client.
    Full(Out),
    /// There is no room for it now: too much waits for all of them.
    NoRoom(Out, Full),
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Out>,
    /// Cost of what is queued, and of what was taken out and may not have been sent yet.
    bytes: usize,
    /// What of it is taken of the room of all.
    reserved: usize,
    closed: bool,
    /// Nobody takes anything out any more.
    abandoned: bool,
    reader: Option<Waker>,
}

impl Waiting {
    /// What so many bytes take of the room of all.
    fn pieces(bytes: usize) -> usize {
        bytes.saturating_sub(FREE).next_multiple_of(PIECE)
    }

    /// Takes what is missing of the room of all for so many bytes; the error is which bound leaves none.
    fn reserve(&mut self, bytes: usize, share: &Share) -> Result<(), Full> {
        let missing = Self::pieces(bytes).saturating_sub(self.reserved);
        if missing > 0 {
            share.take(missing)?;
            self.reserved += missing;
        }
        Ok(())
    }

    /// Gives back what is not needed, but for a piece that the next message would take again.
    fn release(&mut self, share: &Share) {
        let kept = if self.bytes == 0 { 0 } else { Self::pieces(self.bytes) + PIECE };
        let spare = self.reserved.saturating_sub(kept);
        self.reserved -= spare;
        share.give(spare);
    }
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// Told whenever something was sent.
    sent: Notify,
    /// Counts those who were let go because they did not read.
    let_go: Arc<AtomicU64>,
    share: Arc<Share>,
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

/// An outbox of somebody whose share of the room of all this is. `let_go` counts whoever does not read what is in it.
pub(crate) fn outbox(let_go: Arc<AtomicU64>, share: Arc<Share>) -> (Outbox, Outgoing) {
    let shared = Arc::new(Shared { waiting: Mutex::default(), sent: Notify::new(), let_go, share });
    (Outbox(Arc::clone(&shared)), Outgoing { shared, at_hand: 0 })
}

impl Outbox {
    /// Adds something, once there is room.
    pub(crate) async fn send(&self, out: Out) -> Result<(), Unsent> {
        let mut out = match self.offer(out) {
            Ok(()) => return Ok(()),
            Err(NotAdded::Gone) => return Err(Unsent::Gone),
            Err(NotAdded::Full(out) | NotAdded::NoRoom(out, _)) => out,
        };
        let mut no_room = None;
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let (sent, freed) = (self.0.sent.notified(), self.0.share.freed().notified());
                (out, no_room) = match self.offer(out) {
                    Ok(()) => return Ok(()),
                    Err(NotAdded::Gone) => return Err(Unsent::Gone),
                    Err(NotAdded::Full(again)) => (again, None),
                    Err(NotAdded::NoRoom(again, full)) => (again, Some(full)),
                };
                tokio::select! {
                    () = sent => {}
                    () = freed => {}
                }
            }
        });
        match waited.await {
            Ok(done) => done,
            Err(_) => Err(no_room.map_or_else(|| self.let_go(), Unsent::NoRoom)),
        }
    }

    /// Adds something at once or lets the client go: for what nobody can wait for.
    pub(crate) fn push(&self, out: Out) -> Result<(), Unsent> {
        self.offer(out).map_err(|not_added| match not_added {
            NotAdded::Full(_) | NotAdded::NoRoom(..) => self.let_go(),
            NotAdded::Gone => Unsent::Gone,
        })
    }

    /// Lets the client go, who does not read.
    pub(crate) fn let_go(&self) -> Unsent {
        if self.close(1008, "too slow: messages are not read") {
            self.0.let_go.fetch_add(1, Ordering::Relaxed);
        }
        Unsent::Gone
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.0.waiting.lock().bytes
    }

    /// What its client's network has of the room of all.
    pub(crate) fn share(&self) -> &Arc<Share> {
        &self.0.share
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
            let bytes = waiting.bytes + cost;
            if let Err(full) = waiting.reserve(bytes, &self.0.share) {
                return Err(NotAdded::NoRoom(out, full));
            }
            waiting.bytes = bytes;
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
            waiting.release(&self.0.share);
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
            let mut waiting = self.shared.waiting.lock();
            waiting.bytes -= std::mem::take(&mut self.at_hand);
            waiting.release(&self.shared.share);
            drop(waiting);
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
            waiting.bytes = 0;
            waiting.release(&self.shared.share);
            waiting.reader = None;
        }
        self.shared.sent.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;

    fn frame(bytes: usize) -> Out {
        Out::Frame(Bytes::from(vec![0; bytes]))
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_let_go_and_holds_no_more_than_its_room() {
        let (outbox, mut outgoing) = outbox(Arc::default(), Space::new(64 << 20).share(None));
        for _ in 0..15 {
            outbox.send(frame(1 << 20)).await.expect("there is room");
        }
        assert_eq!(outbox.send(frame(1 << 20)).await, Err(Unsent::Gone));
        assert!(outbox.0.waiting.lock().bytes <= MOST_BYTES);
        assert_eq!(outbox.push(frame(1)), Err(Unsent::Gone));
        assert_eq!(outbox.0.let_go.load(Ordering::Relaxed), 1, "it is counted once");
        assert!(matches!(outgoing.next().await, Some(Out::Close(1008, _))));
        assert_eq!(outbox.send(frame(1)).await, Err(Unsent::Gone));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_goes_on_when_something_was_sent() {
        let (outbox, mut outgoing) = outbox(Arc::default(), Space::new(64 << 20).share(None));
        for _ in 0..15 {
            outbox.send(frame(1 << 20)).await.expect("there is room");
        }
        let waiting = tokio::spawn(async move { outbox.send(frame(1 << 20)).await });
        assert!(outgoing.next().await.is_some());
        assert!(outgoing.next().await.is_some());
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn where_all_the_room_is_taken_small_messages_pass_and_senders_are_told() {
        let space = Space::new(4 << 20);
        let share = |last: u8| space.share(Some([192, 0, 2, last].into()));
        let (slow, mut unread) = outbox(Arc::default(), share(1));
        let mut sent = 0;
        while slow.offer(frame(100 << 10)).is_ok() {
            sent += 100 << 10;
        }
        assert!(((1 << 20)..=(2 << 20) + FREE).contains(&sent), "half is the most of one network: {sent}");
        let (other, mut outgoing) = outbox(Arc::default(), share(2));
        assert_eq!(other.send(frame(100 << 10)).await, Ok(()), "others have theirs");
        assert!(outgoing.next().await.is_some());
        // Another takes the rest, and what is free is free.
        let rest = share(3).hold((4 << 20) - space.used()).expect("the rest");
        outgoing.sent();
        let more = share(4).hold((4 << 20) - space.used());
        assert_eq!(other.send(frame(100 << 10)).await, Err(Unsent::NoRoom(Full::All)), "the sender is told");
        assert!(!other.is_closed(), "and nobody is let go for it");
        assert_eq!(other.send(frame(1 << 10)).await, Ok(()));
        let waiting = tokio::spawn(async move { other.send(frame(100 << 10)).await });
        tokio::task::yield_now().await;
        drop(rest);
        assert_eq!(waiting.await.expect("no panic"), Ok(()), "who waits goes on when there is room");
        drop((more, outgoing));
        while slow.bytes() > 0 {
            unread.next().await.expect("what waits");
            unread.sent();
        }
        drop(unread);
        assert_eq!(space.used(), 0, "all of it was given back");
    }

    #[tokio::test]
    async fn what_is_larger_than_all_the_room_passes_alone() {
        let (outbox, mut outgoing) = outbox(Arc::default(), Space::new(64 << 20).share(None));
        outbox.send(frame(MOST_BYTES + 1)).await.expect("nothing else waits");
        assert!(outgoing.next().await.is_some());
        drop(outgoing);
        assert_eq!(outbox.send(frame(1)).await, Err(Unsent::Gone));
    }
}
