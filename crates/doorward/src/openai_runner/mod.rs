//! The runner that asks a model: one request to a server that speaks OpenAI's chat completions for each run, its answer handed on as it comes.
//!
//! ```text
//! admit ─ a place, or agents_busy ─► wait for a turn ─► request: the thread's messages within max_input_bytes
//!   POST …/chat/completions ─► status, media type ─► event stream ─ answer ─► RunEvent ─► whoever hears the run, no faster
//! [DONE] · error · end · nonsense · too much · too long · nobody wants it ─► the connection is dropped
//! ```
//! A run is one request: nothing is asked twice, for each asking costs.

mod answer;
mod request;

use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::runner::{Fault, Place, RunEvent, RunInput, Runner};
use doorward_core::error::Result;
use doorward_core::ports::OutboundError;
use doorward_handlers::lines::shown;
use doorward_outbound::{ModelAnswer, ModelServer};
use doorward_protocols::event_stream::EventStream;
use futures_util::stream::BoxStream;

use crate::places::{self, Carry, Ending, Events, Places};
use answer::{Answer, Step};

/// The name in configuration and in the log.
pub(crate) const NAME: &str = "openai";
/// Longest event: some servers send a whole answer as one.
const MAX_EVENT_BYTES: usize = 512 << 10;
/// So much of an error's body is read.
const MAX_ERROR_BYTES: usize = 16 << 10;
/// Most bytes of what the server says of an error that the log shows.
const SHOWN_BYTES: usize = 512;

/// What to ask for and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiSettings {
    /// The model, as the server calls it.
    pub model: String,
    /// What the model is told before all else.
    pub system: Option<String>,
    /// Most tokens of an answer.
    pub max_output_tokens: u32,
    /// What the server calls that limit.
    pub output_limit: &'static str,
    /// Most bytes of the thread's text that are sent; the oldest messages stay behind.
    pub max_input_bytes: usize,
    /// Most bytes of the server's answer.
    pub max_response_bytes: usize,
    /// Longest time from asking to the end of the answer.
    pub time_limit: Duration,
    /// Most requests at once.
    pub requests: usize,
    /// Most runs that wait for one.
    pub queue: usize,
}

/// The runner.
pub struct OpenAiRunner {
    shared: Arc<Shared>,
}

struct Shared {
    server: ModelServer,
    settings: OpenAiSettings,
    places: Places,
}

impl OpenAiRunner {
    /// A runner that asks this server within these bounds.
    #[must_use]
    pub fn new(server: ModelServer, settings: OpenAiSettings) -> Self {
        let places = Places::new(settings.requests, settings.queue);
        Self { shared: Arc::new(Shared { server, settings, places }) }
    }
}

impl Runner for OpenAiRunner {
    fn name(&self) -> &'static str {
        NAME
    }

    fn admit(&self, caller: &str) -> Result<Place> {
        self.shared.places.admit(caller)
    }

    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent> {
        places::answer(&self.shared, input)
    }
}

impl Carry for Shared {
    fn places(&self) -> &Places {
        &self.places
    }

    async fn carry(&self, input: &RunInput, events: &Events) -> Ending {
        let limit = self.settings.time_limit;
        let ending = tokio::select! {
            ending = self.ask(input, events) => ending,
            () = tokio::time::sleep(limit) => Err((Fault::TimedOut, format!("it took longer than {limit:?}"))),
            () = events.closed() => Ok(()),
        };
        // What a server says is foreign text, and it knows the key.
        ending.map_err(|(fault, detail)| (fault, self.shown(&format!("{}: {detail}", self.server.origin()))))
    }
}

impl Shared {
    /// What a server says, as a log may hold it.
    fn shown(&self, text: &str) -> String {
        let mut bytes = self.server.without_key(text).into_bytes();
        bytes.truncate(SHOWN_BYTES);
        shown(&bytes)
    }

    /// Logs a server's own words for an error where somebody looks for just that: they may repeat what people wrote.
    fn note(&self, input: &RunInput, said: &[u8]) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        if let Some(words) = answer::words(said) {
            let said = self.shown(&words);
            tracing::debug!(runner = NAME, run = %input.run, said, "the model server tells of an error");
        }
    }

    async fn ask(&self, input: &RunInput, events: &Events) -> Ending {
        // What was said is held no longer than it takes to write the request: many wait for a slow server.
        let body = request::body(&self.settings, &input.context.read().await?)?;
        let mut arriving = self.server.ask(body).await.map_err(|error| match error {
            OutboundError::Unusable(_) => (Fault::BadAnswer, error.to_string()),
            _ => (Fault::Failed, error.to_string()),
        })?;
        if arriving.status != 200 {
            let said = beginning(&mut arriving).await;
            self.note(input, &said);
            return Err(answer::refused(
                arriving.status,
                &arriving.media_type,
                arriving.retry_after.as_deref(),
                &said,
            ));
        }
        if arriving.media_type != "text/event-stream" {
            let what = format!("it answers {:?} and not text/event-stream", arriving.media_type);
            return Err((Fault::BadAnswer, what));
        }
        let mut answer = Answer::default();
        self.listen(&mut arriving, &mut answer, (input, events)).await?;
        let (read, written) = answer.usage();
        tracing::info!(runner = NAME, run = %input.run, input_tokens = read, output_tokens = written, "the model answered");
        Ok(())
    }

    async fn listen(
        &self,
        arriving: &mut ModelAnswer,
        answer: &mut Answer,
        (input, events): (&RunInput, &Events),
    ) -> Ending {
        let most = self.settings.max_response_bytes;
        let mut stream = EventStream::new(MAX_EVENT_BYTES);
        let (mut found, mut taken) = (Vec::new(), 0_usize);
        loop {
            let piece = arriving.next().await.map_err(|error| (Fault::Exited, error.to_string()))?;
            let Some(piece) = piece else { return Err((Fault::Exited, "no [DONE]".to_owned())) };
            taken = taken.saturating_add(piece.len());
            if taken > most {
                return Err((Fault::TooLong, format!("more than {most} bytes")));
            }
            stream.take(&piece, &mut found).map_err(|error| (Fault::TooLong, error.to_string()))?;
            for event in found.drain(..) {
                match answer.take(&event).inspect_err(|_| self.note(input, &event.data))? {
                    Step::Nothing => {}
                    // Whoever listened is gone; `events.closed` ends the request.
                    Step::Text(text) => drop(events.send(RunEvent::Text(text)).await),
                    Step::Done => return Ok(()),
                }
            }
        }
    }
}

/// The first bytes of an answer that is not waited for any longer than it takes to come.
async fn beginning(arriving: &mut ModelAnswer) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() < MAX_ERROR_BYTES
        && let Ok(Some(piece)) = arriving.next().await
    {
        let room = MAX_ERROR_BYTES - said.len();
        said.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    said
}

#[cfg(test)]
mod tests;
