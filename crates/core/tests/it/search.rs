//! Finding threads: by what labels answer and by what has to be looked at, the same is found.

use doorward_core::agents::model::{Run, RunStatus, Thread};
use doorward_core::agents::search::{Search, ThreadStatus};
use doorward_core::authz::Target;
use doorward_core::ports::Write;
use doorward_core::ports::store::{Batch, Commit as _, ThreadOrder, ThreadSort};
use serde_json::{Map, Value, json};

use crate::house::{House, NOON, code};

/// How many threads ann has: more than one part of rows is read.
const THREADS: usize = 260;
/// A run's status and what it says of it.
type End = (RunStatus, Option<&'static str>);
/// What their newest runs ended as, in turn, and where the threads stand then.
const ENDS: [(Option<End>, ThreadStatus); 6] = [
    (None, ThreadStatus::Idle),
    (Some((RunStatus::Success, None)), ThreadStatus::Idle),
    (Some((RunStatus::Running, None)), ThreadStatus::Busy),
    (Some((RunStatus::Error, Some("it broke"))), ThreadStatus::Error),
    (Some((RunStatus::Interrupted, Some("stopped"))), ThreadStatus::Interrupted),
    (Some((RunStatus::Interrupted, None)), ThreadStatus::Idle),
];

fn id(n: usize) -> String {
    format!("thr_{n:04}")
}

/// Every seventh thread changed at the same time as its neighbours; the ids go against the times.
fn changed_at(n: usize) -> i64 {
    NOON + i64::try_from((THREADS - n) / 7).expect("few")
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { unreachable!("an object") };
    object
}

async fn fill(house: &House, owner: &str) {
    let mut writes = Vec::new();
    for n in 0..THREADS {
        let red = n % 2 == 0;
        writes.push(Write::InsertThread(Thread {
            id: id(n).as_str().into(),
            mount: house.mount.name.to_string(),
            owner: owner.to_owned(),
            name: None,
            metadata: object(json!({"team": if red { "red" } else { "blue" }, "n": i32::from(red)})),
            state: Map::new(),
            created_at_ms: NOON,
            updated_at_ms: changed_at(n),
        }));
        let runs = [Some((RunStatus::Success, None)), ENDS[n % ENDS.len()].0];
        for (place, (status, error)) in
            runs.into_iter().enumerate().filter_map(|(place, end)| Some((place, end?)))
        {
            writes.push(Write::InsertRun(Run {
                id: format!("run_{n:04}_{place}").as_str().into(),
                thread: id(n).as_str().into(),
                status,
                error: error.map(str::to_owned),
                details: Map::new(),
                created_at_ms: NOON,
                finished_at_ms: None,
            }));
        }
    }
    house.store.commit(Batch::buffered(writes)).await.expect("committed");
}

fn expected(red: bool, status: Option<ThreadStatus>, sort: ThreadSort) -> Vec<String> {
    let mut all: Vec<usize> = (0..THREADS).filter(|n| (n % 2 == 0) == red).collect();
    all.retain(|n| status.is_none_or(|status| ENDS[n % ENDS.len()].1 == status));
    match sort.by {
        ThreadOrder::UpdatedAt => all.sort_by_key(|n| (changed_at(*n), *n)),
        ThreadOrder::Id | ThreadOrder::CreatedAt => all.sort_unstable(),
    }
    if !sort.ascending {
        all.reverse();
    }
    all.into_iter().map(id).collect()
}

#[tokio::test]
async fn every_page_of_every_search_is_the_same_by_labels_and_by_looking() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    fill(&house, &call.auth.principal.owner_key()).await;
    let search = |metadata: &Value, status, sort, offset, limit| Search {
        metadata: object(metadata.clone()),
        ids: Vec::new(),
        status,
        sort,
        offset,
        limit,
    };
    let statuses = [ThreadStatus::Idle, ThreadStatus::Busy, ThreadStatus::Interrupted, ThreadStatus::Error];
    for status in statuses.map(Some).into_iter().chain([None]) {
        for by in [ThreadOrder::Id, ThreadOrder::CreatedAt, ThreadOrder::UpdatedAt] {
            for ascending in [true, false] {
                let sort = ThreadSort { by, ascending };
                let expected = expected(true, status, sort);
                // A label tells a text from everything else, but not 1 from "1".
                for metadata in [json!({"team": "red"}), json!({"n": 1}), json!({"team": "red", "n": 1.0})] {
                    for (offset, limit) in
                        [(0, 10), (3, 1), (0, 1000), (15, 10), (120, 10), (999, 10), (30_000, 1)]
                    {
                        let asked = search(&metadata, status, sort, offset, limit);
                        let threads = house.engine.threads();
                        let found = threads.search(call.permit(Target::any()).expect("may"), asked);
                        let found = found.await.expect("found");
                        let at = offset.min(u32::try_from(expected.len()).expect("few")) as usize;
                        let end = (at + limit as usize).min(expected.len());
                        let name = format!("{metadata} {status:?} {sort:?} {offset} {limit}");
                        let ids: Vec<_> = found.threads.iter().map(|one| one.thread.id.as_str()).collect();
                        assert_eq!(ids, expected[at..end], "{name}");
                        assert_eq!(found.more, end < expected.len(), "{name}");
                        assert!(
                            found.threads.iter().all(|one| status.is_none_or(|status| one.status == status))
                        );
                    }
                    let asked = search(&metadata, status, sort, 7, 1);
                    let threads = house.engine.threads();
                    let counted = threads.count(call.permit(Target::any()).expect("may"), asked);
                    assert_eq!(counted.await.expect("counted"), expected.len(), "{metadata} {status:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_search_past_what_is_looked_at_is_refused_and_never_cut_short() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    let made = |n: usize| {
        Write::InsertThread(Thread {
            id: format!("thr_{n:06}").as_str().into(),
            mount: house.mount.name.to_string(),
            owner: call.auth.principal.owner_key(),
            name: None,
            metadata: object(json!({"team": "red"})),
            state: Map::new(),
            created_at_ms: NOON,
            updated_at_ms: NOON,
        })
    };
    house.store.commit(Batch::buffered((0..20_005).map(made).collect())).await.expect("committed");
    for (metadata, status, offset, expected) in [
        (json!({"team": "red"}), None, 19_999, "ok"),
        (json!({"team": "red"}), None, 20_001, "bad_filter"),
        (json!({"team": "red"}), Some(ThreadStatus::Idle), 0, "ok"),
        (json!({"team": "red"}), Some(ThreadStatus::Error), 0, "bad_filter"),
        (json!({"team": 1}), None, 0, "bad_filter"),
    ] {
        let sort = ThreadSort { by: ThreadOrder::UpdatedAt, ascending: false };
        let name = format!("{metadata} {status:?} {offset}");
        let asked = Search { metadata: object(metadata), ids: Vec::new(), status, sort, offset, limit: 3 };
        let found = house.engine.threads().search(call.permit(Target::any()).expect("may"), asked).await;
        assert_eq!(code(found), expected, "{name}");
    }
}
