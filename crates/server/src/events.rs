//! Server-sent events (WHATWG HTML §9.2), and streams like them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::http::body::{Body, BodyError};
use crate::http::respond::Answer;

/// A comment is sent when nothing else was for this long, so that a client that left is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Whether the client asks for events.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|part| {
            part.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
        })
    })
}

/// One event. JSON holds no line ends, so a value is one line.
pub(crate) fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// What comes over the channel as a stream of events, to its end.
pub(crate) fn answer<T: Send + 'static>(
    items: mpsc::Receiver<T>,
    show: impl Fn(T) -> Bytes + Send + 'static,
) -> Answer {
    streamed(Vec::new(), items, b":\n\n", show)
}

/// As [`answer`] for clients that read a line at a time: these parts first, an empty line to keep the stream alive.
pub(crate) fn lines<T: Send + 'static>(
    first: Vec<Bytes>,
    items: mpsc::Receiver<T>,
    show: impl Fn(T) -> Bytes + Send + 'static,
) -> Answer {
    streamed(first, items, b"\n", show)
}

fn streamed<T: Send + 'static>(
    first: Vec<Bytes>,
    items: mpsc::Receiver<T>,
    nothing: &'static [u8],
    show: impl Fn(T) -> Bytes + Send + 'static,
) -> Answer {
    let first = stream::iter(first.into_iter().map(Ok::<_, BodyError>));
    let rest = stream::unfold((items, show), move |(mut items, show)| async move {
        let part = match tokio::time::timeout(KEEP_ALIVE, items.recv()).await {
            Ok(Some(item)) => show(item),
            Ok(None) => return None,
            Err(_) => Bytes::from_static(nothing),
        };
        Some((Ok::<_, BodyError>(part), (items, show)))
    });
    let mut answer = Answer::new(Body::stream(first.chain(rest)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}
