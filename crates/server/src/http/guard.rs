//! The strict reader between a socket and the HTTP library.
//!
//! Bytes pass through [`Framing`] before the library sees them, so the library only ever parses heads that have
//! one reading. When a head is refused, the library is told that the peer has finished; what was taken is still
//! answered, and then the refusal is written with its code. A peer that only stops sending is answered as well. Slow
//! heads, slow readers and idle peers are let go.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::framing::{Framing, Refusal};

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a TLS handshake, from the connection on.
    pub(crate) handshake: Duration,
    /// From the first byte of a head to its end.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For the peer to take any byte of an answer.
    pub(crate) write: Duration,
    /// For the peer to stop sending after it was refused.
    pub(crate) drain: Duration,
    /// For answers to a peer that will send no more (RFC 9112 §9.6): it may be waiting, or gone.
    pub(crate) half_closed: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(60),
            drain: Duration::from_secs(1),
            // As long as an agent may be silent before its first word.
            half_closed: Duration::from_secs(300),
        }
    }
}

/// Most bytes thrown away after a refusal, so that the peer reads the answer instead of a reset.
const MAX_DRAIN_BYTES: usize = 8 << 20;
/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// Requests taken and not yet answered to the last byte.
#[derive(Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    waker: AtomicWaker,
    /// The connection speaks another protocol from here on.
    tunnel: AtomicBool,
    /// Answers under way that are worth nothing to a peer that sends no more.
    for_who_stays: AtomicUsize,
}

/// An answer that goes on until its client leaves; dropped with the answer's body.
pub(crate) struct WhileThere(Arc<InFlight>);

/// One request being answered; dropped with the answer's body.
pub(crate) struct Taken(Arc<InFlight>);

impl InFlight {
    pub(crate) fn take(self: &Arc<Self>) -> Taken {
        self.count.fetch_add(1, Ordering::AcqRel);
        Taken(Arc::clone(self))
    }

    /// Says that what comes from here on is no HTTP: the answer that agreed to it is about to be sent.
    pub(crate) fn become_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Says that an answer goes on for as long as its client is there. A peer that sends no more has left then: those clients keep
    /// their side open, and whoever closed it would be noticed when something is written, twice.
    pub(crate) fn while_there(self: &Arc<Self>) -> WhileThere {
        self.for_who_stays.fetch_add(1, Ordering::AcqRel);
        WhileThere(Arc::clone(self))
    }

    fn is_for_who_stays(&self) -> bool {
        self.for_who_stays.load(Ordering::Acquire) > 0
    }

    fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }

    /// Whether something is being answered.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Ready when nothing is being answered.
    fn poll_none(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.count.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for WhileThere {
    fn drop(&mut self) {
        self.0.for_who_stays.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.waker.wake();
    }
}

enum Closing {
    No,
    Writing(Bytes),
    ShuttingDown,
    Draining { left: usize },
    Done,
}

/// A socket whose inbound bytes have one reading.
pub(crate) struct Guard<Io> {
    io: Io,
    framing: Framing,
    inbound: BytesMut,
    /// Leading bytes of `inbound` that may be passed on.
    cleared: usize,
    refusal: Option<Refusal>,
    /// The refusal fell inside a body: whoever reads that body answers.
    refused_in_body: bool,
    render: Box<dyn Fn(&Refusal) -> Bytes + Send>,
    in_flight: Arc<InFlight>,
    /// Something was taken, and the peer's time to be idle does not run again yet.
    was_busy: bool,
    /// A head has come in part, and its time is running.
    head_begun: bool,
    /// The peer sends no more, and what was taken of it is still being answered.
    peer_ended: bool,
    patience: Patience,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Guard<Io> {
    /// Guards a fresh connection. `render` writes a refusal as a whole HTTP answer.
    pub(crate) fn new(
        io: Io,
        patience: Patience,
        in_flight: Arc<InFlight>,
        render: impl Fn(&Refusal) -> Bytes + Send + 'static,
    ) -> Self {
        Self {
            io,
            framing: Framing::new(),
            inbound: BytesMut::new(),
            cleared: 0,
            refusal: None,
            refused_in_body: false,
            render: Box::new(render),
            in_flight,
            was_busy: false,
            head_begun: false,
            peer_ended: false,
            patience,
            // A peer that connects must say something as fast as one that has begun to.
            read_timer: Box::pin(tokio::time::sleep(patience.head)),
            write_timer: None,
            closing: Closing::No,
        }
    }

    /// The socket, for another protocol that was agreed to, and what was read of it and not passed on.
    pub(crate) fn into_tunnel(self) -> (Io, BytesMut) {
        (self.io, self.inbound)
    }

    fn arm(&mut self, after: Duration) {
        self.read_timer.as_mut().reset(Instant::now() + after);
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refused_in_body = !self.framing.in_head();
        self.refusal = Some(refusal);
    }

    /// Reads until bytes are cleared; `Ready(false)` when there is nothing more to come.
    fn poll_cleared(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.cleared > 0 {
                return Poll::Ready(Ok(true));
            }
            if self.in_flight.is_tunnel() {
                // Whoever speaks the other protocol has limits and patience of its own.
                if self.inbound.is_empty() && ready!(self.poll_fill(cx))? == 0 {
                    return Poll::Ready(Ok(false));
                }
                self.cleared = self.inbound.len();
                continue;
            }
            if self.refusal.is_some() {
                if !self.refused_in_body {
                    ready!(self.poll_answered(cx));
                }
                return Poll::Ready(Ok(false));
            }
            if self.peer_ended {
                let over = self.read_timer.as_mut().poll(cx).is_ready();
                return if over {
                    Poll::Ready(Ok(false))
                } else {
                    self.poll_answered(cx).map(|()| Ok(false))
                };
            }
            if !self.inbound.is_empty() {
                match self.framing.advance(&self.inbound) {
                    Ok(0) => {
                        // Most heads come whole, and no timer has to be set for them.
                        if self.framing.in_head() && !self.head_begun {
                            self.head_begun = true;
                            self.arm(self.patience.head);
                        }
                    }
                    Ok(bytes) => {
                        self.cleared = bytes;
                        self.head_begun = false;
                        self.was_busy |= self.framing.in_head();
                        continue;
                    }
                    Err(refusal) => {
                        self.refuse(refusal);
                        continue;
                    }
                }
            }
            // Nobody is to be woken by the end of an answer: what is left of it is then flushed, and its peer's time begins there.
            let busy = self.in_flight.any() || self.is_writing();
            self.begin_idling(busy);
            if self.framing.in_head() && !busy && self.read_timer.as_mut().poll(cx).is_ready() {
                if self.inbound.is_empty() {
                    return Poll::Ready(Ok(false));
                }
                self.refuse(Refusal::too_slow());
                continue;
            }
            if ready!(self.poll_fill(cx))? == 0 {
                if !self.framing.in_head() || self.in_flight.is_for_who_stays() {
                    return Poll::Ready(Ok(false));
                }
                // Told of the end at once, the library would drop what it is answering.
                self.peer_ended = true;
                self.arm(self.patience.half_closed);
            }
        }
    }

    /// Whether something is on its way to the peer that it has not taken yet. The library lets go of an answer that it has in its buffer.
    fn is_writing(&self) -> bool {
        self.write_timer.is_some()
    }

    /// Ready when all that was taken is answered to the last byte. Whoever waits is woken by the end of the last answer, or by the flush
    /// behind it.
    fn poll_answered(&self, cx: &Context<'_>) -> Poll<()> {
        ready!(self.in_flight.poll_none(cx));
        if self.is_writing() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Gives the peer its time once it has its answers.
    fn begin_idling(&mut self, busy: bool) {
        if self.was_busy && !busy {
            self.arm(if self.inbound.is_empty() { self.patience.idle } else { self.patience.head });
        }
        self.was_busy = busy;
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // On the stack and never cleared: a buffer of the connection's own would be held by ten thousand that say nothing.
        let mut chunk = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        self.inbound.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Io>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match write(Pin::new(&mut self.io), cx) {
            Poll::Ready(outcome) => {
                self.write_timer = None;
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let patience = self.patience.write;
                let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if ready!(this.poll_cleared(cx))? {
            let bytes = this.cleared.min(out.remaining());
            out.put_slice(&this.inbound[..bytes]);
            this.inbound.advance(bytes);
            this.cleared -= bytes;
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |io, cx| io.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_with(cx, |io, cx| io.poll_flush(cx)))?;
        // The library flushes behind every answer that ended, and looks for the next request only once something comes. So it is here that
        // its time begins, and that whoever has to end it is made sure to wake.
        if this.was_busy && this.framing.in_head() && !this.in_flight.is_tunnel() && !this.in_flight.any() {
            this.begin_idling(false);
            if this.refusal.is_some() || this.peer_ended || this.read_timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::No => {
                    let refusal = this.refusal.filter(|_| !this.refused_in_body);
                    this.closing = match refusal {
                        Some(refusal) => Closing::Writing((this.render)(&refusal)),
                        None => Closing::ShuttingDown,
                    };
                }
                Closing::Writing(bytes) if bytes.is_empty() => this.closing = Closing::ShuttingDown,
                Closing::Writing(bytes) => {
                    let part = bytes.clone();
                    let written = ready!(this.poll_write_with(cx, |io, cx| io.poll_write(cx, &part)))?;
                    this.closing = Closing::Writing(part.slice(written..));
                }
                Closing::ShuttingDown => {
                    ready!(this.poll_write_with(cx, |io, cx| io.poll_shutdown(cx)))?;
                    let peer_may_send = !this.in_flight.is_tunnel()
                        && (this.refusal.is_some() || !this.framing.in_head() || !this.inbound.is_empty());
                    this.closing = if peer_may_send {
                        this.arm(this.patience.drain);
                        Closing::Draining { left: MAX_DRAIN_BYTES }
                    } else {
                        Closing::Done
                    };
                }
                Closing::Draining { left } => {
                    let left = *left;
                    if this.read_timer.as_mut().poll(cx).is_ready() {
                        this.closing = Closing::Done;
                        continue;
                    }
                    this.inbound.clear();
                    let read = ready!(this.poll_fill(cx)).unwrap_or(0);
                    this.closing = if read == 0 || read >= left {
                        Closing::Done
                    } else {
                        Closing::Draining { left: left - read }
                    };
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
