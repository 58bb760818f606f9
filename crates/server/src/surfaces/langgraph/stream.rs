//! A run as server-sent events, to its end or the caller's.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::agents::feed::{Follower, Told};
use doorward_core::engine::Engine;
use doorward_core::error::Result;
use doorward_core::id::RunId;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_LOCATION, CONTENT_TYPE, LOCATION};
use serde_json::Value;

use super::emitter::Emitter;
use crate::access::Access;
use crate::http::body::{Body, BodyError};
use crate::http::respond::{Answer, header_value};

/// A comment is sent when nothing else was for this long, as often as the platform does.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Stops a run when whoever wanted it has gone.
struct StopWhenDropped {
    engine: Engine,
    run: RunId,
}

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        // One that is over is not stopped by this.
        self.engine.runs().abandon(&self.run);
    }
}

/// What is told before an answer that is waited for, so that nobody on the way takes the connection for dead.
const STILL_HERE: &[u8] = b"\n";

/// Answers at once and with what is waited for once it is there, as the platform's `wait` and `join` do. An error breaks the answer off:
/// its head has been sent.
pub(super) fn later(
    waiting: impl Future<Output = Result<Value>> + Send + 'static,
    stop: Option<(Engine, RunId)>,
    location: &str,
    content_location: &str,
) -> Answer {
    let stop = stop.map(|(engine, run)| StopWhenDropped { engine, run });
    let parts = stream::unfold(Some((Box::pin(waiting), stop)), |state| async move {
        let (mut waiting, stop) = state?;
        match tokio::time::timeout(HEARTBEAT, &mut waiting).await {
            Ok(Ok(value)) => Some((Ok(Bytes::from(value.to_string())), None)),
            Ok(Err(error)) => Some((Err(BodyError::from(error.code().name)), None)),
            Err(_) => Some((Ok(Bytes::from_static(STILL_HERE)), Some((waiting, stop)))),
        }
    });
    of_type("application/json", Body::stream(parts), location, content_location)
}

/// What is told, and to whom.
pub(super) struct Telling {
    pub(super) follower: Follower,
    pub(super) emitter: Emitter,
    /// What stands before the number of an event, where they are numbered.
    pub(super) numbered: Option<i64>,
    /// How many events came before those that are told here.
    pub(super) counted: usize,
    /// Up to which number the listener has them already.
    pub(super) skip: usize,
    /// Whether the listener is told first which run it is.
    pub(super) introduces: bool,
    /// The caller's leave to be told.
    pub(super) access: Access,
    /// Whether the run is stopped when the listener leaves.
    pub(super) stop: Option<(Engine, RunId)>,
}

struct Teller {
    telling: Telling,
    ready: VecDeque<Bytes>,
    number: usize,
    _stop: Option<StopWhenDropped>,
}

impl Teller {
    fn take(&mut self, events: Vec<super::emitter::Event>) {
        for event in events {
            let id = self.telling.numbered.map(|at| format!("{at}-{}", self.number));
            self.number += 1;
            if self.number > self.telling.skip {
                self.ready.push_back(event.bytes(id.as_deref()));
            }
        }
    }

    /// Goes over what the listener has already.
    fn skip(&mut self, told: &Told) {
        if self.number + self.telling.emitter.count(told) <= self.telling.skip {
            self.number += self.telling.emitter.absorb(told);
        } else {
            let events = self.telling.emitter.events(told);
            self.take(events);
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            let told = tokio::select! {
                biased;
                () = self.telling.access.ended() => return None,
                told = tokio::time::timeout(HEARTBEAT, self.telling.follower.next()) => told,
            };
            match told {
                Ok(Some(told)) if self.number < self.telling.skip => self.skip(&told),
                Ok(Some(told)) => {
                    let events = self.telling.emitter.events(&told);
                    self.take(events);
                }
                Ok(None) => return None,
                Err(_) => return Some(Bytes::from_static(b": heartbeat\r\n\r\n")),
            }
        }
    }
}

/// Answers with a run's events.
pub(super) fn answer(telling: Telling, location: &str, content_location: &str) -> Answer {
    let stop = telling.stop.clone().map(|(engine, run)| StopWhenDropped { engine, run });
    let first = telling.introduces.then(|| telling.emitter.metadata());
    let number = telling.counted;
    let mut teller = Teller { telling, ready: VecDeque::new(), number, _stop: stop };
    teller.take(first.into_iter().collect());
    let parts = stream::unfold(teller, |mut teller| async move {
        let part = teller.next().await?;
        Some((Ok::<_, BodyError>(part), teller))
    });
    of_events(Body::stream(parts), location, content_location)
}

/// The stream of a run that nothing is heard of any more.
pub(super) fn nothing(location: &str, content_location: &str) -> Answer {
    of_events(Body::empty(), location, content_location)
}

fn of_events(body: Body, location: &str, content_location: &str) -> Answer {
    let mut answer = of_type("text/event-stream; charset=utf-8", body, location, content_location);
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

fn of_type(media: &'static str, body: Body, location: &str, content_location: &str) -> Answer {
    let mut answer = Answer::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(LOCATION, header_value(location));
    headers.insert(CONTENT_LOCATION, header_value(content_location));
    answer
}
