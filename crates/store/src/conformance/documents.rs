//! What the embedded agent server keeps beside threads.

use doorward_core::agents::document::{Document, Kind};
use doorward_core::authz::filter::Filter;
use doorward_core::ports::documents::{DocumentQuery, Place};
use doorward_core::ports::store::ThreadOrder;
use doorward_core::ports::{Conflict, Write};
use serde_json::json;

use super::samples::{HOSTILE, NOW_MS, document, object};
use super::{Handle, Open, one, put, refused};

const ALL: Filter = Filter::Everything;

fn insert(document: &Document) -> Write {
    Write::InsertDocument { document: Box::new(document.clone()), most: 100, most_bytes: 1 << 20 }
}

fn change(to: &Document, revision: i64) -> Write {
    Write::ChangeDocument { to: Box::new(to.clone()), revision, most_bytes: 1 << 20 }
}

fn everywhere() -> DocumentQuery {
    DocumentQuery {
        place: None,
        name: None,
        by: ThreadOrder::UpdatedAt,
        ascending: false,
        offset: 0,
        limit: 100,
    }
}

async fn ids(store: &Handle, filter: &Filter, query: &DocumentQuery) -> Vec<String> {
    let found = store.documents("native", Kind::Item, filter, query).await.expect("a list");
    found.into_iter().map(|one| one.id).collect()
}

/// A document comes back as it was put, on its mount and as what it is alone.
pub async fn a_document_comes_back_as_written(open: Open<'_>) {
    let store = one(open);
    let made = document("a", "local|a", "a.b.", json!({"owner": "ann"}));
    put(&store, vec![insert(&made)]).await;
    assert_eq!(
        store.document("native", Kind::Item, "doc_a", &ALL).await.expect("a read"),
        Some(made.clone())
    );
    for (mount, kind, id) in
        [("other", Kind::Item, "doc_a"), ("native", Kind::Cron, "doc_a"), ("native", Kind::Item, "doc_")]
    {
        assert_eq!(store.document(mount, kind, id, &ALL).await.expect("a read"), None, "{mount} {id}");
    }
    assert_eq!(refused(&store, vec![insert(&made)]).await, Conflict::Exists);
    let namesake = Document { id: "doc_b".into(), ..made.clone() };
    assert_eq!(refused(&store, vec![insert(&namesake)]).await, Conflict::Exists, "one of a name");
    put(&store, vec![insert(&Document { sharing: "else".into(), ..namesake })]).await;
    for (n, (name, text)) in HOSTILE.iter().enumerate() {
        let hostile = Document {
            id: format!("doc_{n}"),
            name: (*text).to_owned(),
            metadata: object(json!({ (*text): text })),
            body: object(json!({"value": { (*text): [text, {"deep": text}] }})),
            ..document("h", "local|a", "h.", json!({}))
        };
        put(&store, vec![insert(&hostile)]).await;
        let found = store.document("native", Kind::Item, &hostile.id, &ALL).await.expect("a read");
        assert_eq!(found, Some(hostile), "{name}");
    }
}

/// A change needs the revision it read, and leaves whose a document is and where it stands.
pub async fn a_change_of_a_document_sees_what_it_changes(open: Open<'_>) {
    let store = one(open);
    let made = document("a", "local|a", "a.", json!({"team": "red"}));
    put(&store, vec![insert(&made)]).await;
    let to = Document {
        owner: "local|thief".into(),
        place: "b.".into(),
        metadata: object(json!({"team": "blue"})),
        body: object(json!({"value": {"n": 2}})),
        revision: 2,
        updated_at_ms: NOW_MS + 5,
        due_at_ms: None,
        ..made.clone()
    };
    assert_eq!(refused(&store, vec![change(&to, 7)]).await, Conflict::Stale);
    put(&store, vec![change(&to, 1)]).await;
    let expected = Document { owner: made.owner, place: made.place, ..to.clone() };
    let blue = Filter::Eq("team".into(), "blue".into());
    assert_eq!(store.document("native", Kind::Item, "doc_a", &blue).await.expect("a read"), Some(expected));
    let red = Filter::Eq("team".into(), "red".into());
    assert_eq!(ids(&store, &red, &everywhere()).await, Vec::<String>::new(), "old labels are gone");
    assert_eq!(refused(&store, vec![change(&to, 1)]).await, Conflict::Stale, "twice");
    put(&store, vec![Write::DeleteDocument("doc_a".into())]).await;
    assert_eq!(refused(&store, vec![Write::DeleteDocument("doc_a".into())]).await, Conflict::Missing);
    assert_eq!(refused(&store, vec![change(&to, 2)]).await, Conflict::Stale);
    assert_eq!(ids(&store, &blue, &everywhere()).await, Vec::<String>::new());
}

/// Documents are found by place, name and filter, in order and by the page.
pub async fn documents_are_found_where_they_stand(open: Open<'_>) {
    let store = one(open);
    for (n, (name, owner, place)) in [
        ("a", "local|a", "x."),
        ("b", "local|a", "x.y."),
        ("c", "local|b", "x.y.z."),
        ("d", "local|b", "xy."),
        ("e", "local|a", "%."),
    ]
    .into_iter()
    .enumerate()
    {
        let at_ms = NOW_MS + i64::try_from(n).expect("a few");
        let made = Document { updated_at_ms: at_ms, ..document(name, owner, place, json!({"team": "red"})) };
        put(&store, vec![insert(&made)]).await;
    }
    let of = |place: Place| DocumentQuery { place: Some(place), ..everywhere() };
    let at = |place: &str| of(Place::At(place.to_owned()));
    let under = |place: &str| of(Place::Under(place.to_owned()));
    let own = Filter::owned_by("local|a");
    let red = Filter::Eq("team".into(), "red".into());
    for (name, filter, query, found) in [
        ("everything, newest first", &ALL, everywhere(), &["doc_e", "doc_d", "doc_c", "doc_b", "doc_a"][..]),
        ("one place", &ALL, at("x.y."), &["doc_b"]),
        ("a place and further in", &ALL, under("x."), &["doc_c", "doc_b", "doc_a"]),
        ("labels are whole", &ALL, under("x.y."), &["doc_c", "doc_b"]),
        ("a wildcard is a label", &ALL, under("%."), &["doc_e"]),
        ("nothing is there", &ALL, under("_."), &[]),
        ("one's own", &own, under("x."), &["doc_b", "doc_a"]),
        ("by a label", &red, under("x."), &["doc_c", "doc_b", "doc_a"]),
        ("by a label at a place", &red, at("x."), &["doc_a"]),
        ("by a name", &red, DocumentQuery { name: Some("name of b".into()), ..at("x.y.") }, &["doc_b"]),
        ("by a name elsewhere", &ALL, DocumentQuery { name: Some("name of b".into()), ..at("x.") }, &[]),
        ("a page", &ALL, DocumentQuery { offset: 1, limit: 2, ..everywhere() }, &["doc_d", "doc_c"]),
        ("nobody's", &Filter::Nothing, everywhere(), &[]),
    ] {
        assert_eq!(ids(&store, filter, &query).await, found, "{name}");
    }
    let oldest = DocumentQuery { by: ThreadOrder::Id, ascending: true, limit: 1, ..everywhere() };
    assert_eq!(ids(&store, &ALL, &oldest).await, ["doc_a"]);
}

/// An owner has so many of a kind, and so much in them.
pub async fn an_owner_has_so_many_documents(open: Open<'_>) {
    let store = one(open);
    let made = |name: &str, owner: &str| document(name, owner, &format!("{name}."), json!({}));
    let insert = |document: Document, most: u32, most_bytes: u64| {
        vec![Write::InsertDocument { document: Box::new(document), most, most_bytes }]
    };
    put(&store, insert(made("a", "local|a"), 2, 1 << 20)).await;
    put(&store, insert(made("b", "local|a"), 2, 1 << 20)).await;
    assert_eq!(refused(&store, insert(made("c", "local|a"), 2, 1 << 20)).await, Conflict::TooMany);
    put(&store, insert(made("d", "local|b"), 2, 1 << 20)).await;
    let other = Document { kind: Kind::Cron, ..made("e", "local|a") };
    put(&store, insert(other, 2, 1 << 20)).await;
    assert_eq!(refused(&store, insert(made("f", "local|a"), 9, 100)).await, Conflict::TooMany, "bytes");
    let grown = Document {
        body: object(json!({"value": {"x": "y".repeat(2_000)}})),
        revision: 2,
        ..made("a", "local|a")
    };
    let change = Write::ChangeDocument { to: Box::new(grown), revision: 1, most_bytes: 1_000 };
    assert_eq!(refused(&store, vec![change]).await, Conflict::TooMany);
}

/// What is due comes in order, is put off forward alone, and items that have ended are cleared out.
pub async fn what_is_due_is_found_and_cleared_out(open: Open<'_>) {
    let store = one(open);
    let due = |name: &str, kind: Kind, due_at_ms: Option<i64>| Document {
        kind,
        due_at_ms,
        ..document(name, "local|a", &format!("{name}."), json!({"team": "red"}))
    };
    for made in [
        due("later", Kind::Cron, Some(NOW_MS + 1)),
        due("now", Kind::Cron, Some(NOW_MS)),
        due("before", Kind::Cron, Some(NOW_MS - 9)),
        due("never", Kind::Cron, None),
        due("ended", Kind::Item, Some(NOW_MS)),
        due("alive", Kind::Item, Some(NOW_MS + 1)),
        due("kept", Kind::Item, None),
    ] {
        put(&store, vec![insert(&made)]).await;
    }
    let names = |found: Vec<Document>| found.into_iter().map(|one| one.id).collect::<Vec<_>>();
    let crons = store.due_documents("native", Kind::Cron, NOW_MS, 10).await.expect("a list");
    assert_eq!(names(crons), ["doc_before", "doc_now"]);
    assert!(store.due_documents("other", Kind::Cron, NOW_MS, 10).await.expect("a list").is_empty());
    let defer = |id: &str, due_at_ms| Write::DeferDocument { id: id.to_owned(), due_at_ms };
    put(&store, vec![defer("doc_before", NOW_MS + 5), defer("doc_now", NOW_MS - 5), defer("gone", 1)]).await;
    put(&store, vec![defer("doc_never", NOW_MS)]).await;
    let crons = store.due_documents("native", Kind::Cron, NOW_MS, 1).await.expect("a list");
    assert_eq!(names(crons), ["doc_now"], "it never comes back, and what is never due stays so");
    assert!(store.prune(NOW_MS).await.expect("pruning") >= 1);
    assert_eq!(ids(&store, &ALL, &everywhere()).await.len(), 2);
    assert_eq!(ids(&store, &Filter::Eq("team".into(), "red".into()), &everywhere()).await.len(), 2);
    assert_eq!(
        store.due_documents("native", Kind::Cron, i64::MAX, 10).await.expect("a list").len(),
        3,
        "crons stay"
    );
}
