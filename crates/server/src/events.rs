//! Server-sent events (WHATWG HTML §9.2), and streams like them.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::engine::Engine;
use doorward_core::principal::AuthContext;
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

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

/// How long a caller is answered who was let in after the expiry of a credential, within the leeway for clocks.
const LEEWAY: Duration = Duration::from_secs(30);

/// When the caller's credential runs out, if it does: nothing is sent from then on.
pub(crate) fn expiry(engine: &Engine, auth: &AuthContext) -> Option<Instant> {
    // A moment that no timer can hold never comes.
    Instant::now().checked_add(left(auth.expires_at_s?, engine.now_ms()))
}

fn left(expires_at_s: i64, now_ms: i64) -> Duration {
    match expires_at_s.saturating_mul(1000).saturating_sub(now_ms) {
        ms @ 1.. => Duration::from_millis(ms.unsigned_abs()),
        _ => LEEWAY,
    }
}

/// One event. JSON holds no line ends, so a value is one line.
pub(crate) fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// What comes over the channel as a stream of events, to its end or the caller's.
pub(crate) fn answer<T: Send + 'static>(
    items: mpsc::Receiver<T>,
    until: Option<Instant>,
    show: impl Fn(T) -> Bytes + Send + 'static,
) -> Answer {
    streamed(Vec::new(), items, until, b":\n\n", show)
}

/// As [`answer`] for clients that read a line at a time: these parts first, an empty line to keep the stream alive.
pub(crate) fn lines<T: Send + 'static>(
    first: Vec<Bytes>,
    items: mpsc::Receiver<T>,
    until: Option<Instant>,
    show: impl Fn(T) -> Bytes + Send + 'static,
) -> Answer {
    streamed(first, items, until, b"\n", show)
}

fn streamed<T: Send + 'static>(
    first: Vec<Bytes>,
    items: mpsc::Receiver<T>,
    until: Option<Instant>,
    nothing: &'static [u8],
    show: impl Fn(T) -> Bytes + Send + 'static,
) -> Answer {
    let first = stream::iter(first.into_iter().map(Ok::<_, BodyError>));
    let rest = stream::unfold((items, show), move |(mut items, show)| async move {
        let over = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => pending().await,
            }
        };
        let next = tokio::select! {
            biased;
            () = over => return None,
            next = tokio::time::timeout(KEEP_ALIVE, items.recv()) => next,
        };
        let part = match next {
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn a_caller_has_until_expiry_or_the_leeway_it_came_in_by() {
        let cases = [
            ("before", 10, 4_000, Duration::from_secs(6)),
            ("a millisecond before", 10, 9_999, Duration::from_millis(1)),
            ("within the leeway", 10, 12_000, LEEWAY),
            ("beyond all counting", i64::MAX, 0, Duration::from_millis(i64::MAX.unsigned_abs())),
        ];
        for (name, expires_at_s, now_ms, expected) in cases {
            assert_eq!(left(expires_at_s, now_ms), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_time_is_over() {
        let (sender, items) = mpsc::channel::<Bytes>(1);
        let until = Some(Instant::now() + Duration::from_millis(50));
        let body = answer(items, until, |item| item).into_body();
        sender.send(Bytes::from_static(b"part")).await.unwrap();
        let whole = tokio::time::timeout(Duration::from_secs(5), body.collect());
        let whole = whole.await.expect("it ends with its sender alive").unwrap().to_bytes();
        assert_eq!(whole, "part");
        assert!(sender.is_closed(), "the run is told that nobody listens");
    }
}
