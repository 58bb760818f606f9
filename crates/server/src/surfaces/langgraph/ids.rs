//! Ids of threads, runs and assistants: UUIDs, in any spelling that Python reads, and one of ours.

use doorward_core::authz::custom::Asked;
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{RunId, ThreadId};
use doorward_core::random::bytes;
use uuid::{Builder, Uuid};

use crate::request::Request;

/// Under which the platform names the assistant of a graph: `uuid5` of it and the graph's name.
const ASSISTANTS: Uuid = uuid::uuid!("6ba7b821-9dad-11d1-80b4-00c04fd430c8");

/// The UUID that a text spells: with or without hyphens, in braces, behind `urn:uuid:`.
pub(super) fn parse(text: &str) -> Option<Uuid> {
    if text.len() > 64 {
        return None;
    }
    Uuid::try_parse(text).ok()
}

fn malformed(what: &str) -> Error {
    Error::new(codes::BAD_FIELD).message(format!("Invalid {what} ID: must be a UUID"))
}

/// The thread that a text names.
///
/// # Errors
/// `bad_field`, in the platform's words.
pub(super) fn thread(text: &str) -> Result<ThreadId> {
    parse(text).map(|id| ThreadId::from(id.to_string())).ok_or_else(|| malformed("thread"))
}

/// The thread that a request's path names.
///
/// # Errors
/// As [`thread`].
pub(super) fn thread_in_path(request: &Request) -> Result<ThreadId> {
    thread(request.param("thread").map_err(|_| malformed("thread"))?)
}

/// What handlers are asked about the thread that a path names, before there is a request.
pub(super) fn foreseen(params: &[(&'static str, String)]) -> Option<Asked> {
    let (_, text) = params.iter().find(|(name, _)| *name == "thread")?;
    Some(super::threads::named(&thread(text).ok()?))
}

/// The run that a text names.
///
/// # Errors
/// `bad_field`, in the platform's words.
pub(super) fn run(text: &str) -> Result<RunId> {
    parse(text).map(|id| RunId::from(id.to_string())).ok_or_else(|| malformed("run"))
}

/// The run that a request's path names.
///
/// # Errors
/// As [`run`].
pub(super) fn run_in_path(request: &Request) -> Result<RunId> {
    run(request.param("run").map_err(|_| malformed("run"))?)
}

/// The assistant that a request's path names.
///
/// # Errors
/// `bad_field`, in the platform's words.
pub(super) fn assistant_in_path(request: &Request) -> Result<Uuid> {
    request.param("assistant").ok().and_then(parse).ok_or_else(|| malformed("assistant"))
}

/// A new id that sorts by time (RFC 9562 §5.7).
pub(super) fn fresh(engine: &Engine) -> Uuid {
    let millis = u64::try_from(engine.now_ms()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &bytes::<10>(engine.random())).into_uuid()
}

/// The assistant that each graph has by itself.
pub(super) fn assistant_of(graph: &str) -> Uuid {
    Uuid::new_v5(&ASSISTANTS, graph.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graphs_assistant_has_the_id_that_the_platform_gives_it() {
        assert_eq!(assistant_of("agent").to_string(), "fe096781-5601-53d2-b2f6-0d3403f7e9ca");
    }

    #[test]
    fn one_id_has_many_spellings_and_one_of_ours() {
        let ours = "be6904fc-9d04-479a-a110-3646338adf40";
        for spelling in [
            ours,
            "BE6904FC-9D04-479A-A110-3646338ADF40",
            "be6904fc9d04479aa1103646338adf40",
            "{be6904fc-9d04-479a-a110-3646338adf40}",
            "urn:uuid:be6904fc-9d04-479a-a110-3646338adf40",
        ] {
            assert_eq!(thread(spelling).expect(spelling).as_str(), ours);
        }
        for none in ["", "x", "be6904fc", "be6904fc-9d04-479a-a110-3646338adf4g", "../be6904fc"] {
            assert!(thread(none).is_err_and(|error| error.is(codes::BAD_FIELD)), "{none}");
        }
    }
}
