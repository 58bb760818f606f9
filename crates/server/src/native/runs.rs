//! Runs: the agent answers in a thread, at once or as events.

use doorward_core::agents::runs::Progress;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::run;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{RunId, ThreadId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::listing;
use super::threads::Said;
use crate::events::{self, event};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct New {
    messages: Vec<Said>,
}

/// `POST /v1/threads/{id}/runs`: says what the body holds and answers the thread's last message. With
/// `Accept: text/event-stream` the answer comes as `text` events and one `end`.
pub(super) async fn start(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let thread = ThreadId::from(request.param("id")?);
    let (permit, body) = request.permit_with_json::<run::Create, New>(Target::named(thread.as_str())).await?;
    let said = match body.messages.into_iter().map(Said::into_new).collect::<Result<Vec<_>>>() {
        Ok(said) => said,
        Err(error) => return permit.close(Err(error)),
    };
    let until = events::expiry(&engine, permit.auth());
    let mut running = engine.runs().start(permit, &thread, said).await?;
    if events::wanted(&request.headers) {
        return Ok(events::answer(running.progress, until, |progress| match progress {
            Progress::Text(text) => event("text", &json!({ "text": text })),
            Progress::Ended(run, message) => event("end", &json!({ "run": run, "message": message })),
        }));
    }
    while let Some(progress) = running.progress.recv().await {
        if let Progress::Ended(run, message) = progress {
            return Ok(json_answer(StatusCode::OK, &json!({ "run": run, "message": message })));
        }
    }
    Err(Error::new(codes::INTERNAL).operator("a run ended without saying so"))
}

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
    Ok(listing::answer("runs", runs.iter().map(|run| json!(run)).collect(), limit))
}

/// `GET /v1/threads/{id}/runs/{run}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (thread, id) = (ThreadId::from(request.param("id")?), RunId::from(request.param("run")?));
    let permit = request.permit::<run::Read>(Target::named(id.as_str()))?;
    let found = request.engine.runs().get(permit, &thread, &id).await?;
    Ok(json_answer(StatusCode::OK, &found))
}
