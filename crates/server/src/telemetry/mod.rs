//! Traces: what was done for a request and how long it took, for the operator's collector.
//!
//! ```text
//! desk ─ Trace (one for a request) ─ Step (a decision, a call upstream) ─► queue ─► whoever exports
//! ```
//! A span says the route's pattern, never the path, and nothing that a client wrote: ids and queries can hold secrets. Which trace it
//! belongs to, and whether it is recorded at all, is for a trusted proxy to say; anybody else's trace begins here. The queue is
//! bounded; what finds no room is counted and gone, so a collector that is slow or away costs no request anything. Without a collector
//! there is no trace, and the request path has one comparison more.

mod context;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use doorward_core::Engine;
use doorward_core::error::{Code, Error};
use doorward_core::id::RequestId;
use doorward_core::random::Random;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc;

pub(crate) use context::Context;

use crate::http::origin::Client;
use crate::metrics::Stopwatch;
use crate::request::Request;

/// Spans that wait for whoever exports them.
const QUEUE: usize = 4096;

/// Something that was done, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: [u8; 16],
    /// Its own id.
    pub span_id: [u8; 8],
    /// Inside of which it was done.
    pub parent: Option<[u8; 8]>,
    /// What tracing systems before us keep with the trace; visible ASCII.
    pub state: Option<String>,
    /// What was done, such as `GET /v1/threads/{id}`.
    pub name: String,
    /// For whom.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since the epoch.
    pub began_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// What is known of it, by the names of OpenTelemetry's semantic conventions where those have one.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed by our fault, or by that of what stands behind us.
    pub failed: bool,
}

/// For whom a span was done, by OpenTelemetry's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Within this process.
    Internal = 1,
    /// For a client.
    Server = 2,
    /// By another server, which was asked.
    Client = 3,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Where spans go. Clones share everything.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Span>,
    sent: AtomicU64,
    without_room: AtomicU64,
    not_taken: AtomicU64,
}

/// Spans on their way out, and where they come out: to be read by whoever exports them.
#[must_use]
pub fn telemetry() -> (Telemetry, mpsc::Receiver<Span>) {
    let (queue, spans) = mpsc::channel(QUEUE);
    let (sent, without_room, not_taken) = Default::default();
    (Telemetry(Arc::new(Inner { queue, sent, without_room, not_taken })), spans)
}

/// What became of the spans so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) sent: u64,
    pub(crate) without_room: u64,
    pub(crate) not_taken: u64,
}

impl Telemetry {
    /// Counts spans that the collector took.
    pub fn count_sent(&self, spans: usize) {
        self.0.sent.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Counts spans that it did not take.
    pub fn count_not_taken(&self, spans: usize) {
        self.0.not_taken.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(crate) fn exported(&self) -> Exported {
        let Inner { sent, without_room, not_taken, .. } = &*self.0;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Exported { sent: of(sent), without_room: of(without_room), not_taken: of(not_taken) }
    }

    fn put(&self, span: Span) {
        if self.0.queue.try_send(span).is_err() {
            self.0.without_room.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The trace of one request.
pub(crate) struct Trace {
    telemetry: Telemetry,
    context: Context,
    /// The span that asks, where a trusted proxy says one.
    parent: Option<[u8; 8]>,
    began_ns: u64,
    stopwatch: Stopwatch,
    /// The prefix and the pattern, once they are known.
    route: OnceLock<(String, &'static str)>,
}

impl Trace {
    /// Begins with what a trusted proxy says of the trace, or a trace of its own.
    pub(crate) fn begin(telemetry: &Telemetry, client: Client, headers: &HeaderMap, engine: &Engine) -> Self {
        let (span_id, random) = (fresh(engine.random()), engine.random());
        let told = told(client, headers);
        let parent = told.as_ref().map(|context| context.span_id);
        let context = match told {
            Some(context) => Context { span_id, ..context },
            None => Context { trace_id: fresh(random), span_id, sampled: true, state: None },
        };
        let began_ns = u64::try_from(engine.now_ms()).unwrap_or_default().saturating_mul(1_000_000);
        let (telemetry, stopwatch, route) = (telemetry.clone(), Stopwatch::start(), OnceLock::new());
        Self { telemetry, context, parent, began_ns, stopwatch, route }
    }

    /// Says which route it is.
    pub(crate) fn is_for(&self, prefix: &str, pattern: &'static str) {
        // Set once: a request has one route.
        let _ = self.route.set((prefix.to_owned(), pattern));
    }

    /// Ends with the answer's head.
    pub(crate) fn end(
        &self,
        method: &Method,
        mount: &str,
        id: &RequestId,
        status: StatusCode,
        code: Option<&Code>,
    ) {
        let method = known(method);
        let mut attributes = vec![
            ("http.request.method", Value::Text(method.to_owned())),
            ("http.response.status_code", Value::Number(status.as_u16().into())),
            ("doorward.mount", Value::Text(mount.to_owned())),
            ("doorward.request_id", Value::Text(id.as_str().to_owned())),
        ];
        let name = match self.route.get() {
            Some((prefix, pattern)) => {
                let route = format!("{prefix}{pattern}");
                let name = format!("{method} {route}");
                attributes.push(("http.route", Value::Text(route)));
                name
            }
            None => method.to_owned(),
        };
        if let Some(code) = code {
            attributes.push(("error.type", Value::Text(code.name.to_owned())));
        }
        self.put(
            self.context.span_id,
            (self.parent, SpanKind::Server),
            name,
            0,
            attributes,
            status.is_server_error(),
        );
    }

    fn put(
        &self,
        span_id: [u8; 8],
        (parent, kind): (Option<[u8; 8]>, SpanKind),
        name: String,
        after_ns: u64,
        attributes: Vec<(&'static str, Value)>,
        failed: bool,
    ) {
        // Whoever began the trace does not record it.
        if !self.context.sampled {
            return;
        }
        let state = self.context.state.as_ref().and_then(|state| state.to_str().ok()).map(str::to_owned);
        self.telemetry.put(Span {
            trace_id: self.context.trace_id,
            span_id,
            parent,
            state,
            name,
            kind,
            began_ns: self.began_ns.saturating_add(after_ns),
            ended_ns: self.began_ns.saturating_add(ns(self.stopwatch.took())),
            attributes,
            failed,
        });
    }
}

/// Something on the way of a request. What is not ended was given up and leaves nothing.
pub(crate) struct Step<'t> {
    trace: &'t Trace,
    span_id: [u8; 8],
    after_ns: u64,
}

impl<'t> Step<'t> {
    /// Begins, where the request is traced.
    pub(crate) fn of(trace: Option<&'t Arc<Trace>>, engine: &Engine) -> Option<Self> {
        let trace = trace?;
        Some(Self { trace, span_id: fresh(engine.random()), after_ns: ns(trace.stopwatch.took()) })
    }

    /// Ends something within this process.
    pub(crate) fn end<T>(
        self,
        name: impl Into<String>,
        mut attributes: Vec<(&'static str, Value)>,
        outcome: &Result<T, Error>,
    ) {
        let error = outcome.as_ref().err();
        let failed = error.is_some_and(|error| error.status() >= 500);
        attributes.extend(error.map(|error| ("error.type", Value::Text(error.code().name.to_owned()))));
        let inside = (Some(self.trace.context.span_id), SpanKind::Internal);
        self.trace.put(self.span_id, inside, name.into(), self.after_ns, attributes, failed);
    }

    /// Ends a call to the upstream, whose answer has this status.
    pub(crate) fn end_call(
        self,
        method: &Method,
        (host, port): (&str, u16),
        answer: Result<StatusCode, &Error>,
    ) {
        let method = known(method);
        let mut attributes = vec![
            ("http.request.method", Value::Text(method.to_owned())),
            ("server.address", Value::Text(host.to_owned())),
            ("server.port", Value::Number(port.into())),
        ];
        attributes.push(match &answer {
            Ok(status) => ("http.response.status_code", Value::Number(status.as_u16().into())),
            Err(error) => ("error.type", Value::Text(error.code().name.to_owned())),
        });
        let failed = answer.is_ok_and(|status| status.is_client_error() || status.is_server_error());
        let inside = (Some(self.trace.context.span_id), SpanKind::Client);
        self.trace.put(
            self.span_id,
            inside,
            method.to_owned(),
            self.after_ns,
            attributes,
            failed || answer.is_err(),
        );
    }
}

/// What is said of a request's trace by somebody who is believed: strangers would choose whether they are traced, and in whose trace.
fn told(client: Client, headers: &HeaderMap) -> Option<Context> {
    if client.by_trusted_proxy { Context::read(headers) } else { None }
}

/// Puts the request's trace into the headers of what is asked of the upstream for it; the call is what comes back, where it is traced.
/// Without a collector of ours a trusted proxy's own headers go on, so that its trace has no gap.
pub(crate) fn passing_on<'r>(request: &'r Request, headers: &mut HeaderMap) -> Option<Step<'r>> {
    let step = Step::of(request.trace.as_ref(), &request.engine);
    match &step {
        Some(step) => step.trace.context.write(step.span_id, headers),
        None => {
            if let Some(context) = told(request.client, &request.headers) {
                context.write(context.span_id, headers);
            }
        }
    }
    step
}

/// A method by its name, if it is one that everybody knows: a client may send any word.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    const NAMES: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.iter().position(|one| one == method).map_or("_OTHER", |at| NAMES[at])
}

fn fresh<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_gone() {
        let (telemetry, mut spans) = telemetry();
        let span = Span {
            trace_id: [1; 16],
            span_id: [2; 8],
            parent: None,
            state: None,
            name: "GET".to_owned(),
            kind: SpanKind::Server,
            began_ns: 1,
            ended_ns: 2,
            attributes: Vec::new(),
            failed: false,
        };
        for _ in 0..QUEUE + 3 {
            telemetry.put(span.clone());
        }
        assert_eq!(telemetry.exported(), Exported { sent: 0, without_room: 3, not_taken: 0 });
        assert_eq!(spans.try_recv().ok(), Some(span));
        drop(spans);
        assert_eq!(telemetry.exported().without_room, 3);
    }

    #[test]
    fn a_method_of_somebodys_own_has_no_name_here() {
        assert_eq!(known(&Method::PATCH), "PATCH");
        assert_eq!(known(&Method::from_bytes(b"SECRET").expect("a token")), "_OTHER");
    }
}
