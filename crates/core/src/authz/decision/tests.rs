//! What a credential was given in workspaces, against whose they are and what roles allow.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::authz::catalogue::{self, ActionDef};
use crate::authz::filter::Labels;
use crate::principal::{Principal, PrincipalKind};
use crate::workspaces::{Permission, WorkspaceScope};

const ME: &str = "local|usr_me";
const OTHER: &str = "local|usr_other";

fn roles() -> Roles {
    Roles::new(&Default::default()).expect("the defaults")
}

fn find(resource: &str, name: &str) -> &'static ActionDef {
    catalogue::find(resource, name).expect("in the catalogue")
}

fn caller(given: &[(&str, Permission)], confined: bool) -> AuthContext {
    let given = given.iter().map(|(name, permission)| (Arc::from(*name), *permission)).collect();
    AuthContext {
        principal: Principal {
            kind: PrincipalKind::User,
            authority: "local".into(),
            subject: "usr_me".into(),
        },
        administrative: true,
        workspaces: WorkspaceScope { given, confined, ..WorkspaceScope::default() },
        ..AuthContext::anonymous(vec!["user".into()])
    }
}

fn says(auth: &AuthContext, action: &'static ActionDef, owner: &str) -> Result<Filter, Denial> {
    decide(&roles(), auth, action, Target::owned("team-a", owner))
}

#[test]
fn a_workspace_opens_by_owner_or_by_what_was_given() {
    let all = [
        ("workspace", "read", Permission::Read),
        ("hub_service", "read", Permission::Read),
        ("hub_service", "call", Permission::Read),
        ("workspace", "use", Permission::ReadWrite),
        ("hub_service", "register", Permission::ReadWrite),
        ("workspace", "manage", Permission::Admin),
        ("workspace", "token", Permission::Admin),
        ("workspace", "delete", Permission::Admin),
        ("artifact", "read", Permission::Read),
        ("artifact", "list", Permission::Read),
        ("artifact", "create", Permission::ReadWrite),
        ("artifact", "edit", Permission::ReadWrite),
        ("artifact", "delete", Permission::Admin),
    ];
    for (resource, name, needed) in all {
        let action = find(resource, name);
        assert!(says(&caller(&[], false), action, ME).is_ok(), "{action}: one's own");
        assert_eq!(says(&caller(&[], true), action, ME), Err(Denial::Owner), "{action}: one's own, confined");
        assert_eq!(
            says(&caller(&[("team-b", Permission::Admin)], false), action, OTHER),
            Err(Denial::Owner),
            "{action}"
        );
        for permission in Permission::ALL {
            for confined in [false, true] {
                let auth = caller(&[("team-a", permission)], confined);
                assert_eq!(
                    says(&auth, action, OTHER).is_ok(),
                    permission.includes(needed),
                    "{action} {permission} {confined}"
                );
            }
        }
        let every = caller(&[("*", needed)], false);
        assert_eq!(says(&every, action, OTHER), Ok(Filter::Everything), "{action}: every one");
        let of_a_key = AuthContext { administrative: false, ..every };
        assert_eq!(
            says(&of_a_key, action, OTHER),
            Err(Denial::Owner),
            "{action}: every one, with a user's key"
        );
        let visitor = AuthContext {
            principal: Principal::visitor("anonymouz-x"),
            administrative: false,
            ..AuthContext::anonymous(vec!["anonymous".into()])
        };
        let own = visitor.principal.owner_key();
        let accounts = ["create", "edit", "delete"].contains(&name);
        let expected = if accounts { Err(Denial::Unauthenticated) } else { Ok(()) };
        assert_eq!(says(&visitor, action, &own).map(drop), expected, "{action}: a visitor's own");
    }
}

#[test]
fn forbidden_comes_before_whose_it_is() {
    let limited =
        AuthContext { scopes: Some(vec!["read".into()]), ..caller(&[("team-a", Permission::Admin)], false) };
    assert_eq!(says(&limited, find("workspace", "manage"), OTHER), Err(Denial::Scope));
    assert!(says(&limited, find("workspace", "read"), OTHER).is_ok());
    let nobody = AuthContext { roles: Vec::new(), ..caller(&[("team-a", Permission::Admin)], false) };
    assert_eq!(
        says(&nobody, find("workspace", "read"), OTHER),
        Err(Denial::Role),
        "what is given is no role"
    );
    let confined = caller(&[("*", Permission::Admin), ("team-a", Permission::Admin)], true);
    assert_eq!(says(&confined, find("workspace", "create"), ME), Err(Denial::Confined));
    assert_eq!(says(&confined, find("thread", "read"), ME), Err(Denial::Confined));
    assert_eq!(says(&confined, find("user", "administer"), ME), Err(Denial::Confined));
    assert!(says(&confined, find("token", "surrender"), ME).is_ok());
}

#[test]
fn what_outlives_a_credential_is_given_away_by_no_confined_one() {
    let share = find("workspace", "share");
    assert!(says(&caller(&[], false), share, ME).is_ok());
    assert!(
        says(&caller(&[("team-a", Permission::Admin)], false), share, OTHER).is_ok(),
        "a member that owns it too"
    );
    assert_eq!(says(&caller(&[("team-a", Permission::ReadWrite)], false), share, OTHER), Err(Denial::Owner));
    for given in [&[][..], &[("team-a", Permission::Admin)]] {
        assert_eq!(says(&caller(given, true), share, ME), Err(Denial::Confined));
        assert_eq!(says(&caller(given, true), share, OTHER), Err(Denial::Confined));
    }
}

fn scope() -> impl Strategy<Value = WorkspaceScope> {
    let permission = || prop::sample::select(Permission::ALL.to_vec());
    let given = prop::collection::btree_map("(team-[a-c]|\\\\*)".prop_map(Arc::from), permission(), 0..4);
    (given, any::<bool>()).prop_map(|(given, confined)| WorkspaceScope {
        given,
        confined,
        ..WorkspaceScope::default()
    })
}

fn context() -> impl Strategy<Value = AuthContext> {
    let role = prop::sample::subsequence(vec!["anonymous", "user", "premium", "admin", "unheard-of"], 0..4);
    let limits = prop::option::of(prop::sample::subsequence(
        vec!["read", "write", "*", "workspace:*", "hub_service:call"],
        0..3,
    ));
    (scope(), role, limits, any::<bool>()).prop_map(|(workspaces, roles, limits, administrative)| {
        AuthContext {
            workspaces,
            administrative,
            scopes: limits.map(|all| all.into_iter().map(Arc::from).collect()),
            ..AuthContext { roles: roles.into_iter().map(Arc::from).collect(), ..caller(&[], false) }
        }
    })
}

fn action() -> impl Strategy<Value = &'static ActionDef> {
    prop::sample::select(catalogue::ALL.to_vec())
}

/// Whether the answer lets a thing through.
fn reaches(answer: &Result<Filter, Denial>, id: &str, owner: &str) -> bool {
    answer.as_ref().is_ok_and(|filter| filter.matches(id, owner, &Labels::new()))
}

proptest! {
    #[test]
    fn what_is_given_opens_no_more_than_it_says(auth in context(), action in action(), id in "team-[a-d]", own in any::<bool>()) {
        let owner = if own { ME } else { OTHER };
        let answer = decide(&roles(), &auth, action, Target::owned(&id, owner));
        let bare = AuthContext { workspaces: WorkspaceScope::default(), ..auth.clone() };
        let without = decide(&roles(), &bare, action, Target::owned(&id, owner));
        let entry = auth.workspaces.given.get(&*id).copied();
        let every = auth.workspaces.given.get("*").copied().filter(|_| auth.administrative);
        let given = action.permission_needed().is_some_and(|needed| entry.max(every).is_some_and(|has| has.includes(needed)));
        if answer.is_ok() && without.is_err() {
            prop_assert!(given && without == Err(Denial::Owner), "{} {:?}", action, answer);
        }
        if auth.workspaces.confined && answer.is_ok() {
            prop_assert!(given || action.is_for_the_confined(), "{}", action);
        }
        if !action.is_of_a_workspace() && !auth.workspaces.confined {
            prop_assert_eq!(&answer, &without, "other things know nothing of workspaces");
        }
        // The two roads agree: an owner that is known beforehand, and one that the query finds.
        let found = decide(&roles(), &auth, action, Target::named(&id));
        prop_assert_eq!(answer.is_ok(), reaches(&found, &id, owner));
        prop_assert_eq!(answer.is_ok(), reaches(&answer, &id, owner));
    }

    #[test]
    fn a_refusal_never_tells_whose_it_is(auth in context(), action in action(), id in "team-[a-d]") {
        let of = |owner| decide(&roles(), &auth, action, Target::owned(&id, owner)).err();
        let (mine, theirs, gone) = (of(ME), of(OTHER), of("local|usr_gone"));
        prop_assert_eq!(theirs, gone);
        for denial in [mine, theirs].into_iter().flatten().filter(|denial| *denial != Denial::Owner) {
            prop_assert_eq!((mine, theirs), (Some(denial), Some(denial)), "forbidden is forbidden whoever owns it");
        }
    }

    #[test]
    fn confining_and_taking_away_never_open_anything(auth in context(), action in action(), id in "team-[a-d]", own in any::<bool>()) {
        let owner = if own { ME } else { OTHER };
        let answer = |auth: &AuthContext| decide(&roles(), auth, action, Target::owned(&id, owner)).is_ok();
        let with = |change: &dyn Fn(&mut WorkspaceScope)| {
            let mut auth = auth.clone();
            change(&mut auth.workspaces);
            auth
        };
        prop_assert!(!answer(&with(&|scope| scope.confined = true)) || answer(&with(&|scope| scope.confined = false)));
        prop_assert!(!answer(&with(&|scope| scope.given.clear())) || answer(&auth));
    }
}
