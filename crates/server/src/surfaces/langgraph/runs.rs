//! Runs in a thread.

use std::time::Duration;

use doorward_core::agents::feed::{Follower, Told};
use doorward_core::agents::model::{Run, RunStatus};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{run, thread};
use doorward_core::authz::custom::Asked;
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::{RunId, ThreadId};
use doorward_core::ports::store::Page;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::body::{Body, bad};
use super::budget::Budget;
use super::emitter::{Emitter, Mode};
use super::run_request::{self, Begun, Place};
use super::stream::{self, Telling};
use super::{checkpoints, ids, threads, views};
use crate::access::Access;
use crate::http::respond::{Answer, header_value, json_answer, no_content};
use crate::request::Request;

/// Where a run stands among its thread's.
pub(super) fn place(run: &Run) -> String {
    format!("/threads/{}/runs/{}", run.thread, run.id)
}

/// An answer that says where its run is.
pub(super) fn located(mut answer: Answer, location: Option<&str>, content_location: &str) -> Answer {
    let headers = answer.headers_mut();
    if let Some(location) = location {
        headers.insert(LOCATION, header_value(location));
    }
    headers.insert(CONTENT_LOCATION, header_value(content_location));
    answer
}

/// `POST /threads/{thread}/runs`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let thread = ids::thread_in_path(&request)?;
    let begun = run_request::begin(&mut request, Place::Thread(thread)).await?;
    let at = place(&begun.run);
    Ok(located(json_answer(StatusCode::OK, &views::run(&begun.run)), None, &at))
}

/// `POST /threads/{thread}/runs/wait`
pub(super) async fn wait(mut request: Request) -> Result<Answer> {
    let thread = ids::thread_in_path(&request)?;
    let begun = run_request::begin(&mut request, Place::Thread(thread)).await?;
    waited(&request, begun)
}

/// Waits for the end of a run and answers with the state it leaves.
pub(super) fn waited(request: &Request, begun: Begun) -> Result<Answer> {
    let at = place(&begun.run);
    let mut emitter = emitter(request, &begun.run, Vec::new());
    let mut follower = begun.follower;
    let mut access = Access::watch(request.call()?)?;
    let stop = begun.cancel_on_disconnect.then(|| (request.engine.clone(), begun.run.id.clone()));
    let waiting = async move {
        let mut failed = None;
        while let Some(told) = under(&mut access, follower.next()).await? {
            emitter.absorb(&told);
            if let Told::Ended(run, _) = told {
                failed = (run.status == RunStatus::Error).then(|| views::failure(&run));
            }
        }
        Ok(match failed {
            Some(failure) => json!({ "__error__": failure }),
            None => emitter.state(),
        })
    };
    Ok(stream::later(waiting, stop, &format!("{at}/join"), &at))
}

pub(super) fn emitter(request: &Request, run: &Run, modes: Vec<Mode>) -> Emitter {
    let input = run.details.get("kwargs").and_then(|kwargs| kwargs.get("input")).and_then(Value::as_object);
    let mut state = input.cloned().unwrap_or_default();
    state.remove("messages");
    Emitter::new(run.clone(), modes, request.site.graphs.node.clone(), state)
}

/// Longest that somebody else's run is told under one answer of the handlers; whoever goes on asks again.
pub(super) const JOINED: Duration = Duration::from_secs(300);

/// Waits under the caller's leave.
///
/// # Errors
/// `token_revoked` when it ends first.
async fn under<T>(access: &mut Access, waiting: impl Future<Output = T>) -> Result<T> {
    tokio::select! {
        biased;
        () = access.ended() => {
            Err(Error::new(codes::TOKEN_REVOKED).operator("the caller's access ended"))
        }
        done = waiting => Ok(done),
    }
}

/// `POST /threads/{thread}/runs/stream`
pub(super) async fn stream(mut request: Request) -> Result<Answer> {
    let thread = ids::thread_in_path(&request)?;
    let begun = run_request::begin(&mut request, Place::Thread(thread)).await?;
    let at = place(&begun.run);
    streamed(&request, begun, &at)
}

/// Answers with the events of a run that was just begun.
pub(super) fn streamed(request: &Request, begun: Begun, at: &str) -> Result<Answer> {
    let stop = begun.cancel_on_disconnect.then(|| (request.engine.clone(), begun.run.id.clone()));
    let telling = Telling {
        follower: begun.follower,
        emitter: emitter(request, &begun.run, begun.modes),
        numbered: begun.resumable.then_some(begun.run.created_at_ms),
        counted: 0,
        skip: 0,
        introduces: true,
        access: Access::watch(request.call()?)?,
        stop,
    };
    Ok(stream::answer(telling, &format!("{at}/stream"), at))
}

/// Furthest into a list that `offset` reaches.
const MAX_OFFSET: u32 = 10_000;
/// Runs that are read at once; each may keep a request of a megabyte.
const PART: u32 = 20;

fn page(request: &Request) -> Result<(u32, u32)> {
    let query = request.query()?;
    Ok((query.number("limit")?.unwrap_or(10), query.number("offset")?.unwrap_or(0)))
}

/// `GET /threads/{thread}/runs`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let id = ids::thread_in_path(&request)?;
    threads::standing(&request, &id).await?;
    let value = json!({ "thread_id": id, "metadata": {} });
    let asked = Asked { value: threads::object(value), uuids: &["thread_id"] };
    let searching = request.permit_asking::<thread::List>(Target::any(), asked).await?;
    searching.close(Ok(()))?;
    let (limit, offset) = page(&request)?;
    let query = request.query()?;
    let status = query.text("status").map(str::to_owned);
    let (mut shown, mut skip, mut after) = (Vec::new(), offset, None);
    if offset > MAX_OFFSET {
        return Err(bad("offset", "reaches too far"));
    }
    let (limit, mut budget) = (limit.min(1000), Budget::new());
    'list: while shown.len() < limit as usize {
        let permit =
            request.permit_asking::<run::Read>(Target::named(id.as_str()), threads::named(&id)).await?;
        let part = request.engine.runs().list(permit, &id, Page { after, limit: PART }).await;
        let part = part.map_err(|error| threads::missing(error, &id))?;
        for run in
            part.iter().filter(|run| status.as_deref().is_none_or(|wanted| run.status.as_str() == wanted))
        {
            if skip > 0 {
                skip -= 1;
            } else if shown.len() < limit as usize {
                let view = views::run(run);
                if !budget.takes(&view, shown.is_empty()) {
                    break 'list;
                }
                shown.push(view);
            }
        }
        if part.len() < PART as usize {
            break;
        }
        after = part.last().map(|run| run.id.as_str().to_owned());
    }
    Ok(json_answer(StatusCode::OK, &shown))
}

/// A run that the caller's own thread does not have.
fn unknown_run(error: Error) -> Error {
    if error.is(codes::RUN_NOT_FOUND) { error.message("Not Found") } else { error }
}

/// The words of the one route that does not name the thread.
fn no_thread(error: Error) -> Error {
    if error.is(codes::NOT_FOUND) { error.message("Thread not found") } else { error }
}

/// The platform hands the thread's id on as a text where a run is joined.
pub(super) const AS_TEXT: &[&str] = &[];

async fn found(
    request: &Request,
    uuids: &'static [&'static str],
) -> Result<(ThreadId, Run, Option<Follower>)> {
    let (thread, id) = (ids::thread_in_path(request)?, ids::run_in_path(request)?);
    let asked = Asked { uuids, ..threads::named(&thread) };
    let permit = request.permit_asking::<run::Read>(Target::named(id.as_str()), asked).await?;
    let found = request.engine.runs().follow(permit, &thread, &id).await;
    let (run, follower) = found.map_err(|error| threads::missing(error, &thread))?;
    Ok((thread, run, follower))
}

/// `GET /threads/{thread}/runs/{run}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (_, run, _) = found(&request, &["thread_id"]).await.map_err(unknown_run)?;
    Ok(json_answer(StatusCode::OK, &views::run(&run)))
}

/// Whether the run is to be stopped when this listener leaves: only for whoever may stop it.
async fn stops(request: &Request, thread: &ThreadId, id: &RunId) -> Result<Option<(Engine, RunId)>> {
    let query = request.query()?;
    if !matches!(query.text("cancel_on_disconnect"), Some("1" | "true")) {
        return Ok(None);
    }
    let asked = Cancelling::of_listener().asked(thread, std::slice::from_ref(id));
    let permit = request.permit_asking::<run::Cancel>(Target::named(thread.as_str()), asked).await?;
    let reached = request.engine.threads().reaches(&permit, thread).await;
    permit.close(reached.map_err(|error| threads::missing(error, thread)))?;
    Ok(Some((request.engine.clone(), id.clone())))
}

/// `GET /threads/{thread}/runs/{run}/join`
pub(super) async fn join(request: Request) -> Result<Answer> {
    let (thread, run, follower) = found(&request, AS_TEXT).await.map_err(no_thread)?;
    let stop = stops(&request, &thread, &run.id).await?;
    let standing = threads::standing(&request, &thread).await?;
    let mut access = Access::watch(request.call()?)?.at_most(JOINED);
    let (engine, at) = (request.engine.clone(), place(&run));
    let waiting = async move {
        let mut run = run;
        if run.status.is_unfinished() {
            match follower {
                Some(mut follower) => {
                    while let Some(told) = under(&mut access, follower.next()).await? {
                        if let Told::Ended(ended, _) = told {
                            run = *ended;
                        }
                    }
                }
                // It goes on in another process: looked at from time to time.
                None => run = under(&mut access, engine.runs().settled(&run)).await??,
            }
        }
        if run.status == RunStatus::Error {
            return Ok(json!({ "__error__": views::failure(&run) }));
        }
        let all = engine.threads().shown_messages(&standing.thread).await?;
        Ok(checkpoints::values(&standing.thread, &all))
    };
    Ok(stream::later(waiting, stop, &format!("{at}/join"), &at))
}

/// Which events a listener has already, by the id of its last one: `-1` and `0` are none.
fn last_event(headers: &HeaderMap) -> Option<usize> {
    let given = headers.get("last-event-id")?.to_str().ok()?.trim();
    match given {
        "-1" | "0" => Some(0),
        other => other.rsplit_once('-')?.1.parse::<usize>().ok()?.checked_add(1),
    }
}

/// `GET /threads/{thread}/runs/{run}/stream`
pub(super) async fn join_stream(request: Request) -> Result<Answer> {
    let (thread, run, follower) = found(&request, &["thread_id"]).await?;
    let stop = stops(&request, &thread, &run.id).await?;
    let at = place(&run);
    let kept = |name: &str| run.details.get("kwargs").and_then(|kwargs| kwargs.get(name)).cloned();
    let mut modes = Mode::read(kept("stream_mode").as_ref()).unwrap_or_else(|_| vec![Mode::Values]);
    let query = request.query()?;
    if let Some(wanted) = query.text("stream_mode").filter(|wanted| !wanted.is_empty()) {
        // A filter over what the run tells; a word that it does not know leaves nothing.
        modes.retain(|mode| mode.name() == wanted);
    }
    let resumable = kept("resumable") == Some(Value::Bool(true));
    let Some(mut follower) = follower else {
        return Ok(stream::nothing(&format!("{at}/stream"), &at));
    };
    let mut emitter = emitter(&request, &run, modes);
    let seen = last_event(&request.headers).filter(|_| resumable);
    let mut counted = 0;
    if seen.is_none() {
        // Whoever joins without saying where it was hears what comes from now on; the run's introduction counts too.
        counted = 1 + follower.so_far().iter().map(|told| emitter.absorb(told)).sum::<usize>();
    }
    let telling = Telling {
        follower,
        emitter,
        numbered: resumable.then_some(run.created_at_ms),
        counted,
        skip: seen.unwrap_or(0),
        introduces: seen.is_some(),
        access: Access::watch(request.call()?)?.at_most(JOINED),
        stop,
    };
    Ok(stream::answer(telling, &format!("{at}/stream"), &at))
}

/// The platform's words for runs that are over already.
const ALL_OVER: &str = "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs haven't \
                        been deleted or completed.";

/// What a cancelling request says beside which runs.
pub(super) struct Cancelling {
    pub(super) wait: bool,
    pub(super) and_forget: bool,
}

impl Cancelling {
    /// What a listener asks for that wants its run stopped when it leaves.
    pub(super) fn of_listener() -> Self {
        Self { wait: false, and_forget: false }
    }

    pub(super) fn read(request: &Request) -> Result<Self> {
        let query = request.query()?;
        let wait = match query.text("wait") {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(_) => return Err(bad("wait", "is 0, 1, true or false")),
        };
        let and_forget = match query.text("action") {
            None | Some("interrupt") => false,
            Some("rollback") => true,
            Some(_) => return Err(bad("action", "is interrupt or rollback")),
        };
        Ok(Self { wait, and_forget })
    }

    /// What handlers are shown of it.
    pub(super) fn asked(&self, thread: &ThreadId, named: &[RunId]) -> Asked {
        let action = if self.and_forget { "rollback" } else { "interrupt" };
        let metadata = json!({ "run_ids": named, "status": null });
        let value = json!({ "thread_id": thread, "action": action, "metadata": metadata });
        Asked { value: threads::object(value), uuids: &["thread_id", "metadata.run_ids"] }
    }

    pub(super) async fn carry(&self, request: &Request, thread: &ThreadId, named: &[RunId]) -> Result<()> {
        let asked = self.asked(thread, named);
        let permit = request.permit_asking::<run::Cancel>(Target::named(thread.as_str()), asked).await?;
        let stopped = request.engine.runs().cancel(permit, thread, named, self.and_forget).await;
        let stopped = stopped.map_err(|error| match error.is(codes::NOT_FOUND) {
            true => error.message("No runs found to cancel."),
            false => error,
        })?;
        if stopped.is_empty() {
            return Err(Error::new(codes::NOT_FOUND).message(ALL_OVER));
        }
        if self.wait {
            let mut access = Access::watch(request.call()?)?;
            let followed = stopped.iter().filter_map(|run| request.engine.agents().feeds.follow(&run.id));
            for mut follower in followed {
                while under(&mut access, follower.next()).await?.is_some() {}
            }
        }
        Ok(())
    }
}

/// `POST /threads/{thread}/runs/{run}/cancel`
pub(super) async fn cancel(request: Request) -> Result<Answer> {
    let (thread, id) = (ids::thread_in_path(&request)?, ids::run_in_path(&request)?);
    let cancelling = Cancelling::read(&request)?;
    cancelling.carry(&request, &thread, std::slice::from_ref(&id)).await?;
    if cancelling.wait {
        let at = format!("/threads/{thread}/runs/{id}");
        return Ok(located(json_answer(StatusCode::OK, &json!({})), Some(&format!("{at}/join")), &at));
    }
    let mut answer = no_content();
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

/// `POST /runs/cancel`, for runs that are named.
pub(super) async fn cancel_named(mut request: Request) -> Result<Answer> {
    request.may::<run::Cancel>()?;
    let body = Body::read(&mut request).await?;
    body.cannot(&["status"])?;
    let (Some(thread), Some(named)) = (body.text("thread_id")?, body.texts("run_ids")?) else {
        return Err(Error::new(codes::BAD_FIELD).message("`thread_id` and `run_ids` are required"));
    };
    if named.is_empty() || named.len() > 100 {
        return Err(bad("run_ids", "holds 1 to 100 ids"));
    }
    let thread = ids::thread(thread)?;
    let named = named.into_iter().map(ids::run).collect::<Result<Vec<_>>>()?;
    Cancelling::read(&request)?.carry(&request, &thread, &named).await?;
    Ok(no_content())
}

/// `DELETE /threads/{thread}/runs/{run}`
pub(super) async fn delete(request: Request) -> Result<Answer> {
    let (thread, id) = (ids::thread_in_path(&request)?, ids::run_in_path(&request)?);
    let value = json!({ "run_id": id, "thread_id": thread });
    let asked = Asked { value: threads::object(value), uuids: &["run_id", "thread_id"] };
    let permit = request.permit_asking::<run::Delete>(Target::named(id.as_str()), asked).await?;
    request.engine.runs().delete(permit, &thread, &id).await.map_err(|error| {
        match error.is(codes::NOT_FOUND) {
            true => error.message("Run not found"),
            false => error,
        }
    })?;
    Ok(no_content())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_listener_says_which_event_it_heard_last() {
        for (given, expected) in [
            ("-1", Some(0)),
            ("0", Some(0)),
            ("1795876589424-0", Some(1)),
            ("1795876589424-7", Some(8)),
            ("junk", None),
            ("5-x", None),
            ("1-18446744073709551615", None),
        ] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("last-event-id"),
                HeaderValue::from_static(given),
            )]);
            assert_eq!(last_event(&headers), expected, "{given}");
        }
    }
}
