//! What the engine says of itself when it is asked.

use std::fmt;

use doorward_core::Engine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

pub(super) struct Vitals(pub(super) Engine);

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vitals")
    }
}

impl Collector for Vitals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let vitals = self.0.vitals();
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("hashing_waiting", "Passwords that wait to be hashed", f64::from(vitals.hashing_waiting))?;
        gauge("hashing_busy", "Passwords that are being hashed", f64::from(vitals.hashing_busy))?;
        gauge(
            "news_age_seconds",
            "Time since the store's news (revocations, roles, keys) were last heard; beyond 5 nobody is let in",
            vitals.news_age_s,
        )?;
        gauge("watched", "Streams and sockets that a revocation would end", f64::from(vitals.watched))?;
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
        };
        counter("hashings", "Passwords that were hashed, compared or judged", vitals.hashings)?;
        counter("audit_lost", "Audit lines whose details were given up for want of room", vitals.audit_lost)
    }
}
