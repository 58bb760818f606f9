//! The authorization matrix: every action, every role, as a checked-in text.
//!
//! To review a policy, read the diff of `matrix.txt`. To accept a change: `UPDATE_MATRIX=1 cargo test -p doorward-core`.

use std::fmt::Write as _;

use doorward_core::authz::catalogue::{self, Access, ActionDef};
use doorward_core::authz::filter::labels_of;
use doorward_core::authz::{Denial, RoleDef, Roles, Target, decide};
use doorward_core::principal::{AuthContext, Principal};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/matrix.txt");
const SHARED_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/matrix_of_a_shared_thread.txt");

/// A policy that shares one thread, `shared`, to be read with one role and to be worked in with another.
const SHARED: &[(&str, &[&str])] = &[
    ("reader", &["thread:read@native/shared", "thread:list@native/shared", "message:read@native/shared"]),
    ("editor", &["thread:*@native/shared", "message:*@native/shared", "run:*@native/shared"]),
];

struct Caller {
    title: &'static str,
    roles: &'static [&'static str],
    administrative: bool,
}

const CALLERS: &[Caller] = &[
    Caller { title: "anonymous", roles: &["anonymous"], administrative: false },
    Caller { title: "user", roles: &["user"], administrative: true },
    Caller { title: "premium", roles: &["premium"], administrative: true },
    Caller { title: "admin", roles: &["admin"], administrative: true },
    Caller { title: "admin/user-key", roles: &["admin"], administrative: false },
    Caller { title: "system", roles: &["system"], administrative: true },
];

fn context(caller: &Caller) -> AuthContext {
    let roles = caller.roles.iter().map(|&role| role.into()).collect();
    let mut auth = AuthContext::anonymous(roles);
    if caller.title != "anonymous" {
        auth.principal = Principal::local(&"usr_me".into());
    }
    auth.administrative = caller.administrative;
    auth
}

/// What this caller may do to somebody else's and to its own.
fn cell(roles: &Roles, caller: &Caller, action: &'static ActionDef) -> &'static str {
    let auth = context(caller);
    let own = auth.principal.owner_key();
    let mine = decide(roles, &auth, action, Target::owned("x", &own));
    let theirs = decide(roles, &auth, action, Target::owned("x", "local|usr_other"));
    match (mine, theirs) {
        (Ok(_), Ok(_)) => "any",
        (Ok(_), Err(Denial::Owner)) => "own",
        (Err(Denial::Unauthenticated), Err(Denial::Unauthenticated)) => "401",
        (Err(mine), Err(theirs)) if mine == theirs => "-",
        _ => "?",
    }
}

fn render() -> String {
    let roles = Roles::new(&Default::default()).expect("the defaults");
    let mut text = String::new();
    let mut line = |first: &str, cells: &mut dyn Iterator<Item = &'static str>| {
        let mut row = format!("{first:<26}");
        for cell in cells {
            write!(row, "{cell:<16}").expect("a String");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line("resource:action", &mut CALLERS.iter().map(|caller| caller.title));
    for action in catalogue::ALL {
        line(&action.to_string(), &mut CALLERS.iter().map(|caller| cell(&roles, caller, action)));
    }
    text
}

#[test]
fn the_matrix_is_as_checked_in() {
    let now = render();
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(PATH, &now).expect("written");
    }
    let kept = std::fs::read_to_string(PATH).unwrap_or_default();
    assert_eq!(kept, now, "the matrix changed: read the diff, then accept it with UPDATE_MATRIX=1");
}

/// Role × action × resource: what each role of the policy may do to one's own, to the shared thread of somebody else, to
/// another of theirs, and to one of the same id in another mount.
fn render_shared() -> String {
    let policy = SHARED.iter().map(|(name, permissions)| {
        let permissions = permissions.iter().map(|&text| text.to_owned()).collect();
        ((*name).to_owned(), RoleDef { permissions, ..RoleDef::default() })
    });
    let roles = Roles::new(&policy.collect()).expect("a policy");
    let callers: &[&[&str]] =
        &[&["user"], &["reader"], &["user", "reader"], &["user", "editor"], &["anonymous"]];
    let other = "local|usr_other";
    let mut text = String::new();
    for names in callers {
        let title: &'static str = if *names == ["anonymous"] { "anonymous" } else { "" };
        let auth = context(&Caller { title, roles: names, administrative: true });
        let own = auth.principal.owner_key();
        writeln!(text, "{}\n{:<20}own   shared  another  elsewhere  new", names.join(" + "), "")
            .expect("a String");
        for action in
            catalogue::ALL.iter().filter(|def| ["thread", "message", "run", "graph"].contains(&def.resource))
        {
            let says = |target| match decide(&roles, &auth, action, target) {
                Ok(_) => "yes",
                Err(Denial::Owner) => "404",
                Err(Denial::Unauthenticated) => "401",
                Err(_) => "403",
            };
            let row = [
                says(Target::owned("mine", &own).through("native")),
                says(Target::owned("shared", other).through("native")),
                says(Target::owned("another", other).through("native")),
                says(Target::owned("shared", other).through("agentflow")),
                match decide(&roles, &auth, action, Target::any().through("native")) {
                    Ok(filter) if filter.matches("new", &own, &labels_of(&Default::default())) => "yes",
                    Ok(_) => "-",
                    Err(_) => "no",
                },
            ];
            let [mine, shared, another, elsewhere, new] = row;
            writeln!(
                text,
                "  {:<18}{mine:<6}{shared:<8}{another:<9}{elsewhere:<11}{new}",
                action.to_string()
            )
            .expect("a String");
        }
    }
    text
}

#[test]
fn what_a_shared_thread_allows_is_as_checked_in() {
    let now = render_shared();
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(SHARED_PATH, &now).expect("written");
    }
    let kept = std::fs::read_to_string(SHARED_PATH).unwrap_or_default();
    assert_eq!(kept, now, "the matrix changed: read the diff, then accept it with UPDATE_MATRIX=1");
}

#[test]
fn every_action_has_a_line_and_none_contradicts_itself() {
    let text = render();
    for action in catalogue::ALL {
        assert_eq!(
            text.lines().filter(|line| line.split(' ').next() == Some(&action.to_string())).count(),
            1
        );
    }
    assert!(!text.contains('?'), "a role that reaches others' things but not its own");
}

#[test]
fn administrative_actions_are_out_of_reach_without_an_administrative_credential() {
    let roles = Roles::new(&Default::default()).expect("the defaults");
    for action in catalogue::ALL.iter().filter(|action| action.access == Access::Admin) {
        for caller in CALLERS.iter().filter(|caller| !caller.administrative) {
            let decided = decide(&roles, &context(caller), action, Target::any());
            assert!(decided.is_err(), "{action} by {}", caller.title);
        }
    }
}
