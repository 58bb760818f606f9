//! What a client sends over a WebSocket, measured: the library gathers a message until it is whole, and the protocol lets that take
//! any number of pieces and any time.
//!
//! Bytes of a message that is not whole take room of all bodies of the server, and have as long as an ordinary body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::body::{BodyRoom, PIECE, Room};

/// How long a message may take from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a control frame of a client beside its payload: head, length and mask (RFC 6455 §5.2).
const CONTROL_FRAME: usize = 6;

/// A connection whose inbound bytes are measured.
pub(crate) struct Metered<Io> {
    io: Io,
    room: BodyRoom,
    patience: Duration,
    /// Bytes that belong to no whole message yet.
    bytes: usize,
    held: Option<Room>,
    overdue: Option<Pin<Box<Sleep>>>,
}

impl<Io> Metered<Io> {
    pub(crate) fn new(io: Io, room: BodyRoom) -> Self {
        Self { io, room, patience: PATIENCE, bytes: 0, held: None, overdue: None }
    }

    /// Says that a message is whole: what comes next has a time of its own. The answer is the room that the message takes,
    /// for as long as it is at hand.
    pub(crate) fn whole(&mut self) -> Option<Room> {
        (self.bytes, self.overdue) = (0, None);
        self.held.take()
    }

    /// Says that a control frame came, which may stand between the pieces of a message.
    pub(crate) fn control(&mut self, payload_bytes: usize) {
        self.bytes = self.bytes.saturating_sub(payload_bytes + CONTROL_FRAME);
        if self.bytes == 0 {
            drop(self.whole());
        }
    }

    fn take(&mut self, read: usize) -> io::Result<()> {
        if self.bytes == 0 {
            self.overdue = Some(Box::pin(tokio::time::sleep_until(Instant::now() + self.patience)));
        }
        self.bytes += read;
        // The first piece is the read buffer that every connection has.
        let wanted = self.bytes.div_ceil(PIECE).saturating_sub(1);
        while self.held.as_ref().map_or(0, Room::pieces) < wanted {
            let piece = self.room.take().map_err(|_| io::Error::other("the server holds too much"))?;
            match &mut self.held {
                Some(held) => held.merge(piece),
                None => self.held = Some(piece),
            }
        }
        Ok(())
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Metered<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, out);
        // What has come already was in time, even if nobody looked until now.
        if read.is_pending()
            && let Some(overdue) = &mut this.overdue
            && overdue.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(read)?;
        match out.filled().len() - before {
            0 => Poll::Ready(Ok(())),
            read => Poll::Ready(this.take(read)),
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Metered<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_not_whole_takes_room_and_what_is_gives_it_back() {
        let room = BodyRoom::new();
        let all = room.left();
        let (mut client, server) = duplex(1 << 20);
        let mut metered = Metered::new(server, room.clone());
        let mut sink = vec![0; 1 << 20];
        client.write_all(&vec![0; PIECE]).await.expect("sent");
        metered.read_exact(&mut sink[..PIECE]).await.expect("read");
        assert_eq!(room.left(), all, "the first piece is free");
        client.write_all(&vec![0; 3 * PIECE]).await.expect("sent");
        metered.read_exact(&mut sink[..3 * PIECE]).await.expect("read");
        assert_eq!(room.left(), all - 3);
        metered.control(4 * PIECE - 1_000 - CONTROL_FRAME);
        assert_eq!(metered.bytes, 1_000, "a control frame is taken off, the message goes on");
        let at_hand = metered.whole();
        assert_eq!(
            (room.left(), metered.bytes),
            (all - 3, 0),
            "the message takes its room until it is sent on"
        );
        drop(at_hand);
        assert_eq!(room.left(), all);
    }

    #[tokio::test]
    async fn a_server_that_holds_too_much_takes_no_more_of_a_message() {
        let room = BodyRoom::new();
        let others: Vec<_> = std::iter::from_fn(|| room.take().ok()).collect();
        let (mut client, server) = duplex(1 << 20);
        let mut metered = Metered::new(server, room);
        client.write_all(&vec![0; 2 * PIECE]).await.expect("sent");
        let mut sink = vec![0; 2 * PIECE];
        assert!(metered.read_exact(&mut sink).await.is_err());
        drop(others);
    }

    #[tokio::test]
    async fn a_message_that_does_not_become_whole_ends_the_connection_and_an_idle_one_goes_on() {
        let (mut client, server) = duplex(1 << 10);
        let mut metered = Metered::new(server, BodyRoom::new());
        metered.patience = Duration::from_millis(50);
        let mut sink = [0; 6];
        client.write_all(b"\x89\x80\0\0\0\0").await.expect("a ping is sent");
        metered.read_exact(&mut sink).await.expect("read");
        metered.control(0);
        let idle = tokio::time::timeout(Duration::from_millis(200), metered.read(&mut sink)).await;
        assert!(idle.is_err(), "nothing is overdue");
        client.write_all(b"\x01").await.expect("sent");
        metered.read_exact(&mut sink[..1]).await.expect("read");
        let overdue = tokio::time::timeout(Duration::from_secs(10), metered.read(&mut sink)).await;
        assert!(overdue.expect("in time").is_err_and(|error| error.kind() == io::ErrorKind::TimedOut));
    }
}
