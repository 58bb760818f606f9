//! What hubs say of themselves when they are asked.

use std::fmt;
use std::sync::Arc;

use doorward_hub::{Counts, Hub};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The hubs of a server, by mount.
#[derive(Clone, Default)]
pub(super) struct Hubs(Arc<Mutex<Vec<(String, Hub)>>>);

impl Hubs {
    pub(super) fn add(&self, mount: &str, hub: Hub) {
        self.0.lock().push((mount.to_owned(), hub));
    }
}

impl fmt::Debug for Hubs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hubs")
    }
}

type Read = fn(&Counts) -> u64;

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

const GAUGES: &[(&str, &str, Read)] = &[
    ("hub_clients", "Clients that are connected to the hub", |counts| wide(counts.clients)),
    ("hub_workspaces", "Workspaces of the hub that are in memory", |counts| wide(counts.workspaces)),
    ("hub_services", "Services that clients of the hub offer", |counts| wide(counts.services)),
    ("hub_logins_waiting", "Programs that wait for a person to let them in", |counts| wide(counts.logins)),
    ("hub_waiting_bytes", "Bytes of the room for messages that wait, or are not whole", |counts| {
        wide(counts.waiting_bytes)
    }),
];

const COUNTERS: &[(&str, &str, Read)] = &[
    ("hub_messages", "Messages that clients of the hub have sent", |counts| counts.routed),
    ("hub_let_go", "Clients that were let go because they did not read", |counts| counts.let_go),
];

impl Collector for Hubs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counted: Vec<_> =
            self.0.lock().iter().map(|(mount, hub)| (mount.clone(), hub.counts())).collect();
        if counted.is_empty() {
            return Ok(());
        }
        for (name, help, read) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (mount, counts) in &counted {
                let gauge = ConstGauge::new(i64::try_from(read(counts)).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&[("mount", mount.as_str())])?)?;
            }
        }
        for (name, help, read) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (mount, counts) in &counted {
                let counter = ConstCounter::new(read(counts));
                counter.encode(family.encode_family(&[("mount", mount.as_str())])?)?;
            }
        }
        let help = "Clients that were not let into the hub, by the kind of reason";
        let mut family = encoder.encode_descriptor("hub_refused", help, None, MetricType::Counter)?;
        for (mount, counts) in &counted {
            for (why, count) in counts.refused {
                let labels = [("mount", mount.as_str()), ("why", why.name())];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
