//! Begins the runs of crons that are due, in whichever process claims them.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::crons::{AT_ONCE, Crons, Due};
use doorward_core::authz::catalogue::{Action, ActionDef, assistant, run, thread};
use doorward_core::engine::Engine;
use doorward_core::error::{Kind, Result, codes};
use doorward_core::id::ThreadId;
use doorward_core::memory::revocations::Moment;
use doorward_core::operation::Call;
use doorward_protocols::path::{CanonicalPath, canonical};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::crons::as_run;
use super::run_request::{self, Place};
use crate::phase::taking_nothing;
use crate::request::Request;
use crate::site::Site;

/// How often it is looked what is due, and how long after the store did not answer.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whose crons were revoked, where something was.
const SWEPT_EVERY_MS: i64 = 60_000;
/// How many runs begin together.
const TOGETHER: usize = 8;
/// What a cron's run may do: what a request for one may.
const ACTIONS: &[&ActionDef] =
    &[run::Create::DEF, thread::Create::DEF, thread::Read::DEF, assistant::Read::DEF];

/// Begins what is due on a mount, until the server stops.
pub(crate) async fn keep(engine: Engine, site: Arc<Site>) {
    let Ok(path) = canonical(b"/runs/crons") else { return };
    let mut phases = site.phases.clone();
    let mut swept = None;
    loop {
        let came = match sweep(&engine, &site, &mut swept).await {
            Ok(()) => round(&engine, &site, &path).await,
            Err(error) => Err(error),
        };
        let pause = match came {
            Ok(count) if count >= AT_ONCE as usize => Duration::ZERO,
            Ok(_) => EVERY,
            Err(error) => {
                tracing::warn!(mount = %site.mount.name, ?error, "crons wait: what is due cannot be claimed");
                PATIENCE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = taking_nothing(&mut phases) => return,
        }
    }
}

/// Looks, once a minute at most, whether crons are turned off by what was revoked meanwhile.
async fn sweep(engine: &Engine, site: &Site, swept: &mut Option<(i64, Moment)>) -> Result<()> {
    let (now_ms, moment) = (engine.clock().steady_ms(), engine.memory().revocations.moment());
    let is_due =
        swept.is_none_or(|(at_ms, seen)| seen != moment && now_ms.saturating_sub(at_ms) >= SWEPT_EVERY_MS);
    if is_due {
        Crons::of(engine).turn_off_revoked(&site.mount).await?;
        *swept = Some((now_ms, moment));
    }
    Ok(())
}

/// Claims what is due now and begins it; returns how much was looked at.
async fn round(engine: &Engine, site: &Arc<Site>, path: &CanonicalPath) -> Result<usize> {
    let (claimed, count) = Crons::of(engine).claim(&site.mount).await?;
    let begun = futures_util::stream::iter(claimed).map(|due| one(engine, site, path, due));
    begun.buffer_unordered(TOGETHER).collect::<Vec<()>>().await;
    Ok(count)
}

async fn one(engine: &Engine, site: &Arc<Site>, path: &CanonicalPath, due: Due) {
    let crons = Crons::of(engine);
    let began = match crons.caller(&site.mount, &due).await {
        Ok(call) => begin(engine, site, path, &due, call).await,
        // It is in the audit log.
        Err(error) => {
            return tracing::info!(cron = %due.cron.id, code = error.code().name, "a cron's owner may not come in");
        }
    };
    let Err(error) = began else { return };
    let code = error.code().name;
    match error.code().kind {
        Kind::Internal | Kind::Upstream | Kind::Unavailable => {
            tracing::warn!(cron = %due.cron.id, ?error, "a cron's run did not begin");
        }
        _ => tracing::info!(cron = %due.cron.id, code, "a cron's run did not begin"),
    }
    crons.not_begun(&site.mount, &due, code);
    if error.is(codes::NOT_FOUND)
        && let Err(error) = settle(engine, site, &due).await
    {
        tracing::warn!(cron = %due.cron.id, ?error, "a cron without its thread or assistant could not be removed");
    }
}

async fn begin(engine: &Engine, site: &Arc<Site>, path: &CanonicalPath, due: &Due, call: Call) -> Result<()> {
    let request = Request::of_ours(engine, site, path.clone(), ACTIONS, call);
    let mut body = as_run(&due.cron.payload);
    let mut metadata = due.cron.metadata.clone();
    if let Some(Value::Object(of_run)) = body.0.remove("metadata") {
        metadata.extend(of_run);
    }
    body.0.insert("metadata".to_owned(), Value::Object(metadata));
    body.0.insert("assistant_id".to_owned(), due.cron.assistant.as_str().into());
    let place = match &due.cron.thread {
        Some(thread) => Place::Thread(ThreadId::from(thread.as_str())),
        None => {
            body.0.insert("on_completion".to_owned(), if due.cron.keep { "keep" } else { "delete" }.into());
            Place::New { waited: false }
        }
    };
    let read = run_request::read(&request, &body, &place).await?;
    run_request::begin_as(&request, place, read).await.map(drop)
}

/// Removes a cron whose thread is gone, whoever asks. What is there and is not its owner's to see may be so again.
async fn settle(engine: &Engine, site: &Arc<Site>, due: &Due) -> Result<()> {
    let Some(thread) = &due.cron.thread else { return Ok(()) };
    let crons = Crons::of(engine);
    if crons.has_thread(&site.mount, thread).await? {
        return Ok(());
    }
    crons.forget(&site.mount, &due.cron.id).await
}
