//! What the system says of this process, by the names that Prometheus's own clients use. Where it says nothing, nothing is said.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};

#[derive(Debug)]
pub(super) struct Process;

/// CPU in seconds, and pages in memory (proc(5), `/proc/self/stat`).
fn stat(text: &str, ticks: u64, page: usize) -> Option<(f64, f64)> {
    // The name in front may hold spaces and parentheses itself.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    #[expect(clippy::cast_precision_loss, reason = "centuries of ticks and petabytes fit into 53 bits")]
    let (spent, bytes) = ((number(11)? + number(12)?) as f64, number(21)? as f64 * page as f64);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    Some((spent / ticks as f64, bytes))
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let said = fs::read_to_string("/proc/self/stat").ok();
        let said = said.and_then(|text| stat(&text, clock_ticks_per_second(), page_size()));
        if let Some((cpu_s, bytes)) = said {
            let cpu = ConstCounter::new(cpu_s);
            let help = "CPU time of the process, user and system, in seconds";
            cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
            let memory = ConstGauge::new(bytes);
            let help = "Memory of the process that is in use, in bytes";
            memory.encode(encoder.encode_descriptor(
                "process_resident_memory_bytes",
                help,
                None,
                memory.metric_type(),
            )?)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = ConstGauge::new(i64::try_from(open.count()).unwrap_or(i64::MAX));
            let help = "Files and sockets that are open";
            open.encode(encoder.encode_descriptor("process_open_fds", help, None, open.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::stat;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text =
            "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 100 4096000 250 18446744073709551615";
        assert_eq!(stat(text, 100, 4096), Some((2.0, 1_024_000.0)));
        assert_eq!(stat("7 (a) S 1", 100, 4096), None);
        assert_eq!(stat("", 100, 4096), None);
    }
}
