//! Workspaces that stay.

use std::collections::BTreeMap;

use doorward_core::authz::filter::Filter;
use doorward_core::ports::store::Page;
use doorward_core::ports::{Conflict, Write};
use doorward_core::workspaces::members::LABEL;
use doorward_core::workspaces::{Member, Permission, Workspace};
use serde_json::json;

use super::samples::{HOSTILE, NOW_MS, object, user, workspace};
use super::{Handle, Open, one, put, refused};

fn insert(workspace: &Workspace, most: u32) -> Write {
    Write::InsertWorkspace { workspace: workspace.clone(), most }
}

async fn ids(store: &Handle, filter: Filter, after: Option<&str>, limit: u32) -> Vec<String> {
    let page = Page { after: after.map(str::to_owned), limit };
    let found = store.workspaces(&filter, page).await.expect("a list");
    found.into_iter().map(|one| one.id).collect()
}

/// A workspace comes back as it was put, once, and goes with its owner's word alone.
pub async fn a_workspace_is_one_owners(open: Open<'_>) {
    let store = one(open);
    let made = workspace("team-a", "local|usr_a");
    put(&store, vec![insert(&made, 100)]).await;
    assert_eq!(store.workspace("team-a").await.expect("a read"), Some(made.clone()));
    for other in ["Team-a", "team-", "team-a ", ""] {
        assert_eq!(store.workspace(other).await.expect("a read"), None, "{other:?}");
    }
    let again = workspace("team-a", "local|usr_b");
    assert_eq!(refused(&store, vec![insert(&again, 100)]).await, Conflict::Exists);
    let delete = |owner: &str| Write::DeleteWorkspace { id: "team-a".into(), owner: owner.into() };
    assert_eq!(refused(&store, vec![delete("local|usr_b")]).await, Conflict::Missing);
    put(&store, vec![delete("local|usr_a")]).await;
    assert_eq!(refused(&store, vec![delete("local|usr_a")]).await, Conflict::Missing);
    assert_eq!(store.workspace("team-a").await.expect("a read"), None);
}

/// A change sees what it changes: owner, moment and everything that is shown.
pub async fn a_change_of_a_workspace_sees_what_it_changes(open: Open<'_>) {
    let store = one(open);
    let made = workspace("team-a", "local|usr_a");
    put(&store, vec![insert(&made, 100)]).await;
    let to = Workspace { name: "new".into(), details: object(json!({"b": 1})), ..made.clone() };
    let change = |to: &Workspace, seen: &Workspace| Write::ChangeWorkspace {
        to: Box::new(to.clone()),
        seen: Box::new(seen.clone()),
    };
    put(&store, vec![change(&to, &made)]).await;
    assert_eq!(store.workspace("team-a").await.expect("a read"), Some(to.clone()));
    for (name, seen) in [
        ("what it was before", made.clone()),
        ("another owner", Workspace { owner: "local|usr_b".into(), ..to.clone() }),
        ("made again meanwhile", Workspace { created_at_ms: NOW_MS + 1, ..to.clone() }),
        ("another description", Workspace { description: String::new(), ..to.clone() }),
    ] {
        assert_eq!(refused(&store, vec![change(&made, &seen)]).await, Conflict::Stale, "{name}");
    }
    let stolen = Workspace { owner: "local|usr_b".into(), owner_ids: vec![], created_at_ms: 1, ..to.clone() };
    put(&store, vec![change(&stolen, &to)]).await;
    assert_eq!(store.workspace("team-a").await.expect("a read"), Some(to), "whose it is never changes");
}

/// An owner makes so many; the own one does not count, and others' do not.
pub async fn an_owner_has_so_many_workspaces(open: Open<'_>) {
    let store = one(open);
    put(
        &store,
        vec![
            insert(&workspace("a-1", "local|usr_a"), 2),
            insert(&workspace("ws-user-usr_a", "local|usr_a"), 2),
            insert(&workspace("a-2", "local|usr_a"), 2),
        ],
    )
    .await;
    assert_eq!(refused(&store, vec![insert(&workspace("a-3", "local|usr_a"), 2)]).await, Conflict::TooMany);
    assert_eq!(refused(&store, vec![insert(&workspace("a-1", "local|usr_a"), 2)]).await, Conflict::Exists);
    assert_eq!(store.workspace("a-3").await.expect("a read"), None, "nothing of it remains");
    put(&store, vec![insert(&workspace("b-1", "local|usr_b"), 2)]).await;
    put(&store, vec![Write::DeleteWorkspace { id: "a-1".into(), owner: "local|usr_a".into() }]).await;
    put(&store, vec![insert(&workspace("a-3", "local|usr_a"), 2)]).await;
}

/// Lists are filtered and paged; they stay when their owner's account goes, as threads do.
pub async fn workspaces_are_listed_by_filter(open: Open<'_>) {
    let store = one(open);
    let mut writes = vec![Write::InsertUser(user("a"))];
    writes.extend(
        [("c-1", "local|usr_a"), ("a-1", "local|usr_a"), ("b-1", "local|usr_b"), ("d-1", "local|usr_c")]
            .map(|(id, owner)| insert(&workspace(id, owner), 100)),
    );
    put(&store, writes).await;
    let own = || Filter::owned_by("local|usr_a");
    assert_eq!(ids(&store, own(), None, 10).await, ["a-1", "c-1"]);
    assert_eq!(ids(&store, own(), None, 1).await, ["a-1"]);
    assert_eq!(ids(&store, own(), Some("a-1"), 10).await, ["c-1"]);
    let named = Filter::Named(vec!["d-1".into(), "nothing-1".into()]);
    assert_eq!(ids(&store, Filter::Or(vec![own(), named.clone()]), None, 10).await, ["a-1", "c-1", "d-1"]);
    assert_eq!(ids(&store, named, None, 10).await, ["d-1"]);
    assert_eq!(ids(&store, Filter::Everything, Some("b-1"), 10).await, ["c-1", "d-1"]);
    assert_eq!(ids(&store, Filter::Nothing, None, 10).await, [""; 0]);
    put(&store, vec![Write::DeleteUser("usr_a".into())]).await;
    assert_eq!(ids(&store, own(), None, 10).await, ["a-1", "c-1"]);
}

/// Whom a workspace is shared with is found by their names alone, and changes with it.
pub async fn members_are_found_by_their_name(open: Open<'_>) {
    let store = one(open);
    let member = |permission, handle: &str| Member { permission, handle: handle.into() };
    let both = BTreeMap::from([
        ("usr_b".to_owned(), member(Permission::Read, "tok_1")),
        ("corp|c_c".to_owned(), member(Permission::Admin, "tok_2")),
    ]);
    let made = Workspace { members: both, ..workspace("team-a", "local|usr_a") };
    put(&store, vec![insert(&made, 100), insert(&workspace("team-b", "local|usr_b"), 100)]).await;
    assert_eq!(store.workspace("team-a").await.expect("a read"), Some(made.clone()));
    let of = |name: &str| Filter::Contains(LABEL.into(), name.into());
    for (name, found) in
        [("usr_b", vec!["team-a"]), ("corp|c_c", vec!["team-a"]), ("usr_", vec![]), ("local|usr_a", vec![])]
    {
        assert_eq!(ids(&store, of(name), None, 10).await, found, "{name}");
    }
    let mut to = made.clone();
    to.members.remove("usr_b");
    let change = |to: &Workspace, seen: &Workspace| Write::ChangeWorkspace {
        to: Box::new(to.clone()),
        seen: Box::new(seen.clone()),
    };
    put(&store, vec![change(&to, &made)]).await;
    assert_eq!(store.workspace("team-a").await.expect("a read"), Some(to.clone()));
    assert_eq!(ids(&store, of("usr_b"), None, 10).await, [""; 0]);
    assert_eq!(ids(&store, of("corp|c_c"), None, 10).await, ["team-a"]);
    assert_eq!(refused(&store, vec![change(&to, &made)]).await, Conflict::Stale, "others are members now");
    put(&store, vec![Write::DeleteWorkspace { id: "team-a".into(), owner: "local|usr_a".into() }]).await;
    assert_eq!(ids(&store, of("corp|c_c"), None, 10).await, [""; 0]);
    put(&store, vec![insert(&workspace("team-a", "local|usr_d"), 100)]).await;
    assert_eq!(ids(&store, of("corp|c_c"), None, 10).await, [""; 0], "another's is not shared by what was");
}

/// What a workspace is called is text, whatever it looks like.
pub async fn hostile_text_of_a_workspace_is_only_text(open: Open<'_>) {
    let store = one(open);
    for (n, (name, text)) in HOSTILE.iter().enumerate() {
        let hostile = Workspace {
            name: (*text).to_owned(),
            description: (*text).to_owned(),
            owner: format!("{text}|{text}"),
            owner_ids: vec![(*text).to_owned()],
            details: object(json!({ (*text): text })),
            ..workspace(&format!("h-{n}"), "")
        };
        put(&store, vec![insert(&hostile, 100)]).await;
        assert_eq!(store.workspace(&hostile.id).await.expect("a read"), Some(hostile.clone()), "{name}");
        let of_it = ids(&store, Filter::Owner(hostile.owner.clone()), None, 10).await;
        assert_eq!(of_it, [hostile.id], "{name}");
    }
}
