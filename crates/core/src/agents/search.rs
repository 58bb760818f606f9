//! Finding threads: what the caller may see, narrowed by what is asked for, in an order of choice.

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
        let everything = Search { offset: 0, limit: MAX_ROWS, ..search };
        let found = find(self.engine, &permit, &everything).await.map(|found| found.threads.len());
        permit.close(found)
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
    let newest = engine.store().runs(&thread.id, Page { after: None, limit: 1 }).await?.pop();
    Ok(Standing { status: ThreadStatus::of(newest.as_ref()), thread, newest })
}

async fn find(engine: &Engine, grant: &Grant, search: &Search) -> Result<Found> {
    let filter = grant.filter().clone().and(asked_for(search));
    let (mut threads, mut skip, mut offset) = (Vec::new(), search.offset, 0);
    loop {
        let mount = &grant.mount().name;
        let part = engine.store().sorted_threads(mount, &filter, search.sort, offset, PART).await?;
        let rows = part.len();
        for thread in part {
            if !grant.matches(&thread.metadata) || !holds(&thread.metadata, &search.metadata) {
                continue;
            }
            // Where a thread stands costs a look of its own.
            let standing = match search.status {
                None if skip > 0 => None,
                _ => Some(stand(engine, thread).await?),
            };
            if standing
                .as_ref()
                .zip(search.status)
                .is_some_and(|(standing, wanted)| standing.status != wanted)
            {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if threads.len() >= search.limit as usize {
                return Ok(Found { threads, more: true });
            }
            threads.extend(standing);
        }
        if rows < PART as usize {
            return Ok(Found { threads, more: false });
        }
        offset += PART;
        if offset >= MAX_ROWS {
            let text = "This search looks at too many threads; ask for more of their metadata, or by id.";
            return Err(Error::new(codes::BAD_FILTER).message(text));
        }
    }
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
fn holds(metadata: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
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
