//! Workspaces that stay: made, listed, changed and removed by whom they are for.

use doorward_core::Result;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::workspace;
use doorward_core::operation::Call;
use doorward_core::ports::store::Page;
use doorward_core::workspaces::model::MOST_OF_ONE;
use doorward_core::workspaces::{NewWorkspace, Workspace, WorkspaceChanges, names};
use serde_json::{Value, json};

use crate::house::{House, code};

fn new(id: &str) -> NewWorkspace {
    NewWorkspace { id: id.into(), persistent: true, ..NewWorkspace::default() }
}

async fn create(house: &House, call: &Call, new: NewWorkspace) -> Result<Workspace> {
    house.engine.workspaces().create(call.permit(Target::any())?, new, false).await
}

async fn list(house: &House, call: &Call) -> Vec<String> {
    let permit = call.permit(Target::any()).expect("may");
    let found =
        house.engine.workspaces().list(permit, Page { after: None, limit: 200 }).await.expect("a list");
    found.into_iter().map(|one| one.id).collect()
}

#[tokio::test]
async fn a_workspace_is_its_makers_and_nobody_elses() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let made = create(&house, &ann, new("team-a")).await.expect("made");
    let subject = ann.auth.principal.subject.to_string();
    assert_eq!((&made.owner, &made.owner_ids), (&ann.auth.principal.owner_key(), &vec![subject]));
    assert_eq!((made.name.as_str(), made.created_at_ms), ("team-a", house.engine.now_ms()));
    let found = house.engine.workspaces().find("team-a").await.expect("a look-up").expect("there");
    assert_eq!(found, made);
    assert_eq!(code(create(&house, &bob, new("team-a")).await), "workspace_exists");
    assert_eq!((list(&house, &ann).await, list(&house, &bob).await), (vec!["team-a".to_owned()], vec![]));
    let workspaces = house.engine.workspaces();
    // By the owner that is known, and by what the query finds.
    for target in [Target::owned("team-a", &made.owner), Target::named("team-a")] {
        assert_eq!(
            code(match bob.permit(target) {
                Ok(permit) => workspaces.get(permit, "team-a").await,
                Err(error) => Err(error),
            }),
            "not_found"
        );
        assert_eq!(
            code(match bob.permit(target) {
                Ok(permit) =>
                    workspaces.update(permit, "team-a", WorkspaceChanges::default()).await.map(|_| ()),
                Err(error) => Err(error),
            }),
            "not_found"
        );
        assert_eq!(
            code(match bob.permit(target) {
                Ok(permit) => workspaces.delete(permit, "team-a").await,
                Err(error) => Err(error),
            }),
            "not_found"
        );
        assert_eq!(code(workspaces.get(ann.permit(target).expect("may"), "team-a").await), "ok");
    }
    // A permit for one is not spent on another.
    let own = names::own(&bob.auth.principal, "local");
    let bobs = bob.auth.principal.owner_key();
    let permit = bob.permit::<workspace::Delete>(Target::owned(&own, &bobs)).expect("bob's own");
    assert_eq!(code(workspaces.delete(permit, "team-a").await), "not_found");
    let permit = ann.permit(Target::named("team-a")).expect("may");
    assert_eq!(code(workspaces.delete(permit, "team-a").await), "ok");
    assert_eq!(
        code(workspaces.delete(ann.permit(Target::named("team-a")).expect("may"), "team-a").await),
        "not_found"
    );
    assert_eq!(house.engine.workspaces().find("team-a").await.expect("a look-up"), None);
}

#[tokio::test]
async fn an_administrator_reaches_any_and_a_stranger_makes_none() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    create(&house, &ann, new("team-a")).await.expect("made");
    house.admin("root").await;
    let root = house.login("root").await;
    let root = house.bearer(root.access.token.expose()).await.expect("let in");
    assert_eq!(list(&house, &root).await, ["team-a"]);
    assert_eq!(code(house.nobody().await.permit::<workspace::Create>(Target::any())), "credentials_missing");
    let owner = ann.auth.principal.owner_key();
    let delete = house.nobody().await.permit::<workspace::Delete>(Target::owned("team-a", &owner));
    assert_eq!(code(delete), "credentials_missing");
    let permit = root.permit(Target::owned("team-a", &owner)).expect("any");
    assert_eq!(code(house.engine.workspaces().delete(permit, "team-a").await), "ok");
}

#[tokio::test]
async fn what_a_workspace_may_be_is_bounded() {
    let house = House::new().await;
    let person = house.person("ann").await;
    let ann = person.call(&house).await;
    let big: Value = "x".repeat(17 << 10).into();
    for (name, made, expected) in [
        ("no hyphen", new("team"), "bad_field"),
        ("upper case", new("Team-a"), "bad_field"),
        ("somebody's own", new("ws-user-usr_other"), "bad_field"),
        ("too long", new(&format!("a-{}", "b".repeat(127))), "bad_field"),
        ("no id", new(""), "bad_field"),
        ("a path", new("../a-b"), "bad_field"),
        ("no name", NewWorkspace { name: Some(" ".into()), ..new("a-1") }, "bad_field"),
        ("a name with a line end", NewWorkspace { name: Some("a\nb".into()), ..new("a-1") }, "bad_field"),
        (
            "a description that steers",
            NewWorkspace { description: "a\u{1b}[2J".into(), ..new("a-1") },
            "bad_field",
        ),
        (
            "an endless description",
            NewWorkspace { description: "x".repeat(2_049), ..new("a-1") },
            "bad_field",
        ),
        (
            "details that are too large",
            NewWorkspace { details: [("icon".to_owned(), big)].into_iter().collect(), ..new("a-1") },
            "bad_field",
        ),
        ("one's own", new(&names::own(&ann.auth.principal, "local")), "ok"),
        ("two lines", NewWorkspace { description: "a\nb".into(), ..new("a-2") }, "ok"),
        ("one that does not stay", NewWorkspace { persistent: false, ..new("a-3") }, "ok"),
    ] {
        assert_eq!(code(create(&house, &ann, made).await), expected, "{name}");
    }
    assert_eq!(
        house.engine.workspaces().find("a-3").await.expect("a look-up"),
        None,
        "it is not in the store"
    );
    for n in 1..MOST_OF_ONE {
        house.clock.advance_s(2);
        create(&house, &ann, new(&format!("many-{n}"))).await.expect("made");
    }
    assert_eq!(code(create(&house, &ann, new("many-more")).await), "too_many_workspaces");
}

#[tokio::test]
async fn overwriting_is_for_owners_and_keeps_whose_it_is() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let first = create(&house, &ann, new("team-a")).await.expect("made");
    house.clock.advance_ms(5);
    let over = async |call: &Call, new: NewWorkspace| {
        let permit = call.permit(Target::any()).expect("may make");
        house.engine.workspaces().create(permit, new, true).await
    };
    let renamed = || NewWorkspace { name: Some("New".into()), ..new("team-a") };
    assert_eq!(code(over(&bob, renamed()).await), "not_found");
    assert_eq!(code(over(&ann, NewWorkspace { persistent: false, ..renamed() }).await), "bad_field");
    let second = over(&ann, renamed()).await.expect("overwritten");
    assert_eq!(second, Workspace { name: "New".into(), ..first.clone() });
    assert_eq!(code(over(&bob, new("team-b")).await), "ok", "nothing is there to overwrite");
    house.admin("root").await;
    let root = house.login("root").await;
    let root = house.bearer(root.access.token.expose()).await.expect("let in");
    let third = over(&root, renamed()).await.expect("an administrator may");
    assert_eq!(third.owner, first.owner, "it stays Ann's");
}

#[tokio::test]
async fn changes_are_merged_and_bounded() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let details = json!({"icon": "a", "docs": "b"}).as_object().expect("an object").clone();
    create(&house, &ann, NewWorkspace { details, ..new("team-a") }).await.expect("made");
    let change = async |changes: WorkspaceChanges| {
        let permit = ann.permit(Target::named("team-a")).expect("may");
        house.engine.workspaces().update(permit, "team-a", changes).await
    };
    let details = json!({"icon": null, "covers": [1]}).as_object().expect("an object").clone();
    let changes = WorkspaceChanges {
        details: Some(details),
        description: Some("d".into()),
        ..WorkspaceChanges::default()
    };
    let changed = change(changes).await.expect("changed");
    assert_eq!(Value::from(changed.details), json!({"docs": "b", "covers": [1]}));
    assert_eq!((changed.name.as_str(), changed.description.as_str()), ("team-a", "d"));
    let bad = WorkspaceChanges { name: Some(String::new()), ..WorkspaceChanges::default() };
    assert_eq!(code(change(bad).await), "bad_field");
}
