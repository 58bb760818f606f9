//! GOAWAY over HTTP/2, so that no stream is lost between the two ends.
//!
//! A server that ends a connection gently says GOAWAY with the highest stream there can be, then PING; what the client opened before it
//! answers the PING is served, and a second GOAWAY says which stream was the last (RFC 9113 §6.8). Clients on nghttp2 lose streams all the same
//! if they read this in one piece with what comes before or after:
//!
//! - an answer and GOAWAY: the request that the program makes because of the answer is not sent any more;
//! - GOAWAY and PING: the PING is answered before the heads of streams that are open already are sent.
//!
//! So GOAWAY goes out a moment after what comes before it, and PING a moment after GOAWAY.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long each of the two waits.
const MOMENT: Duration = Duration::from_millis(100);
/// A frame's head (RFC 9113 §4.1): three bytes of length, the type, flags, and the stream.
const HEAD_BYTES: usize = 9;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// A connection whose frames are looked at on their way out.
pub(super) struct LastWord<Io> {
    io: Io,
    frames: Frames,
    pause: Option<Pin<Box<Sleep>>>,
    held: Held,
}

/// What was held back already.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    goaway: bool,
    ping: bool,
}

/// Where frames begin in a stream of bytes, and whether a GOAWAY was among them. A server has no preface: its first byte begins one.
#[derive(Debug, Clone, Default)]
struct Frames {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head so far.
    have: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
    goes_away: bool,
}

impl Frames {
    /// Follows some of these bytes: how many, and the type of the frame whose head they complete, where it waits.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<u8>) {
        if self.left > 0 {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            return (passed, None);
        }
        let taken = (HEAD_BYTES - self.have).min(bytes.len());
        self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken;
        if self.have < HEAD_BYTES {
            return (taken, None);
        }
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.have = 0;
        self.goes_away |= kind == GOAWAY;
        let waits = kind == GOAWAY || (kind == PING && flags & ACK == 0 && self.goes_away);
        (taken, waits.then_some(kind))
    }

    /// Follows bytes that were written.
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes).0..];
        }
    }

    /// How many of these bytes stand before a frame that waits and has not waited yet, and its type.
    fn before_wait<'a>(&self, held: Held, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<(usize, u8)> {
        let (mut ahead, mut at) = (self.clone(), 0_usize);
        for mut bytes in parts {
            while !bytes.is_empty() {
                let (passed, waits) = ahead.step(bytes);
                at += passed;
                if let Some(kind) = waits.filter(|kind| !held.has(*kind)) {
                    return Some((at.saturating_sub(HEAD_BYTES), kind));
                }
                bytes = &bytes[passed..];
            }
        }
        None
    }
}

impl Held {
    fn has(self, kind: u8) -> bool {
        if kind == GOAWAY { self.goaway } else { self.ping }
    }
}

impl<Io> LastWord<Io> {
    /// A fresh connection.
    pub(super) fn new(io: Io) -> Self {
        Self { io, frames: Frames::default(), pause: None, held: Held::default() }
    }

    /// How much of what is to be written may be written now; `None` for all of it.
    fn poll_room<'a>(
        &mut self,
        cx: &mut Context<'_>,
        parts: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Poll<Option<usize>> {
        loop {
            let Some((before, kind)) = self.frames.before_wait(self.held, parts.clone()) else {
                return Poll::Ready(None);
            };
            if before > 0 {
                return Poll::Ready(Some(before));
            }
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + MOMENT)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            if kind == GOAWAY {
                self.held.goaway = true;
            } else {
                self.held.ping = true;
            }
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for LastWord<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, out)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for LastWord<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let room = ready!(this.poll_room(cx, [bytes])).unwrap_or(bytes.len());
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, &bytes[..room]))?;
        this.frames.follow(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(room) = ready!(this.poll_room(cx, parts.iter().map(|part| &**part))) {
            // A part at a time: the next call brings what is left.
            let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
            return Pin::new(this).poll_write(cx, &first[..first.len().min(room)]);
        }
        let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, parts))?;
        let mut left = written;
        for part in parts {
            let passed = part.len().min(left);
            this.frames.follow(&part[..passed]);
            left -= passed;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [.., a, b, c] = payload.len().to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let stream = [
            frame(PING, 0, &[2; 8]),
            frame(0, 0, b"PING?"),
            frame(GOAWAY, 0, &[6; 8]),
            frame(PING, 0, &[1; 8]),
        ];
        let stream = stream.concat();
        let (goaway, ping) = (stream.len() - 34, stream.len() - 17);
        let waited = Held { goaway: true, ping: false };
        for cut in 0..stream.len() - 8 {
            let mut frames = Frames::default();
            frames.follow(&stream[..cut]);
            let halves = stream[cut..].split_at((stream.len() - cut) / 2);
            for parts in [vec![&stream[cut..]], vec![halves.0, halves.1]] {
                let ping = Some((ping.saturating_sub(cut), PING));
                assert_eq!(frames.before_wait(waited, parts.clone()), ping, "{cut}");
                let first = frames.before_wait(Held::default(), parts);
                // A head that is written in part is not held back any more.
                let goaway = (cut <= goaway + 8).then_some((goaway.saturating_sub(cut), GOAWAY));
                assert_eq!(first, goaway.or(ping), "{cut}");
            }
        }
        let acknowledged = [frame(GOAWAY, 0, &[6; 8]), frame(PING, ACK, &[1; 8])].concat();
        assert_eq!(Frames::default().before_wait(waited, [&acknowledged[..]]), None);
        let alone = frame(PING, 0, &[1; 8]);
        assert_eq!(Frames::default().before_wait(Held::default(), [&alone[..]]), None, "nothing goes away");
    }

    #[tokio::test]
    async fn goaway_and_ping_wait_a_moment_each_and_nothing_is_lost() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut ours = LastWord::new(ours);
        let (early, goaway, ping, data) = (
            frame(PING, 0, &[2; 8]),
            frame(GOAWAY, 0, &[9; 8]),
            frame(PING, 0, &[1; 8]),
            frame(0, 0, b"more"),
        );
        let all = [early, goaway, ping, data, frame(PING, 0, &[3; 8])].concat();
        let begun = Instant::now();
        let writing = async {
            for part in [&all[..20], &all[20..]] {
                ours.write_all(part).await.unwrap();
            }
        };
        let mut read = vec![0; all.len()];
        let (_, length) = tokio::join!(writing, theirs.read_exact(&mut read));
        assert_eq!((length.unwrap(), read), (all.len(), all));
        assert!(begun.elapsed() >= MOMENT * 2, "held back");
    }
}
