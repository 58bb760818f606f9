//! What comes back from the upstream: passed on as it comes, or read whole where it has to be understood.

use std::time::Duration;

use bytes::Bytes;
use doorward_core::audit::Outcome;
use doorward_core::error::Result;
use doorward_core::operation::Grant;
use doorward_protocols::json::{self, Limits};
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use serde_json::Value;

use super::{MAX_UNDERSTOOD_BYTES, has_no_body, headers, nothing, unusable};
use crate::access::Access;
use crate::http::body::{Body, BodyError};
use crate::http::respond::Answer;

/// How long the upstream may be silent within an answer.
const SILENCE_PATIENCE: Duration = Duration::from_secs(300);

/// An answer whose body is still coming.
pub(crate) struct Arrival {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    /// Everything the upstream said, for surfaces that pass more of it on.
    said: HeaderMap,
    body: Incoming,
    access: Option<Access>,
}

/// An answer that was read whole.
pub(crate) struct Buffered {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrival {
    pub(super) fn new(status: StatusCode, said: HeaderMap, body: Incoming) -> Self {
        Self { status, headers: headers::inbound(&said), said, body, access: None }
    }

    /// Passes these headers on besides, where `may` lets their values.
    pub(crate) fn passing(mut self, names: &[HeaderName], may: impl Fn(&HeaderValue) -> bool) -> Self {
        for name in names {
            if let Some(value) = self.said.get(name).filter(|value| may(value)) {
                self.headers.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// Keeps watching the caller's leave while the body is passed on.
    pub(super) fn under(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// Ends the caller's leave after this long at the latest.
    pub(crate) fn for_at_most(mut self, time: Option<Duration>) -> Self {
        if let Some(time) = time {
            self.access = self.access.map(|access| access.at_most(time));
        }
        self
    }

    /// Passes it on as it comes; the grant is closed when its last byte has been sent.
    pub(crate) fn into_answer(self, grant: Option<Grant>) -> Answer {
        let (status, mut headers) = (self.status, self.headers);
        if has_no_body(status) {
            return answer(status, headers, nothing());
        }
        // A length that is known beforehand is told: whoever counts on it sees that an answer broke off.
        if let Some(length) = self.body.size_hint().exact() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        answer(status, headers, passed_on(self.body, grant, self.access, status))
    }

    /// Whether its body is known to have at most so many bytes.
    pub(crate) fn has_at_most(&self, bytes: u64) -> bool {
        self.body.size_hint().upper().is_some_and(|length| length <= bytes)
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// `upstream_invalid` when it breaks off, takes too long or is larger than 8 MiB.
    pub(crate) async fn read(self) -> Result<Buffered> {
        let reading = Limited::new(self.body, MAX_UNDERSTOOD_BYTES).collect();
        match tokio::time::timeout(SILENCE_PATIENCE, reading).await {
            Ok(Ok(body)) => {
                Ok(Buffered { status: self.status, headers: self.headers, body: body.to_bytes() })
            }
            _ => Err(unusable("the upstream's answer broke off, was too slow or too large")),
        }
    }
}

impl Buffered {
    /// The body as JSON.
    ///
    /// # Errors
    /// `upstream_invalid` when it is none.
    pub(crate) fn json(&self) -> Result<Value> {
        let limits = Limits { max_bytes: MAX_UNDERSTOOD_BYTES, max_depth: Limits::DEEPEST };
        json::parse(&self.body, limits).map_err(|_| unusable("the upstream's answer is not JSON"))
    }

    /// Passes it on as it came.
    pub(crate) fn into_answer(self) -> Answer {
        let body = if has_no_body(self.status) { nothing() } else { Body::full(self.body) };
        answer(self.status, self.headers, body)
    }
}

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// A body on its way from the upstream, with what has to be told when it ends.
struct Passing {
    body: Incoming,
    grant: Option<Grant>,
    access: Option<Access>,
    status: StatusCode,
}

/// How a body goes on, or why it does not.
enum Next {
    Data(Bytes),
    End,
    Broken(&'static str),
}

impl Passing {
    async fn next(&mut self) -> Next {
        let ended = async {
            match &mut self.access {
                Some(access) => access.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(ended);
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(SILENCE_PATIENCE, self.body.frame()) => frame,
                () = &mut ended => return Next::Broken("the caller's access ended"),
            };
            match frame {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Next::Data(data),
                    // Trailers are not passed on.
                    Err(_) => continue,
                },
                Ok(None) => return Next::End,
                Ok(Some(Err(_))) => return Next::Broken("the upstream broke off"),
                Err(_) => return Next::Broken("the upstream fell silent"),
            }
        }
    }

    async fn finish(self, broken: Option<&str>) {
        let refused = (!self.status.is_success()).then(|| format!("upstream answered {}", self.status));
        let reason = broken.map(str::to_owned).or(refused);
        let outcome = if reason.is_none() { Outcome::Done } else { Outcome::Failed };
        if let Some(grant) = self.grant {
            grant.finish(outcome, reason).await;
        }
    }
}

/// The upstream's body, piece by piece. A client that leaves drops the stream, and with it the upstream's
/// connection and an unclosed grant, which says so in the audit log.
fn passed_on(body: Incoming, grant: Option<Grant>, access: Option<Access>, status: StatusCode) -> Body {
    let passing = Passing { body, grant, access, status };
    Body::stream(stream::unfold(Some(passing), move |passing| async move {
        let mut passing = passing?;
        match passing.next().await {
            Next::Data(data) => Some((Ok::<Bytes, BodyError>(data), Some(passing))),
            Next::End => {
                passing.finish(None).await;
                None
            }
            Next::Broken(why) => {
                passing.finish(Some(why)).await;
                Some((Err(why.into()), None))
            }
        }
    }))
}
