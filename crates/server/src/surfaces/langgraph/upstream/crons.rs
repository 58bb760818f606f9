//! Crons of the server, which runs them by itself: nobody is asked when they are due, so whoever makes or changes one needs leave for the
//! runs too.

use doorward_core::agents::crons::{Crons, not_its_owner};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, cron, thread};
use doorward_core::authz::custom::Asked;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::ThreadId;
use doorward_core::operation::Grant;
use http::Method;
use serde_json::{Map, Value, json};

use super::super::body::{Body, bad};
use super::super::crons::{OF_CRONS, OF_ONE_RUN, Searched, in_path, listed as told_list, thread_missing};
use super::super::{ids, threads as own};
use super::listing::{Columns, Listed, Wanted, listed};
use super::runs::{Place, admitted};
use super::{CRON, STAMP, THREAD, pass, reached, shown, stamped, told};
use crate::http::respond::Answer;
use crate::request::Request;

async fn leave<A: Action>(request: &Request, id: &str, value: Value) -> Result<Grant> {
    let asked = Asked { value: own::object(value), uuids: &["cron_id", "thread_id"] };
    Ok(request.permit_asking::<A>(Target::named(id), asked).await?.into_grant())
}

/// Leave for `A` on a cron that it reaches, and the cron.
async fn on<A: Action>(request: &Request, id: &str, value: Value, words: &str) -> Result<(Grant, Value)> {
    let grant = leave::<A>(request, id, value).await?;
    match reached(request, &grant, &CRON, id).await {
        Ok(found) => Ok((grant, found)),
        Err(error) if error.is(codes::NOT_FOUND) => grant.close(Err(error.message(words))),
        Err(error) => grant.close(Err(error)),
    }
}

/// Refuses a schedule that the embedded server would refuse: the real one takes a field for seconds.
fn schedule(request: &Request, body: &Body) -> Result<()> {
    match body.text("schedule")? {
        Some(text) => Crons::of(&request.engine).must_be_due(text, body.text("timezone")?),
        None => Ok(()),
    }
}

/// What a cron runs, once there is leave for such runs: rebuilt as runs are.
async fn as_run(
    request: &Request,
    place: &Place,
    mut body: Map<String, Value>,
    keep: bool,
) -> Result<Map<String, Value>> {
    body.retain(|name, _| !OF_ONE_RUN.contains(&name.as_str()));
    if keep && matches!(place, Place::New { .. }) {
        body.insert("on_completion".to_owned(), "keep".into());
    }
    let (grant, mut body) = admitted(request, place, Body(body)).await?;
    grant.close(Ok(()))?;
    body.retain(|name, _| !OF_ONE_RUN.contains(&name.as_str()));
    Ok(body)
}

fn keeps(body: &Body) -> Result<bool> {
    Ok(body.word("on_run_completed", &[("keep", true), ("delete", false)])?.unwrap_or(false))
}

/// What handlers left of what a cron runs.
fn amended_payload(grant: &Grant) -> Result<Map<String, Value>> {
    match grant.amended().get("payload") {
        Some(Value::Object(members)) => Ok(members.clone()),
        _ => Err(bad("payload", "is an object")),
    }
}

async fn made(mut request: Request, thread: Option<ThreadId>) -> Result<Answer> {
    request.may::<cron::Create>()?;
    let body = Body::read(&mut request).await?;
    body.text("schedule")?.ok_or_else(|| bad("schedule", "is a required property"))?;
    schedule(&request, &body)?;
    let keep = keeps(&body)?;
    let (place, path) = match &thread {
        Some(id) => (Place::Thread(id.clone()), format!("/threads/{id}/runs/crons")),
        None => (Place::New { waited: false }, "/runs/crons".to_owned()),
    };
    let metadata = body.maybe_object("metadata")?.cloned().unwrap_or_default();
    let payload = as_run(&request, &place, body.0, keep).await?;
    let value = json!({
        "payload": payload,
        "schedule": payload.get("schedule"),
        "cron_id": ids::fresh(&request.engine).to_string(),
        "thread_id": thread,
        "user_id": request.call()?.auth.principal.subject,
        "end_time": payload.get("end_time"),
        "metadata": metadata,
    });
    let asked = Asked { value: own::object(value), uuids: &["cron_id", "thread_id"] };
    let grant = request.permit_asking::<cron::Create>(Target::any(), asked).await?.into_grant();
    let prepared = async {
        if let Some(id) = &thread {
            let reading = request
                .permit_asking::<thread::Read>(Target::named(id.as_str()), own::named(id))
                .await?
                .into_grant();
            let seen = reached(&request, &reading, &THREAD, id.as_str()).await.map(drop);
            reading.close(seen.map_err(|error| thread_missing(error, id)))?;
        }
        // Handlers may change what it says, not when it runs or as what.
        let mut left = amended_payload(&grant)?;
        left.extend(
            payload
                .iter()
                .filter(|(name, _)| is_fixed(name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        super::scrub::run(&mut left, thread.as_ref());
        let mut metadata = own::object(payload.get("metadata").cloned().unwrap_or_default());
        metadata.extend(own::amended_metadata(&grant));
        left.insert("metadata".to_owned(), Value::Object(stamped(&grant, metadata)));
        Ok(left)
    };
    match prepared.await {
        Ok(body) => pass(&request, grant, Method::POST, path, Some(Value::Object(body))).await,
        Err(error) => grant.close(Err(error)),
    }
}

/// Members that were decided about before the handlers of crons were asked.
fn is_fixed(name: &str) -> bool {
    OF_CRONS.contains(&name) || matches!(name, "assistant_id" | "webhook")
}

/// `POST /runs/crons`
pub(crate) async fn create(request: Request) -> Result<Answer> {
    made(request, None).await
}

/// `POST /threads/{thread}/runs/crons`
pub(crate) async fn create_in_thread(request: Request) -> Result<Answer> {
    let thread = ids::thread_in_path(&request)?;
    made(request, Some(thread)).await
}

/// `GET /runs/crons/{cron}`
pub(crate) async fn get(request: Request) -> Result<Answer> {
    let id = in_path(&request)?;
    let (grant, _) = on::<cron::Read>(&request, &id, json!({ "cron_id": id }), "Not Found").await?;
    pass(&request, grant, Method::GET, format!("/runs/crons/{id}"), None).await
}

/// `DELETE /runs/crons/{cron}`
pub(crate) async fn delete(request: Request) -> Result<Answer> {
    let id = in_path(&request)?;
    let (grant, _) = on::<cron::Delete>(&request, &id, json!({ "cron_id": id }), "Not Found").await?;
    pass(&request, grant, Method::DELETE, format!("/runs/crons/{id}"), None).await
}

/// Whether a change has the server begin runs that it would not have begun.
fn goes_on(body: &Body) -> bool {
    let when = ["schedule", "timezone", "end_time"];
    body.0.get("enabled").is_some_and(|enabled| *enabled != Value::Bool(false))
        || when.iter().any(|name| body.0.contains_key(*name))
}

/// `PATCH /runs/crons/{cron}`
pub(crate) async fn update(mut request: Request) -> Result<Answer> {
    let id = in_path(&request)?;
    request.may::<cron::Update>()?;
    let mut body = Body::read(&mut request).await?;
    if body.0.is_empty() {
        return Err(Error::new(codes::BAD_REQUEST).message("Request body cannot be empty"));
    }
    schedule(&request, &body)?;
    body.0.remove("assistant_id");
    let value = json!({
        "cron_id": id,
        "schedule": body.member("schedule"),
        "end_time": body.member("end_time"),
        "enabled": body.member("enabled"),
        "on_run_completed": body.member("on_run_completed"),
        "payload": body.0,
        "metadata": body.maybe_object("metadata")?.cloned().unwrap_or_default(),
    });
    let (grant, found) = on::<cron::Update>(&request, &id, value, &format!("Cron '{id}' not found")).await?;
    let prepared = async {
        let mut left = amended_payload(&grant)?;
        left.extend(
            body.0
                .iter()
                .filter(|(name, _)| is_fixed(name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let of_runs = |name: &String| !OF_CRONS.contains(&name.as_str()) && name != "metadata";
        let keep = keeps(&body)?;
        let assistant = found.get("assistant_id").cloned().unwrap_or_default();
        let place = match found.get("thread_id").and_then(Value::as_str) {
            Some(thread) => Place::Thread(ids::thread(thread)?),
            None => Place::New { waited: false },
        };
        let changes_runs = keep || left.keys().any(of_runs);
        let owner = found.get("metadata").and_then(|metadata| metadata.get(STAMP)).and_then(Value::as_str);
        let is_owner = owner == Some(grant.auth().principal.owner_key().as_str());
        let says_keep = body.0.contains_key("on_run_completed");
        if !is_owner && (changes_runs || says_keep || goes_on(&body)) {
            return Err(not_its_owner());
        }
        if changes_runs {
            // Its next runs are others: whoever may not begin such ones does not let the server begin them.
            left.insert("assistant_id".to_owned(), assistant);
            left = as_run(&request, &place, left, keep).await?;
            left.remove("assistant_id");
        } else if goes_on(&body) {
            // What it runs stays; that it runs again, or at other times, is for whoever may begin such runs.
            let asked = Map::from_iter([("assistant_id".to_owned(), assistant)]);
            as_run(&request, &place, asked, keep).await?;
        }
        let mut metadata = own::amended_metadata(&grant);
        // Whose a cron is does not change by changing it.
        metadata.remove(STAMP);
        match metadata.is_empty() {
            true => left.remove("metadata"),
            false => left.insert("metadata".to_owned(), Value::Object(metadata)),
        };
        Ok(left)
    };
    match prepared.await {
        Ok(body) => {
            pass(&request, grant, Method::PATCH, format!("/runs/crons/{id}"), Some(Value::Object(body))).await
        }
        Err(error) => grant.close(Err(error)),
    }
}

/// Leave to search, and what the server finds of it for the caller.
async fn found(request: &mut Request, counting: bool) -> Result<(Grant, Result<Listed>, Searched)> {
    request.may::<cron::List>()?;
    let body = Body::read(request).await?;
    let searched = Searched::read(&body, counting)?;
    let grant = request.permit_asking::<cron::List>(Target::any(), searched.asked()).await?.into_grant();
    let came = async {
        match &searched.search.thread {
            Some(id) => {
                let id = ThreadId::from(id.as_str());
                let asked = own::named(&id);
                let reading = request
                    .permit_asking::<thread::Read>(Target::named(id.as_str()), asked)
                    .await?
                    .into_grant();
                let seen = reached(request, &reading, &THREAD, id.as_str()).await.map(drop);
                match reading.close(seen) {
                    Err(error) if error.is(codes::NOT_FOUND) => return Ok(Listed::Found(Vec::new(), false)),
                    seen => seen?,
                }
            }
            None => {
                let searching =
                    request.permit_asking::<thread::List>(Target::any(), Asked::default()).await?;
                searching.close(Ok(()))?;
            }
        }
        let mut wanted = body.0;
        for name in ["limit", "offset", "select", "metadata"] {
            wanted.remove(name);
        }
        let wanted = Wanted {
            body: wanted,
            metadata: own::amended_metadata(&grant),
            offset: u32::try_from(searched.offset).unwrap_or(u32::MAX),
            limit: if counting { u32::MAX } else { u32::try_from(searched.limit).unwrap_or(u32::MAX) },
            columns: if counting { Columns::None } else { Columns::All },
        };
        listed(request, &grant, (&CRON, "/runs/crons/search"), wanted).await
    };
    let came = came.await;
    Ok((grant, came, searched))
}

/// `POST /runs/crons/search`
pub(crate) async fn search(mut request: Request) -> Result<Answer> {
    let (grant, came, searched) = found(&mut request, false).await?;
    let came = came.map(|came| match came {
        Listed::Found(found, more) => {
            told_list(found.into_iter().map(own::object).collect(), &searched, more)
        }
        Listed::Refused(refused) => refused.into_answer(),
    });
    told(grant, came).await
}

/// `POST /runs/crons/count`
pub(crate) async fn count(mut request: Request) -> Result<Answer> {
    let (grant, came, _) = found(&mut request, true).await?;
    let came = came.map(|came| match came {
        Listed::Found(found, _) => shown(&found.len().into()),
        Listed::Refused(refused) => refused.into_answer(),
    });
    told(grant, came).await
}
