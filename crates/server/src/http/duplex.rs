//! A WebSocket with a client that stays connected: what it holds while nothing is said is next to nothing, what is ready is written at
//! once, and what comes is read as far as there is something.
//!
//! Bytes of a message that is not whole take room of all bodies of the server, and have as long as an ordinary body.
//!
//! Tunnels of the gateway go by the library that most of the ecosystem uses. It keeps a read buffer for each connection, copies every
//! payload on its way out and cannot write from where something is; docs/evidence.md has what that costs a hub.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::body::{BodyRoom, PIECE, Room};
use super::frames::{Broken, MAX_CONTROL, Message, Opcode, Reader, write_head};

/// How much is read at once, unless a larger frame has begun.
const READ: usize = 64 << 10;
/// What is held of a frame that is not whole is moved to a buffer of its own size when the one it came in is so much larger.
const SPARE: usize = 8 << 10;
/// How much more than what has come of a frame is made room for: a first read of [`READ`] bytes then makes room for a whole frame of 1 MiB,
/// which is moved once. Nothing is written to what was made room for, so it takes no memory before it is read into.
const GROWTH: usize = 16;
/// Frames that are no message which may come before a first one.
const MOST_BESIDE: usize = 64;
/// Parts that are written at once.
const PARTS: usize = 32;
/// How long a message may take from its first byte to its last.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may take to take anything of what it is sent.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a close may take that the other side has to agree to.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A connection, whatever it is.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client is gone, or did not say in time what it had begun to.
    Gone,
    /// A message is larger than any may be, or than there is room for.
    TooLarge,
    /// This is no WebSocket.
    NoFrame,
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge => Self::TooLarge,
            Broken::NoFrame => Self::NoFrame,
        }
    }
}

/// The server's end.
pub(crate) struct Duplex {
    io: Box<dyn Io>,
    reader: Reader,
    room: BodyRoom,
    /// Room that the message takes which is not whole.
    taken: Option<Room>,
    /// When that began.
    begun: Option<Instant>,
    /// Small frames that are to be written, one behind the other.
    small: BytesMut,
    /// What is to be written before them.
    parts: VecDeque<Bytes>,
    /// The answer to the last ping, while the client takes nothing.
    pong: Option<Bytes>,
    /// Since when the client takes nothing of what it is sent.
    stalled: Option<Instant>,
    /// What comes is no WebSocket any more.
    broken: bool,
    /// The client has closed, and has nothing more to say.
    has_closed: bool,
}

impl Duplex {
    /// What `read` holds was read already.
    pub(crate) fn new(io: Box<dyn Io>, read: BytesMut, room: BodyRoom, most: usize) -> Self {
        Self {
            io,
            reader: Reader::new(read, most),
            room,
            taken: None,
            begun: None,
            small: BytesMut::new(),
            parts: VecDeque::new(),
            pong: None,
            stalled: None,
            broken: false,
            has_closed: false,
        }
    }

    /// Bounds messages from now on.
    pub(crate) fn at_most(&mut self, bytes: usize) {
        self.reader.most = bytes;
    }

    /// When this connection has to be given up unless something happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let within = |since: Option<Instant>, patience| since.map(|since| since + patience);
        let (message, write) = (within(self.begun, MESSAGE_WITHIN), within(self.stalled, WRITE_PATIENCE));
        message.into_iter().chain(write).min()
    }

    /// The next message, with the room that it takes for as long as it is at hand; or what is no message, for whoever counts. Pings are
    /// answered here.
    pub(crate) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Message, Option<Room>), Ended>> {
        loop {
            match self.reader.next().inspect_err(|_| self.broken = true)? {
                // What is not whole keeps its room and its time.
                Some(beside @ (Message::Ping(_) | Message::Pong | Message::Part)) => {
                    if let Message::Ping(payload) = &beside {
                        self.pong = Some(payload.clone());
                    }
                    return Poll::Ready(Ok((beside, None)));
                }
                Some(message) => {
                    self.begun = None;
                    self.has_closed |= matches!(message, Message::Close);
                    return Poll::Ready(Ok((message, self.taken.take())));
                }
                None => {
                    // All that is held is of a message that is not whole.
                    self.take_room()?;
                    ready!(self.poll_fill(cx))?;
                    if self.reader.held() > READ {
                        self.take_room()?;
                    }
                }
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let held = &mut self.reader.held;
        if held.is_empty() {
            *held = BytesMut::with_capacity(READ);
        } else {
            // What was announced costs nothing to announce: room grows with what has come, in so few steps that little is moved.
            let come = self.reader.held.len();
            let missing = self.reader.missing().min(GROWTH * come);
            self.reader.held.reserve(missing.max(READ.saturating_sub(come)).max(1));
        }
        let read = pin!(self.io.read_buf(&mut self.reader.held)).poll(cx);
        if read.is_pending() {
            let held = &mut self.reader.held;
            if held.is_empty() {
                // What was read into serves another connection while this one is silent.
                *held = BytesMut::new();
            } else if held.capacity() > held.len() + SPARE && self.reader.missing() < SPARE {
                self.reader.held = BytesMut::from(&self.reader.held[..]);
            }
            match self.reader.held() {
                0 => self.begun = None,
                _ => drop(self.begun.get_or_insert_with(Instant::now)),
            }
        }
        match ready!(read) {
            Ok(0) | Err(_) => Poll::Ready(Err(Ended::Gone)),
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    /// What is not whole takes room; the first piece is what every connection has.
    fn take_room(&mut self) -> Result<(), Ended> {
        let wanted = self.reader.held().div_ceil(PIECE).saturating_sub(1);
        while self.taken.as_ref().map_or(0, Room::pieces) < wanted {
            let piece = self.room.take().map_err(|_| Ended::Gone)?;
            match &mut self.taken {
                Some(taken) => taken.merge(piece),
                None => self.taken = Some(piece),
            }
        }
        Ok(())
    }

    /// Adds a message to those that are to be sent.
    pub(crate) fn add(&mut self, opcode: Opcode, payload: &[u8]) {
        write_head(&mut self.small, opcode, payload.len());
        self.small.extend_from_slice(payload);
    }

    /// As [`Duplex::add`], for a message of two parts, the second of which is sent from where it is.
    pub(crate) fn add_large(&mut self, opcode: Opcode, first: &[u8], second: Bytes) {
        write_head(&mut self.small, opcode, first.len() + second.len());
        self.small.extend_from_slice(first);
        let before = self.small.split().freeze();
        self.parts.extend([before, second]);
    }

    /// Bytes that are to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.small.len() + self.parts.iter().map(Bytes::len).sum::<usize>()
    }

    /// Writes what is to be written; ready when all of it was.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(payload) = self.pong.take_if(|_| self.stalled.is_none()) {
            self.add(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL)]);
        }
        loop {
            if !self.small.is_empty() {
                let small = std::mem::take(&mut self.small).freeze();
                self.parts.push_back(small);
            }
            if self.parts.is_empty() {
                self.stalled = None;
                return Poll::Ready(Ok(()));
            }
            let written = match self.poll_write(cx) {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    self.stalled.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.stalled = None;
            self.take_off(written);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut *self.io);
        if self.parts.len() == 1 {
            return io.poll_write(cx, &self.parts[0]);
        }
        let mut slices = [IoSlice::new(&[]); PARTS];
        let count = self.parts.len().min(PARTS);
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
        }
        io.poll_write_vectored(cx, &slices[..count])
    }

    fn take_off(&mut self, mut written: usize) {
        while let Some(first) = self.parts.front_mut() {
            if first.len() > written {
                return first.advance(written);
            }
            written -= first.len();
            self.parts.pop_front();
        }
        self.parts = VecDeque::new();
    }

    /// Whether a ping is to be answered by the next [`Duplex::poll_flush`].
    pub(crate) fn is_pinged(&self) -> bool {
        self.pong.is_some() && self.stalled.is_none()
    }

    /// The next message of a client that has not said much yet.
    pub(crate) async fn message(&mut self) -> Result<Message, Ended> {
        let mut beside = 0;
        poll_fn(|cx| {
            loop {
                let next = self.poll_message(cx);
                if let Poll::Ready(Ok((Message::Ping(_) | Message::Pong | Message::Part, _))) = next {
                    beside += 1;
                    if beside > MOST_BESIDE {
                        return Poll::Ready(Err(Ended::NoFrame));
                    }
                    continue;
                }
                if next.is_ready() || !self.is_pinged() {
                    return next.map(|next| next.map(|(message, _)| message));
                }
                if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
                    return Poll::Ready(Err(Ended::Gone));
                }
            }
        })
        .await
    }

    /// Sends a message at once.
    ///
    /// # Errors
    /// When the client is gone, or takes nothing for a minute.
    pub(crate) async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        self.add(opcode, payload);
        timeout(WRITE_PATIENCE, poll_fn(|cx| self.poll_flush(cx))).await?
    }

    /// Closes (§7.1.2) and waits a moment for the client to agree, so that what was sent last is not cut off. What it still says is
    /// thrown away.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        // A close frame holds 123 bytes of reason (§5.5).
        let mut end = reason.len().min(MAX_CONTROL - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let payload = [&code.to_be_bytes()[..], &reason.as_bytes()[..end]].concat();
        self.add(Opcode::Close, &payload);
        let agreed = async {
            poll_fn(|cx| self.poll_flush(cx)).await?;
            // The server is the first to end the connection below (§7.1.1); a client that has closed waits for it.
            if self.has_closed {
                return Ok(());
            }
            let mut thrown_away = BytesMut::with_capacity(PIECE);
            loop {
                while !self.broken {
                    match self.reader.next() {
                        Ok(Some(Message::Close)) => return Ok(()),
                        Ok(Some(_)) => {}
                        Ok(None) if self.reader.held() <= PIECE => break,
                        // What is no frame, or a large one, is thrown away until the client ends it.
                        Ok(None) | Err(_) => self.broken = true,
                    }
                }
                thrown_away.clear();
                if self.io.read_buf(&mut thrown_away).await? == 0 {
                    return Ok::<_, io::Error>(());
                }
                if !self.broken {
                    self.reader.held.extend_from_slice(&thrown_away);
                }
            }
        };
        // Whoever does not agree in time is left.
        let _ = timeout(CLOSE_PATIENCE, agreed).await;
    }
}

#[cfg(test)]
mod tests;
