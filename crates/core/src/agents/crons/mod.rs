//! Crons: runs that begin by the clock, as their owners.
//!
//! ```text
//! made, changed ─► due at ─► claimed (its next time is written) ─► its maker as of now ─► leave ─► a run
//! ```
//! One of several processes on a store claims each time, and a time is claimed before its run begins: what is killed in between is left out,
//! nothing is run twice. Times that pass while nobody is there are claimed once, together.

mod due;
mod maker;
mod model;
mod schedule;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::due::{AT_ONCE, Due};
use self::maker::Maker;
pub use self::model::{Cron, CronChanges, CronSearch, NewCron};
use self::schedule::Schedule;
use super::document::{Document, Kind, Looked, each, sharing, visible};
use super::model::Thread;
use super::search::holds;
use super::threads::TRIES;
use crate::authz::catalogue::cron;
use crate::authz::filter::Filter;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::identity::validate;
use crate::operation::{Grant, Permit};
use crate::ports::documents::{DocumentQuery, Place};
use crate::ports::store::{ThreadOrder, Write};
use crate::ports::{Conflict, StoreError};

/// Most crons of one owner, most bytes in them, and most bytes of what one of them runs.
const MAX_CRONS: u32 = 100;
const MAX_CRONS_BYTES: u64 = 8 << 20;
const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// Most crons that go with an assistant at once.
const MAX_CASCADE: u32 = 1_000;
/// Most bytes of crons that one search holds.
const MAX_FOUND_BYTES: usize = 8 << 20;

/// What a document's body holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    user: String,
    assistant: String,
    thread: Option<String>,
    schedule: String,
    timezone: Option<String>,
    end_at_ms: Option<i64>,
    enabled: bool,
    keep: bool,
    payload: Map<String, Value>,
    next_at_ms: Option<i64>,
    maker: String,
}

impl Kept {
    fn of(document: &Document) -> Result<Self> {
        let damaged = |error| Error::new(codes::INTERNAL).operator(format!("a cron cannot be read: {error}"));
        serde_json::from_value(Value::Object(document.body.clone())).map_err(damaged)
    }

    fn into_body(self) -> Result<Map<String, Value>> {
        let damaged = || Error::new(codes::INTERNAL).operator("a cron is no object");
        let body = serde_json::to_value(self).ok().and_then(|body| body.as_object().cloned());
        body.ok_or_else(damaged)
    }

    /// Works out the next time after this moment.
    fn plan(&mut self, now_ms: i64) -> Result<()> {
        let schedule = Schedule::read(&self.schedule, self.timezone.as_deref(), now_ms)?;
        self.next_at_ms = schedule.next_ms(now_ms);
        Ok(())
    }

    /// When it is due: at its next time, while it is enabled and not over.
    fn due_at_ms(&self) -> Option<i64> {
        let before_its_end = |next_ms: &i64| self.end_at_ms.is_none_or(|end_ms| *next_ms <= end_ms);
        self.next_at_ms.filter(|_| self.enabled).filter(before_its_end)
    }

    fn fits(&self) -> Result<()> {
        if serde_json::to_vec(&self.payload).map_or(usize::MAX, |text| text.len()) > MAX_PAYLOAD_BYTES {
            let text = format!("What a cron runs may take {MAX_PAYLOAD_BYTES} bytes as JSON.");
            return Err(Error::new(codes::BAD_FIELD).message(text));
        }
        Ok(())
    }
}

fn shown(document: &Document) -> Result<Cron> {
    let kept = Kept::of(document)?;
    Ok(Cron {
        id: document.id.clone(),
        user: kept.user,
        assistant: kept.assistant,
        thread: kept.thread,
        metadata: document.metadata.clone(),
        schedule: kept.schedule,
        timezone: kept.timezone,
        end_at_ms: kept.end_at_ms,
        enabled: kept.enabled,
        keep: kept.keep,
        payload: kept.payload,
        next_at_ms: kept.next_at_ms,
        created_at_ms: document.created_at_ms,
        updated_at_ms: document.updated_at_ms,
    })
}

/// Refuses an end that is over.
fn ahead(end_at_ms: Option<i64>, now_ms: i64) -> Result<()> {
    match end_at_ms.is_some_and(|end_ms| end_ms <= now_ms) {
        true => Err(Error::new(codes::BAD_FIELD).message("end_time: is over.")),
        false => Ok(()),
    }
}

/// Where the crons of an assistant stand.
fn place(assistant: &str) -> String {
    format!("{assistant}.")
}

/// Crons as a service.
pub struct Crons<'e> {
    engine: &'e Engine,
}

impl<'e> Crons<'e> {
    /// The crons that this engine keeps.
    #[must_use]
    pub fn of(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Refuses a schedule that no cron could have.
    ///
    /// # Errors
    /// `bad_field`.
    pub fn must_be_due(&self, schedule: &str, timezone: Option<&str>) -> Result<()> {
        Schedule::read(schedule, timezone, self.engine.now_ms()).map(drop)
    }

    /// Makes one; the caller owns it, and it runs as the caller.
    ///
    /// # Errors
    /// `bad_field`; `forbidden` for callers whom nobody could be held to later; `too_many_crons`.
    pub async fn create(&self, mut permit: Permit<cron::Create>, new: NewCron) -> Result<Cron> {
        let prepared = || {
            let now_ms = self.engine.now_ms();
            validate::metadata("metadata", &new.metadata)?;
            let mut kept = Kept {
                user: permit.auth().principal.subject.to_string(),
                assistant: new.assistant,
                thread: new.thread,
                schedule: new.schedule,
                timezone: new.timezone,
                end_at_ms: new.end_at_ms,
                enabled: new.enabled,
                keep: new.keep,
                payload: new.payload,
                next_at_ms: None,
                maker: Maker::of(permit.auth(), now_ms)?.seal(self.engine, &new.id)?,
            };
            kept.plan(now_ms)?;
            kept.fits()?;
            ahead(kept.end_at_ms, now_ms)?;
            Ok(Document {
                kind: Kind::Cron,
                mount: permit.mount().name.to_string(),
                owner: permit.auth().principal.owner_key(),
                place: place(&kept.assistant),
                name: new.id.clone(),
                id: new.id,
                sharing: sharing(&permit)?,
                metadata: new.metadata,
                due_at_ms: kept.due_at_ms(),
                body: kept.into_body()?,
                revision: 1,
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
            })
        };
        let document = match prepared() {
            Ok(document) => document,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(&document.id);
        let made = shown(&document);
        let write = Write::InsertDocument {
            document: Box::new(document),
            most: MAX_CRONS,
            most_bytes: MAX_CRONS_BYTES,
        };
        match permit.commit(vec![write]).await {
            Ok(()) => made,
            Err(error) => Err(refused(error)),
        }
    }

    /// One cron.
    ///
    /// # Errors
    /// `not_found`, also for somebody else's.
    pub async fn get(&self, permit: Permit<cron::Read>, id: &str) -> Result<Cron> {
        let found = visible(self.engine, &permit, Kind::Cron, id).await.and_then(|found| shown(&found));
        permit.close(found)
    }

    /// Everything that a search is for, newest first.
    ///
    /// # Errors
    /// `bad_filter` for a search that would have to look at too much.
    pub async fn list(&self, permit: Permit<cron::List>, search: &CronSearch) -> Result<Vec<Cron>> {
        let found = self.found(&permit, search).await;
        permit.close(found)
    }

    async fn found(&self, grant: &Grant, search: &CronSearch) -> Result<Vec<Cron>> {
        let place = search.assistant.as_deref().map(|assistant| Place::At(place(assistant)));
        let looked = Looked { place, name: None, by: ThreadOrder::CreatedAt, ascending: false };
        let (mut found, mut wrong, mut room) = (Vec::new(), None, MAX_FOUND_BYTES);
        let is_wanted = |one: &Cron| {
            search.thread.as_ref().is_none_or(|thread| one.thread.as_ref() == Some(thread))
                && search.enabled.is_none_or(|enabled| one.enabled == enabled)
                && holds(&one.metadata, &search.metadata)
        };
        each(self.engine, grant, Kind::Cron, looked, |one| {
            let size = serde_json::to_vec(&one.body).map_or(usize::MAX, |text| text.len());
            match shown(&one) {
                Ok(one) if is_wanted(&one) => {
                    room = room.saturating_sub(size);
                    found.push(one);
                }
                Ok(_) => {}
                Err(error) => wrong = Some(error),
            }
            wrong.is_none() && room > 0
        })
        .await?;
        if room == 0 {
            let text =
                "This search finds too much; ask for one assistant or thread, or for more of their metadata.";
            return Err(Error::new(codes::BAD_FILTER).message(text));
        }
        wrong.map_or(Ok(found), Err)
    }

    /// Changes one. Its owner vouches for it anew; changed by somebody else it stays as its maker's.
    ///
    /// # Errors
    /// `not_found`, `bad_field`; `forbidden` as for [`Crons::create`].
    pub async fn update(
        &self,
        mut permit: Permit<cron::Update>,
        id: &str,
        changes: &CronChanges,
    ) -> Result<Cron> {
        for _ in 0..TRIES {
            let prepared = async {
                let seen = visible(self.engine, &permit, Kind::Cron, id).await?;
                self.changed(&permit, seen, changes)
            };
            let (to, revision) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            let made = shown(&to);
            permit.name_resource(id);
            let write = Write::ChangeDocument { to: Box::new(to), revision, most_bytes: MAX_CRONS_BYTES };
            match permit.attempt(vec![write]).await {
                Ok(()) => return made,
                // Somebody else changed it, or it was claimed: it is read, and decided about, anew.
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return permit.close(Err(refused(error))),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    fn changed(&self, grant: &Grant, seen: Document, changes: &CronChanges) -> Result<(Document, i64)> {
        let now_ms = self.engine.now_ms();
        let is_owner = grant.auth().principal.owner_key() == seen.owner;
        if !is_owner && changes.needs_its_owner() {
            return Err(not_its_owner());
        }
        let mut kept = Kept::of(&seen)?;
        let mut metadata = seen.metadata.clone();
        metadata.extend(changes.metadata.clone());
        validate::metadata("metadata", &metadata)?;
        let mut planned = changes.schedule.is_some() || changes.timezone.is_some();
        kept.schedule = changes.schedule.clone().unwrap_or(kept.schedule);
        kept.timezone = changes.timezone.clone().or(kept.timezone);
        kept.end_at_ms = changes.end_at_ms.unwrap_or(kept.end_at_ms);
        kept.enabled = changes.enabled.unwrap_or(kept.enabled);
        // What passed while it was not enabled is not made up for.
        planned |= changes.enabled == Some(true) && kept.next_at_ms.is_none_or(|next_ms| next_ms <= now_ms);
        if kept.thread.is_none() {
            kept.keep = changes.keep.unwrap_or(kept.keep);
        }
        kept.payload.extend(changes.payload.clone());
        if is_owner {
            kept.payload.extend(changes.beside.clone());
        }
        if planned {
            kept.plan(now_ms)?;
        }
        // A time that has come stays due, unless it is said when or whether it is.
        let moved = planned || changes.enabled.is_some() || changes.end_at_ms.is_some();
        let due_at_ms = if moved { kept.due_at_ms() } else { seen.due_at_ms };
        kept.fits()?;
        ahead(changes.end_at_ms.flatten(), now_ms)?;
        if is_owner {
            kept.maker = Maker::of(grant.auth(), now_ms)?.seal(self.engine, &seen.id)?;
        }
        let revision = seen.revision;
        let to = Document {
            metadata,
            due_at_ms,
            body: kept.into_body()?,
            revision: revision + 1,
            updated_at_ms: now_ms,
            ..seen
        };
        Ok((to, revision))
    }

    /// Removes one.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(&self, permit: Permit<cron::Delete>, id: &str) -> Result<()> {
        match visible(self.engine, &permit, Kind::Cron, id).await {
            Ok(found) => match permit.commit(vec![Write::DeleteDocument(found.id)]).await {
                Err(StoreError::Conflict(Conflict::Missing)) => Err(Error::new(codes::NOT_FOUND)),
                other => Ok(other?),
            },
            Err(error) => permit.close(Err(error)),
        }
    }
}

/// Why somebody else than the owner of a cron, whom leave lets change it, changes no more than its metadata and whether it is off: it runs as
/// its owner, whoever changes it, so nobody else says what, or that it goes on.
#[must_use]
pub fn not_its_owner() -> Error {
    let text = "Only its owner changes what a cron does or when: it runs as its owner. Others turn it off, or change its metadata.";
    Error::new(codes::FORBIDDEN).message(text).by_rule("cron owner")
}

/// What removes the crons of a thread with it: those of its owner. Those of others go when they are due next.
pub(super) async fn with_thread(engine: &Engine, thread: &Thread) -> Result<Vec<Write>> {
    let own = Filter::owned_by(&thread.owner);
    let found = engine.store().documents(&thread.mount, Kind::Cron, &own, &all(None, MAX_CRONS)).await?;
    let is_of_it =
        |one: &Document| one.body.get("thread").and_then(Value::as_str) == Some(thread.id.as_str());
    Ok(found.into_iter().filter(is_of_it).map(|one| Write::DeleteDocument(one.id)).collect())
}

/// What removes the crons of an assistant with it, whosever they are; the rest of very many go when they are due next.
pub(super) async fn with_assistant(engine: &Engine, mount: &str, assistant: &str) -> Result<Vec<Write>> {
    let query = all(Some(Place::At(place(assistant))), MAX_CASCADE);
    let found = engine.store().documents(mount, Kind::Cron, &Filter::Everything, &query).await?;
    Ok(found.into_iter().map(|one| Write::DeleteDocument(one.id)).collect())
}

fn all(place: Option<Place>, limit: u32) -> DocumentQuery {
    DocumentQuery { place, name: None, by: ThreadOrder::Id, ascending: true, offset: 0, limit }
}

fn refused(error: StoreError) -> Error {
    match error {
        StoreError::Conflict(Conflict::TooMany) => Error::new(codes::TOO_MANY_CRONS),
        StoreError::Conflict(Conflict::Exists) => Error::new(codes::CONFLICT),
        other => other.into(),
    }
}
