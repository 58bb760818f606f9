//! What is told of the certificate: how long it holds, and whether its renewals are taken.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::http::tls::Tls;

#[derive(Debug)]
pub(super) struct Renewals(pub(super) Tls);

impl Collector for Renewals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ends = ConstGauge::new(i64::try_from(self.0.ends_at_s()).unwrap_or(i64::MAX));
        let help = "When the certificate that is shown ends, in seconds since the epoch";
        ends.encode(encoder.encode_descriptor(
            "certificate_expires_seconds",
            help,
            None,
            ends.metric_type(),
        )?)?;
        let (taken, refused) = self.0.renewals();
        let help = "Renewals of the certificate that were taken, and that could not be";
        let mut family =
            encoder.encode_descriptor("certificate_renewals", help, None, MetricType::Counter)?;
        for (outcome, count) in [("taken", taken), ("refused", refused)] {
            ConstCounter::new(count).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }
}
