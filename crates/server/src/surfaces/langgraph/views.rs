//! Threads and runs as the platform shows them.

use doorward_core::agents::model::{Run, RunStatus};
use doorward_core::agents::search::{Standing, ThreadStatus};
use doorward_core::clock::with_micros;
use serde_json::{Map, Value, json};

/// A moment: RFC 3339 with microseconds and an offset.
pub(super) fn moment(at_ms: i64) -> String {
    format!("{}+00:00", with_micros(at_ms))
}

/// A thread. `values` is its state, where a run or a change has left one.
pub(super) fn thread(standing: &Standing, values: Value) -> Map<String, Value> {
    let (thread, newest) = (&standing.thread, standing.newest.as_ref());
    let mut shown = Map::new();
    let updated_at = moment(thread.updated_at_ms);
    shown.insert("thread_id".to_owned(), thread.id.as_str().into());
    shown.insert("created_at".to_owned(), moment(thread.created_at_ms).into());
    shown.insert("updated_at".to_owned(), updated_at.clone().into());
    shown.insert("state_updated_at".to_owned(), updated_at.into());
    shown.insert("metadata".to_owned(), Value::Object(thread.metadata.clone()));
    shown.insert("status".to_owned(), standing.status.as_str().into());
    let config = if newest.is_some() { json!({ "configurable": {} }) } else { json!({}) };
    shown.insert("config".to_owned(), config);
    shown.insert("values".to_owned(), values);
    if let Some(newest) = newest.filter(|newest| !newest.status.is_unfinished()) {
        let failed = matches!(standing.status, ThreadStatus::Error | ThreadStatus::Interrupted);
        shown.insert("error".to_owned(), if failed { failure(newest) } else { Value::Null });
        shown.insert("interrupts".to_owned(), json!({}));
    }
    shown
}

/// Why a run did not end well.
pub(super) fn failure(run: &Run) -> Value {
    let why = run.error.as_deref().unwrap_or("the agent gave no answer");
    let (error, message) = match (run.status, why.split_once(": ")) {
        (RunStatus::Interrupted, _) => ("UserInterrupt", why),
        (_, Some((code, message))) => (code, message),
        (_, None) => ("Error", why),
    };
    json!({ "error": error, "message": message })
}

/// A run.
pub(super) fn run(run: &Run) -> Value {
    let kept = |name: &str| run.details.get(name).cloned().unwrap_or_default();
    json!({
        "run_id": run.id,
        "thread_id": run.thread,
        "assistant_id": kept("assistant_id"),
        "metadata": kept("metadata"),
        "status": run.status.as_str(),
        "kwargs": kept("kwargs"),
        "multitask_strategy": kept("multitask_strategy"),
        "created_at": moment(run.created_at_ms),
        "updated_at": moment(run.finished_at_ms.unwrap_or(run.created_at_ms)),
        "langsmith_session_name": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_platform_writes_them() {
        assert_eq!(moment(1_795_876_574_428), "2026-11-28T14:36:14.428000+00:00");
        assert_eq!(moment(0), "1970-01-01T00:00:00.000000+00:00");
    }
}
