//! Bodies: bounded in, boxed out.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_core::error::{Error, Result, codes};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

/// Most bytes of an ordinary request body.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;
/// How long an ordinary request body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// What went wrong while a body was being sent.
pub(crate) type BodyError = Box<dyn StdError + Send + Sync>;

/// The body of an answer, and whatever must live as long as it is being sent.
pub(crate) struct Body {
    inner: UnsyncBoxBody<Bytes, BodyError>,
    held: Vec<Box<dyn Send>>,
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::new(Empty::new().map_err(|never| match never {}))
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::new(Full::new(bytes.into()).map_err(|never| match never {}))
    }

    pub(crate) fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BodyError>,
    {
        Self::new(StreamBody::new(stream.map(|part| part.map(Frame::data).map_err(Into::into))))
    }

    pub(crate) fn new(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self { inner: UnsyncBoxBody::new(body), held: Vec::new() }
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
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a request, not yet read.
pub(crate) struct Inbound(Option<Incoming>);

impl Inbound {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }

    /// Reads all of it, once.
    ///
    /// # Errors
    /// `too_large` beyond `max_bytes`, `unsupported_media_type` when it is compressed, `bad_request` when it
    /// breaks off or takes longer than 30 seconds.
    pub(crate) async fn read(&mut self, headers: &HeaderMap, max_bytes: usize) -> Result<Bytes> {
        refuse_compressed(headers)?;
        refuse_announced(headers, max_bytes)?;
        let Some(body) = self.0.take() else { return Ok(Bytes::new()) };
        let reading = Limited::new(body, max_bytes).collect();
        match tokio::time::timeout(BODY_PATIENCE, reading).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max_bytes)),
            Ok(Err(_)) => Err(Error::new(codes::BAD_REQUEST).message("The body breaks off or is malformed.")),
            Err(_) => Err(Error::new(codes::BAD_REQUEST).message("The body did not arrive in 30 seconds.")),
        }
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
