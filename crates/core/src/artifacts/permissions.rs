//! What an artifact's own `config.permissions` lend to whom (Hypha: observed with 0.21.137).
//!
//! `{"usr_…": "rw", "@": "r", "*": "l"}`: an id of a user, whoever has an account, everybody. Codes are `n` nothing, `l` listing what is
//! within, `r` reading too, `rw` changing too and putting things within, `*` removing too.

use serde_json::{Map, Value};

use super::model::Artifact;
use crate::authz::catalogue::{Action, ActionDef, artifact};
use crate::error::{Error, Result, codes};
use crate::principal::AuthContext;
use crate::workspaces::{Permission, names};

/// Most entries.
const MOST: usize = 100;
/// Codes, weakest first.
const CODES: [&str; 5] = ["n", "l", "r", "rw", "*"];
/// Whoever has an account, and everybody.
const REGISTERED: &str = "@";
const EVERYBODY: &str = "*";

/// How strong a code has to be for an action.
fn needed(action: &ActionDef) -> usize {
    let rank = |code: &str| CODES.iter().position(|one| *one == code).unwrap_or(CODES.len());
    match action.name {
        _ if action == artifact::List::DEF => rank("l"),
        _ if action == artifact::Read::DEF => rank("r"),
        _ if action == artifact::Create::DEF || action == artifact::Edit::DEF => rank("rw"),
        _ => rank("*"),
    }
}

fn rank(value: Option<&Value>) -> usize {
    let code = value.and_then(Value::as_str);
    CODES.iter().position(|one| Some(*one) == code).unwrap_or(0)
}

/// # Errors
/// `bad_field`, naming the entry that is not understood: what is not enforced must not look as if it were.
pub(super) fn check(config: &Map<String, Value>) -> Result<()> {
    let bad = |message: String| Err(Error::new(codes::BAD_FIELD).message(message));
    let entries = match config.get("permissions") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return bad("config.permissions: a map from ids to codes.".into()),
    };
    if entries.len() > MOST {
        return bad(format!("config.permissions: at most {MOST} entries."));
    }
    for (key, value) in entries {
        let shown: String = key.chars().take(64).collect();
        if key != REGISTERED && key != EVERYBODY && !names::is_member(key) {
            return bad(format!(
                "config.permissions: {shown:?} is no user's id; '@' stands for whoever has an account, '*' for everybody."
            ));
        }
        if !value.as_str().is_some_and(|code| CODES.contains(&code)) {
            return bad(format!(
                "Invalid permission code for '{shown}'. Valid codes are: {}.",
                CODES.join(", ")
            ));
        }
    }
    Ok(())
}

/// What an artifact, or the one it is within, lends to a caller for one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lent(pub(super) Option<Permission>);

impl Lent {
    /// Reads the permissions of `artifact` and, where the action only looks, of `parent`.
    ///
    /// Whoever made a thing may remove it as long as they may write where it is: `within` is how far they reach in the workspace. A credential that is
    /// confined to workspaces is lent what everybody is, for looking, and nothing else.
    #[must_use]
    pub fn of(
        auth: &AuthContext,
        authority: &str,
        action: &ActionDef,
        (artifact, parent): (Option<&Artifact>, Option<&Artifact>),
        within: Option<Permission>,
    ) -> Self {
        let Some(permission) = action.permission_needed() else { return Self(None) };
        let looks = permission == Permission::Read;
        let name = names::member(&auth.principal, authority);
        let lends = |artifact: &Artifact| {
            let entries = artifact.config.get("permissions").and_then(Value::as_object);
            let says = |key: &str| rank(entries.and_then(|entries| entries.get(key)));
            let mut most = says(EVERYBODY);
            if auth.workspaces.confined {
                return looks && most >= needed(action);
            }
            if !auth.is_anonymous() {
                most = most.max(says(REGISTERED)).max(says(&name));
            }
            most >= needed(action)
        };
        let made = artifact.is_some_and(|artifact| artifact.maker == name)
            && within.is_some_and(|within| within.includes(Permission::ReadWrite));
        let lent = made || artifact.is_some_and(lends) || (looks && parent.is_some_and(lends));
        Self(lent.then_some(permission))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::id::UserId;
    use crate::principal::Principal;
    use crate::workspaces::WorkspaceScope;

    fn artifact(permissions: Value) -> Artifact {
        Artifact {
            id: "art_1".into(),
            workspace: "team-a".into(),
            alias: "one".into(),
            parent: None,
            kind: "generic".into(),
            manifest: Map::new(),
            config: Map::from_iter([("permissions".to_owned(), permissions)]),
            comment: String::new(),
            created_by: "usr_maker".into(),
            maker: "usr_maker".into(),
            created_at_ms: 0,
            changed_at_ms: 0,
            revision: 1,
            views: 0,
        }
    }

    fn user(name: &str, confined: bool) -> AuthContext {
        AuthContext {
            principal: Principal::local(&UserId::from(name)),
            workspaces: WorkspaceScope { confined, given: BTreeMap::new(), ..WorkspaceScope::default() },
            ..AuthContext::anonymous(vec!["user".into()])
        }
    }

    /// Which of list, read, edit and delete are lent.
    fn lent(auth: &AuthContext, artifact: &Artifact, within: Option<Permission>) -> String {
        let actions = [artifact::List::DEF, artifact::Read::DEF, artifact::Edit::DEF, artifact::Delete::DEF];
        let lent = |action: &&&ActionDef| {
            Lent::of(auth, "hypha", action, (Some(artifact), None), within).0 == action.permission_needed()
        };
        actions.iter().filter(lent).map(|action| action.name.chars().next().unwrap_or(' ')).collect()
    }

    #[test]
    fn codes_lend_what_they_say_to_whom_they_say() {
        let all = artifact(json!({"usr_1": "rw", "usr_2": "*", "usr_3": "n", "@": "l", "*": "n"}));
        let visitor = AuthContext::anonymous(Vec::new());
        for (auth, expected) in [
            (user("usr_1", false), "lre"),
            (user("usr_2", false), "lred"),
            (user("usr_3", false), "l"),
            (user("usr_4", false), "l"),
            (visitor.clone(), ""),
            (user("usr_2", true), ""),
        ] {
            assert_eq!(lent(&auth, &all, None), expected, "{}", auth.principal);
        }
        let open = artifact(json!({"*": "*"}));
        assert_eq!(
            lent(&user("usr_1", true), &open, None),
            "lr",
            "a confined credential looks, as anybody may"
        );
        for odd in [json!({"*": ["read"]}), json!({"*": "admin"}), json!(["*"]), json!(null), json!({"*": 7})]
        {
            assert_eq!(lent(&user("usr_1", false), &artifact(odd), None), "");
        }
    }

    #[test]
    fn a_maker_removes_what_it_made_while_it_may_write_there() {
        let made = artifact(json!({}));
        let maker = user("usr_maker", true);
        for (within, expected) in
            [(None, ""), (Some(Permission::Read), ""), (Some(Permission::ReadWrite), "lred")]
        {
            assert_eq!(lent(&maker, &made, within), expected, "{within:?}");
        }
        assert_eq!(lent(&user("usr_other", false), &made, Some(Permission::ReadWrite)), "");
    }
}
