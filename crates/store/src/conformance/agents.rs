//! Threads, messages, runs and claims of ownership.

use std::collections::BTreeMap;

use doorward_core::agents::model::{Message, MessageRole, Run, RunStatus, Thread};
use doorward_core::authz::filter::Filter;
use doorward_core::ports::store::{Page, ThreadOrder, ThreadQuery, ThreadSort};
use doorward_core::ports::{Conflict, Write};
use serde_json::json;

use super::samples::{HOSTILE, NOW_MS, document, message, run, thread};
use super::{Handle, Open, one, put, refused};

const ALL: Filter = Filter::Everything;

async fn thread_of(store: &Handle, mount: &str, name: &str) -> Option<Thread> {
    store.thread(mount, &format!("thr_{name}").into(), &ALL).await.expect("a thread can be read")
}

fn page(after: Option<&str>, limit: u32) -> Page {
    Page { after: after.map(str::to_owned), limit }
}

/// Mounts never see each other's threads, by id or in lists.
pub async fn a_thread_comes_back_on_its_mount_alone(open: Open<'_>) {
    let store = one(open);
    let full = thread("a", "local|a", json!({"tags": ["x", "y"], "deep": {"n": [1, {"m": null}]}, "": ""}));
    let bare = Thread { name: None, mount: "other".into(), ..thread("b", "local|a", json!({})) };
    put(&store, vec![Write::InsertThread(full.clone()), Write::InsertThread(bare.clone())]).await;
    assert_eq!(thread_of(&store, "native", "a").await, Some(full.clone()));
    assert_eq!(thread_of(&store, "other", "a").await, None);
    assert_eq!(thread_of(&store, "other", "b").await, Some(bare.clone()));
    assert_eq!(
        store.threads("native", &ALL, page(None, 9)).await.expect("a list"),
        std::slice::from_ref(&full)
    );
    assert_eq!(store.threads("other", &ALL, page(None, 9)).await.expect("a list"), [bare]);
    assert_eq!(store.threads("nat%", &ALL, page(None, 9)).await.expect("a list"), []);
    assert_eq!(refused(&store, vec![Write::InsertThread(full)]).await, Conflict::Exists);
}

/// What an update says of owner and mount is not heard.
pub async fn an_update_keeps_owner_and_mount(open: Open<'_>) {
    let store = one(open);
    let first = thread("a", "local|a", json!({"team": "red"}));
    put(&store, vec![Write::InsertThread(first.clone())]).await;
    let update = Thread {
        mount: "other".into(),
        owner: "local|thief".into(),
        name: None,
        metadata: super::samples::object(json!({"team": "blue"})),
        state: super::samples::object(json!({})),
        updated_at_ms: NOW_MS + 1,
        ..first.clone()
    };
    put(&store, vec![Write::UpdateThread(update.clone())]).await;
    let expected = Thread { mount: first.mount, owner: first.owner, ..update.clone() };
    assert_eq!(thread_of(&store, "native", "a").await, Some(expected));
    let gone = Thread { id: "thr_b".into(), ..update };
    assert_eq!(refused(&store, vec![Write::UpdateThread(gone)]).await, Conflict::Missing);
}

/// Nothing of a deleted thread is left, and nothing of another goes.
pub async fn a_deleted_thread_takes_messages_and_runs_along(open: Open<'_>) {
    let store = one(open);
    for name in ["a", "b"] {
        put(
            &store,
            vec![
                Write::InsertThread(thread(name, "local|a", json!({"team": "red"}))),
                Write::InsertMessage(message("m", name)),
                Write::InsertRun(run(&format!("of_{name}"), name)),
            ],
        )
        .await;
    }
    put(&store, vec![Write::DeleteThread("thr_a".into())]).await;
    for (name, there) in [("a", false), ("b", true)] {
        let id = format!("thr_{name}").into();
        assert_eq!(thread_of(&store, "native", name).await.is_some(), there, "{name}: thread");
        assert_eq!(
            store.messages(&id, page(None, 9)).await.expect("a list").len(),
            usize::from(there),
            "{name}"
        );
        assert_eq!(store.runs(&id, page(None, 9)).await.expect("a list").len(), usize::from(there), "{name}");
    }
    assert_eq!(refused(&store, vec![Write::DeleteThread("thr_a".into())]).await, Conflict::Missing);
    // Labels that stayed behind would speak for a new thread of the same id.
    put(&store, vec![Write::InsertThread(thread("a", "local|b", json!({})))]).await;
    let red = Filter::Eq("team".into(), "red".into());
    assert_eq!(store.thread("native", &"thr_a".into(), &red).await.expect("a read"), None);
}

/// Messages come in the order of ids, page after page, each as written.
pub async fn messages_are_paged_in_order(open: Open<'_>) {
    let store = one(open);
    assert_eq!(refused(&store, vec![Write::InsertMessage(message("1", "a"))]).await, Conflict::Missing);
    put(
        &store,
        vec![
            Write::InsertThread(thread("a", "local|a", json!({}))),
            Write::InsertThread(thread("b", "local|a", json!({}))),
        ],
    )
    .await;
    let roles = [MessageRole::User, MessageRole::Assistant, MessageRole::System, MessageRole::Tool];
    let all: Vec<_> = (1..=4)
        .zip(roles)
        .map(|(n, role)| Message {
            role,
            run: (n == 1).then(|| "run_x".into()),
            ..message(&n.to_string(), "a")
        })
        .collect();
    put(&store, all.iter().rev().cloned().map(Write::InsertMessage).collect()).await;
    let id = "thr_a".into();
    assert_eq!(store.messages(&id, page(None, 9)).await.expect("a list"), all);
    assert_eq!(store.messages(&id, page(Some("msg_1"), 2)).await.expect("a list"), all[1..3]);
    let newest = async |before: Option<&str>, limit| {
        let before = before.map(Into::into);
        store.newest_messages(&id, before.as_ref(), limit).await.expect("a list")
    };
    assert_eq!(newest(None, 2).await, all[2..]);
    assert_eq!(newest(Some("msg_4"), 2).await, all[1..3]);
    assert_eq!(newest(Some("msg_1"), 2).await, []);
    assert_eq!(store.message(&id, &"msg_2".into()).await.expect("a read"), Some(all[1].clone()));
    assert_eq!(store.message(&"thr_b".into(), &"msg_2".into()).await.expect("a read"), None);
    assert_eq!(refused(&store, vec![Write::InsertMessage(all[0].clone())]).await, Conflict::Exists);
    let delete = |thread: &str, id: &str| Write::DeleteMessage { thread: thread.into(), id: id.into() };
    assert_eq!(refused(&store, vec![delete("thr_b", "msg_2")]).await, Conflict::Missing, "another thread's");
    put(&store, vec![delete("thr_a", "msg_2")]).await;
    assert_eq!(refused(&store, vec![delete("thr_a", "msg_2")]).await, Conflict::Missing);
    assert_eq!(store.messages(&id, page(None, 9)).await.expect("a list").len(), 3);
}

/// A run finishes once, in one of its three ways; runs come newest first.
pub async fn runs_finish_once(open: Open<'_>) {
    let store = one(open);
    assert_eq!(refused(&store, vec![Write::InsertRun(run("1", "a"))]).await, Conflict::Missing);
    put(&store, vec![Write::InsertThread(thread("a", "local|a", json!({})))]).await;
    put(&store, ["1", "2", "3"].map(|n| Write::InsertRun(run(n, "a"))).into()).await;
    assert_eq!(refused(&store, vec![Write::InsertRun(run("1", "a"))]).await, Conflict::Exists);
    let finish = |id: &str, status, error: Option<&str>| Write::FinishRun {
        id: id.into(),
        status,
        error: error.map(str::to_owned),
        at_ms: NOW_MS + 5,
    };
    put(&store, vec![finish("run_1", RunStatus::Error, Some("no model"))]).await;
    let thread = "thr_a".into();
    let expected = Run {
        status: RunStatus::Error,
        error: Some("no model".into()),
        finished_at_ms: Some(NOW_MS + 5),
        ..run("1", "a")
    };
    for (name, id) in [("finished", "run_1"), ("nobody", "run_9")] {
        assert_eq!(
            refused(&store, vec![finish(id, RunStatus::Success, None)]).await,
            Conflict::Missing,
            "{name}"
        );
    }
    assert_eq!(store.run(&thread, &"run_1".into()).await.expect("a read"), Some(expected));
    assert_eq!(store.run(&"thr_b".into(), &"run_1".into()).await.expect("a read"), None, "another thread's");
    let ids = async |page| {
        let runs = store.runs(&thread, page).await.expect("a list");
        runs.into_iter().map(|run| run.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(page(None, 2)).await, ["run_3", "run_2"]);
    assert_eq!(ids(page(Some("run_2"), 2)).await, ["run_1"]);
}

/// Of each thread that is asked about its newest run, without what it was asked for; of those without any, nothing.
pub async fn newest_runs_are_told_of_many_threads_at_once(open: Open<'_>) {
    let store = one(open);
    let name = |n: usize| format!("{n:03}");
    let mut writes = Vec::new();
    for n in 0..300 {
        writes.push(Write::InsertThread(thread(&name(n), "local|a", json!({}))));
        let runs = (0..n % 3).map(|nth| Write::InsertRun(run(&format!("{n:03}_{nth}"), &name(n))));
        writes.extend(runs);
    }
    put(&store, writes).await;
    for count in [0, 1, 2, 16, 17, 128, 129, 300] {
        let asked: Vec<_> = (0..count).map(|n| format!("thr_{n:03}").as_str().into()).collect();
        let found = store.newest_runs(&asked).await.expect("a list");
        let told: BTreeMap<_, _> =
            found.iter().map(|run| (run.thread.as_str().to_owned(), run.id.as_str().to_owned())).collect();
        assert_eq!(told.len(), found.len(), "{count}: each once");
        let with_runs = (0..count).filter(|n| n % 3 > 0);
        let expected: BTreeMap<_, _> =
            with_runs.map(|n| (format!("thr_{n:03}"), format!("run_{n:03}_{}", n % 3 - 1))).collect();
        assert_eq!(told, expected, "{count}");
        assert!(found.iter().all(|run| run.details.is_empty()), "{count}");
    }
    let nobody = store.newest_runs(&["thr_none".into()]).await.expect("a list");
    assert_eq!(nobody, [], "a thread that is not there");
}

/// A run that waits begins once, and is unfinished meanwhile; one that is forgotten takes its messages along if it is to.
pub async fn runs_wait_and_are_forgotten(open: Open<'_>) {
    let store = one(open);
    let waiting = |n: &str| Write::InsertRun(Run { status: RunStatus::Pending, ..run(n, "a") });
    let of = |n: &str, at: &str| {
        Write::InsertMessage(Message { run: Some(format!("run_{n}").as_str().into()), ..message(at, "a") })
    };
    put(&store, vec![Write::InsertThread(thread("a", "local|a", json!({})))]).await;
    put(&store, vec![waiting("1"), waiting("2"), waiting("3"), of("1", "1"), of("2", "2"), of("3", "3")])
        .await;
    put(&store, vec![Write::BeginRun("run_1".into())]).await;
    assert_eq!(refused(&store, vec![Write::BeginRun("run_1".into())]).await, Conflict::Missing, "once");
    let stopped = Write::FinishRun {
        id: "run_2".into(),
        status: RunStatus::Interrupted,
        error: None,
        at_ms: NOW_MS + 1,
    };
    put(&store, vec![stopped]).await;
    put(&store, vec![Write::InterruptRuns { at_ms: NOW_MS + 2 }]).await;
    let thread = "thr_a".into();
    for (id, at_ms) in [("run_1", 2), ("run_2", 1), ("run_3", 2)] {
        let run = store.run(&thread, &id.into()).await.expect("a read").expect("a run");
        assert_eq!((run.status, run.finished_at_ms), (RunStatus::Interrupted, Some(NOW_MS + at_ms)), "{id}");
    }
    let forget = |id: &str, with_messages| Write::DeleteRun { id: id.into(), with_messages };
    put(&store, vec![forget("run_1", true), forget("run_2", false)]).await;
    assert_eq!(refused(&store, vec![forget("run_1", true)]).await, Conflict::Missing);
    let left = store.messages(&thread, Page { after: None, limit: 9 }).await.expect("a list");
    assert_eq!(left.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["msg_2", "msg_3"]);
    let runs = store.runs(&thread, Page { after: None, limit: 9 }).await.expect("a list");
    assert_eq!(runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["run_3"]);
}

/// Threads come in each order there is, from any place of it.
pub async fn threads_are_sorted(open: Open<'_>) {
    let store = one(open);
    let made = |n: &str, created: i64, updated: i64| {
        let times = Thread {
            created_at_ms: NOW_MS + created,
            updated_at_ms: NOW_MS + updated,
            ..thread(n, "local|a", json!({"team": "red"}))
        };
        Write::InsertThread(times)
    };
    put(&store, vec![made("a", 3, 1), made("b", 2, 2), made("c", 1, 2)]).await;
    put(&store, vec![Write::InsertThread(thread("d", "local|b", json!({})))]).await;
    let filters = [Filter::owned_by("local|a"), Filter::Eq("team".into(), "red".into())];
    for (by, ascending, expected) in [
        (ThreadOrder::Id, true, ["thr_a", "thr_b", "thr_c"]),
        (ThreadOrder::Id, false, ["thr_c", "thr_b", "thr_a"]),
        (ThreadOrder::CreatedAt, true, ["thr_c", "thr_b", "thr_a"]),
        (ThreadOrder::UpdatedAt, false, ["thr_c", "thr_b", "thr_a"]),
        (ThreadOrder::UpdatedAt, true, ["thr_a", "thr_b", "thr_c"]),
    ] {
        for filter in &filters {
            let sort = ThreadSort { by, ascending };
            let query = ThreadQuery { mount: "native", filter, sort, after: None, offset: 0, limit: 1 };
            let mut seen = Vec::new();
            for offset in 0..4 {
                let part = store.sorted_threads(&ThreadQuery { offset, ..query }).await.expect("a list");
                seen.extend(part.into_iter().map(|thread| thread.id.as_str().to_owned()));
            }
            assert_eq!(seen, expected, "{sort:?}");
            let (mut seen, mut after) = (Vec::new(), None);
            while let Some(head) = {
                let query = ThreadQuery { after: after.as_ref(), ..query };
                store.thread_heads(&query, false).await.expect("a list").pop()
            } {
                seen.push(head.place.id.as_str().to_owned());
                after = Some(head.place);
            }
            assert_eq!(seen, expected, "{sort:?}, each after the one before");
        }
    }
}

/// Found by a label, threads come in the order of their changes after each kind of change, and other resources that bear the
/// label are not among them.
pub async fn labels_stand_in_the_order_of_changes(open: Open<'_>) {
    let store = one(open);
    let red = |n: &str, updated: i64| {
        let made = thread(n, "local|a", json!({"team": "red", "by": "local|a"}));
        Thread { updated_at_ms: NOW_MS + updated, ..made }
    };
    put(&store, ["a", "b", "c"].map(|n| Write::InsertThread(red(n, 1))).into()).await;
    let document = document("d", "local|a", "a.", json!({"team": "red", "by": "local|a"}));
    put(&store, vec![Write::InsertDocument { document: Box::new(document), most: 10, most_bytes: 1 << 20 }])
        .await;
    let one_label = Filter::Eq("team".into(), "red".into());
    let two_labels = one_label.clone().and(Filter::Eq("by".into(), "local|a".into()));
    let changes = [
        (None, ["thr_c", "thr_b", "thr_a"]),
        (Some(Write::TouchThread { id: "thr_a".into(), at_ms: NOW_MS + 5 }), ["thr_a", "thr_c", "thr_b"]),
        (Some(Write::TouchThread { id: "thr_a".into(), at_ms: NOW_MS + 2 }), ["thr_a", "thr_c", "thr_b"]),
        (Some(Write::UpdateThread(red("b", 7))), ["thr_b", "thr_a", "thr_c"]),
        (
            Some(Write::ChangeThread { to: Box::new(red("c", 9)), seen: Box::new(red("c", 1)) }),
            ["thr_c", "thr_b", "thr_a"],
        ),
    ];
    for (write, expected) in changes {
        put(&store, write.into_iter().collect()).await;
        for filter in [&one_label, &two_labels] {
            let sort = ThreadSort { by: ThreadOrder::UpdatedAt, ascending: false };
            let query = ThreadQuery { mount: "native", filter, sort, after: None, offset: 0, limit: 9 };
            let found = store.sorted_threads(&query).await.expect("a list");
            assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), expected);
            let elsewhere = ThreadQuery { mount: "other", ..query };
            assert_eq!(store.sorted_threads(&elsewhere).await.expect("a list"), []);
        }
    }
}

/// A thread's head tells its newest run's status, and only its own.
pub async fn heads_tell_the_newest_run(open: Open<'_>) {
    let store = one(open);
    let made = ["a", "b"].map(|n| Write::InsertThread(thread(n, "local|a", json!({}))));
    put(&store, made.into()).await;
    let ended = Run { status: RunStatus::Error, ..run("1", "a") };
    put(&store, vec![Write::InsertRun(ended), Write::InsertRun(run("2", "a"))]).await;
    let sort = ThreadSort { by: ThreadOrder::Id, ascending: true };
    let filter = Filter::owned_by("local|a");
    let query = ThreadQuery { mount: "native", filter: &filter, sort, after: None, offset: 0, limit: 9 };
    for (with_newest, expected) in [(true, [Some(RunStatus::Running), None]), (false, [None, None])] {
        let heads = store.thread_heads(&query, with_newest).await.expect("a list");
        assert_eq!(heads.iter().map(|head| head.newest).collect::<Vec<_>>(), expected);
    }
}

/// A change holds only while the thread is as it was seen.
pub async fn a_change_sees_what_it_changes(open: Open<'_>) {
    let store = one(open);
    let as_of = |metadata| Box::new(thread("a", "local|a", metadata));
    let change = |from, to| Write::ChangeThread { to: as_of(to), seen: as_of(from) };
    put(&store, vec![Write::InsertThread(*as_of(json!({"shared": ["b"]})))]).await;
    put(&store, vec![change(json!({"shared": ["b"]}), json!({"shared": []}))]).await;
    let late = change(json!({"shared": ["b"]}), json!({"shared": ["b"], "k": 1}));
    assert_eq!(refused(&store, vec![late]).await, Conflict::Stale);
    let now = thread_of(&store, "native", "a").await.expect("a thread").metadata;
    assert_eq!(serde_json::Value::Object(now), json!({"shared": []}));
    let shared = Filter::Contains("shared".into(), "b".into());
    let found = store.thread("native", &"thr_a".into(), &shared).await.expect("a read");
    assert!(found.is_none(), "its labels are those of now");
}

/// A touch moves a thread's last change forward and never back.
pub async fn a_touch_moves_forward(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertThread(thread("a", "local|a", json!({})))]).await;
    for (at_ms, expected) in [(NOW_MS + 5, NOW_MS + 5), (NOW_MS + 3, NOW_MS + 5)] {
        put(&store, vec![Write::TouchThread { id: "thr_a".into(), at_ms }]).await;
        let updated = thread_of(&store, "native", "a").await.expect("a thread").updated_at_ms;
        assert_eq!(updated, expected);
    }
    put(&store, vec![Write::TouchThread { id: "thr_none".into(), at_ms: NOW_MS }]).await;
}

/// Only what runs is interrupted.
pub async fn what_was_running_is_interrupted(open: Open<'_>) {
    let store = one(open);
    let done =
        Write::FinishRun { id: "run_1".into(), status: RunStatus::Success, error: None, at_ms: NOW_MS + 1 };
    put(
        &store,
        vec![
            Write::InsertThread(thread("a", "local|a", json!({}))),
            Write::InsertRun(run("1", "a")),
            Write::InsertRun(run("2", "a")),
            done,
            Write::InterruptRuns { at_ms: NOW_MS + 2 },
        ],
    )
    .await;
    for (id, status, at_ms) in
        [("run_1", RunStatus::Success, NOW_MS + 1), ("run_2", RunStatus::Interrupted, NOW_MS + 2)]
    {
        let run = store.run(&"thr_a".into(), &id.into()).await.expect("a read").expect("a run");
        assert_eq!((run.status, run.finished_at_ms), (status, Some(at_ms)), "{id}");
    }
}

/// The first claim of (mount, resource, id) owns it until its owner gives it up.
pub async fn the_first_claim_owns(open: Open<'_>) {
    let store = one(open);
    let claim = |mount: &str, resource: &str, id: &str, owner: &str| Write::ClaimOwnership {
        mount: mount.into(),
        resource: resource.into(),
        id: id.into(),
        owner: owner.into(),
        at_ms: NOW_MS,
    };
    let release = |owner: &str| Write::ReleaseOwnership {
        mount: "m".into(),
        resource: "thread".into(),
        id: "1".into(),
        owner: owner.into(),
    };
    put(&store, vec![claim("m", "thread", "1", "a")]).await;
    put(&store, vec![claim("m", "thread", "1", "a")]).await;
    assert_eq!(refused(&store, vec![claim("m", "thread", "1", "b")]).await, Conflict::Owned);
    for (mount, resource, id) in [("n", "thread", "1"), ("m", "run", "1"), ("m", "thread", "2")] {
        put(&store, vec![claim(mount, resource, id, "b")]).await;
    }
    put(&store, vec![release("b")]).await;
    let owner = async |id| store.owner_of("m", "thread", id).await.expect("a read");
    assert_eq!(owner("1").await.as_deref(), Some("a"), "nobody gives up another's claim");
    put(&store, vec![release("a")]).await;
    put(&store, vec![release("a")]).await;
    assert_eq!(owner("1").await, None);
    assert_eq!(owner("%").await, None);
    put(&store, vec![claim("m", "thread", "1", "b")]).await;
    assert_eq!(owner("1").await.as_deref(), Some("b"));
}

/// Of the ids asked for, one's own come back in the order asked, however many and however often asked.
pub async fn owned_among_keeps_order_and_number(open: Open<'_>) {
    let store = one(open);
    let claims = (0..100).map(|n| Write::ClaimOwnership {
        mount: "m".into(),
        resource: "thread".into(),
        id: n.to_string(),
        owner: if n % 3 == 0 { "a" } else { "b" }.into(),
        at_ms: NOW_MS,
    });
    put(&store, claims.collect()).await;
    for count in [0, 1, 2, 15, 16, 17, 33, 100, 500] {
        let ids: Vec<_> = (0..count).map(|n| ((n * 37) % 120).to_string()).collect();
        let expected: Vec<_> =
            ids.iter().filter(|id| id.parse::<u32>().is_ok_and(|n| n < 100 && n % 3 == 0)).cloned().collect();
        let own = store.owned_among("m", "thread", &ids, "a").await.expect("a read");
        assert_eq!(own, expected, "{count} ids");
        assert!(store.owned_among("n", "thread", &ids, "a").await.expect("a read").is_empty(), "{count} ids");
    }
}

/// Text that breaks databases comes back as it was, from columns and from JSON; NUL may stand in JSON.
pub async fn hostile_text_is_only_text(open: Open<'_>) {
    let store = one(open);
    let huge = "é\u{1F600}\"\\".repeat(100_000);
    let cases = HOSTILE.iter().copied().chain([("huge", huge.as_str())]);
    for (place, (name, text)) in cases.enumerate() {
        // Core bounds owners and the names of labels, which stand in indexes.
        let short = &text[..text.floor_char_boundary(256)];
        let odd = Thread {
            name: Some(text.to_owned()),
            owner: short.to_owned(),
            metadata: super::samples::object(
                json!({"value": text, short: "key", "nul": format!("a\u{0}{place}")}),
            ),
            ..thread(&place.to_string(), "", json!({}))
        };
        let said = Message { content: json!(text), ..message("m", &place.to_string()) };
        put(&store, vec![Write::InsertThread(odd.clone()), Write::InsertMessage(said.clone())]).await;
        let id = odd.id.clone();
        for filter in [
            Filter::owned_by(short),
            Filter::Eq("value".into(), text.into()),
            Filter::Eq(short.into(), "key".into()),
            Filter::Eq("nul".into(), format!("a\u{0}{place}")),
        ] {
            let found = store.threads("native", &filter, page(None, 9)).await.expect("a list");
            assert_eq!(found.as_slice(), std::slice::from_ref(&odd), "{name}: {filter:?}");
        }
        assert_eq!(store.message(&id, &"msg_m".into()).await.expect("a read"), Some(said), "{name}");
    }
}
