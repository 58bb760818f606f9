//! What is counted of requests, for Prometheus.
//!
//! Handles are made once for each mount and kept with it, so that counting is a few atomic additions. Labels are names from tables
//! (mounts, statuses, error codes): nothing that a stranger sends becomes one, so their number is bounded.

mod desk;
mod hubs;
mod process;
mod renewals;
mod traces;
mod vitals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::Engine;
use doorward_core::error::Code;
use doorward_hub::Hub;
use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use desk::MetricsDesk;

use crate::http::tls::Tls;
use crate::telemetry::Telemetry;

/// Upper bounds of the times that answers take, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    mount: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    mount: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    mount: String,
    code: &'static str,
}

/// Every metric of a server.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<Of, Counter>,
    seconds: Family<At, Histogram, fn() -> Histogram>,
    errors: Family<Refused, Counter>,
    connections: Connections,
    hubs: hubs::Hubs,
}

/// What is counted of one mount.
pub struct MountMetrics {
    mount: String,
    /// By the first digit of the status, from 1.
    classes: [Counter; 5],
    seconds: Histogram,
    errors: Family<Refused, Counter>,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Metrics of a server over this engine, with its certificate and its traces where it has any; everything stands at zero.
    #[must_use]
    pub fn new(engine: &Engine, tls: Option<&Tls>, telemetry: Option<&Telemetry>) -> Self {
        let mut whole = Registry::default();
        whole.register_collector(Box::new(process::Process));
        let registry = whole.sub_registry_with_prefix("doorward");
        let requests = Family::<Of, Counter>::default();
        registry.register(
            "requests",
            "Requests that were answered, by mount and class of the status",
            requests.clone(),
        );
        let seconds: Family<At, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register(
            "request_seconds",
            "Time until the head of the answer was ready, by mount",
            seconds.clone(),
        );
        let errors = Family::<Refused, Counter>::default();
        registry.register(
            "refusals",
            "Requests that were answered with an error, by mount and code",
            errors.clone(),
        );
        let connections = Connections::default();
        registry.register(
            "connections",
            "Connections that are open, on all listeners",
            connections.0.clone(),
        );
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        registry.register_collector(Box::new(vitals::Vitals(engine.clone())));
        if let Some(tls) = tls {
            registry.register_collector(Box::new(renewals::Renewals(tls.clone())));
        }
        if let Some(telemetry) = telemetry {
            registry.register_collector(Box::new(traces::Traces(telemetry.clone())));
        }
        let hubs = hubs::Hubs::default();
        registry.register_collector(Box::new(hubs.clone()));
        Self(Arc::new(Inner { registry: whole, requests, seconds, errors, connections, hubs }))
    }

    /// The handles of a mount.
    #[must_use]
    pub fn mount(&self, name: &str) -> MountMetrics {
        let class = |status| self.0.requests.get_or_create_owned(&Of { mount: name.to_owned(), status });
        MountMetrics {
            mount: name.to_owned(),
            classes: CLASSES.map(class),
            seconds: self.0.seconds.get_or_create_owned(&At { mount: name.to_owned() }),
            errors: self.0.errors.clone(),
        }
    }

    /// Has a mount's hub say how it stands.
    pub(crate) fn hub(&self, mount: &str, hub: Hub) {
        self.0.hubs.add(mount, hub);
    }

    /// What counts connections.
    pub(crate) fn connections(&self) -> Connections {
        self.0.connections.clone()
    }

    /// All of it as text (`OpenMetrics` 1.0).
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a text cannot fail, and a collector that cannot read leaves out its own lines alone.
        let _ = text::encode(&mut out, &self.0.registry);
        out
    }
}

impl MountMetrics {
    /// Counts an answer.
    pub fn answered(&self, status: StatusCode, took: Duration, error: Option<&'static Code>) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(4);
        self.classes[class].inc();
        self.seconds.observe(took.as_secs_f64());
        if let Some(code) = error {
            self.errors.get_or_create(&Refused { mount: self.mount.clone(), code: code.name }).inc();
        }
    }
}

/// Measures how long something took: for people to look at, never to decide by.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "measuring, which nothing depends on")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn took(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Counts the connections that are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Gauge);

impl Connections {
    /// Counts one for as long as what comes back is held.
    pub(crate) fn one(&self) -> Connected {
        self.0.inc();
        Connected(self.0.clone())
    }
}

/// A connection that is counted.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}
