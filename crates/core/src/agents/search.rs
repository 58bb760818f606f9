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
use crate::ports::store::{Page, ThreadSort};

/// How many rows are read at once.
const PART: u32 = 200;
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

    fn of(newest: Option<&Run>) -> Self {
        // One that was stopped before its turn came has left nothing half done.
        let newest = newest.filter(|run| run.status != RunStatus::Interrupted || run.error.is_some());
        match newest.map(|run| run.status) {
            None | Some(RunStatus::Success) => Self::Idle,
            Some(RunStatus::Pending | RunStatus::Running) => Self::Busy,
            Some(RunStatus::Interrupted) => Self::Interrupted,
            Some(RunStatus::Error) => Self::Error,
        }
    }
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
        let counted = each(self.engine, &permit, &search, PART, |_| {
            count += 1;
            true
        });
        let counted = counted.await.map(|_| count);
        permit.close(counted)
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
    Ok(Standing { status: ThreadStatus::of(newest.as_ref()), thread, newest })
}

/// Each of these and where it stands.
async fn stand_all(engine: &Engine, threads: Vec<Thread>) -> Result<Vec<Standing>> {
    let ids: Vec<ThreadId> = threads.iter().map(|thread| thread.id.clone()).collect();
    let newest = engine.store().newest_runs(&ids).await?.into_iter();
    let mut newest: HashMap<ThreadId, Run> = newest.map(|run| (run.thread.clone(), run)).collect();
    let standing = |thread: Thread| {
        let newest = newest.remove(&thread.id);
        Standing { status: ThreadStatus::of(newest.as_ref()), thread, newest }
    };
    Ok(threads.into_iter().map(standing).collect())
}

async fn find(engine: &Engine, grant: &Grant, search: &Search) -> Result<Found> {
    let (mut found, mut skip, limit) = (Vec::new(), search.offset, search.limit as usize);
    // As many as can be shown, and the one that tells whether there are more.
    let shown = search.offset.saturating_add(search.limit).saturating_add(1).min(PART);
    let first = if search.status.is_some() { PART } else { shown };
    let all = each(engine, grant, search, first, |thread| {
        if skip > 0 {
            skip -= 1;
        } else {
            found.push(thread);
        }
        // One more than is asked for tells whether there are more.
        found.len() <= limit
    });
    all.await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let threads = stand_all(engine, found).await?;
    Ok(Found { threads, more })
}

/// Hands over each thread that is searched for, in order, until no more are wanted; `part` is how many rows are read at
/// first.
async fn each(
    engine: &Engine,
    grant: &Grant,
    search: &Search,
    mut part: u32,
    mut wanted: impl FnMut(Thread) -> bool,
) -> Result<()> {
    let filter = grant.filter().clone().and(asked_for(search));
    let mut offset = 0;
    while offset < MAX_ROWS {
        let mount = &grant.mount().name;
        let found = engine.store().sorted_threads(mount, &filter, search.sort, offset, part).await?;
        let is_last = found.len() < part as usize;
        let like =
            |thread: &Thread| grant.matches(&thread.metadata) && holds(&thread.metadata, &search.metadata);
        let mut found: Vec<Thread> = found.into_iter().filter(like).collect();
        if let Some(status) = search.status {
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
        offset += part;
        part = PART;
    }
    let text = "This search looks at too many threads; ask for more of their metadata, or by id.";
    Err(Error::new(codes::BAD_FILTER).message(text))
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
