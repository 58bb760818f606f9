//! What is kept in workspaces, and what is noted of them.

use doorward_core::artifacts::{Artifact, ArtifactQuery};
use doorward_core::ports::store::{NoteKind, StandIn};
use doorward_core::ports::{Conflict, Write};
use serde_json::json;

use super::samples::{HOSTILE, artifact, object, workspace};
use super::{Handle, Open, one, put, refused};

const OWNER: &str = "local|usr_a";

fn insert(artifact: &Artifact) -> Write {
    bounded(artifact, 100, 1 << 20)
}

fn bounded(artifact: &Artifact, most: u32, most_bytes: u64) -> Write {
    Write::InsertArtifact { artifact: Box::new(artifact.clone()), owner: OWNER.to_owned(), most, most_bytes }
}

fn change(to: &Artifact, revision: i64) -> Write {
    Write::ChangeArtifact { to: Box::new(to.clone()), id: to.id.clone(), revision, most_bytes: 1 << 20 }
}

fn delete(artifact: &Artifact, recursive: bool) -> Write {
    Write::DeleteArtifact {
        workspace: artifact.workspace.clone(),
        alias: artifact.alias.clone(),
        id: artifact.id.clone(),
        recursive,
    }
}

async fn team(store: &Handle, id: &str) {
    put(store, vec![Write::InsertWorkspace { workspace: workspace(id, OWNER), most: 100 }]).await;
}

async fn aliases(store: &Handle, workspace: &str, query: ArtifactQuery) -> Vec<String> {
    let found = store.artifacts(workspace, &query).await.expect("a list");
    found.into_iter().map(|one| one.alias).collect()
}

fn within(parent: Option<&str>) -> ArtifactQuery {
    ArtifactQuery { parent: parent.map(str::to_owned), limit: 100, ..ArtifactQuery::default() }
}

/// An artifact comes back as it was put, under its own name in its own workspace, whatever it says.
pub async fn an_artifact_comes_back_as_written(open: Open<'_>) {
    let store = one(open);
    team(&store, "team-a").await;
    let made = artifact("team-a", "One.x", None);
    put(&store, vec![insert(&made)]).await;
    assert_eq!(store.artifact("team-a", "One.x").await.expect("a read"), Some(made.clone()));
    for (workspace, alias) in [("team-a", "one.x"), ("team-", "One.x"), ("team-a", ""), ("team-b", "One.x")] {
        assert_eq!(store.artifact(workspace, alias).await.expect("a read"), None, "{workspace}/{alias}");
    }
    let again = Artifact { id: "art_other".into(), ..made.clone() };
    assert_eq!(refused(&store, vec![insert(&again)]).await, Conflict::Exists);
    put(&store, vec![insert(&artifact("ws-user-usr_a", "One.x", None))]).await;
    for (n, (name, text)) in HOSTILE.iter().enumerate() {
        let hostile = Artifact {
            id: format!("art_{n}"),
            kind: (*text).to_owned(),
            manifest: object(json!({ (*text): text })),
            comment: (*text).to_owned(),
            created_by: (*text).to_owned(),
            ..artifact("team-a", &format!("hostile-{n}"), None)
        };
        put(&store, vec![insert(&hostile)]).await;
        let found = store.artifact("team-a", &hostile.alias).await.expect("a read");
        assert_eq!(found, Some(hostile), "{name}");
    }
}

/// Nothing is put where nothing is: a workspace that is gone or another's, a parent that is gone.
pub async fn an_artifact_is_in_a_workspace_and_a_parent_that_there_are(open: Open<'_>) {
    let store = one(open);
    let lost = artifact("team-a", "one", None);
    assert_eq!(refused(&store, vec![insert(&lost)]).await, Conflict::Missing);
    let theirs = Write::InsertWorkspace { workspace: workspace("team-a", "local|usr_b"), most: 100 };
    put(&store, vec![theirs]).await;
    assert_eq!(refused(&store, vec![insert(&lost)]).await, Conflict::Missing, "it is another's by now");
    team(&store, "team-b").await;
    let child = artifact("team-b", "child", Some("shelf"));
    assert_eq!(refused(&store, vec![insert(&child)]).await, Conflict::Missing);
    team(&store, "team-c").await;
    put(&store, vec![insert(&artifact("team-c", "shelf", None))]).await;
    assert_eq!(refused(&store, vec![insert(&child)]).await, Conflict::Missing, "that is elsewhere");
    put(&store, vec![insert(&artifact("team-b", "shelf", None)), insert(&child)]).await;
    assert_eq!(store.artifact("team-b", "child").await.expect("a read"), Some(child));
}

/// Lists are of one level, in the order the ids have, from where and as far as asked.
pub async fn artifacts_are_listed_in_the_order_they_were_made(open: Open<'_>) {
    let store = one(open);
    team(&store, "team-a").await;
    put(&store, vec![insert(&artifact("team-a", "shelf", None))]).await;
    for (n, alias) in ["c", "a", "d", "b"].iter().enumerate() {
        let kind = if n % 2 == 0 { "even" } else { "odd" }.to_owned();
        let one = Artifact { id: format!("art_{n}"), kind, ..artifact("team-a", alias, Some("shelf")) };
        put(&store, vec![insert(&one)]).await;
    }
    let query = within(Some("shelf"));
    assert_eq!(aliases(&store, "team-a", query.clone()).await, ["c", "a", "d", "b"]);
    let part = ArtifactQuery { offset: 1, limit: 2, ..query.clone() };
    assert_eq!(aliases(&store, "team-a", part.clone()).await, ["a", "d"]);
    assert_eq!(store.count_artifacts("team-a", &part).await.expect("a count"), 4);
    let odd = ArtifactQuery { kind: Some("odd".into()), ..query };
    assert_eq!(aliases(&store, "team-a", odd.clone()).await, ["a", "b"]);
    assert_eq!(store.count_artifacts("team-a", &odd).await.expect("a count"), 2);
    assert_eq!(aliases(&store, "team-a", within(None)).await, ["shelf"]);
    assert_eq!(aliases(&store, "team-b", within(None)).await, [""; 0]);
}

/// A change sees what it changes; looks are counted beside it.
pub async fn a_change_of_an_artifact_sees_what_it_changes(open: Open<'_>) {
    let store = one(open);
    team(&store, "team-a").await;
    let made = artifact("team-a", "one", None);
    put(&store, vec![insert(&made)]).await;
    let to = Artifact { manifest: object(json!({"n": 2})), kind: "new".into(), revision: 2, ..made.clone() };
    put(&store, vec![change(&to, 1), Write::CountViews { id: made.id.clone(), views: 3 }]).await;
    put(&store, vec![Write::CountViews { id: "art_gone".into(), views: 3 }]).await;
    assert_eq!(refused(&store, vec![change(&made, 1)]).await, Conflict::Stale);
    let moved = Artifact { alias: "two".into(), workspace: "team-b".into(), revision: 3, ..to.clone() };
    put(&store, vec![change(&moved, 2)]).await;
    let found = store.artifact("team-a", "one").await.expect("a read").expect("where it was");
    assert_eq!((found.views, found.revision, found.kind.as_str()), (3, 3, "new"));
    put(&store, vec![delete(&made, false)]).await;
    assert_eq!(refused(&store, vec![change(&to, 3)]).await, Conflict::Stale);
}

/// What holds others is removed with them or not at all, and nothing beside them is.
pub async fn what_is_within_an_artifact_goes_only_with_leave(open: Open<'_>) {
    let store = one(open);
    team(&store, "team-a").await;
    team(&store, "team-b").await;
    let shelf = artifact("team-a", "shelf", None);
    put(
        &store,
        vec![
            insert(&shelf),
            insert(&artifact("team-a", "box", Some("shelf"))),
            insert(&artifact("team-a", "leaf", Some("box"))),
            insert(&artifact("team-a", "beside", None)),
            insert(&artifact("team-b", "shelf", None)),
            insert(&artifact("team-b", "box", Some("shelf"))),
        ],
    )
    .await;
    assert_eq!(refused(&store, vec![delete(&shelf, false)]).await, Conflict::Owned);
    let another = Artifact { id: "art_other".into(), ..shelf.clone() };
    assert_eq!(refused(&store, vec![delete(&another, true)]).await, Conflict::Missing, "made anew meanwhile");
    put(&store, vec![delete(&shelf, true)]).await;
    assert_eq!(refused(&store, vec![delete(&shelf, true)]).await, Conflict::Missing);
    assert_eq!(aliases(&store, "team-a", within(None)).await, ["beside"]);
    for gone in ["shelf", "box", "leaf"] {
        assert_eq!(store.artifact("team-a", gone).await.expect("a read"), None, "{gone}");
    }
    assert_eq!(aliases(&store, "team-b", within(Some("shelf"))).await, ["box"]);
}

/// A workspace keeps so many and so many bytes; a change counts as well, and nothing of what is refused remains.
pub async fn a_workspace_keeps_so_many_and_so_much(open: Open<'_>) {
    let store = one(open);
    team(&store, "team-a").await;
    team(&store, "team-b").await;
    put(&store, ["a", "b"].map(|alias| bounded(&artifact("team-a", alias, None), 2, 1 << 20)).into()).await;
    let third = artifact("team-a", "c", None);
    assert_eq!(refused(&store, vec![bounded(&third, 2, 1 << 20)]).await, Conflict::TooMany);
    assert_eq!(store.artifact("team-a", "c").await.expect("a read"), None);
    assert_eq!(refused(&store, vec![bounded(&third, 9, 100)]).await, Conflict::TooMany);
    put(&store, vec![bounded(&artifact("team-b", "c", None), 2, 200)]).await;
    let seen = artifact("team-a", "a", None);
    let large = Artifact { manifest: object(json!({"text": "x".repeat(500)})), revision: 2, ..seen.clone() };
    let grow = |most_bytes| Write::ChangeArtifact {
        to: Box::new(large.clone()),
        id: large.id.clone(),
        revision: 1,
        most_bytes,
    };
    assert_eq!(refused(&store, vec![grow(500)]).await, Conflict::TooMany);
    assert_eq!(store.artifact("team-a", "a").await.expect("a read"), Some(seen));
    put(&store, vec![grow(5_000)]).await;
}

/// What a text stands for is found by its hash alone, is replaced, and is known for a while without the token after its end.
pub async fn a_stand_in_is_kept_and_known_beyond_its_end(open: Open<'_>) {
    let store = one(open);
    let keep = |first: u8, sealed: &[u8], until_ms| Write::KeepStandIn {
        hash: [first; 32],
        kept: StandIn { sealed: sealed.to_vec(), until_ms },
    };
    put(&store, vec![keep(1, b"one", 1_000), keep(2, &[0, 255], 9_000)]).await;
    let found = |first: u8| store.stand_in([first; 32]);
    assert_eq!(found(2).await.expect("a read"), Some(StandIn { sealed: vec![0, 255], until_ms: 9_000 }));
    assert_eq!(found(3).await.expect("a read"), None);
    put(&store, vec![keep(1, b"another", 2_000)]).await;
    assert_eq!(
        found(1).await.expect("a read"),
        Some(StandIn { sealed: b"another".to_vec(), until_ms: 2_000 })
    );
    let counted = async |now_ms, most| store.stand_ins(now_ms, most).await.expect("a count");
    assert_eq!((counted(1_999, 9).await, counted(2_000, 9).await, counted(0, 1).await), (2, 1, 1));
    store.prune(2_000).await.expect("pruned");
    assert_eq!(found(1).await.expect("a read"), Some(StandIn { sealed: Vec::new(), until_ms: 2_000 }));
    assert_eq!(found(2).await.expect("a read").map(|kept| kept.sealed), Some(vec![0, 255]));
    store.prune(2_000 + 8 * 86_400_000).await.expect("pruned");
    assert_eq!((found(1).await.expect("a read"), found(2).await.expect("a read")), (None, None));
}

/// Nothing of a workspace is left to whoever makes one of the same id.
pub async fn a_deleted_workspace_takes_what_it_keeps_along(open: Open<'_>) {
    let store = one(open);
    let note = |workspace: &str| Write::SetNote {
        workspace: workspace.into(),
        owner: OWNER.into(),
        kind: NoteKind::Env,
        name: "KEY".into(),
        value: Some(vec![0, 255]),
        most: 9,
    };
    for id in ["team-a", "team-b"] {
        team(&store, id).await;
    }
    for id in ["team-a", "team-b", "ws-user-usr_a"] {
        put(&store, vec![insert(&artifact(id, "one", None)), note(id)]).await;
    }
    put(&store, vec![Write::DeleteWorkspace { id: "team-a".into(), owner: OWNER.into() }]).await;
    put(&store, vec![Write::EmptyWorkspace { id: "ws-user-usr_a".into() }]).await;
    put(&store, vec![Write::EmptyWorkspace { id: "ws-user-usr_a".into() }]).await;
    // What is a row is removed with it, and with its owner's leave.
    assert_eq!(refused(&store, vec![Write::EmptyWorkspace { id: "team-b".into() }]).await, Conflict::Exists);
    for (id, kept) in [("team-a", 0), ("ws-user-usr_a", 0), ("team-b", 1)] {
        assert_eq!(store.artifacts(id, &within(None)).await.expect("a list").len(), kept, "{id}");
        assert_eq!(store.notes(id, NoteKind::Env).await.expect("a list").len(), kept, "{id}");
    }
    assert_eq!(refused(&store, vec![note("team-a")]).await, Conflict::Missing);
}

/// Notes are of a workspace and a kind; the newest value counts, and there are only so many.
pub async fn notes_are_set_forgotten_and_bounded(open: Open<'_>) {
    let store = one(open);
    team(&store, "team-a").await;
    let set = |kind, name: &str, value: Option<&[u8]>| Write::SetNote {
        workspace: "team-a".into(),
        owner: OWNER.into(),
        kind,
        name: name.into(),
        value: value.map(<[u8]>::to_vec),
        most: 2,
    };
    let (env, mark) = (NoteKind::Env, NoteKind::Bookmark);
    put(&store, vec![set(env, "b", Some(b"1")), set(env, "a", Some(&[0, 255])), set(env, "b", Some(b"2"))])
        .await;
    put(&store, vec![set(mark, "a", Some(b"{}"))]).await;
    let all = [("a".to_owned(), vec![0, 255]), ("b".to_owned(), b"2".to_vec())];
    assert_eq!(store.notes("team-a", env).await.expect("a list"), all);
    assert_eq!(refused(&store, vec![set(env, "c", Some(b"3"))]).await, Conflict::TooMany);
    put(&store, vec![set(env, "a", None), set(env, "never", None), set(env, "c", Some(b"3"))]).await;
    let left: Vec<_> =
        store.notes("team-a", env).await.expect("a list").into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["b", "c"]);
    assert_eq!(store.notes("team-a", mark).await.expect("a list").len(), 1);
}
