//! A filter in the query lets through exactly what core's own evaluation does.

use doorward_core::authz::filter::{Filter, labels_of};
use doorward_core::ports::Write;
use doorward_core::ports::store::Page;
use doorward_core::random::{Random, SeededRandom, bytes};
use serde_json::{Value, json};

use super::samples::{object, thread};
use super::{Handle, Open, one, put};

/// Threads that differ in owner and metadata: (owner, metadata).
fn population() -> Vec<(&'static str, Value)> {
    vec![
        ("a", json!({})),
        ("a", json!({"team": "red"})),
        ("b", json!({"team": "red", "owner": "a"})),
        ("b", json!({"team": "blue", "tags": ["x", "y"]})),
        ("a", json!({"team": ["red", "blue"], "tags": "x"})),
        ("c", json!({"tags": [], "size": 3, "flag": true, "none": null, "deep": {"team": "red"}})),
        ("c", json!({"tags": ["x", "x", 3, true, null, ["y"]], "team": ""})),
        ("b", json!({"": "empty key", "te%m": "red", "owner": ["a"]})),
    ]
}

/// Writes the population and compares what the store lets through with what core does.
async fn compare(store: &Handle, filter: &Filter, name: &str) {
    let expected: Vec<_> = population()
        .into_iter()
        .enumerate()
        .filter(|(place, (owner, metadata))| {
            filter.matches(&format!("thr_{place}"), owner, &labels_of(&object(metadata.clone())))
        })
        .map(|(place, _)| format!("thr_{place}"))
        .collect();
    let list = store.threads("native", filter, Page { after: None, limit: 100 }).await.expect("a list");
    let mut ids: Vec<_> = list.iter().map(|thread| thread.id.as_str().to_owned()).collect();
    ids.reverse();
    assert_eq!(ids, expected, "{name}: {filter:?}");
    for place in 0..population().len() {
        let id = format!("thr_{place}");
        let one = store.thread("native", &id.as_str().into(), filter).await.expect("a read");
        assert_eq!(one.is_some(), expected.contains(&id), "{name}: {id} by its id: {filter:?}");
    }
}

async fn populated(open: Open<'_>) -> Handle {
    let store = one(open);
    let threads = population()
        .into_iter()
        .enumerate()
        .map(|(place, (owner, metadata))| Write::InsertThread(thread(&place.to_string(), owner, metadata)));
    put(&store, threads.collect()).await;
    store
}

/// Each operator, and each way to misread one.
pub async fn named_filters_match_as_core_does(open: Open<'_>) {
    let store = populated(open).await;
    for (name, filter) in [
        ("everything", json!({})),
        ("owner", json!({"owner": "a"})),
        ("owner is no list", json!({"owner": {"$contains": "a"}})),
        ("equality", json!({"team": "red"})),
        ("empty value", json!({"team": ""})),
        ("empty key", json!({"": "empty key"})),
        ("wildcards are text", json!({"te%m": "red"})),
        ("a wildcard finds nothing", json!({"team": "%"})),
        ("number", json!({"size": 3})),
        ("boolean", json!({"flag": true})),
        ("inside a list", json!({"tags": {"$contains": "x"}})),
        ("a number inside a list", json!({"tags": {"$contains": 3}})),
        ("several inside a list", json!({"tags": {"$contains": ["x", "y"]}})),
        ("a single value is no list", json!({"team": {"$contains": "red"}})),
        ("one of", json!({"$or": [{"team": "blue"}, {"owner": "c"}]})),
        ("all of", json!({"$and": [{"owner": "b"}, {"team": "red"}]})),
        ("one of none", json!({"$or": []})),
        ("all of none", json!({"$and": []})),
        (
            "nested",
            json!({"$or": [{"$and": [{"owner": "a"}, {"team": "red"}]}, {"tags": {"$contains": "y"}}]}),
        ),
        ("not one level deep", json!({"deep": "red"})),
    ] {
        compare(&store, &Filter::parse(&filter).expect(name), name).await;
    }
    compare(&store, &Filter::Nothing, "nothing").await;
    let said = |owner: &str| Filter::Eq("owner".into(), owner.into());
    compare(&store, &said("a"), "what metadata calls the owner is a label like others").await;
    compare(&store, &Filter::Contains("owner".into(), "a".into()), "and may be a list").await;
    let named = |ids: &[&str]| Filter::Named(ids.iter().map(|&id| id.to_owned()).collect());
    compare(&store, &named(&["thr_2", "thr_6", "thr_none", "thr_2"]), "by id").await;
    compare(&store, &named(&[]), "by no id").await;
    let shared = Filter::Or(vec![Filter::owned_by("a"), named(&["thr_3", "thr_4"])]);
    compare(&store, &shared, "one's own and by id").await;
    let narrowed = shared.and(Filter::Eq("team".into(), "blue".into()));
    compare(&store, &narrowed, "one's own and by id, narrowed").await;
    compare(&store, &Filter::Everything.and(Filter::owned_by("b")), "joined").await;
}

/// A filter out of random choices, at most `depth` deep.
fn any_filter(random: &dyn Random, depth: u8) -> Filter {
    let [kind, first, second, count] = bytes::<4>(random);
    let key = ["owner", "team", "tags", "size", "", "none"][usize::from(first) % 6].to_owned();
    let value = ["a", "b", "red", "blue", "x", "y", "3", "true", ""][usize::from(second) % 9].to_owned();
    let parts = || (0..count % 4).map(|_| any_filter(random, depth - 1)).collect();
    match kind % if depth == 0 { 8 } else { 12 } {
        0 => Filter::Everything,
        1 => Filter::Nothing,
        2 | 3 => Filter::Eq(key, value),
        4 | 5 => Filter::Contains(key, value),
        6 => Filter::Owner(value),
        7 => Filter::Named((0..count % 4).map(|n| format!("thr_{}", first.wrapping_add(n) % 8)).collect()),
        8 | 9 => Filter::And(parts()),
        _ => Filter::Or(parts()),
    }
}

/// Two hundred filters nobody thought of; the same ones every time.
pub async fn any_filter_matches_as_core_does(open: Open<'_>) {
    let store = populated(open).await;
    let random = SeededRandom::new(2026);
    for number in 0..200 {
        compare(&store, &any_filter(&random, 3), &format!("random filter {number}")).await;
    }
}

/// An update replaces every label; the owner stays whatever the metadata says.
pub async fn labels_follow_metadata(open: Open<'_>) {
    let store = one(open);
    let first = thread("a", "me", json!({"team": "red", "tags": ["x", "y", "z"]}));
    put(&store, vec![Write::InsertThread(first)]).await;
    let second = thread("a", "me", json!({"team": ["red"], "tags": ["x"], "owner": "you"}));
    put(&store, vec![Write::UpdateThread(second)]).await;
    for (name, filter, expected) in [
        ("still owned", json!({"owner": "me"}), true),
        ("not forged", json!({"owner": "you"}), false),
        ("became a list", json!({"team": "red"}), false),
        ("inside the list", json!({"team": {"$contains": "red"}}), true),
        ("kept", json!({"tags": {"$contains": "x"}}), true),
        ("dropped", json!({"tags": {"$contains": "z"}}), false),
    ] {
        let filter = Filter::parse(&filter).expect(name);
        let found = store.thread("native", &"thr_a".into(), &filter).await.expect("a read");
        assert_eq!(found.is_some(), expected, "{name}");
    }
}

/// Page after page of a filtered list gives every match once, newest first.
pub async fn filtered_pages_are_complete(open: Open<'_>) {
    let store = one(open);
    let owner = |n: u32| if n.is_multiple_of(3) { "me" } else { "you" };
    let threads = (0..50).map(|n| thread(&format!("{n:02}"), owner(n), json!({"even": n.is_multiple_of(2)})));
    put(&store, threads.map(Write::InsertThread).collect()).await;
    for (name, filter, divisor) in [
        ("by owner", json!({"owner": "me"}), 3),
        ("by owner and label", json!({"owner": "me", "even": true}), 6),
        ("everything", json!({}), 1),
    ] {
        let filter = Filter::parse(&filter).expect(name);
        let expected: Vec<_> =
            (0..50).rev().filter(|n| n % divisor == 0).map(|n| format!("thr_{n:02}")).collect();
        for limit in [1, 4, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = Page { after: after.clone(), limit };
                let list = store.threads("native", &filter, page).await.expect("a page");
                let Some(last) = list.last() else { break };
                after = Some(last.id.as_str().to_owned());
                seen.extend(list.into_iter().map(|thread| thread.id.as_str().to_owned()));
            }
            assert_eq!(seen, expected, "{name}, pages of {limit}");
        }
    }
}
