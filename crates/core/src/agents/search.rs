//! Finding threads: what the caller may see, narrowed by what is asked for, in an order of choice.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::model::{Run, RunStatus, Thread};
use super::threads::Threads;
use crate::authz::catalogue::thread;
use crate::authz::condition::Condition;
use crate::authz::filter::Filter;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::ThreadId;
use crate::operation::{Grant, Permit};
use crate::ports::store::{Page, ThreadHead, ThreadOrder, ThreadPlace, ThreadQuery, ThreadSort};

/// How many rows are read at once.
const PART: u32 = 200;
/// How many heads, which are small.
const HEADS: u32 = 1_000;
/// Most rows that are looked at for one search.
const MAX_ROWS: u32 = 20_000;

/// Where a thread stands, by its newest run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadStatus {
    /// Nothing runs.
    Idle,
    /// A run waits or works.
    Busy,
    /// The newest run was stopped.
    Interrupted,
    /// The newest run failed.
    Error,
}

impl ThreadStatus {
    /// The spelling of the LangGraph API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Idle, Self::Busy, Self::Interrupted, Self::Error].into_iter().find(|one| one.as_str() == text)
    }

    /// By the newest run's status, and whether it had begun.
    fn of(newest: Option<(RunStatus, bool)>) -> Self {
        match newest {
            // One that was stopped before its turn came has left nothing half done.
            None | Some((RunStatus::Success, _) | (RunStatus::Interrupted, false)) => Self::Idle,
            Some((RunStatus::Pending | RunStatus::Running, _)) => Self::Busy,
            Some((RunStatus::Interrupted, true)) => Self::Interrupted,
            Some((RunStatus::Error, _)) => Self::Error,
        }
    }

    fn after(newest: Option<&Run>) -> Self {
        Self::of(newest.map(|run| (run.status, has_begun(run))))
    }
}

/// Whether a run that was stopped had begun: it says why it did not end.
fn has_begun(run: &Run) -> bool {
    run.error.is_some()
}

/// A thread and where it stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The thread.
    pub thread: Thread,
    /// Where it stands.
    pub status: ThreadStatus,
    /// Its newest run.
    pub newest: Option<Run>,
}

/// What is looked for.
pub struct Search {
    /// Metadata that a thread has to hold: objects in part, everything else exactly.
    pub metadata: Map<String, Value>,
    /// These alone; empty for all.
    pub ids: Vec<ThreadId>,
    /// Where it stands.
    pub status: Option<ThreadStatus>,
    /// In which order.
    pub sort: ThreadSort,
    /// How many to leave out first.
    pub offset: u32,
    /// How many to find at most.
    pub limit: u32,
}

/// What was found.
pub struct Found {
    /// The threads.
    pub threads: Vec<Standing>,
    /// Whether there are more.
    pub more: bool,
}

impl Threads<'_> {
    /// Finds threads.
    ///
    /// # Errors
    /// `bad_filter` for a search that would have to look at too much.
    pub async fn search(&self, permit: Permit<thread::List>, search: Search) -> Result<Found> {
        let found = find(self.engine, &permit, &search).await;
        permit.close(found)
    }

    /// Counts threads; order, offset and limit do not matter.
    ///
    /// # Errors
    /// As [`Threads::search`].
    pub async fn count(&self, permit: Permit<thread::List>, search: Search) -> Result<usize> {
        let mut count = 0;
        let looked = Looked::new(&permit, &search);
        let counted = match looked.is_exact {
            true => looked.each_head(self.engine, |_| counts(&mut count)).await,
            false => looked.each_row(self.engine, PART, |_| counts(&mut count)).await,
        };
        permit.close(counted.map(|()| count))
    }

    /// One thread and where it stands.
    ///
    /// # Errors
    /// `not_found`, also for somebody else's.
    pub async fn standing(&self, permit: Permit<thread::Read>, id: &ThreadId) -> Result<Standing> {
        let found = match self.visible(&permit, id).await {
            Ok(thread) => stand(self.engine, thread).await,
            Err(error) => Err(error),
        };
        permit.close(found)
    }
}

pub(super) async fn stand(engine: &Engine, thread: Thread) -> Result<Standing> {
    let mut newest = engine.store().runs(&thread.id, Page { after: None, limit: 1 }).await?.pop();
    if let Some(newest) = &mut newest {
        // What it was asked for may be large, and says nothing of where the thread stands.
        newest.details = Map::new();
    }
    Ok(Standing { status: ThreadStatus::after(newest.as_ref()), thread, newest })
}

/// Each of these and where it stands.
async fn stand_all(engine: &Engine, threads: Vec<Thread>) -> Result<Vec<Standing>> {
    let ids: Vec<ThreadId> = threads.iter().map(|thread| thread.id.clone()).collect();
    let newest = engine.store().newest_runs(&ids).await?.into_iter();
    let mut newest: HashMap<ThreadId, Run> = newest.map(|run| (run.thread.clone(), run)).collect();
    let standing = |thread: Thread| {
        let newest = newest.remove(&thread.id);
        Standing { status: ThreadStatus::after(newest.as_ref()), thread, newest }
    };
    Ok(threads.into_iter().map(standing).collect())
}

async fn find(engine: &Engine, grant: &Grant, search: &Search) -> Result<Found> {
    let looked = Looked::new(grant, search);
    let mut found =
        if looked.is_exact { looked.page(engine).await? } else { looked.page_of_rows(engine).await? };
    let limit = search.limit as usize;
    let more = found.len() > limit;
    found.truncate(limit);
    let threads = stand_all(engine, found).await?;
    Ok(Found { threads, more })
}

/// The part of what comes in order that is asked for, and one more, which tells whether there are more.
struct Window<T> {
    /// How many are still left out.
    skip: u32,
    most: u32,
    found: Vec<T>,
}

impl<T> Window<T> {
    fn of(search: &Search) -> Self {
        Self { skip: search.offset, most: search.limit.saturating_add(1), found: Vec::new() }
    }

    /// Takes the next one; `false` when no more are wanted.
    fn take(&mut self, one: T) -> bool {
        match self.skip.checked_sub(1) {
            Some(left) => self.skip = left,
            None => self.found.push(one),
        }
        self.found.len() < self.most as usize
    }
}

/// A search as the store is asked: what the caller may see of what is looked for.
struct Looked<'a> {
    grant: &'a Grant,
    search: &'a Search,
    filter: Filter,
    /// Whether the query lets through nothing that has to be looked at once more.
    is_exact: bool,
}

impl<'a> Looked<'a> {
    fn new(grant: &'a Grant, search: &'a Search) -> Self {
        let asked = search.metadata.iter();
        let mut asked = asked.map(|(name, value)| Condition::Eq(name.clone(), value.clone()));
        let is_exact =
            grant.condition().is_none_or(Condition::is_of_labels) && asked.all(|one| one.is_of_labels());
        Self { grant, search, filter: grant.filter().clone().and(asked_for(search)), is_exact }
    }

    fn query<'q>(
        &'q self,
        filter: &'q Filter,
        after: Option<&'q ThreadPlace>,
        limit: u32,
    ) -> ThreadQuery<'q> {
        ThreadQuery {
            mount: &self.grant.mount().name,
            filter,
            sort: self.search.sort,
            after,
            offset: 0,
            limit,
        }
    }

    /// The page that is searched for and one thread more, by a query that knows all of it.
    async fn page(&self, engine: &Engine) -> Result<Vec<Thread>> {
        let mut window = Window::of(self.search);
        if self.search.status.is_none() {
            let offset = window.skip.min(MAX_ROWS);
            let query = ThreadQuery { offset, ..self.query(&self.filter, None, window.most) };
            let found = engine.store().sorted_threads(&query).await?;
            return if offset < window.skip && !found.is_empty() { Err(too_much()) } else { Ok(found) };
        }
        let most = window.most;
        self.each_head(engine, |id| window.take(id.as_str().to_owned())).await?;
        // Asked for as before: what was given to somebody else meanwhile is not shown.
        let filter = self.filter.clone().and(Filter::Named(window.found));
        Ok(engine.store().sorted_threads(&self.query(&filter, None, most)).await?)
    }

    /// The same, where each thread has to be looked at.
    async fn page_of_rows(&self, engine: &Engine) -> Result<Vec<Thread>> {
        let mut window = Window::of(self.search);
        let shown = window.skip.saturating_add(window.most).min(PART);
        let first = if self.search.status.is_some() { PART } else { shown };
        self.each_row(engine, first, |thread| window.take(thread)).await?;
        Ok(window.found)
    }

    /// Hands over the id of each thread that is searched for, in order, until no more are wanted.
    async fn each_head(&self, engine: &Engine, mut wanted: impl FnMut(ThreadId) -> bool) -> Result<()> {
        let mut after = None;
        for _ in 0..MAX_ROWS / HEADS {
            let query = self.query(&self.filter, after.as_ref(), HEADS);
            let mut heads = engine.store().thread_heads(&query, self.search.status.is_some()).await?;
            let is_last = heads.len() < HEADS as usize;
            after = heads.last().map(|head| head.place.clone());
            if let Some(status) = self.search.status {
                heads = standing_at(engine, heads, status).await?;
            }
            for head in heads {
                if !wanted(head.place.id) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
        Err(too_much())
    }

    /// Hands over each thread that is searched for, in order, until no more are wanted; `part` is how many rows are read
    /// at first.
    async fn each_row(
        &self,
        engine: &Engine,
        mut part: u32,
        mut wanted: impl FnMut(Thread) -> bool,
    ) -> Result<()> {
        let (mut after, mut looked_at) = (None, 0);
        while looked_at < MAX_ROWS {
            let query = self.query(&self.filter, after.as_ref(), part);
            let found = engine.store().sorted_threads(&query).await?;
            let is_last = found.len() < part as usize;
            after = found.last().map(|thread| place(thread, self.search.sort.by));
            let mut found: Vec<Thread> = found.into_iter().filter(|thread| self.is_meant(thread)).collect();
            if let Some(status) = self.search.status {
                // Where they stand costs a look of its own.
                let standing = stand_all(engine, found).await?.into_iter();
                found = standing.filter(|one| one.status == status).map(|one| one.thread).collect();
            }
            for thread in found {
                if !wanted(thread) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
            looked_at += part;
            part = PART;
        }
        Err(too_much())
    }

    fn is_meant(&self, thread: &Thread) -> bool {
        self.grant.matches(&thread.metadata) && holds(&thread.metadata, &self.search.metadata)
    }
}

fn counts(count: &mut usize) -> bool {
    *count += 1;
    true
}

fn too_much() -> Error {
    let text = "This search looks at too many threads; ask for more of their metadata, or by id.";
    Error::new(codes::BAD_FILTER).message(text)
}

fn place(thread: &Thread, by: ThreadOrder) -> ThreadPlace {
    let at_ms = match by {
        ThreadOrder::Id => 0,
        ThreadOrder::CreatedAt => thread.created_at_ms,
        ThreadOrder::UpdatedAt => thread.updated_at_ms,
    };
    ThreadPlace { at_ms, id: thread.id.clone() }
}

/// Those of these threads that stand here.
async fn standing_at(
    engine: &Engine,
    heads: Vec<ThreadHead>,
    status: ThreadStatus,
) -> Result<Vec<ThreadHead>> {
    // Of a run that was stopped its status alone does not tell.
    let stopped = heads.iter().filter(|head| head.newest == Some(RunStatus::Interrupted));
    let stopped: Vec<ThreadId> = stopped.map(|head| head.place.id.clone()).collect();
    let stopped = if stopped.is_empty() { stopped } else { begun_among(engine, &stopped).await? };
    let stands = |head: &ThreadHead| {
        let newest = head.newest.map(|status| (status, stopped.contains(&head.place.id)));
        ThreadStatus::of(newest) == status
    };
    Ok(heads.into_iter().filter(stands).collect())
}

/// Which of these threads' newest runs were stopped once they had begun.
async fn begun_among(engine: &Engine, threads: &[ThreadId]) -> Result<Vec<ThreadId>> {
    let runs = engine.store().newest_runs(threads).await?.into_iter();
    Ok(runs.filter(has_begun).map(|run| run.thread).collect())
}

/// What of a search the query can answer.
fn asked_for(search: &Search) -> Filter {
    let ids = match search.ids.as_slice() {
        [] => Filter::Everything,
        ids => Filter::Named(ids.iter().map(|id| id.as_str().to_owned()).collect()),
    };
    let members = search.metadata.iter().map(|(name, value)| Condition::Eq(name.clone(), value.clone()));
    members.fold(ids, |all, member| all.and(member.prefilter()))
}

/// Whether metadata holds what is wanted: objects in part, everything else exactly, `null` never.
pub(super) fn holds(metadata: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, wanted)| match (metadata.get(name), wanted) {
        (Some(Value::Object(has)), Value::Object(wanted)) => holds(has, wanted),
        (Some(_), Value::Null) | (None, _) => false,
        (Some(_), _) => Condition::Eq(name.clone(), wanted.clone()).matches(metadata),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_searched_as_the_real_server_does() {
        let metadata = json!({"tag": "x", "n": 1, "nest": {"a": 1, "b": 1}, "l": [1, 2], "none": null});
        let metadata = metadata.as_object().expect("an object");
        for (wanted, found) in [
            (json!({}), true),
            (json!({"tag": "x", "n": 1}), true),
            (json!({"n": "1"}), false),
            (json!({"nest": {"a": 1}}), true),
            (json!({"nest": {"a": 2}}), false),
            (json!({"l": [1]}), false),
            (json!({"l": [1, 2]}), true),
            (json!({"none": null}), false),
            (json!({"nope": null}), false),
        ] {
            assert_eq!(holds(metadata, wanted.as_object().expect("an object")), found, "{wanted}");
        }
    }
}
