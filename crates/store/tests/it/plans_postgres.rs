//! How PostgreSQL goes about finding threads among many: by index, whoever else has how many.

use std::sync::{Arc, Mutex};

use doorward_core::authz::filter::Filter;
use doorward_core::ports::store::{Page, ThreadOrder, ThreadPlace, ThreadQuery, ThreadSort, Threads};
use doorward_core::ports::{Durability, StoreFuture};
use doorward_store::backend::{self, Answer, Backend, EachRows, Rows, Step, Value};
use doorward_store::{Options, SqlStore};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::postgres::SERVER;

/// Threads of 2,000 owners, with the labels that LangGraph's handlers go by: enough that reading all of them is not
/// the cheapest way to find ten.
const FILLED: &str = "\
    INSERT INTO thread SELECT 'thr_' || md5(n::text), 'native', 'local|usr_' || n % 2000, NULL, '{}', '{}', n, n
      FROM generate_series(1, 20000) n;
    INSERT INTO label SELECT 'thread:thr_' || md5(n::text), kind.key, '', kind.value, n
      FROM generate_series(1, 20000) n,
           LATERAL (VALUES ('owner', 'usr_' || n % 2000), ('team', 'team-' || n % 3)) kind (key, value);
    INSERT INTO run SELECT 'run_' || md5(n::text), 'thr_' || md5(n::text), 'success', NULL, n, n, '{}'
      FROM generate_series(1, 20000, 5) n;
    VACUUM ANALYZE";

/// A query as it went to the database, its values spelled as literals.
type Asked = (String, Vec<String>);

/// A backend that notes what is read and has another one read it.
struct Noting {
    inner: Arc<dyn Backend>,
    noted: Mutex<Vec<Asked>>,
}

impl Noting {
    fn note(&self, sql: &str, params: &[Value<'_>]) {
        let literal = |value: &Value<'_>| match value {
            Value::BigInt(number) => number.to_string(),
            Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
            other => unreachable!("no thread is found by {other:?}"),
        };
        let values = params.iter().map(literal).collect();
        self.noted.lock().expect("no test panics while noting").push((sql.to_owned(), values));
    }
}

impl Backend for Noting {
    fn point<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>]) -> Answer<'a, Rows> {
        self.note(sql, params);
        self.inner.point(sql, params)
    }

    fn scan<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>], each: EachRows<'a>) -> StoreFuture<'a, ()> {
        self.note(sql, params);
        self.inner.scan(sql, params, each)
    }

    fn transact(&self, steps: Vec<Step>, durability: Durability) -> StoreFuture<'_, u64> {
        self.inner.transact(steps, durability)
    }
}

/// What PostgreSQL will do, a line for each step, without costs. `mode` is its `plan_cache_mode`: a statement that is
/// prepared, as ours are, is planned for its values at first, and may be planned once for all values later.
async fn plan(client: &Client, mode: &str, (sql, values): &Asked) -> Vec<String> {
    let script = format!(
        "DEALLOCATE ALL; SET plan_cache_mode = {mode}; PREPARE asked AS {sql}; EXPLAIN (COSTS OFF) EXECUTE asked ({})",
        values.join(", ")
    );
    let told = client.simple_query(&script).await.expect("a statement of the store");
    let lines = told.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    lines.collect()
}

fn sorted(filter: &Filter, offset: u32, limit: u32) -> ThreadQuery<'_> {
    let sort = ThreadSort { by: ThreadOrder::UpdatedAt, ascending: false };
    ThreadQuery { mount: "native", filter, sort, after: None, offset, limit }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_are_found_by_index_among_many() {
    let address = SERVER.database();
    let inner = (backend::find(&address).expect("known").open)(&address, &Options::default()).expect("opens");
    let noting = Arc::new(Noting { inner, noted: Mutex::default() });
    let store = SqlStore::over(Arc::clone(&noting) as Arc<dyn Backend>);
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await.expect("connects");
    let connection = tokio::spawn(connection);
    for statement in FILLED.split(';') {
        client.batch_execute(statement).await.expect("filled");
    }
    let own = Filter::owned_by("local|usr_7");
    let own_red = own.clone().and(Filter::Eq("team".into(), "team-1".into()));
    let by_handler = Filter::Eq("owner".into(), "usr_7".into());
    // A third of all threads has the first label, ten have the second.
    let red_by_handler = Filter::Eq("team".into(), "team-1".into()).and(by_handler.clone());
    let place = ThreadPlace { at_ms: 9, id: "thr_a".into() };
    let page = || Page { after: Some("thr_8".into()), limit: 10 };
    let id = "thr_8f14e45fceea167a5a36dedd4bea2543".into();
    let several = ["8f14e45fceea167a5a36dedd4bea2543", "c9f0f895fb98ab9159f51fd0297e236d", "thr_none"];
    let several = several.map(|id| format!("thr_{id}").as_str().into());
    let mut asked = Vec::new();
    macro_rules! reads {
        ($($name:literal: $read:expr;)*) => {$(
            $read.await.expect($name);
            let statements = std::mem::take(&mut *noting.noted.lock().expect("no test panics while noting"));
            asked.extend(statements.into_iter().map(|statement| ($name, statement)));
        )*};
    }
    reads! {
        "one of an owner": store.thread("native", &id, &own);
        "one by label": store.thread("native", &id, &by_handler);
        "a page of an owner": store.threads("native", &own, page());
        "a page of an owner, by label": store.threads("native", &own_red, page());
        "a page by label": store.threads("native", &by_handler, page());
        "sorted, of an owner": store.sorted_threads(&sorted(&own, 0, 200));
        "sorted, of an owner, by label": store.sorted_threads(&sorted(&own_red, 0, 200));
        "sorted, by label": store.sorted_threads(&sorted(&by_handler, 0, 200));
        "heads, of an owner": store.thread_heads(&sorted(&own, 0, 1000), true);
        "heads, by label, further on": store.thread_heads(&ThreadQuery { after: Some(&place), ..sorted(&by_handler, 0, 1000) }, true);
        "sorted, by two labels": store.sorted_threads(&sorted(&red_by_handler, 0, 200));
        "the newest run of each": store.newest_runs(&several);
        "its runs": store.runs(&id, Page { after: None, limit: 1 });
    }
    let mut scans = Vec::new();
    for (name, statement) in &asked {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let steps = plan(&client, mode, statement).await;
            let whole = steps.join("\n");
            assert!(whole.contains("Index"), "{name}, {mode}:\n{whole}");
            assert!(!whole.contains("Seq Scan"), "{name}, {mode}:\n{whole}\n{}", statement.0);
            if mode == "force_custom_plan" && name.starts_with("sorted") && !statement.0.contains("COUNT") {
                let by = |step: &String| step.trim_start_matches([' ', '-', '>']).to_owned();
                let by: Vec<_> = steps.iter().map(by).filter(|step| step.contains(" using ")).collect();
                scans.push((*name, by.join("; ")));
            }
        }
    }
    connection.abort();
    let expected = [
        (
            "sorted, of an owner",
            "Index Only Scan Backward using thread_owner_changed on thread thread_1; Index Scan using thread_pkey on thread",
        ),
        (
            "sorted, of an owner, by label",
            "Index Only Scan Backward using thread_owner_changed on thread thread_1; Index Scan using label_pkey on label; \
             Index Scan using thread_pkey on thread",
        ),
        (
            "sorted, by label",
            "Index Only Scan Backward using label_value on label; Index Only Scan using thread_mount on thread thread_1; \
             Index Scan using thread_pkey on thread",
        ),
        (
            "sorted, by two labels",
            "Index Only Scan Backward using label_value on label; Index Only Scan using thread_mount on thread thread_1; \
             Index Scan using label_pkey on label label_1; Index Scan using thread_pkey on thread",
        ),
    ];
    assert_eq!(scans, expected.map(|(name, by)| (name, by.to_owned())));
    // Mount, limit and offset come first, and then the label that finds the rows.
    let (_, (_, values)) = asked.iter().rfind(|(name, _)| *name == "sorted, by two labels").expect("asked");
    assert_eq!(values[3], "'owner'", "the rarer label finds the rows");
}
