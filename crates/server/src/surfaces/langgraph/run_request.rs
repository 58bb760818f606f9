//! What a request for a run asks for, read once for all six routes that take one.

use std::time::Duration;

use doorward_core::agents::feed::Follower;
use doorward_core::agents::model::Run;
use doorward_core::agents::runs::InTurn;
use doorward_core::agents::threads::NewThread;
use doorward_core::agents::turns::Turn;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{run, thread};
use doorward_core::authz::custom::{self, Asked};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{RunId, ThreadId};
use serde_json::{Map, Value, json};

use super::body::{Body, UNSUPPORTED, bad, says_something};
use super::emitter::Mode;
use super::{assistants, ids, messages, threads};
use crate::request::Request;

/// What this server cannot do for a run.
const BEYOND: &[&str] = &[
    "command",
    "interrupt_before",
    "interrupt_after",
    "webhook",
    "checkpoint",
    "checkpoint_id",
    "feedback_keys",
    "stream_subgraphs",
];
/// Longest that a run may be asked to wait.
const MAX_AFTER_S: u32 = 3600;

/// What a client may not say about itself: an agent believes these.
pub(super) const RESERVED: &[&str] =
    &["langgraph_auth_user", "langgraph_auth_user_id", "langgraph_auth_permissions"];

/// Where a run goes on.
pub(super) enum Place {
    /// In this thread.
    Thread(ThreadId),
    /// In a thread of its own; `waited` for by a client that is told of it as a new one.
    New { waited: bool },
}

/// A run that was begun.
pub(super) struct Begun {
    pub(super) run: Run,
    pub(super) follower: Follower,
    pub(super) modes: Vec<Mode>,
    pub(super) resumable: bool,
    pub(super) cancel_on_disconnect: bool,
}

/// A request that was read and fits.
pub(super) struct Read {
    graph: String,
    assistant: String,
    metadata: Map<String, Value>,
    kwargs: Value,
    modes: Vec<Mode>,
    resumable: bool,
    turn: (&'static str, Turn),
    create_thread: bool,
    says_create: bool,
    after_s: u32,
    temporary: bool,
    cancel_on_disconnect: bool,
}

impl Read {
    /// The id of the assistant that it runs.
    pub(super) fn into_assistant(self) -> String {
        self.assistant
    }
}

/// Reads a request for a run; nothing is begun.
///
/// # Errors
/// 422 for what does not fit, 404 for an assistant that there is not.
pub(super) async fn read(request: &Request, body: &Body, place: &Place) -> Result<Read> {
    body.cannot(BEYOND)?;
    let named = match body.member("assistant_id") {
        None => return Err(Error::new(codes::BAD_FIELD).message("\"assistant_id\" is a required property")),
        Some(Value::String(named)) => named,
        Some(_) => return Err(bad("assistant_id", "is a text")),
    };
    let meant = assistants::meant(request, named).await?;
    let modes = Mode::read(body.member("stream_mode"))?;
    let resumable = body.flag("stream_resumable")?;
    let mut config = laid_over(meant.version.config, body.object("config")?);
    if let Some(Value::Object(configurable)) = config.get_mut("configurable") {
        configurable.retain(|name, _| !RESERVED.contains(&name.as_str()));
    }
    let strategies = [
        ("enqueue", ("enqueue", Turn::Queue)),
        ("reject", ("reject", Turn::Reject)),
        ("interrupt", ("interrupt", Turn::Interrupt)),
        ("rollback", ("rollback", Turn::Rollback)),
    ];
    let turn = body.word("multitask_strategy", &strategies)?.unwrap_or(("enqueue", Turn::Queue));
    let stateless = matches!(place, Place::New { .. });
    let create = body.word("if_not_exists", &[("create", true), ("reject", false)])?.unwrap_or(false);
    let keep = body.word("on_completion", &[("keep", true), ("delete", false)])?.unwrap_or(false);
    let kwargs = json!({
        "input": body.member("input").cloned().unwrap_or_default(),
        "command": null,
        "config": config,
        "context": laid_over(meant.version.context, body.maybe_object("context")?),
        "stream_mode": modes.iter().map(|mode| mode.name()).collect::<Vec<_>>(),
        "interrupt_before": null,
        "interrupt_after": null,
        "webhook": null,
        "feedback_keys": null,
        "temporary": stateless && !keep,
        "subgraphs": false,
        "resumable": resumable,
        "checkpoint_during": true,
        "durability": "async",
    });
    // Handlers may change it, so it is read again once they were asked; what cannot be read is refused before any of a batch is begun.
    input(&kwargs)?;
    Ok(Read {
        graph: meant.version.graph,
        assistant: meant.id,
        metadata: body.maybe_object("metadata")?.cloned().unwrap_or_default(),
        kwargs,
        modes,
        resumable,
        turn,
        create_thread: stateless || create,
        says_create: create || matches!(place, Place::New { waited: true }),
        after_s: body.whole("after_seconds", 0, MAX_AFTER_S)?.unwrap_or(0),
        temporary: stateless && !keep,
        cancel_on_disconnect: body
            .word("on_disconnect", &[("cancel", true), ("continue", false)])?
            .unwrap_or(false),
    })
}

/// Reads the request, asks for leave, and begins the run.
///
/// # Errors
/// The platform's: 404 for a thread that is not the caller's, 422 for what does not fit.
pub(super) async fn begin(request: &mut Request, place: Place) -> Result<Begun> {
    request.may::<run::Create>()?;
    let body = Body::read(request).await?;
    let read = read(request, &body, &place).await?;
    begin_as(request, place, read).await
}

/// As [`begin`], of a request that was read with [`read`].
///
/// # Errors
/// As there.
pub(super) async fn begin_as(request: &Request, place: Place, read: Read) -> Result<Begun> {
    let id = RunId::from(ids::fresh(&request.engine).to_string());
    let assistant = read.assistant;
    let mut shown = read.kwargs;
    show_caller(request, &mut shown)?;
    let (strategy, turn) = read.turn;
    let thread_id = match &place {
        Place::Thread(id) => json!(id),
        Place::New { .. } => Value::Null,
    };
    let value = json!({
        "thread_id": thread_id,
        "assistant_id": assistant,
        "run_id": id,
        "status": "pending",
        "metadata": read.metadata,
        "prevent_insert_if_inflight": turn == Turn::Reject,
        "multitask_strategy": strategy,
        "if_not_exists": if read.says_create { "create" } else { "reject" },
        "after_seconds": read.after_s,
        "kwargs": shown,
    });
    let asked = Asked { value: threads::object(value), uuids: &["thread_id", "assistant_id", "run_id"] };
    let target = match &place {
        Place::Thread(id) => Target::named(id.as_str()),
        Place::New { .. } => Target::any(),
    };
    let permit = request.permit_asking::<run::Create>(target, asked).await?;
    let mut metadata = threads::amended_metadata(&permit);
    // Handlers may have changed what is asked for, in place.
    let mut kwargs = permit.amended().get("kwargs").cloned().unwrap_or_default();
    if let Some(configurable) = configurable(&mut kwargs) {
        configurable.retain(|name, _| !RESERVED.contains(&name.as_str()));
    }
    let (said, values) = match input(&kwargs) {
        Ok(input) => input,
        Err(error) => return permit.close(Err(error)),
    };
    let of_graph = json!({ "graph_id": read.graph, "assistant_id": assistant });
    let thread = match &place {
        Place::Thread(id) => id.clone(),
        Place::New { .. } => ThreadId::from(ids::fresh(&request.engine).to_string()),
    };
    // What a run says of itself is what a thread that is made for it says.
    let mut of_new = metadata.clone();
    of_new.extend(threads::object(of_graph.clone()));
    metadata.insert("created_by".to_owned(), "system".into());
    metadata.extend(threads::object(of_graph.clone()));
    let create = match read.create_thread {
        false => None,
        // It goes with the run, whose leave is all the platform asks for.
        true if read.temporary => Some(of_new),
        true => match kept(request, &thread, of_new).await {
            Ok(metadata) => Some(metadata),
            Err(error) => return permit.close(Err(error)),
        },
    };
    let create = create.map(|metadata| NewThread { id: Some(thread.clone()), name: None, metadata });
    let details = json!({
        "assistant_id": assistant,
        "metadata": metadata,
        "kwargs": kwargs,
        "multitask_strategy": strategy,
    });
    let in_turn = InTurn {
        id,
        said,
        details: threads::object(details),
        turn,
        after: Duration::from_secs(u64::from(read.after_s)),
        values,
        metadata: threads::object(of_graph),
        create,
        temporary: read.temporary,
    };
    let started = request.engine.runs().start_in_turn(permit, &thread, in_turn).await;
    let (run, follower) = started.map_err(|error| match error.is(codes::NOT_FOUND) {
        true => error.message("Thread or assistant not found."),
        false => error,
    })?;
    Ok(Begun {
        run,
        follower,
        modes: read.modes,
        resumable: read.resumable,
        cancel_on_disconnect: read.cancel_on_disconnect,
    })
}

/// What a run says over what its assistant does, member by member.
fn laid_over(
    mut of_assistant: Map<String, Value>,
    of_run: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    for (name, value) in of_run.into_iter().flatten() {
        match (of_assistant.get_mut(name), value) {
            (Some(Value::Object(under)), Value::Object(over)) => under.extend(over.clone()),
            _ => {
                of_assistant.insert(name.clone(), value.clone());
            }
        }
    }
    of_assistant
}

/// Where a run's configuration keeps what a graph may look at.
pub(super) fn configurable(kwargs: &mut Value) -> Option<&mut Map<String, Value>> {
    let config = kwargs.as_object_mut()?.entry("config").or_insert_with(|| json!({}));
    config.as_object_mut()?.entry("configurable").or_insert_with(|| json!({})).as_object_mut()
}

/// Shows handlers who the run is for where the platform does. What they are shown is taken out again: nobody else reads it.
///
/// # Errors
/// On a route without a caller.
pub(super) fn show_caller(request: &Request, kwargs: &mut Value) -> Result<()> {
    let auth = &request.call()?.auth;
    let user = custom::user_of(auth);
    let permissions = user.get("permissions").cloned().unwrap_or_default();
    if let Some(configurable) = configurable(kwargs) {
        configurable.insert("langgraph_auth_user".to_owned(), Value::Object(user));
        configurable.insert("langgraph_auth_user_id".to_owned(), (&*auth.principal.subject).into());
        configurable.insert("langgraph_auth_permissions".to_owned(), permissions);
    }
    Ok(())
}

/// The metadata of a thread that a run makes and leaves behind: whoever may not make threads does not make them this way either.
pub(super) async fn kept(
    request: &Request,
    id: &ThreadId,
    metadata: Map<String, Value>,
) -> Result<Map<String, Value>> {
    let value = json!({ "thread_id": id, "metadata": metadata, "if_exists": "do_nothing" });
    let asked = Asked { value: threads::object(value), uuids: &["thread_id"] };
    let leave = request.permit_asking::<thread::Create>(Target::named(id.as_str()), asked).await?;
    let metadata = threads::amended_metadata(&leave);
    leave.close(Ok(metadata))
}

/// What names the moment that a run goes on from; langgraph-api 0.16.7 finds it in `config.configurable` and in `context`, where that is
/// the run's configuration.
pub(super) const MOMENT: &[&str] = &["checkpoint_id", "checkpoint_ns", "checkpoint_map"];

/// Whether a member names one. An empty namespace is the graph's own.
pub(super) fn names_moment(value: &Value) -> bool {
    says_something(value) && value != ""
}

/// The member of a run's configuration that names a moment, if one does.
pub(super) fn moment_of(kwargs: &Map<String, Value>) -> Option<String> {
    let configurable = kwargs.get("config").and_then(|config| config.get("configurable"));
    let places = [("config.configurable", configurable), ("context", kwargs.get("context"))];
    places.into_iter().find_map(|(place, members)| {
        let members = members?.as_object()?;
        let name = MOMENT.iter().find(|name| members.get(**name).is_some_and(names_moment))?;
        Some(format!("{place}.{name}"))
    })
}

/// What is said, and what else the state is to hold.
fn input(kwargs: &Value) -> Result<(Vec<doorward_core::agents::threads::NewMessage>, Map<String, Value>)> {
    // A run goes on from its thread's end: another moment is refused here as in `checkpoint`.
    if let Some(place) = kwargs.as_object().and_then(moment_of) {
        return Err(bad(&place, UNSUPPORTED));
    }
    match kwargs.get("input") {
        None | Some(Value::Null) => Ok((Vec::new(), Map::new())),
        Some(Value::Object(members)) => {
            let mut values = members.clone();
            let said = messages::read(values.remove("messages").as_ref())?;
            Ok((said, values))
        }
        Some(_) => Err(bad("input", "is an object, such as {\"messages\": [...]}")),
    }
}
