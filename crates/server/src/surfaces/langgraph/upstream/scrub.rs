//! What a client says of a run that the server believes: taken out wherever it may stand (langgraph-api 0.16.7 makes one configuration
//! of `config.configurable`, `context` and `checkpoint`, and keeps it for the next runs of a thread).

use doorward_core::id::ThreadId;
use serde_json::{Map, Value};

use super::super::run_request::{MOMENT, names_moment};

/// What the server puts into a run's configuration itself.
fn is_servers(name: &str) -> bool {
    const OURS: &[&str] = &[
        "run_id",
        "thread_id",
        "graph_id",
        "assistant_id",
        "user_id",
        "checkpoint_id",
        "checkpoint_ns",
        "checkpoint_map",
    ];
    name.starts_with("__") || name.starts_with("langgraph_") || OURS.contains(&name)
}

/// What a checkpoint is named by, and nothing else.
const CHECKPOINT: &[&str] = &["thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"];

/// Takes out of a run's or assistant's members what is the server's to say.
pub(super) fn configuration(members: &mut Map<String, Value>) {
    if let Some(Value::Object(config)) = members.get_mut("config") {
        if let Some(Value::Object(configurable)) = config.get_mut("configurable") {
            configurable.retain(|name, _| !is_servers(name));
        }
        // The server lays it under the metadata, where nobody has looked at it.
        config.remove("metadata");
    }
    if let Some(Value::Object(context)) = members.get_mut("context") {
        context.retain(|name, _| !is_servers(name));
    }
}

/// Leaves of each checkpoint that is named what names it, in the thread of the path.
pub(super) fn checkpoints(members: &mut Map<String, Value>, id: &ThreadId) {
    for name in ["checkpoint", "before"] {
        let Some(Value::Object(given)) = members.get_mut(name) else { continue };
        // `before` may be a whole configuration; only the part that names a moment is passed on.
        let whole = matches!(given.get("configurable"), Some(Value::Object(_)));
        let mut inner = match given.get("configurable") {
            Some(Value::Object(configurable)) => configurable.clone(),
            _ => given.clone(),
        };
        inner.retain(|name, _| CHECKPOINT.contains(&name.as_str()));
        if inner.contains_key("thread_id") {
            inner.insert("thread_id".to_owned(), id.as_str().into());
        }
        *given = match whole {
            true => Map::from_iter([("configurable".to_owned(), Value::Object(inner))]),
            false => inner,
        };
    }
    members.remove("config");
}

/// Puts the moment that a configuration names into `checkpoint`, where it is looked through. What stands there already wins, as on the server.
fn lift_moment(members: &mut Map<String, Value>) {
    let mut moment = Map::new();
    let mut take = |given: Option<&mut Value>| {
        let Some(Value::Object(given)) = given else { return };
        for name in MOMENT {
            if let Some(value) = given.remove(*name).filter(names_moment) {
                moment.insert((*name).to_owned(), value);
            }
        }
    };
    take(members.get_mut("config").and_then(|config| config.get_mut("configurable")));
    take(members.get_mut("context"));
    if members.get("checkpoint_id").is_some_and(names_moment) {
        moment.remove("checkpoint_id");
    }
    match members.get_mut("checkpoint") {
        Some(Value::Object(given)) => moment.into_iter().for_each(|(name, value)| {
            given.entry(name).or_insert(value);
        }),
        None | Some(Value::Null) if !moment.is_empty() => {
            members.insert("checkpoint".to_owned(), Value::Object(moment));
        }
        _ => {}
    }
}

/// As [`checkpoints`] for a run, whose configuration stays.
pub(super) fn run(members: &mut Map<String, Value>, id: Option<&ThreadId>) {
    lift_moment(members);
    let config = members.remove("config");
    match id {
        Some(id) => checkpoints(members, id),
        None => {
            members.remove("checkpoint");
        }
    }
    members.extend(config.map(|config| ("config".to_owned(), config)));
    configuration(members);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn what_the_server_says_of_a_run_itself_no_client_says_through_any_door() {
        let mut members = object(json!({
            "config": {"configurable": {"user_id": "a", "__x": 1, "langgraph_auth_user": {}, "model": "m"}, "tags": [], "metadata": {"owner": "a"}},
            "context": {"user_id": "a", "__pregel_z": 1, "model": "m"},
            "checkpoint": {"thread_id": "theirs", "checkpoint_id": "c", "user_id": "a", "__x": 1},
            "input": {"user_id": "a word of the graph's"},
        }));
        run(&mut members, Some(&ThreadId::from("mine")));
        assert_eq!(
            Value::Object(members),
            json!({
                "config": {"configurable": {"model": "m"}, "tags": []},
                "context": {"model": "m"},
                "checkpoint": {"thread_id": "mine", "checkpoint_id": "c"},
                "input": {"user_id": "a word of the graph's"},
            })
        );
    }

    #[test]
    fn a_moment_of_a_configuration_is_a_checkpoint_of_the_paths_thread() {
        for (given, expected) in [
            (
                json!({"config": {"configurable": {"checkpoint_id": "c", "thread_id": "theirs", "model": "m"}}}),
                json!({"config": {"configurable": {"model": "m"}}, "checkpoint": {"checkpoint_id": "c"}}),
            ),
            (
                json!({"context": {"checkpoint_id": "c", "checkpoint_ns": ""}, "checkpoint": null}),
                json!({"context": {}, "checkpoint": {"checkpoint_id": "c"}}),
            ),
            (
                json!({"config": {"configurable": {"checkpoint_id": "c", "checkpoint_ns": "n"}}, "checkpoint": {"checkpoint_id": "d"}}),
                json!({"config": {"configurable": {}}, "checkpoint": {"checkpoint_id": "d", "checkpoint_ns": "n"}}),
            ),
            (
                json!({"config": {"configurable": {"checkpoint_id": "c"}}, "checkpoint_id": "d"}),
                json!({"config": {"configurable": {}}, "checkpoint_id": "d"}),
            ),
        ] {
            let mut members = object(given.clone());
            run(&mut members, Some(&ThreadId::from("mine")));
            assert_eq!(Value::Object(members), expected, "{given}");
            let mut alone = object(given.clone());
            run(&mut alone, None);
            assert!(!alone.contains_key("checkpoint"), "{given}");
        }
    }

    #[test]
    fn a_body_names_the_thread_of_its_path_and_moments_by_their_names_alone() {
        let mut members = object(json!({
            "before": {"configurable": {"thread_id": "theirs", "checkpoint_id": "c", "user_id": "a"}, "tags": []},
            "checkpoint": "c",
            "values": {"thread_id": "a word of the graph's"},
        }));
        checkpoints(&mut members, &ThreadId::from("mine"));
        assert_eq!(
            Value::Object(members),
            json!({
                "before": {"configurable": {"thread_id": "mine", "checkpoint_id": "c"}},
                "checkpoint": "c",
                "values": {"thread_id": "a word of the graph's"},
            })
        );
    }
}
