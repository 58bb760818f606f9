//! `[metrics]`: what is counted, for Prometheus.

use std::net::SocketAddr;

use super::section::{Key, Section};

/// Where metrics are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// The listener for `GET /metrics`; none where nothing is said.
    pub listen: Option<SocketAddr>,
}

pub(super) const KEYS: &[Key] = &[Key::optional(
    "listen",
    "\"127.0.0.1:9420\"",
    "Address and port of a listener of its own for GET /metrics, in plain HTTP and without a credential: keep it where only Prometheus comes.",
)];

impl Metrics {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let given = section.is_given("listen");
        let listen = section.address("listen");
        section.finish();
        (!given || listen.is_some()).then_some(Self { listen })
    }
}
