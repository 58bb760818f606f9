//! Runs in a thread of their own, which goes when they are over unless it is to be kept.

use doorward_core::authz::catalogue::run;
use doorward_core::error::{Error, Result, codes};
use http::StatusCode;
use serde_json::Value;

use super::body::Body;
use super::run_request::{self, Place};
use super::{runs, views};
use crate::http::extract::json_list;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Most runs that are begun at once.
pub(super) const MAX_BATCH: usize = 16;

/// In a thread of its own that nobody waits for.
const ALONE: Place = Place::New { waited: false };

/// `POST /runs`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    let begun = run_request::begin(&mut request, Place::New { waited: false }).await?;
    let at = format!("/runs/{}", begun.run.id);
    Ok(runs::located(json_answer(StatusCode::OK, &views::run(&begun.run)), None, &at))
}

/// `POST /runs/wait`
pub(super) async fn wait(mut request: Request) -> Result<Answer> {
    let begun = run_request::begin(&mut request, Place::New { waited: true }).await?;
    runs::waited(&request, begun)
}

/// `POST /runs/stream`
pub(super) async fn stream(mut request: Request) -> Result<Answer> {
    let begun = run_request::begin(&mut request, Place::New { waited: true }).await?;
    let at = format!("/runs/{}", begun.run.id);
    runs::streamed(&request, begun, &at)
}

/// `POST /runs/batch`
pub(super) async fn batch(mut request: Request) -> Result<Answer> {
    request.may::<run::Create>()?;
    let items = json_list(&request.bytes().await?)?;
    if items.is_empty() || items.len() > MAX_BATCH {
        return Err(Error::new(codes::BAD_FIELD).message("A batch holds 1 to 16 runs."));
    }
    // All of them fit, or none is begun.
    let mut read = Vec::with_capacity(items.len());
    for item in items {
        let Value::Object(members) = item else {
            return Err(Error::new(codes::BAD_FIELD).message("A batch is a list of objects."));
        };
        read.push(run_request::read(&request, &Body(members), &ALONE).await?);
    }
    let mut begun = Vec::with_capacity(read.len());
    for one in read {
        begun.push(views::run(&run_request::begin_as(&request, ALONE, one).await?.run));
    }
    Ok(json_answer(StatusCode::OK, &begun))
}
