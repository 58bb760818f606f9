//! Runs: the agent answers in a thread, at once or as events.

use doorward_core::agents::model;
use doorward_core::agents::runs::Progress;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::run;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{RunId, ThreadId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::conversation::{Ended, Run};
use super::listing::{self, Listed};
use super::tags;
use super::threads::Said;
use crate::events::{self, event};
use crate::http::respond::Answer;
use crate::openapi::{Also, Described, Nothing};
use crate::request::Request;

/// What to say before the agent answers.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "NewRun")]
#[serde(deny_unknown_fields, default)]
pub(super) struct New {
    #[schemars(length(max = 32))]
    messages: Vec<Said>,
}

pub(super) static START: Described<New, Ended> =
    Described::new("startRun", &tags::THREADS, "Say something and hear the agent's answer")
        .notes("With `Accept: text/event-stream` the answer comes as events `text`, with `text`, and one `end`, with `run` and `message`.")
        .takes(r#"{"messages": [{"content": "hello"}]}"#)
        .answers(200)
        .also(&[Also {
            status: 200,
            media: Some("text/event-stream"),
            headers: &[],
            notes: "The answer as it comes.",
        }])
        .refuses(&[codes::THREAD_BUSY, codes::AGENTS_BUSY, codes::CONFLICT]);

/// `POST /v1/threads/{id}/runs`: says what the body holds and answers the thread's last message. With
/// `Accept: text/event-stream` the answer comes as `text` events and one `end`.
pub(super) async fn start(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let thread = ThreadId::from(request.param("id")?);
    let (permit, body) = START.permit::<run::Create>(&mut request, Target::named(thread.as_str())).await?;
    let said = match body.messages.into_iter().map(Said::into_new).collect::<Result<Vec<_>>>() {
        Ok(said) => said,
        Err(error) => return permit.close(Err(error)),
    };
    let until = events::expiry(&engine, permit.auth());
    let mut running = engine.runs().start(permit, &thread, said).await?;
    if events::wanted(&request.headers) {
        return Ok(events::answer(running.progress, until, |progress| match progress {
            Progress::Text(text) => event("text", &json!({ "text": text })),
            Progress::Ended(run, message) => event("end", &json!(ended(*run, message))),
        }));
    }
    while let Some(progress) = running.progress.recv().await {
        if let Progress::Ended(run, message) = progress {
            return Ok(START.answer(&ended(*run, message)));
        }
    }
    Err(Error::new(codes::INTERNAL).operator("a run ended without saying so"))
}

fn ended(run: model::Run, message: Option<model::Message>) -> Ended {
    Ended { run: run.into(), message: message.map(Into::into) }
}

pub(super) static LIST: Described<Nothing, Listed<Run>> =
    Described::new("listRuns", &tags::THREADS, "The runs of a thread, newest first")
        .parameters(listing::PAGE)
        .answers(200);

/// `GET /v1/threads/{id}/runs`, newest first.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let thread = ThreadId::from(request.param("id")?);
    let permit = request.permit::<run::Read>(Target::named(thread.as_str()))?;
    let page = match request.query().and_then(|query| listing::page(&query)) {
        Ok(page) => page,
        Err(error) => return permit.close(Err(error)),
    };
    let limit = page.limit;
    let runs = request.engine.runs().list(permit, &thread, page).await?;
    Ok(LIST.answer(&Listed::new(runs.into_iter().map(Run::from), limit)))
}

pub(super) static GET: Described<Nothing, Run> =
    Described::new("readRun", &tags::THREADS, "A run").answers(200).refuses(&[codes::RUN_NOT_FOUND]);

/// `GET /v1/threads/{id}/runs/{run}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (thread, id) = (ThreadId::from(request.param("id")?), RunId::from(request.param("run")?));
    let permit = request.permit::<run::Read>(Target::named(id.as_str()))?;
    let found = request.engine.runs().get(permit, &thread, &id).await?;
    Ok(GET.answer(&found.into()))
}
