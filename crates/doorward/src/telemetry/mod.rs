//! Spans on their way to the operator's collector: in batches, beside the requests, and never at their cost.

mod encode;

use std::time::Duration;

use bytes::Bytes;
use doorward_outbound::{BuildError, Collector};
use doorward_server::{Span, Telemetry, telemetry};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::Config;

use self::encode::{Resource, batch};

/// Most spans of a batch.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long it is waited before a batch is sent again that may be taken later; then it is given up.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long the end of the server waits for what is still to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

/// What sends spans.
pub(crate) struct Exporter {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// Begins to send traces, where the configuration names a collector. Within a runtime.
///
/// # Errors
/// The authorities to believe cannot be read.
pub(crate) fn start(config: &Config) -> Result<Option<(Telemetry, Exporter)>, BuildError> {
    let section = &config.telemetry;
    let Some(url) = section.traces_url.clone() else { return Ok(None) };
    let collector = Collector::new(url, section.headers.clone(), &config.outbound)?;
    let mut attributes = vec![
        ("service.name".to_owned(), section.service_name.clone()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    attributes.extend(section.resource.iter().cloned());
    let (telemetry, spans) = telemetry();
    let (end, ended) = oneshot::channel();
    let sending = Sending {
        collector,
        resource: Resource::new(&attributes),
        telemetry: telemetry.clone(),
        fails: false,
    };
    let task = tokio::spawn(sending.run(spans, ended));
    Ok(Some((telemetry, Exporter { task, end })))
}

impl Exporter {
    /// Sends what there is, once, and ends.
    pub(crate) async fn end(self) {
        // Gone already, if it fails.
        let _ = self.end.send(());
        if timeout(FAREWELL, self.task).await.is_err() {
            tracing::info!("the collector did not take the last traces in time");
        }
    }
}

struct Sending {
    collector: Collector,
    resource: Resource,
    telemetry: Telemetry,
    /// The last batch was not taken: it is said once.
    fails: bool,
}

impl Sending {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>, mut end: oneshot::Receiver<()>) {
        let mut ending = false;
        loop {
            let first = tokio::select! {
                first = spans.recv() => first,
                _ = &mut end, if !ending => {
                    ending = true;
                    spans.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut gathered = vec![first];
            let full = Instant::now() + GATHER;
            while gathered.len() < BATCH {
                tokio::select! {
                    next = spans.recv() => match next {
                        Some(span) => gathered.push(span),
                        None => break,
                    },
                    () = sleep_until(full) => break,
                    _ = &mut end, if !ending => {
                        ending = true;
                        spans.close();
                    }
                }
            }
            self.send(&gathered, &mut end, &mut ending).await;
            if ending {
                spans.close();
            }
        }
    }

    async fn send(&mut self, spans: &[Span], end: &mut oneshot::Receiver<()>, ending: &mut bool) {
        let body = Bytes::from(batch(&self.resource, spans));
        let mut pauses = PAUSES.iter();
        let outcome = loop {
            let outcome = self.collector.post(body.clone()).await;
            let again = outcome.as_ref().is_err_and(|error| error.may_be_later) && !*ending;
            let Some(pause) = pauses.next().filter(|_| again) else { break outcome };
            tokio::select! {
                () = sleep(*pause) => {}
                _ = &mut *end => *ending = true,
            }
        };
        match outcome {
            Ok(()) => {
                self.telemetry.count_sent(spans.len());
                if std::mem::take(&mut self.fails) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.telemetry.count_not_taken(spans.len());
                if !std::mem::replace(&mut self.fails, true) {
                    tracing::warn!(
                        "the collector of telemetry.otlp_endpoint does not take traces ({}); they are lost until it does",
                        error.what
                    );
                }
            }
        }
    }
}
