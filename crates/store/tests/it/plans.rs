//! How SQLite goes about the store's statements: by index, whatever the size of the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use doorward_core::agents::document::Kind;
use doorward_core::artifacts::ArtifactQuery;
use doorward_core::authz::filter::Filter;
use doorward_core::ports::documents::{DocumentQuery, Documents, Place};
use doorward_core::ports::store::{
    ApiKeys, Artifacts, AuditLog, AuditQuery, Batch, Change, Changes, Codes, Commit, Delivery, DeliveryQueue,
    Families, Identities, NoteKind, Notes, OwnershipClaims, Page, SealedKeys, Sessions, ThreadOrder,
    ThreadPlace, ThreadQuery, ThreadSort, Threads, Users, Workspaces,
};
use doorward_core::ports::{Durability, StoreFuture, Write};
use doorward_core::workspaces::members::LABEL;
use doorward_core::workspaces::{Member, Permission, Workspace};
use doorward_store::backend::{Answer, Backend, EachRows, Rows, Sqlite, Step, Value};
use doorward_store::conformance::samples::{
    NOW_MS, api_key, artifact, document, family, identity, line, message, revocation, run, sealed_key,
    session, thread, user, workspace,
};
use doorward_store::{Options, SqlStore};
use serde_json::json;

use crate::fresh::{File, put};

/// A backend that notes every statement and has another one run it.
struct Noting {
    inner: Sqlite,
    noted: Mutex<Vec<String>>,
}

impl Noting {
    fn note(&self, sql: &str) {
        self.noted.lock().expect("no test panics while noting").push(sql.to_owned());
    }
}

impl Backend for Noting {
    fn point<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>]) -> Answer<'a, Rows> {
        self.note(sql);
        self.inner.point(sql, params)
    }

    fn scan<'a>(&'a self, sql: &'a str, params: &'a [Value<'a>], each: EachRows<'a>) -> StoreFuture<'a, ()> {
        self.note(sql);
        self.inner.scan(sql, params, each)
    }

    fn transact(&self, steps: Vec<Step>, durability: Durability) -> StoreFuture<'_, u64> {
        for step in &steps {
            match step {
                Step::Run(statement) => self.note(&statement.sql),
                Step::Read { query, .. } => self.note(&query.sql),
            }
        }
        self.inner.transact(steps, durability)
    }
}

fn sorted(filter: &Filter, offset: u32, limit: u32) -> ThreadQuery<'_> {
    let sort = ThreadSort { by: ThreadOrder::UpdatedAt, ascending: false };
    ThreadQuery { mount: "native", filter, sort, after: None, offset, limit }
}

/// Everything a server does while it serves, by name; what may look at every row is not here.
async fn hot(store: &SqlStore, noting: &Noting) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    let mut take = |name| {
        let statements = std::mem::take(&mut *noting.noted.lock().expect("no test panics while noting"));
        assert!(!statements.is_empty(), "{name} ran no statement");
        assert!(all.insert(name, statements).is_none(), "{name} is named twice");
    };
    let page = || Page { after: Some("x".into()), limit: 10 };
    let (usr, ses, thr) = ("usr_a".into(), "ses_a".into(), "thr_a".into());
    macro_rules! reads {
        ($($name:literal: $read:expr;)*) => {$(
            $read.await.expect($name);
            take($name);
        )*};
    }
    let own = Filter::owned_by("local|usr_a");
    let own_red = own.clone().and(Filter::Eq("team".into(), "red".into()));
    let red_or_x = Filter::Or(vec![own_red.clone(), Filter::Contains("tags".into(), "x".into())]);
    let red = Filter::Eq("team".into(), "red".into());
    let x = Filter::Contains("tags".into(), "x".into());
    let own_or_x = Filter::Or(vec![own.clone(), x.clone()]);
    let named = Filter::Named(vec!["thr_a".into(), "thr_b".into()]);
    let (own_named, red_named) = (own.clone().and(named.clone()), red.clone().and(named));
    let red_and_x = red.clone().and(Filter::Contains("tags".into(), "x".into()));
    let place = ThreadPlace { at_ms: 9, id: "thr_a".into() };
    let own_threads = ["thr_a".into(), "thr_b".into()];
    let own_ids = ["1".to_owned(), "2".to_owned()];
    let member = Filter::Contains(LABEL.into(), "local|usr_a".into());
    let either = Filter::Or(vec![own.clone(), member.clone()]);
    let typed = ArtifactQuery { parent: Some("one".into()), kind: Some("user".into()), offset: 5, limit: 10 };
    let since = |principal: Option<&str>| AuditQuery {
        since_ms: Some(NOW_MS),
        principal: principal.map(str::to_owned),
        limit: 10,
        ..AuditQuery::default()
    };
    reads! {
        "user": store.user(&usr);
        "user_by_login": store.user_by_login("a@example.org");
        "users": store.users(page());
        "password": store.password(&usr);
        "any_user_with_role": store.any_user_with_role("admin");
        "session": store.session(&ses);
        "sessions_of": store.sessions_of(&usr, NOW_MS);
        "recent_logins": store.recent_logins(&usr, 20);
        "identity": store.identity("https://idp.example", "subject of a");
        "identities_of": store.identities_of(&usr);
        "family": store.family(&"fam_a".into());
        "api_key_by_mac": store.api_key_by_mac([1; 32]);
        "api_key": store.api_key(&"key_a".into());
        "api_keys of one": store.api_keys(Some(&usr), page());
        "api_keys of all": store.api_keys(None, page());
        "sealed_keys": store.sealed_keys("sign:native");
        "newest_change": store.newest_change();
        "changes_after": store.changes_after(5, 100);
        "any_code": store.any_code("setup", NOW_MS);
        "thread": store.thread("native", &thr, &own);
        "thread by any filter": store.thread("native", &thr, &red_or_x);
        "threads by owner": store.threads("native", &own, page());
        "threads by owner, first page": store.threads("native", &own, Page { after: None, limit: 10 });
        "threads by owner and label": store.threads("native", &own_red, page());
        "threads by any filter": store.threads("native", &red_or_x, page());
        "threads by label": store.threads("native", &red, page());
        "sorted threads of an owner": store.sorted_threads(&sorted(&own, 20, 10));
        "sorted threads by label": store.sorted_threads(&sorted(&red, 20, 10));
        "sorted threads by two labels": store.sorted_threads(&sorted(&red_and_x, 20, 10));
        "sorted threads by any filter": store.sorted_threads(&sorted(&red_or_x, 20, 10));
        "sorted threads of an owner or with a label": store.sorted_threads(&sorted(&own_or_x, 20, 10));
        "sorted threads by id, of an owner": store.sorted_threads(&sorted(&own_named, 0, 10));
        "sorted threads by id and label": store.sorted_threads(&sorted(&red_named, 0, 10));
        "sorted threads by an entry": store.sorted_threads(&sorted(&x, 0, 10));
        "heads of an owner": store.thread_heads(&ThreadQuery { after: Some(&place), ..sorted(&own, 0, 10) }, true);
        "heads by label": store.thread_heads(&ThreadQuery { after: Some(&place), ..sorted(&red, 0, 10) }, true);
        "threads of a mount": store.threads("native", &Filter::Everything, page());
        "messages": store.messages(&thr, page());
        "message": store.message(&thr, &"msg_a".into());
        "runs": store.runs(&thr, page());
        "newest_runs": store.newest_runs(&own_threads);
        "run": store.run(&thr, &"run_a".into());
        "document": store.document("native", Kind::Item, "doc_a", &red_or_x);
        "documents of an owner": store.documents("native", Kind::Item, &own, &documents(None));
        "documents by label": store.documents("native", Kind::Item, &red, &documents(None));
        "documents of a mount": store.documents("native", Kind::Item, &Filter::Everything, &documents(None));
        "documents at a place": store.documents("native", Kind::Item, &red, &documents(Some(Place::At("a.".into()))));
        "documents under a place": store.documents("native", Kind::Item, &Filter::Everything, &documents(Some(Place::Under("a.".into()))));
        "due_documents": store.due_documents("native", Kind::Cron, NOW_MS, 10);
        "owner_of": store.owner_of("m", "thread", "1");
        "owned_among": store.owned_among("m", "thread", &own_ids, "a");
        "audit since": store.audit(since(None));
        "audit of a principal": store.audit(since(Some("local|usr_a")));
        "workspace": store.workspace("team-a");
        "workspaces of an owner": store.workspaces(&own, page());
        "workspaces of a member": store.workspaces(&member, page());
        "workspaces of either": store.workspaces(&either, page());
        "workspaces": store.workspaces(&Filter::Everything, page());
        "artifact": store.artifact("team-a", "one");
        "artifacts": store.artifacts("team-a", &ArtifactQuery { limit: 10, ..ArtifactQuery::default() });
        "artifacts of a type": store.artifacts("team-a", &typed);
        "count_artifacts": store.count_artifacts("team-a", &typed);
        "notes": store.notes("team-a", NoteKind::Env);
        "due_deliveries": store.due_deliveries("audit", NOW_MS, 64);
        "prune": store.prune(NOW_MS);
    }
    for (name, write) in writes() {
        // Some meet no row here; the plan is the same.
        let _ = store.commit(Batch::durable(vec![write])).await;
        take(name);
    }
    all
}

fn documents(place: Option<Place>) -> DocumentQuery {
    let name = matches!(place, Some(Place::At(_))).then(|| "k".to_owned());
    DocumentQuery { place, name, by: ThreadOrder::UpdatedAt, ascending: false, offset: 0, limit: 10 }
}

fn delivery() -> Delivery {
    Delivery {
        id: "evt_a".into(),
        webhook: "w".into(),
        event: "user.created".into(),
        at_ms: NOW_MS,
        body: "{}".into(),
        attempts: 0,
        due_ms: NOW_MS,
    }
}

fn member() -> Member {
    Member { permission: Permission::Read, handle: "mem_a".into() }
}

fn delete_artifact(recursive: bool) -> Write {
    let (workspace, alias) = ("team-a".into(), "one".into());
    Write::DeleteArtifact { workspace, alias, id: "art_team-a_one".into(), recursive }
}

fn set_note(value: Option<Vec<u8>>) -> Write {
    let (workspace, owner, name) = ("team-a".into(), "local|usr_a".into(), "n".into());
    Write::SetNote { workspace, owner, kind: NoteKind::Env, name, value, most: 9 }
}

fn writes() -> Vec<(&'static str, Write)> {
    let at_ms = NOW_MS;
    vec![
        ("UpdateUser", Write::UpdateUser(user("a"))),
        ("DropPassword", Write::DropPassword { user: "usr_a".into() }),
        ("SetPassword", Write::SetPassword { user: "usr_a".into(), phc: "x".into(), at_ms }),
        ("InsertSession", Write::InsertSession(session("n", "a"))),
        ("EndSession", Write::EndSession { id: "ses_a".into(), at_ms }),
        ("TouchSession", Write::TouchSession { id: "ses_a".into(), at_ms }),
        ("InsertFamily", Write::InsertFamily(family("n", "a"))),
        ("AdvanceFamily", Write::AdvanceFamily { id: "fam_a".into(), from: 1, at_ms, expires_at_ms: at_ms }),
        ("EndFamily", Write::EndFamily { id: "fam_a".into(), at_ms }),
        ("EndFamiliesOfSession", Write::EndFamiliesOfSession { session: "ses_a".into(), at_ms }),
        ("InsertApiKey", Write::InsertApiKey(api_key("n", "a", 9))),
        ("InsertIdentity", Write::InsertIdentity(identity("n", "a"))),
        ("TouchIdentity", Write::TouchIdentity { id: "idn_a".into(), user: "usr_a".into(), at_ms }),
        ("ExpectAnotherWayIn", Write::ExpectAnotherWayIn { user: "usr_a".into(), but: "idn_a".into() }),
        ("DeleteIdentity", Write::DeleteIdentity { id: "idn_a".into(), user: "usr_a".into() }),
        ("RevokeApiKey", Write::RevokeApiKey { id: "key_a".into(), at_ms }),
        ("TouchApiKey", Write::TouchApiKey { id: "key_a".into(), at_ms }),
        ("InsertSealedKey", Write::InsertSealedKey(sealed_key("n", "p", at_ms))),
        ("RetireSealedKey", Write::RetireSealedKey { id: "sig_a".into(), at_ms }),
        ("Revoke", Write::Revoke(revocation("tok_a"))),
        ("InsertCode", Write::InsertCode { purpose: "p".into(), hash: [3; 32], expires_at_ms: at_ms }),
        ("SpendCode", Write::SpendCode { purpose: "p".into(), hash: [1; 32], now_ms: at_ms }),
        ("DropCodes", Write::DropCodes { purpose: "p".into() }),
        ("DropEveryCode", Write::DropEveryCode { but: "login".into(), now_ms: at_ms }),
        ("InsertThread", Write::InsertThread(thread("n", "local|a", json!({"team": "red"})))),
        ("UpdateThread", Write::UpdateThread(thread("a", "local|a", json!({"team": "red"})))),
        ("ChangeThread", {
            let (to, seen) =
                (thread("a", "local|a", json!({})), thread("a", "local|a", json!({"team": "red"})));
            Write::ChangeThread { to: Box::new(to), seen: Box::new(seen) }
        }),
        ("InsertMessage", Write::InsertMessage(message("n", "a"))),
        ("DeleteMessage", Write::DeleteMessage { thread: "thr_a".into(), id: "msg_n".into() }),
        ("InsertRun", Write::InsertRun(run("n", "a"))),
        ("TouchThread", Write::TouchThread { id: "thr_a".into(), at_ms }),
        ("BeginRun", Write::BeginRun("run_a".into())),
        ("DeleteRun", Write::DeleteRun { id: "run_a".into(), with_messages: true }),
        ("InterruptRuns", Write::InterruptRuns { at_ms }),
        (
            "ClaimOwnership",
            Write::ClaimOwnership {
                mount: "m".into(),
                resource: "r".into(),
                id: "1".into(),
                owner: "o".into(),
                at_ms,
            },
        ),
        (
            "ReleaseOwnership",
            Write::ReleaseOwnership {
                mount: "m".into(),
                resource: "r".into(),
                id: "1".into(),
                owner: "o".into(),
            },
        ),
        ("Audit", line("nod_a", "user:read")),
        ("Announce", Write::Announce(Change::Keys)),
        (
            "InsertWorkspace",
            Write::InsertWorkspace { workspace: workspace("team-n", "local|usr_a"), most: 9 },
        ),
        ("ChangeWorkspace", {
            let (to, seen) = (workspace("team-a", "local|usr_a"), workspace("team-a", "local|usr_a"));
            let members = BTreeMap::from([("local|usr_b".to_owned(), member())]);
            Write::ChangeWorkspace { to: Box::new(Workspace { members, ..to }), seen: Box::new(seen) }
        }),
        (
            "InsertArtifact",
            Write::InsertArtifact {
                artifact: Box::new(artifact("team-a", "n", Some("one"))),
                owner: "local|usr_a".into(),
                most: 9,
                most_bytes: 1 << 20,
            },
        ),
        (
            "ChangeArtifact",
            Write::ChangeArtifact {
                to: Box::new(artifact("team-a", "one", None)),
                id: "art_team-a_one".into(),
                revision: 1,
                most_bytes: 1 << 20,
            },
        ),
        ("CountViews", Write::CountViews { id: "art_team-a_one".into(), views: 3 }),
        ("DeleteArtifact", delete_artifact(false)),
        ("DeleteArtifact with what is in it", delete_artifact(true)),
        ("SetNote", set_note(Some(vec![1]))),
        ("SetNote to nothing", set_note(None)),
        ("EmptyWorkspace", Write::EmptyWorkspace { id: "team-a".into() }),
        ("DeleteWorkspace", Write::DeleteWorkspace { id: "team-a".into(), owner: "local|usr_a".into() }),
        ("InsertDocument", {
            let made = document("n", "local|a", "a.", json!({"team": "red"}));
            Write::InsertDocument { document: Box::new(made), most: 10, most_bytes: 1 << 20 }
        }),
        ("ChangeDocument", {
            let to = document("n", "local|a", "a.", json!({"team": "blue"}));
            Write::ChangeDocument { to: Box::new(to), revision: 1, most_bytes: 1 << 20 }
        }),
        ("DeferDocument", Write::DeferDocument { id: "doc_n".into(), due_at_ms: at_ms }),
        ("DeleteDocument", Write::DeleteDocument("doc_n".into())),
        ("QueueDelivery", Write::QueueDelivery(delivery())),
        (
            "LeaseDelivery",
            Write::LeaseDelivery {
                webhook: "w".into(),
                id: "evt_a".into(),
                due_ms: at_ms,
                until_ms: at_ms + 1,
            },
        ),
        (
            "PostponeDelivery",
            Write::PostponeDelivery { webhook: "w".into(), id: "evt_a".into(), attempts: 1, due_ms: at_ms },
        ),
        ("EndDelivery", Write::EndDelivery { webhook: "w".into(), id: "evt_a".into() }),
        ("HurryDeliveries", Write::HurryDeliveries { webhook: "w".into(), now_ms: at_ms }),
        ("DeleteThread", Write::DeleteThread("thr_a".into())),
        ("DeleteUser", Write::DeleteUser("usr_a".into())),
    ]
}

/// What SQLite says it will do, a line for each step.
fn plan(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut explained =
        connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement of the store");
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect("a plan") {
        steps.push(row.get::<_, String>(3).expect("a text"));
    }
    steps
}

/// Whether a step looks at every row of a table or index. Walking an index in the order asked for, up to a limit,
/// is no such step; SQLite calls both SCAN, so those statements are named.
fn looks_at_everything(name: &str, step: &str) -> bool {
    // A whole mount, where something else finds what is meant.
    if name.starts_with("sorted threads") && step.ends_with("(mount=?)") {
        return true;
    }
    const WALKS: &[(&str, &str)] = &[
        // The highest number: one entry, from the end of an index.
        ("newest_change", "SCAN changes USING COVERING INDEX"),
        ("prune", "SCAN changes USING COVERING INDEX"),
        // An index that holds nothing but unfinished runs.
        ("InterruptRuns", "SCAN run USING INDEX run_unfinished"),
        // Rows that a subquery has just made: one sum, or what was found so far.
        ("InsertArtifact", "SCAN kept"),
        ("ChangeArtifact", "SCAN kept"),
        ("SetNote", "SCAN kept"),
        ("InsertWorkspace", "SCAN made"),
        ("EmptyWorkspace", "SCAN made"),
        ("DeleteArtifact with what is in it", "SCAN below"),
        ("newest_runs", "SCAN newest"),
        ("", "SCAN SUBQUERY"),
        // So many bearers of a label, of which there are a thousand at most.
        ("", "SCAN found"),
        // A count and a sum: one row.
        ("", "SCAN kept"),
        ("", "SCAN CONSTANT ROW"),
    ];
    step.starts_with("SCAN")
        && !WALKS.iter().any(|(of, walk)| (of.is_empty() || *of == name) && step.starts_with(walk))
}

#[tokio::test]
async fn no_hot_statement_looks_at_every_row() {
    let file = File::new();
    let address = format!("sqlite:{}", file.path.display());
    let inner = Sqlite::open(&address, &Options::default()).expect("the store opens");
    let noting = Arc::new(Noting { inner, noted: Mutex::default() });
    let store = SqlStore::over(Arc::clone(&noting) as Arc<dyn Backend>);
    put(
        &store,
        vec![
            Write::InsertUser(user("a")),
            Write::InsertThread(thread("a", "local|a", json!({"team": "red", "tags": ["x"]}))),
        ],
    )
    .await;
    noting.noted.lock().expect("no test panics while noting").clear();
    let statements = hot(&store, &noting).await;
    let outsider = file.outsider();
    let mut wrong = Vec::new();
    let mut explained = 0;
    for (name, sqls) in &statements {
        for sql in sqls {
            for step in plan(&outsider, sql) {
                explained += 1;
                if looks_at_everything(name, &step) {
                    wrong.push(format!("{name}: {step}\n    {sql}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(explained >= 80, "only {explained} steps were explained");
}

#[tokio::test]
async fn single_rows_are_found_by_their_own_index() {
    let file = File::new();
    let address = format!("sqlite:{}", file.path.display());
    let inner = Sqlite::open(&address, &Options::default()).expect("the store opens");
    let noting = Arc::new(Noting { inner, noted: Mutex::default() });
    let store = SqlStore::over(Arc::clone(&noting) as Arc<dyn Backend>);
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    noting.noted.lock().expect("no test panics while noting").clear();
    let statements = hot(&store, &noting).await;
    let outsider = file.outsider();
    for (name, expected) in [
        (
            "user_by_login",
            vec![
                "SEARCH login USING INDEX sqlite_autoindex_login_1 (name=?)",
                "SEARCH account USING INDEX sqlite_autoindex_account_1 (id=?)",
            ],
        ),
        ("api_key_by_mac", vec!["SEARCH api_key USING INDEX api_key_mac (mac=?)"]),
        ("session", vec!["SEARCH session USING INDEX sqlite_autoindex_session_1 (id=?)"]),
        ("family", vec!["SEARCH family USING INDEX sqlite_autoindex_family_1 (id=?)"]),
        ("threads by owner", vec!["SEARCH thread USING INDEX thread_owner (mount=? AND owner=? AND id<?)"]),
        (
            "sorted threads by label",
            // In order too: what is sorted is the page.
            vec![
                "CO-ROUTINE found",
                "SEARCH label USING COVERING INDEX label_value (key=? AND value=? AND item=?)",
                "SEARCH thread USING COVERING INDEX thread_mount (mount=? AND id=?)",
                "SCAN found",
                "SEARCH thread USING INDEX sqlite_autoindex_thread_1 (id=?)",
                "USE TEMP B-TREE FOR ORDER BY",
            ],
        ),
        (
            "sorted threads of an owner",
            // In order: a page reads a page, however many the owner has.
            vec![
                "CO-ROUTINE found",
                "SEARCH thread USING COVERING INDEX thread_owner_changed (mount=? AND owner=?)",
                "SCAN found",
                "SEARCH thread USING INDEX sqlite_autoindex_thread_1 (id=?)",
                "USE TEMP B-TREE FOR ORDER BY",
            ],
        ),
        (
            "owner_of",
            vec![
                "SEARCH ownership USING INDEX sqlite_autoindex_ownership_1 (mount=? AND resource=? AND id=?)",
            ],
        ),
        ("workspace", vec!["SEARCH workspace USING INDEX sqlite_autoindex_workspace_1 (id=?)"]),
        (
            "artifact",
            vec!["SEARCH artifact USING INDEX sqlite_autoindex_artifact_1 (workspace=? AND alias=?)"],
        ),
        ("artifacts", vec!["SEARCH artifact USING INDEX artifact_parent (workspace=? AND parent=?)"]),
        ("CountViews", vec!["SEARCH artifact USING INDEX artifact_id (id=?)"]),
        ("notes", vec!["SEARCH note USING INDEX sqlite_autoindex_note_1 (workspace=? AND kind=?)"]),
        (
            "sorted threads by two labels",
            vec![
                "CO-ROUTINE found",
                "SEARCH label USING COVERING INDEX label_value (key=? AND value=? AND item=?)",
                "SEARCH thread USING COVERING INDEX thread_mount (mount=? AND id=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH label USING INDEX sqlite_autoindex_label_1 (resource=? AND key=?)",
                "SCAN found",
                "SEARCH thread USING INDEX sqlite_autoindex_thread_1 (id=?)",
                "USE TEMP B-TREE FOR ORDER BY",
            ],
        ),
        (
            "sorted threads by id, of an owner",
            // By their ids, however many the owner has.
            vec![
                "CO-ROUTINE found",
                "SEARCH thread USING INDEX sqlite_autoindex_thread_1 (id=?)",
                "USE TEMP B-TREE FOR ORDER BY",
                "SCAN found",
                "SEARCH thread USING INDEX sqlite_autoindex_thread_1 (id=?)",
                "USE TEMP B-TREE FOR ORDER BY",
            ],
        ),
        (
            "heads by label",
            vec![
                "CO-ROUTINE found",
                "SEARCH label USING COVERING INDEX label_value (key=? AND value=? AND item=? AND (changed_at_ms,resource)<(?,?))",
                "SEARCH thread USING COVERING INDEX thread_mount (mount=? AND id=?)",
                "SCAN found",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH run USING COVERING INDEX run_thread (thread=?)",
                "USE TEMP B-TREE FOR LAST TERM OF ORDER BY",
            ],
        ),
        ("changes_after", vec!["SEARCH changes USING INDEX sqlite_autoindex_changes_1 (seq>?)"]),
    ] {
        // Before labels are looked for it may be counted which is the rarest.
        let Some(sql) = statements[name].last() else { panic!("{name} is a statement") };
        assert_eq!(plan(&outsider, sql), expected, "{name}: {sql}");
    }
}

#[tokio::test]
async fn the_start_reads_revocations_in_one_sweep() {
    let file = File::new();
    let address = format!("sqlite:{}", file.path.display());
    let inner = Sqlite::open(&address, &Options::default()).expect("the store opens");
    let noting = Arc::new(Noting { inner, noted: Mutex::default() });
    let store = SqlStore::over(Arc::clone(&noting) as Arc<dyn Backend>);
    store.each_revocation(NOW_MS, Box::new(|_, _, _, _| ())).await.expect("a read");
    let statements = std::mem::take(&mut *noting.noted.lock().expect("no test panics while noting"));
    // By the index of ends, each of a million rows would be looked up by itself.
    assert_eq!(plan(&file.outsider(), &statements[0]), ["SCAN revocation"]);
}
