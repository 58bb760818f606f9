//! What is kept in a workspace, by whom, and for whom it is shared: artifacts, settings, bookmarks, members.

use std::collections::BTreeMap;

use doorward_core::Result;
use doorward_core::artifacts::{ArtifactChanges, ArtifactQuery, Leave, NewArtifact, Place};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, artifact, workspace};
use doorward_core::operation::Call;
use doorward_core::ports::store::{Changes, NoteKind, Notes};
use doorward_core::secret::SecretText;
use doorward_core::workspaces::{NewWorkspace, Permission};
use serde_json::{Map, Value, json};

use crate::house::{House, code};

const TEAM: &str = "team-a";

/// A workspace of the caller's.
async fn team(house: &House, call: &Call) -> String {
    let new = NewWorkspace { id: TEAM.into(), persistent: true, ..NewWorkspace::default() };
    let permit = call.permit(Target::any()).expect("may");
    house.engine.workspaces().create(permit, new, false).await.expect("made").owner
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn called(alias: &str, config: Value) -> NewArtifact {
    NewArtifact {
        alias: Some(alias.into()),
        manifest: object(json!({"name": alias})),
        config: object(config),
        ..NewArtifact::default()
    }
}

/// Artifacts of the one workspace, as one caller comes to them.
struct Shelf<'h> {
    house: &'h House,
    call: &'h Call,
    owner: &'h str,
    within: Option<Permission>,
}

impl Shelf<'_> {
    async fn leave<A: Action>(&self, alias: Option<&str>) -> Result<Leave<A>> {
        let place = Place { workspace: TEAM, owner: self.owner };
        self.house.engine.artifacts().leave(self.call, place, self.within, alias).await
    }

    async fn create(&self, parent: Option<&str>, new: NewArtifact) -> Result<String> {
        let leave = self.leave::<artifact::Create>(parent).await?;
        Ok(self.house.engine.artifacts().create(leave, new, "usr_shown").await?.alias)
    }

    async fn read(&self, alias: &str) -> Result<Map<String, Value>> {
        let leave = self.leave::<artifact::Read>(Some(alias)).await?;
        Ok(self.house.engine.artifacts().read(leave, true).await?.manifest)
    }

    async fn edit(&self, alias: &str, manifest: Value) -> Result<()> {
        let leave = self.leave::<artifact::Edit>(Some(alias)).await?;
        let changes = ArtifactChanges { manifest: Some(object(manifest)), ..ArtifactChanges::default() };
        self.house.engine.artifacts().edit(leave, changes).await.map(drop)
    }

    async fn list(&self, parent: Option<&str>) -> Result<Vec<String>> {
        let leave = self.leave::<artifact::List>(parent).await?;
        let query =
            ArtifactQuery { parent: parent.map(str::to_owned), limit: 100, ..ArtifactQuery::default() };
        let (found, _) = self.house.engine.artifacts().list(leave, query, true).await?;
        let mut aliases: Vec<String> = found.into_iter().map(|one| one.alias).collect();
        aliases.sort();
        Ok(aliases)
    }

    async fn delete(&self, alias: &str, recursive: bool) -> Result<()> {
        let leave = self.leave::<artifact::Delete>(Some(alias)).await?;
        self.house.engine.artifacts().delete(leave, recursive).await
    }
}

#[tokio::test]
async fn an_artifact_is_the_workspaces_and_lends_what_its_settings_say() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let owner = team(&house, &ann).await;
    let anns = Shelf { house: &house, call: &ann, owner: &owner, within: Some(Permission::Admin) };
    let bobs = Shelf { house: &house, call: &bob, owner: &owner, within: None };
    anns.create(None, called("closed", json!({}))).await.expect("made");
    anns.create(None, called("lent", json!({"permissions": {"@": "r"}}))).await.expect("made");
    anns.create(Some("lent"), called("inside", json!({}))).await.expect("made");
    assert_eq!(code(anns.create(None, called("lent", json!({}))).await), "artifact_exists");
    assert_eq!(anns.list(None).await.expect("a list"), ["closed", "lent"]);
    assert_eq!(anns.list(Some("lent")).await.expect("a list"), ["inside"]);
    // What there is and what there is not are answered alike.
    for alias in ["closed", "no-such", "../x"] {
        assert_eq!(code(bobs.read(alias).await), "not_found", "{alias}");
        assert_eq!(code(bobs.edit(alias, json!({})).await), "not_found", "{alias}");
        assert_eq!(code(bobs.delete(alias, true).await), "not_found", "{alias}");
    }
    assert_eq!(bobs.read("lent").await.expect("lent"), object(json!({"name": "lent"})));
    assert_eq!(code(bobs.read("inside").await), "ok", "a collection's reading holds for what is within");
    assert_eq!(code(bobs.edit("lent", json!({"name": "mine"})).await), "not_found");
    assert_eq!(code(bobs.create(None, called("mine", json!({}))).await), "not_found");
    assert_eq!(code(anns.delete("lent", false).await), "artifact_not_empty");
    anns.edit("lent", json!({"name": "new"})).await.expect("changed");
    assert_eq!(anns.read("lent").await.expect("read"), object(json!({"name": "new"})));
    anns.delete("lent", true).await.expect("gone");
    assert_eq!(code(anns.read("inside").await), "not_found", "with what was within");
}

#[tokio::test]
async fn settings_are_for_whoever_administers_and_sealed_in_the_store() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let owner = team(&house, &ann).await;
    let (workspaces, at) = (house.engine.workspaces(), (TEAM, owner.as_str()));
    let manage = |call: &Call| call.permit::<workspace::Manage>(Target::owned(TEAM, &owner));
    let secret = SecretText::from("hunter2-hunter2");
    workspaces.set_env(manage(&ann).expect("may"), at, "TOKEN", Some(&secret)).await.expect("kept");
    let kept = workspaces.env(manage(&ann).expect("may"), at).await.expect("read");
    assert_eq!(kept.get("TOKEN").map(|text| text.expose().as_str()), Some("hunter2-hunter2"));
    let in_store = house.store.notes(TEAM, NoteKind::Env).await.expect("read");
    assert!(
        !in_store.is_empty()
            && in_store.iter().all(|(_, bytes)| !bytes.windows(7).any(|part| part == b"hunter2"))
    );
    assert_eq!(code(manage(&bob).map(drop)), "not_found");
    let long = SecretText::new("x".repeat(8 * 1024 + 1));
    for (name, value) in [("", &secret), ("a\nb", &secret), ("LONG", &long)] {
        assert_eq!(
            code(workspaces.set_env(manage(&ann).expect("may"), at, name, Some(value)).await),
            "bad_field"
        );
    }
    workspaces.set_env(manage(&ann).expect("may"), at, "TOKEN", None).await.expect("forgotten");
    assert!(workspaces.env(manage(&ann).expect("may"), at).await.expect("read").is_empty());
    // Of another's: the leave is for one workspace.
    let elsewhere = workspaces.env(manage(&ann).expect("may"), ("team-b", "local|usr_b")).await;
    assert_eq!(code(elsewhere.map(drop)), "not_found");
}

#[tokio::test]
async fn bookmarks_are_kept_by_name_and_bounded() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let ann = ann.call(&house).await;
    let owner = team(&house, &ann).await;
    let (workspaces, at) = (house.engine.workspaces(), (TEAM, owner.as_str()));
    let item = object(json!({"id": "ws-x/svc", "deep": {"a": 1}}));
    let manage = || ann.permit::<workspace::Manage>(Target::owned(TEAM, &owner)).expect("may");
    let all = async || {
        let permit = ann.permit::<workspace::Read>(Target::owned(TEAM, &owner)).expect("may");
        workspaces.bookmarks(permit, at).await.expect("read")
    };
    for n in 0..200 {
        workspaces.bookmark(manage(), at, &format!("b{n}"), Some(&item)).await.expect("kept");
    }
    assert_eq!(all().await.len(), 200);
    assert_eq!(code(workspaces.bookmark(manage(), at, "one-more", Some(&item)).await), "bad_field");
    workspaces.bookmark(manage(), at, "b7", Some(&item)).await.expect("the same name again");
    workspaces.bookmark(manage(), at, "b7", None).await.expect("forgotten");
    assert_eq!(all().await.len(), 199);
}

/// The ids of everything that is revoked.
async fn revoked(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    let each = Box::new(|_: &str, id: &str, _, _| found.push(id.to_owned()));
    house.store.each_revocation(0, each).await.expect("a read");
    found
}

#[tokio::test]
async fn who_is_taken_off_loses_what_being_a_member_gave() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let bobs_id = bob.user.id.clone();
    let id = bobs_id.as_str();
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let owner = team(&house, &ann).await;
    let workspaces = house.engine.workspaces();
    let share = async |call: &Call, members: &[(&str, Permission)]| {
        let members: BTreeMap<_, _> = members.iter().map(|(name, to)| ((*name).to_owned(), *to)).collect();
        workspaces.share(call.permit(Target::owned(TEAM, &owner))?, TEAM, &members).await
    };
    assert_eq!(code(share(&bob, &[(id, Permission::Admin)]).await), "not_found", "nobody lets themselves in");
    for bad in ["bob@example.org", ""] {
        assert_eq!(code(share(&ann, &[(bad, Permission::Read)]).await), "bad_field", "{bad:?} is no id");
    }
    let shared = share(&ann, &[(id, Permission::Read)]).await.expect("shared");
    let handle = shared.members[id].handle.to_string();
    let with_bob = workspaces.shared_with(&bob.auth.principal, "local").await.expect("a look-up");
    assert_eq!(with_bob.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [TEAM]);
    let again = share(&ann, &[(id, Permission::Read)]).await.expect("the same again");
    assert_eq!(again.members[id].handle.to_string(), handle, "what stays as it is keeps its tokens");
    let more = share(&ann, &[(id, Permission::ReadWrite)]).await.expect("more");
    assert_ne!(more.members[id].handle.to_string(), handle);
    assert!(
        revoked(&house).await.contains(&handle),
        "what was made of the membership that changed has ended"
    );
    assert!(!revoked(&house).await.contains(&more.members[id].handle.to_string()), "the new one has not");
    share(&ann, &[]).await.expect("taken off");
    assert!(revoked(&house).await.contains(&more.members[id].handle.to_string()));
    assert!(workspaces.shared_with(&bob.auth.principal, "local").await.expect("a look-up").is_empty());
}
