//! GOAWAY over HTTP/2, so that no stream is lost between the two ends.
//!
//! A server that ends a connection gently says GOAWAY with the highest stream there can be, then PING; what the client opened before it
//! answers the PING is served, and a second GOAWAY says which stream was the last (RFC 9113 §6.8). nghttp2 answers a PING before it sends the
//! heads of streams that it has already opened, so a client that reads GOAWAY and PING in one piece would lose those. Here the PING
//! goes out a moment after the GOAWAY: by then the client opens nothing more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long after the GOAWAY.
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
    /// The PING was held back already.
    paused: bool,
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
    /// Follows some of these bytes: how many, and whether a PING that asks begins with the head that they complete.
    fn step(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.left > 0 {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            return (passed, false);
        }
        let taken = (HEAD_BYTES - self.have).min(bytes.len());
        self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken;
        if self.have < HEAD_BYTES {
            return (taken, false);
        }
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.have = 0;
        self.goes_away |= kind == GOAWAY;
        (taken, kind == PING && flags & ACK == 0)
    }

    /// Follows bytes that were written.
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes).0..];
        }
    }

    /// How many of these bytes stand before a PING that comes after a GOAWAY.
    fn before_ping<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
        let (mut ahead, mut at) = (self.clone(), 0_usize);
        for mut bytes in parts {
            while !bytes.is_empty() {
                let (passed, asks) = ahead.step(bytes);
                at += passed;
                if asks && ahead.goes_away {
                    return Some(at.saturating_sub(HEAD_BYTES));
                }
                bytes = &bytes[passed..];
            }
        }
        None
    }
}

impl<Io> LastWord<Io> {
    /// A fresh connection.
    pub(super) fn new(io: Io) -> Self {
        Self { io, frames: Frames::default(), pause: None, paused: false }
    }

    /// How much of what is to be written may be written now; `None` for all of it.
    fn poll_room<'a>(
        &mut self,
        cx: &mut Context<'_>,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Poll<Option<usize>> {
        match self.frames.before_ping(parts).filter(|_| !self.paused) {
            Some(0) => {
                let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + MOMENT)));
                ready!(pause.as_mut().poll(cx));
                (self.pause, self.paused) = (None, true);
                Poll::Ready(None)
            }
            before => Poll::Ready(before),
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
        let ping = stream.len() - 17;
        for cut in 0..stream.len() - 8 {
            let mut frames = Frames::default();
            frames.follow(&stream[..cut]);
            let (whole, halves) = (&stream[cut..], stream[cut..].split_at((stream.len() - cut) / 2));
            let expected = Some(ping.saturating_sub(cut));
            assert_eq!(frames.before_ping([whole]), expected, "{cut}");
            assert_eq!(frames.before_ping([halves.0, halves.1]), expected, "{cut}");
        }
        let acknowledged = [frame(GOAWAY, 0, &[6; 8]), frame(PING, ACK, &[1; 8])].concat();
        assert_eq!(Frames::default().before_ping([&acknowledged[..]]), None);
        assert_eq!(Frames::default().before_ping([&frame(PING, 0, &[1; 8])[..]]), None, "nothing goes away");
    }

    #[tokio::test]
    async fn a_ping_comes_a_moment_after_the_goaway_before_it_and_nothing_is_lost() {
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
        assert!(begun.elapsed() >= MOMENT, "held back");
    }
}
