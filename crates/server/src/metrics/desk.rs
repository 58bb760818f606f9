//! `GET /metrics` on a listener of its own: what is counted is the operator's to see, not the clients'.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use doorward_core::Engine;
use doorward_core::error::{Error, codes};
use doorward_core::id::RequestId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Response};
use hyper::body::Incoming;

use super::Metrics;
use crate::health::Probe;
use crate::http::body::Body;
use crate::http::framing::Refusal;
use crate::http::listener::{Answering, Line};
use crate::http::origin::is_local_name;
use crate::http::respond::{About, Answer, Problems, finish, refusal, written_out};
use crate::phase::Phases;
use crate::site::Site;

/// The media type of the text (`OpenMetrics` 1.0, §"Content Type").
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) struct MetricsDesk {
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    /// Whether only this machine reaches the listener, so that only its names are answered to: a page must not lead its
    /// visitor's browser here by a name of its own.
    pub(crate) local: bool,
    /// Every mount of the server, and where it is in its life.
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) phases: Phases,
}

impl MetricsDesk {
    fn answered(&self, request: &http::Request<Incoming>) -> Result<Answer, Error> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        if self.local && !host.is_some_and(is_local_name) {
            return Err(Error::new(codes::BAD_HEADER)
                .message("This listener is reached by its address or as localhost."));
        }
        let path = request.uri().path();
        if let Some(probe) = Probe::at(path) {
            let (phase, sites) = (*self.phases.borrow(), self.sites.iter().map(|site| &**site));
            return probe.answer(request.method(), &self.engine, phase, sites);
        }
        if path != "/metrics" {
            let message = "There are /metrics, /health/live and /health/ready here, and nothing else.";
            return Err(Error::new(codes::NO_ROUTE).message(message));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Error::new(codes::METHOD_NOT_ALLOWED));
        }
        let mut answer = Response::new(Body::full(self.metrics.text()));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
        Ok(answer)
    }

    fn about<'a>(&self, id: &'a RequestId) -> About<'a> {
        About { request_id: id.as_str(), now_ms: self.engine.now_ms(), key_header: None, api_version: None }
    }
}

impl Answering for MetricsDesk {
    fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        _: SocketAddr,
        _: Option<Line>,
    ) -> BoxFuture<'static, Response<Body>> {
        async move {
            let id = RequestId::new(self.engine.clock(), self.engine.random());
            let about = self.about(&id);
            let mut answer = self.answered(&request).unwrap_or_else(|error| {
                let mut answer = refusal(&Problems, &error, None, about);
                if error.is(codes::METHOD_NOT_ALLOWED) {
                    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                }
                answer
            });
            finish(&Problems, &mut answer, about);
            answer
        }
        .boxed()
    }

    fn refuse(&self, refused: &Refusal) -> Bytes {
        let id = RequestId::new(self.engine.clock(), self.engine.random());
        let about = self.about(&id);
        let error = Error::new(refused.code).message(refused.message);
        let mut answer = refusal(&Problems, &error, Some(refused.status), about);
        finish(&Problems, &mut answer, about);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        written_out(answer)
    }
}
