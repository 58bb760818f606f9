//! `/health/live` and `/health/ready`: for whoever starts, stops and chooses between servers.
//!
//! They stand at the root of every listener, whatever is mounted there, behind the mounts' own routes; on the listener for metrics they
//! are answered too, which has room of its own when the others are full. They take no credential, count against no limit, are neither
//! counted nor logged, and never touch the store: both answer from memory.

use doorward_core::Engine;
use doorward_core::error::{Error, Result, codes};
use http::{Method, StatusCode};
use serde_json::json;

use crate::http::respond::{Answer, json_answer};
use crate::phase::Phase;
use crate::site::Site;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Whether the process answers at all.
    Live,
    /// Whether requests may be sent to it.
    Ready,
}

impl Probe {
    /// The one that a path asks.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/health/live" => Some(Self::Live),
            "/health/ready" => Some(Self::Ready),
            _ => None,
        }
    }

    /// Answers it.
    ///
    /// # Errors
    /// `not_ready` with what is missing as its reason; `method_not_allowed`.
    pub(crate) fn answer<'s>(
        self,
        method: &Method,
        engine: &Engine,
        phase: Phase,
        sites: impl IntoIterator<Item = &'s Site>,
    ) -> Result<Answer> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Error::new(codes::METHOD_NOT_ALLOWED).message("This path takes GET, HEAD."));
        }
        let status = match self {
            Self::Live => "live",
            Self::Ready => match missing(engine, phase, sites) {
                Some((reason, message)) => {
                    return Err(Error::new(codes::NOT_READY).because(reason).message(message));
                }
                None => "ready",
            },
        };
        Ok(json_answer(StatusCode::OK, &json!({ "status": status })))
    }
}

/// Why requests should not be sent here, as a word and as a sentence.
fn missing<'s>(
    engine: &Engine,
    phase: Phase,
    sites: impl IntoIterator<Item = &'s Site>,
) -> Option<(&'static str, &'static str)> {
    // Once another process has the listeners, whoever asks over a connection of old learns of the server as a whole.
    if matches!(phase, Phase::Leaving | Phase::Stopping) {
        return Some(("stopping", "The server is stopping."));
    }
    if engine.news_are_fresh().is_err() {
        return Some(("store", "The store has not answered for too long; nobody is let in."));
    }
    if sites.into_iter().any(|site| site.mount.tokens.keys.verifying().is_empty()) {
        return Some(("keys", "A mount has no key to verify tokens with."));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_paths_are_probes() {
        assert_eq!(Probe::at("/health/live"), Some(Probe::Live));
        assert_eq!(Probe::at("/health/ready"), Some(Probe::Ready));
        for other in ["/health", "/health/", "/health/live/", "/x/health/live", "/health/liveness"] {
            assert_eq!(Probe::at(other), None, "{other}");
        }
    }
}
