//! Runs of the embedded agent: invoked, streamed, stopped.

use bytes::Bytes;
use doorward_core::agents::model::{Message, MessageRole, Run, RunStatus};
use doorward_core::agents::runs::{Progress, Running};
use doorward_core::agents::threads::NewMessage;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{run, thread};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::ThreadId;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::envelope::{self, enveloped, topmost};
use super::subject::THREAD;
use super::threads::{object, thread_id};
use crate::conversation;
use crate::events;
use crate::gateway::{JsonBody, named};
use crate::http::respond::Answer;
use crate::request::Request;

/// Reads one message of a body: content is a text or a list of blocks.
fn message(value: &Value) -> Result<NewMessage> {
    let bad = |text: &str| Error::new(codes::BAD_FIELD).message(text);
    let role = match value.get("role") {
        None => Some(MessageRole::User),
        Some(role) => role.as_str().and_then(MessageRole::parse),
    };
    let role = role.ok_or_else(|| bad("`role` is user, assistant, system or tool."))?;
    let content = value.get("content").cloned().ok_or_else(|| bad("`content` is missing."))?;
    let metadata = match value.get("metadata") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(members)) => members.clone(),
        Some(_) => return Err(bad("`metadata` is an object.")),
    };
    Ok(NewMessage { role, content, metadata })
}

fn messages(body: &JsonBody) -> Result<Vec<NewMessage>> {
    match body.member("messages") {
        Some(Value::Array(items)) if !items.is_empty() => items.iter().map(message).collect(),
        _ => Err(Error::new(codes::BAD_FIELD).message("`messages` must contain at least one message.")),
    }
}

/// A run that has begun, where, and whether the thread is new.
struct Begun {
    thread: ThreadId,
    is_new: bool,
    running: Running,
    /// When the caller's credential runs out.
    until: Option<Instant>,
}

/// Begins a run in the thread a body names, or in a new one.
async fn begin(request: &mut Request) -> Result<Begun> {
    let permit = request.permit::<run::Create>(Target::any())?;
    let until = events::expiry(&request.engine, permit.auth());
    let read = async {
        let body = JsonBody::read(request, &THREAD).await?;
        Ok((named(request, &THREAD, &body)?, messages(&body)?))
    };
    let (named, said) = match read.await {
        Ok(read) => read,
        Err(error) => return permit.close(Err(error)),
    };
    if let Some(id) = named {
        let thread = ThreadId::from(id);
        let running = request.engine.runs().start(permit, &thread, said).await?;
        return Ok(Begun { thread, is_new: false, running, until });
    }
    let (thread, running) = conversation::begin(request, permit, said).await?;
    Ok(Begun { thread, is_new: true, running, until })
}

async fn finished(running: &mut Running) -> Result<Message> {
    while let Some(progress) = running.progress.recv().await {
        if let Progress::Ended(run, message) = progress {
            return message.ok_or_else(|| failed(&run));
        }
    }
    Err(Error::new(codes::INTERNAL).operator("a run ended without saying so"))
}

fn failed(run: &Run) -> Error {
    let why = run.error.as_deref().unwrap_or("the agent gave no answer");
    let code = if run.status == RunStatus::Interrupted { codes::CONFLICT } else { codes::UPSTREAM_INVALID };
    Error::new(code).message(format!("The run failed: {why}."))
}

fn exchanged(said: &[Message], answer: &Message) -> Vec<Value> {
    said.iter().chain([answer]).map(envelope::message).collect()
}

/// `POST /v1/graph/invoke`
pub(super) async fn invoke(mut request: Request) -> Result<Answer> {
    let Begun { thread, is_new, mut running, .. } = begin(&mut request).await?;
    let answer = finished(&mut running).await?;
    let data = json!({
        "messages": exchanged(&running.said, &answer),
        "state": null,
        "context": null,
        "summary": null,
        "meta": { "is_new_thread": is_new, "thread_id": thread },
    });
    Ok(enveloped(&request, data))
}

/// `POST /threads/{id}/messages`: says it, lets the agent answer, and answers with both.
pub(super) async fn say(mut request: Request) -> Result<Answer> {
    let thread = thread_id(&request)?;
    let permit = request.permit::<run::Create>(Target::named(thread.as_str()))?;
    let read = async {
        let body = JsonBody::read(&mut request, &THREAD).await?;
        named(&request, &THREAD, &body)?;
        message(&body.into_value())
    };
    let said = match read.await {
        Ok(said) => said,
        Err(error) => return permit.close(Err(error)),
    };
    let mut running = request.engine.runs().start(permit, &thread, vec![said]).await?;
    let answer = finished(&mut running).await?;
    let members = json!({
        "thread_id": thread,
        "content": answer.content,
        "messages": exchanged(&running.said, &answer),
    });
    Ok(topmost(&request, object(members)))
}

/// `POST /v1/graph/stream`: one JSON object a line, as the platform's own clients read it.
pub(super) async fn stream(mut request: Request) -> Result<Answer> {
    let Begun { thread, is_new, running, until } = begin(&mut request).await?;
    let run = running.run.id.as_str().to_owned();
    let (answer_id, started_ms) = (running.answer.as_str().to_owned(), running.run.created_at_ms);
    let line = move |message: Value| -> Bytes {
        let event = json!({
            "event": "message",
            "message": message,
            "state": null,
            "data": null,
            "thread_id": thread,
            "run_id": run,
            "metadata": { "is_new_thread": is_new, "thread_id": thread },
            "timestamp": started_ms as f64 / 1000.0,
        });
        format!("{event}\n").into()
    };
    let first: Vec<Bytes> = running.said.iter().map(|said| line(envelope::message(said))).collect();
    Ok(events::lines(first, running.progress, until, move |progress| match progress {
        Progress::Text(text) => line(envelope::delta(&answer_id, &text, started_ms)),
        Progress::Ended(_, Some(answer)) => line(envelope::message(&answer)),
        Progress::Ended(run, None) => {
            let error = failed(&run);
            format!("{}\n", json!({ "event": "error", "message": null, "error": error.public_message() }))
                .into()
        }
    }))
}

/// `POST /v1/graph/stop`
pub(super) async fn stop(mut request: Request) -> Result<Answer> {
    let mut permit = request.permit::<run::Cancel>(Target::any())?;
    let thread = match body_thread(&mut request).await {
        Ok(thread) => thread,
        Err(error) => return permit.close(Err(error)),
    };
    permit.name_resource(thread.as_str());
    let stopped = request.engine.runs().stop(permit, &thread).await?;
    let data = match stopped {
        0 => json!({ "ok": true, "running": false, "reason": "not-running" }),
        _ => json!({ "ok": true, "running": true }),
    };
    Ok(enveloped(&request, data))
}

/// `POST /v1/graph/fix`: nothing here ever leaves a tool call without its result.
pub(super) async fn fix(mut request: Request) -> Result<Answer> {
    let mut permit = request.permit::<thread::Read>(Target::any())?;
    let thread = match body_thread(&mut request).await {
        Ok(thread) => thread,
        Err(error) => return permit.close(Err(error)),
    };
    permit.name_resource(thread.as_str());
    let found = request.engine.threads().get(permit, &thread).await?;
    let data = json!({
        "success": true,
        "message": "No messages with empty tool calls found",
        "removed_count": 0,
        "state": found.state,
    });
    Ok(enveloped(&request, data))
}

async fn body_thread(request: &mut Request) -> Result<ThreadId> {
    let body = JsonBody::read(request, &THREAD).await?;
    named(request, &THREAD, &body)?.map(ThreadId::from).ok_or_else(|| THREAD.missing())
}
