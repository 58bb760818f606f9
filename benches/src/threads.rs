//! Finding one's own threads among a thousand and among a million: the number of other people's is not to be felt.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::model::{Run, RunStatus, Thread};
use doorward_core::agents::search::{Search, ThreadStatus};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::thread::List;
use doorward_core::authz::custom::{Asked, Policy, Uncovered};
use doorward_core::id::{RequestId, UserId};
use doorward_core::identity::model::User;
use doorward_core::operation::{Call, Origin};
use doorward_core::ports::Handlers;
use doorward_core::ports::handlers::HandlerFault;
use doorward_core::ports::store::{Batch, Commit as _, ThreadOrder, ThreadSort, Write};
use doorward_core::principal::Principal;
use doorward_protocols::jose::Algorithm;
use doorward_store::conformance::postgres::Server;
use doorward_store::{Options, SqlStore};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::house::{House, bearer, directory};
use crate::keys::NOW_S;
use crate::measure::{Report, Wanted, wall};

/// Threads of everybody together: the small store and the large one.
const SIZES: [usize; 2] = [1_000, 1_000_000];
/// Threads of the two who search; both stores hold them.
const OF_FEW: usize = 10;
const OF_MANY: usize = 500;
/// Threads of each of all the others.
const OF_OTHERS: usize = 10;
/// How long each search is repeated.
const ROUND: Duration = Duration::from_millis(1_500);
/// What threads are searched by besides.
const TEAMS: [&str; 3] = ["red", "green", "blue"];
/// Threads that one batch writes.
const BATCH: usize = 2_000;
/// Most that a search may take, and most that a million may cost over a thousand.
const WANTED_MS: f64 = 2.0;
const WANTED_RATIO: f64 = 1.5;

/// A search, by name: who searches, for what metadata and status, which page.
struct Kind {
    name: &'static str,
    of_many: bool,
    metadata: Option<(&'static str, &'static str)>,
    status: Option<ThreadStatus>,
    offset: u32,
}

const fn kind(name: &'static str, of_many: bool) -> Kind {
    Kind { name, of_many, metadata: None, status: None, offset: 0 }
}

const KINDS: &[Kind] = &[
    kind("of 10 threads", false),
    kind("of 500 threads, the first page", true),
    Kind { offset: 480, ..kind("of 500 threads, the last page", true) },
    Kind { metadata: Some(("team", "red")), ..kind("of 500 threads, by metadata", true) },
    Kind { status: Some(ThreadStatus::Error), ..kind("of 500 threads, by a status that 10 have", true) },
];

/// Handlers with the tutorial's rule: a caller reaches what bears their name as `owner` in its metadata.
struct ByOwner;

impl Handlers for ByOwner {
    fn name(&self) -> &str {
        "bench"
    }

    fn places(&self) -> usize {
        1
    }

    fn call<'a>(&'a self, _: &'static str, with: Value) -> BoxFuture<'a, Result<Value, HandlerFault>> {
        let answer =
            json!({"covered": true, "value": with["value"], "filter": {"owner": with["user"]["identity"]}});
        Box::pin(async move { Ok(answer) })
    }
}

/// One store with its threads, and the two who search in it.
struct Filled {
    house: House,
    searchers: [User; 2],
}

impl Filled {
    async fn new(store: SqlStore, size: usize) -> Self {
        let house = House::over(store, Algorithm::ES256).await;
        let searchers = [house.user("few").await, house.user("many").await];
        // Theirs stand among the others', from the oldest to the newest.
        let mut owners: Vec<Option<usize>> = vec![None; size];
        for (whose, count) in [OF_FEW, OF_MANY].into_iter().enumerate() {
            for n in 0..count {
                let place = n * size / count;
                let free = (0..size).map(|step| (place + step) % size).find(|at| owners[*at].is_none());
                owners[free.expect("more places than threads")] = Some(whose);
            }
        }
        let mut counts = [0; 2];
        let mut writes = Vec::new();
        for (place, owner) in owners.into_iter().enumerate() {
            let nth = owner.map(|whose| {
                counts[whose] += 1;
                counts[whose]
            });
            let subject = match owner {
                Some(whose) => searchers[whose].id.as_str().to_owned(),
                None => format!("usr_{:032x}", place / OF_OTHERS),
            };
            writes.extend(made(place, &subject, nth));
            if writes.len() >= BATCH || place + 1 == size {
                house.store.commit(Batch::buffered(std::mem::take(&mut writes))).await.expect("committed");
            }
        }
        Self { house, searchers }
    }

    /// A call of one of the two, as a request makes it.
    async fn call(&self, of_many: bool) -> Call {
        let token = self.house.token(&self.searchers[usize::from(of_many)]);
        let engine = &self.house.engine;
        let request = RequestId::new(engine.clock(), engine.random());
        let origin = Origin { request, address: None, user_agent: None };
        let call = engine.authenticate(&self.house.mount, origin, &bearer(&token)).await;
        call.expect("let in")
    }

    /// Milliseconds of a search, the median; from the permit to the threads that were found.
    async fn search(&self, kind: &Kind) -> f64 {
        let call = self.call(kind.of_many).await;
        let mut took = Vec::new();
        let begun = wall();
        while wall() - begun < ROUND {
            let asked = wall();
            let permit = match &self.house.mount.policy {
                Some(_) => call.permit_asking::<List>(Target::any(), Asked::default()).await,
                None => call.permit::<List>(Target::any()),
            };
            let search = Search {
                metadata: kind
                    .metadata
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), json!(value)))
                    .collect(),
                ids: Vec::new(),
                status: kind.status,
                sort: ThreadSort { by: ThreadOrder::UpdatedAt, ascending: false },
                offset: kind.offset,
                limit: 10,
            };
            let found = self.house.engine.threads().search(permit.expect("may"), search).await;
            took.push((wall() - asked).as_secs_f64() * 1000.0);
            assert_eq!(found.expect("found").threads.len(), 10, "{}", kind.name);
        }
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    }
}

/// A thread and, for one of the two who search, a run of it. `nth` counts a searcher's own.
fn made(place: usize, subject: &str, nth: Option<usize>) -> Vec<Write> {
    // Ids follow time, as those do that we give.
    let id = format!("01a22597-0000-7000-8000-{place:012x}");
    let at_ms = NOW_S * 1000 + i64::try_from(place).expect("few");
    let metadata = json!({
        "owner": subject,
        "team": TEAMS[nth.unwrap_or(place) % 3],
        "graph_id": "agent",
    });
    let Value::Object(metadata) = metadata else { unreachable!("an object") };
    let thread = Thread {
        id: id.as_str().into(),
        mount: "native".into(),
        owner: Principal::local(&UserId::from(subject)).owner_key(),
        name: None,
        metadata,
        state: Map::new(),
        created_at_ms: at_ms,
        updated_at_ms: at_ms,
    };
    let mut writes = vec![Write::InsertThread(thread)];
    if let Some(nth) = nth {
        let failed = nth % (OF_MANY / 10) == 0;
        writes.push(Write::InsertRun(Run {
            id: format!("run_{id}").as_str().into(),
            thread: id.as_str().into(),
            status: if failed { RunStatus::Error } else { RunStatus::Success },
            error: failed.then(|| "it broke".to_owned()),
            details: Map::new(),
            created_at_ms: at_ms,
            finished_at_ms: Some(at_ms),
        }));
    }
    writes
}

/// All searches in one store: those by owner, then those by a handler's filter.
async fn figures(mut filled: Filled) -> Vec<(String, f64)> {
    let mut told = Vec::new();
    for by in ["one's own", "by a handler's filter"] {
        for kind in KINDS {
            told.push((format!("{by}, {}", kind.name), filled.search(kind).await));
        }
        let mount = Arc::get_mut(&mut filled.house.mount).expect("no call is left");
        mount.policy = Some(Policy::new(Arc::new(ByOwner), Uncovered::Deny));
    }
    told
}

fn show(report: &mut Report, name: &str, small: &[(String, f64)], large: &[(String, f64)]) {
    for ((kind, few), (_, many)) in small.iter().zip(large) {
        report.figure(&format!("{name}: {kind}"), *many, "ms", Wanted::AtMost(WANTED_MS));
        report.figure(&format!("{name}: {kind}, × 10^3"), many / few, "×", Wanted::AtMost(WANTED_RATIO));
    }
}

pub(crate) fn run(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = directory();
    let [small, large] = SIZES.map(|size| {
        runtime.block_on(async {
            let path = directory.path().join(format!("{size}.db"));
            figures(Filled::new(SqlStore::open_path(&path, &Options::default()).expect("opens"), size).await)
                .await
        })
    });
    show(report, "SQLite", &small, &large);
    let server = Server::start();
    let [small, large] = SIZES.map(|size| {
        runtime.block_on(async {
            let address = server.database();
            let filled =
                Filled::new(SqlStore::open(&address, &Options::default()).expect("opens"), size).await;
            // What its autovacuum does within a minute of such a load.
            let swept = server.program("psql").args(["-qc", "VACUUM ANALYZE"]).arg(&address).status();
            assert!(swept.expect("psql is there").success(), "swept");
            figures(filled).await
        })
    });
    show(report, "PostgreSQL", &small, &large);
}
