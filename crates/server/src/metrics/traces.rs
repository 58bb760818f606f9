//! What became of spans.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::telemetry::Telemetry;

#[derive(Debug)]
pub(super) struct Traces(pub(super) Telemetry);

impl Collector for Traces {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let exported = self.0.exported();
        let help = "Spans that the collector took";
        let sent = ConstCounter::new(exported.sent);
        sent.encode(encoder.encode_descriptor("telemetry_spans_sent", help, None, sent.metric_type())?)?;
        let help = "Spans that were given up: for want of room, or because the collector did not take them";
        let mut family =
            encoder.encode_descriptor("telemetry_spans_lost", help, None, MetricType::Counter)?;
        for (why, count) in [("room", exported.without_room), ("collector", exported.not_taken)] {
            ConstCounter::new(count).encode(family.encode_family(&[("why", why)])?)?;
        }
        Ok(())
    }
}
