//! Bodies: bounded in, boxed out.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorward_core::error::{Error, Result, codes};
use futures_util::{Stream, StreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::guard::Taken;
use super::shares::{Share, Shares};

/// Most bytes of an ordinary request body.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;
/// How long an ordinary request body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// What went wrong while a body was being sent.
pub(crate) type BodyError = Box<dyn StdError + Send + Sync>;

/// The body of an answer, and whatever must live as long as it is being sent.
pub(crate) struct Body {
    inner: Inner,
    answers: Option<Taken>,
    held: Vec<Box<dyn Send>>,
    pace: Option<Arc<Pace>>,
}

enum Inner {
    /// Most answers: all of it is there, and nothing has to be asked for it. Empty once it was sent.
    Whole(Bytes),
    Boxed(UnsyncBoxBody<Bytes, BodyError>),
}

/// When a body was last asked for more, where it matters whether it is.
#[derive(Default)]
pub(crate) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Whether a part was handed over so long ago, and no further one was asked for since.
    pub(crate) fn not_taken_for(&self, patience: Duration) -> bool {
        self.0.lock().is_some_and(|handed| handed.elapsed() >= patience)
    }
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::of(Inner::Whole(Bytes::new()))
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::of(Inner::Whole(bytes.into()))
    }

    pub(crate) fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BodyError>,
    {
        Self::new(StreamBody::new(stream.map(|part| part.map(Frame::data).map_err(Into::into))))
    }

    pub(crate) fn new(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self::of(Inner::Boxed(UnsyncBoxBody::new(body)))
    }

    fn of(inner: Inner) -> Self {
        Self { inner, answers: None, held: Vec::new(), pace: None }
    }

    /// Says which request it answers, until it has been sent or given up.
    pub(crate) fn answers(&mut self, taken: Taken) {
        self.answers = Some(taken);
    }

    /// Notes whether it is asked for more.
    pub(crate) fn pace(&mut self, pace: Arc<Pace>) {
        self.pace = Some(pace);
    }

    /// Keeps `value` until the body has been sent or given up.
    pub(crate) fn hold(&mut self, value: impl Send + 'static) {
        self.held.push(Box::new(value));
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.inner {
            Inner::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Boxed(body) => Pin::new(body).poll_frame(cx),
        };
        if let Some(pace) = &self.pace {
            *pace.0.lock() = polled.is_ready().then(Instant::now);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Boxed(body) => body.size_hint(),
        }
    }
}

/// Room for the bodies that a server holds at once, in pieces of [`PIECE`]. A client may hold its share of it and no more.
#[derive(Clone)]
pub(crate) struct BodyRoom {
    whole: Arc<Whole>,
    client: IpAddr,
}

struct Whole {
    all: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// What a body takes of the room; dropped when it is gone.
pub(crate) struct Room {
    all: OwnedSemaphorePermit,
    share: Share,
}

impl Room {
    /// Pieces of it.
    pub(crate) fn pieces(&self) -> usize {
        self.all.num_permits()
    }

    /// Holds what `other`, of the same client, holds as well.
    pub(crate) fn merge(&mut self, other: Self) {
        self.all.merge(other.all);
        self.share.merge(other.share);
    }
}

/// The step in which a body takes room.
pub(crate) const PIECE: usize = 16 << 10;
/// All bodies of a server together.
const MAX_HELD_BYTES: usize = 64 << 20;

impl BodyRoom {
    pub(crate) fn new() -> Self {
        Self::of_pieces(MAX_HELD_BYTES / PIECE)
    }

    fn of_pieces(pieces: usize) -> Self {
        let shares = Arc::new(Shares::new(pieces, Arc::new([])));
        let whole = Whole { all: Arc::new(Semaphore::new(pieces)), shares };
        Self { whole: Arc::new(whole), client: Ipv4Addr::UNSPECIFIED.into() }
    }

    /// The same room, for what this client sends.
    pub(crate) fn for_client(&self, client: IpAddr) -> Self {
        Self { client, ..self.clone() }
    }

    /// A piece of it.
    ///
    /// # Errors
    /// `rate_limited` when there is none left.
    pub(crate) fn take(&self) -> Result<Room> {
        let full = |message: &'static str| Error::new(codes::RATE_LIMITED).message(message).retry_after_s(1);
        let share = self.whole.shares.take(self.client);
        let share = share.ok_or_else(|| full("Too many bodies of yours are on their way."))?;
        let all = Arc::clone(&self.whole.all).try_acquire_owned();
        Ok(Room { all: all.map_err(|_| full("Too many bodies are on their way."))?, share })
    }
}

#[cfg(test)]
impl BodyRoom {
    /// Pieces that are left.
    pub(crate) fn left(&self) -> usize {
        self.whole.all.available_permits()
    }
}

/// The body of a request, not yet read.
pub(crate) struct Inbound {
    body: Option<Incoming>,
    room: BodyRoom,
    /// What the body takes of the room, for as long as its request is being answered.
    held: Option<Room>,
    /// Whether what is not read has to be taken off the wire all the same.
    drained: bool,
}

/// Most bytes that are taken off the wire although nobody reads them, and the time for it.
const MAX_DRAINED_BYTES: usize = 1 << 20;
/// The same where a connection carries one request at a time: beyond it, a new connection is cheaper.
const MAX_DRAINED_OF_ONE: u64 = 64 << 10;
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// An answer that comes before its request was read makes the library reset an HTTP/2 stream, and clients then drop the answer
/// they have got; an HTTP/1.1 connection it ends without a word, and a client that had not sent all of a small body fails with the
/// next request. What is on its way is taken, within bounds, and thrown away.
impl Drop for Inbound {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| self.drained && !body.is_end_stream()) else {
            return;
        };
        tokio::spawn(tokio::time::timeout(DRAIN_PATIENCE, async move {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > MAX_DRAINED_BYTES {
                    return;
                }
            }
        }));
    }
}

impl Inbound {
    pub(crate) fn new(body: Incoming, room: BodyRoom, version: Version, headers: &HeaderMap) -> Self {
        let is_small = body.size_hint().upper().is_some_and(|bytes| bytes <= MAX_DRAINED_OF_ONE);
        // Whoever waits to be told to go on has not sent it and need not.
        let is_coming = is_small && !headers.contains_key(EXPECT);
        Self { body: Some(body), room, held: None, drained: version == Version::HTTP_2 || is_coming }
    }

    /// No body, of a request that nobody sent.
    pub(crate) fn nothing() -> Self {
        Self { body: None, room: BodyRoom::new(), held: None, drained: false }
    }

    /// The body, to be read in parts by whoever passes it on; at most so many bytes of it.
    ///
    /// # Errors
    /// As [`Inbound::read`], for what is known beforehand.
    pub(crate) fn parts(&mut self, headers: &HeaderMap, max_bytes: usize) -> Result<InParts> {
        refuse_compressed(headers)?;
        refuse_announced(headers, max_bytes)?;
        let (body, held) = (self.body.take(), self.held.take());
        let inbound = Self { body, held, room: self.room.clone(), drained: self.drained };
        Ok(InParts { inbound, buffer: BytesMut::new(), left: max_bytes, max_bytes, overdue: None })
    }

    /// Gives up what was not read, and answers the room it would have taken.
    pub(crate) fn give_up(&mut self) -> BodyRoom {
        self.body = None;
        self.room.clone()
    }

    /// Reads all of it, once.
    ///
    /// # Errors
    /// `too_large` beyond `max_bytes`, `unsupported_media_type` when it is compressed, `bad_request` when it
    /// breaks off or takes longer than 30 seconds.
    pub(crate) async fn read(&mut self, headers: &HeaderMap, max_bytes: usize) -> Result<Bytes> {
        refuse_compressed(headers)?;
        refuse_announced(headers, max_bytes)?;
        let Some(mut body) = self.body.take() else { return Ok(Bytes::new()) };
        let read = tokio::time::timeout(BODY_PATIENCE, self.gather(&mut body, max_bytes)).await;
        let late = |_| Err(Error::new(codes::BAD_REQUEST).message("The body did not arrive in 30 seconds."));
        let read = read.unwrap_or_else(late);
        if read.is_err() {
            // Its rest is taken off the wire where that is needed.
            self.body = Some(body);
        }
        read
    }

    /// Copies the frames together. A frame is a piece of the library's read buffer and keeps all of it alive: a body of
    /// single bytes whose frames were kept would cost thousands of times its size.
    async fn gather<B>(&mut self, body: &mut B, max_bytes: usize) -> Result<Bytes>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let broken = |_| Error::new(codes::BAD_REQUEST).message("The body breaks off or is malformed.");
        let mut whole = BytesMut::new();
        let mut room_bytes = 0;
        while let Some(frame) = body.frame().await {
            // Trailers mean nothing here.
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            let length = whole.len() + data.len();
            if length > max_bytes {
                return Err(too_large(max_bytes));
            }
            while room_bytes < length {
                let piece = self.room.take()?;
                match &mut self.held {
                    Some(held) => held.merge(piece),
                    None => self.held = Some(piece),
                }
                room_bytes += PIECE;
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

/// A body that is read in parts. It takes room for the part that is at hand alone, and each part has as long as an ordinary body.
pub(crate) struct InParts {
    inbound: Inbound,
    /// What has come and was not handed on.
    buffer: BytesMut,
    left: usize,
    max_bytes: usize,
    /// When the part that is waited for is too late.
    overdue: Option<Instant>,
}

/// Largest part, and how long more is waited for once there is something: each part costs whoever takes it a question.
const PART: usize = 240 << 10;
const GATHERED_WITHIN: Duration = Duration::from_millis(2);

impl InParts {
    /// Whether nothing comes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.buffer.is_empty() && self.inbound.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    /// What comes next: what is there or comes at once, and one byte at least; `None` at the end. Nothing is lost when the waiting is given up.
    ///
    /// # Errors
    /// As [`Inbound::read`].
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.buffer.is_empty() {
            self.inbound.held = None;
        }
        while self.buffer.len() < PART {
            let Some(body) = &mut self.inbound.body else { break };
            let frame = if self.buffer.is_empty() {
                let overdue = *self.overdue.get_or_insert_with(|| Instant::now() + BODY_PATIENCE);
                let late =
                    |_| Error::new(codes::BAD_REQUEST).message("Nothing of the body came for 30 seconds.");
                tokio::time::timeout_at(overdue, body.frame()).await.map_err(late)?
            } else {
                if body.is_end_stream() {
                    break;
                }
                let Ok(frame) = tokio::time::timeout(GATHERED_WITHIN, body.frame()).await else { break };
                frame
            };
            let Some(frame) = frame else {
                self.inbound.body = None;
                break;
            };
            let broken = |_| Error::new(codes::BAD_REQUEST).message("The body breaks off or is malformed.");
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            self.left = self.left.checked_sub(data.len()).ok_or_else(|| too_large(self.max_bytes))?;
            self.buffer.extend_from_slice(&data);
            while self.inbound.held.as_ref().map_or(0, Room::pieces) * PIECE < self.buffer.len() {
                let piece = self.inbound.room.take()?;
                match &mut self.inbound.held {
                    Some(held) => held.merge(piece),
                    None => self.inbound.held = Some(piece),
                }
            }
        }
        self.overdue = None;
        let part = self.buffer.split_to(self.buffer.len().min(PART));
        Ok(Some(part.freeze()).filter(|part| !part.is_empty()))
    }
}

/// Refuses bodies in any content coding: a small one may unfold to anything.
pub(crate) fn refuse_compressed(headers: &HeaderMap) -> Result<()> {
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(Error::new(codes::UNSUPPORTED_MEDIA).message("Send the body uncompressed."))
}

/// Refuses a body by its own announcement, before any of it is read.
pub(crate) fn refuse_announced(headers: &HeaderMap, max_bytes: usize) -> Result<()> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(bytes) if bytes > max_bytes as u64 => Err(too_large(max_bytes)),
        _ => Ok(()),
    }
}

fn too_large(max_bytes: usize) -> Error {
    Error::new(codes::TOO_LARGE).message(format!("A body may have {max_bytes} bytes here."))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::Full;

    use super::*;

    /// A read buffer of the library's, of which one byte is a frame.
    struct ReadBuffer(Vec<u8>, Arc<AtomicUsize>);

    impl AsRef<[u8]> for ReadBuffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for ReadBuffer {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn inbound(room: &BodyRoom) -> Inbound {
        Inbound { body: None, room: room.clone(), held: None, drained: false }
    }

    #[tokio::test]
    async fn a_body_of_tiny_frames_costs_its_size_and_not_the_size_of_what_they_came_in() {
        let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (living, peak) = (Arc::clone(&alive), Arc::clone(&most));
        let frames = futures_util::stream::iter(0..1_000).map(move |_| {
            let now = living.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            let buffer = Bytes::from_owner(ReadBuffer(vec![b'x'; PIECE], Arc::clone(&living)));
            Ok::<_, BodyError>(Frame::data(buffer.slice(..1)))
        });
        let room = BodyRoom::new();
        let mut inbound = inbound(&room);
        let whole = inbound.gather(&mut StreamBody::new(frames), MAX_BODY_BYTES).await.unwrap();
        assert_eq!(whole, vec![b'x'; 1_000]);
        assert!(most.load(Ordering::SeqCst) <= 2, "frames were kept: {most:?}");
        assert_eq!(alive.load(Ordering::SeqCst), 0);
        assert_eq!(room.left(), MAX_HELD_BYTES / PIECE - 1, "a thousand bytes take one piece");
        drop(inbound);
        assert_eq!(room.left(), MAX_HELD_BYTES / PIECE);
    }

    #[tokio::test]
    async fn bodies_beyond_the_room_of_the_server_are_refused() {
        let room = BodyRoom::of_pieces(8);
        let body = |bytes: usize| Full::new(Bytes::from(vec![0; bytes]));
        let client = |last: u8| room.for_client(Ipv4Addr::new(192, 0, 2, last).into());
        let mut first = inbound(&client(1));
        assert!(first.gather(&mut body(2 * PIECE), MAX_BODY_BYTES).await.is_ok());
        let refused = inbound(&client(1)).gather(&mut body(1), MAX_BODY_BYTES).await.unwrap_err();
        assert!(refused.is(codes::RATE_LIMITED), "one client has a quarter");
        let mut others: Vec<_> = (2..=4).map(|last| inbound(&client(last))).collect();
        for other in &mut others {
            assert!(other.gather(&mut body(2 * PIECE), MAX_BODY_BYTES).await.is_ok());
        }
        let refused = inbound(&client(5)).gather(&mut body(1), MAX_BODY_BYTES).await.unwrap_err();
        assert!(refused.is(codes::RATE_LIMITED), "nothing is left");
        drop(first);
        assert!(inbound(&client(5)).gather(&mut body(1), MAX_BODY_BYTES).await.is_ok());
    }
}
