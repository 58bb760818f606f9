//! Why a decision is what it is: the very decision, beside the facts it looked at.
//!
//! Nothing is judged here. [`decide`] is asked, and what it was given is written down in the order in which it looks, so
//! that an operator sees which of the facts to change.

use std::sync::Arc;

use super::areas;
use super::catalogue::{Access, ActionDef};
use super::decision::{Denial, Target, decide};
use super::roles::{Reach, Roles};
use super::scopes;
use crate::error::Error;
use crate::principal::AuthContext;
use crate::workspaces::WorkspaceScope;

/// A decision with the facts behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Why not; `None` when it is allowed.
    pub denial: Option<Denial>,
    /// What the credential is limited to, and whether that covers the action; `None` when nothing limits it.
    pub scopes: Option<(Vec<Arc<str>>, bool)>,
    /// Whether the action is an administrative one.
    pub needs_administrative: bool,
    /// Whether the credential reaches administrative actions.
    pub is_administrative: bool,
    /// What the credential was given in workspaces, where the action is one on them or the credential is for them alone.
    pub given: Option<WorkspaceScope>,
    /// Each role of the caller, with how far it reaches in this action.
    pub roles: Vec<RoleFact>,
    /// Who is asking ([`crate::principal::Principal::owner_key`]).
    pub principal: String,
    /// Whose the resource is, where that is known.
    pub owner: Option<String>,
    /// Whether nobody in particular is asking.
    pub is_nobody: bool,
    /// Whether it is an area that is to be entered.
    pub is_of_an_area: bool,
}

/// What one role says of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFact {
    /// The role.
    pub role: Arc<str>,
    /// Whose resources it reaches; `None` when nobody's as such.
    pub reach: Option<Reach>,
    /// How many single resources of the mount it names.
    pub named: usize,
    /// Whether the one asked for is among them.
    pub names_this: bool,
}

/// Decides, and says what was looked at.
#[must_use]
pub fn explain(
    roles: &Roles,
    auth: &AuthContext,
    action: &'static ActionDef,
    target: Target<'_>,
) -> Explanation {
    let of = |role: &Arc<str>| {
        let (mut reach, mut named) = (None, Vec::new());
        for held in roles.held(std::slice::from_ref(role), action) {
            reach = held.reach;
            named.extend(held.named(target.mount));
        }
        let names_this = target.id.is_some_and(|id| named.contains(&id));
        RoleFact { role: Arc::clone(role), reach, named: named.len(), names_this }
    };
    Explanation {
        denial: decide(roles, auth, action, target).err(),
        scopes: auth.scopes.as_ref().map(|limits| (limits.clone(), scopes::cover(limits, action))),
        needs_administrative: action.access == Access::Admin,
        is_administrative: auth.administrative,
        given: (action.is_of_a_workspace() || auth.workspaces.confined).then(|| auth.workspaces.clone()),
        roles: auth.roles.iter().map(of).collect(),
        principal: auth.principal.owner_key(),
        owner: target.owner.map(str::to_owned),
        is_nobody: auth.is_anonymous(),
        is_of_an_area: areas::is_entering(action),
    }
}

impl Explanation {
    /// The HTTP status and the code that a client of the native API sees; `None` when it is allowed.
    #[must_use]
    pub fn refusal(&self) -> Option<(u16, &'static str)> {
        let error = Error::from(self.denial?);
        let error = if self.is_of_an_area { areas::told(error, self.is_nobody) } else { error };
        let code = error.code();
        Some((code.kind.status(), code.name))
    }

    /// The facts, in the order in which they were looked at; each a sentence.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let scopes = match &self.scopes {
            None => "The credential is not limited to scopes.".to_owned(),
            Some((limits, covered)) => {
                let limits: Vec<&str> = limits.iter().map(|scope| &**scope).collect();
                let verb = if *covered { "cover" } else { "do not cover" };
                format!("The credential's scopes ({}) {verb} the action.", limits.join(", "))
            }
        };
        let administrative = match (self.needs_administrative, self.is_administrative) {
            (false, _) => "The action is not an administrative one.",
            (true, true) => "The action is administrative, and so is the credential.",
            (true, false) => "The action is administrative; the credential is not.",
        };
        let roles = self.roles.iter().map(|fact| {
            let whose = match (fact.reach, fact.named, fact.names_this) {
                (None, 0, _) => return format!("The role {} does not allow it.", fact.role),
                (Some(Reach::Any), ..) => "anybody's".to_owned(),
                (None, _, true) => "this very resource, whose ever it is".to_owned(),
                (None, named, false) => format!("{named} other resource(s) named in it, not on this one"),
                (Some(Reach::Own), _, true) => "one's own, and on this very resource".to_owned(),
                (Some(Reach::Own), 0, false) => "one's own".to_owned(),
                (Some(Reach::Own), named, false) => {
                    format!("one's own, and on {named} other resource(s) named in it")
                }
            };
            format!("The role {} allows it on {whose}.", fact.role)
        });
        let owner = match &self.owner {
            None => "Whose the resource is was not looked at.".to_owned(),
            Some(owner) if owner.is_empty() => "It is nobody's own: a role has to name it.".to_owned(),
            Some(owner) if *owner == self.principal => format!("The resource is the caller's own ({owner})."),
            Some(owner) => format!("The resource is {owner}'s; the caller is {}.", self.principal),
        };
        let mut steps = vec![scopes, administrative.to_owned()];
        steps.extend(self.given.as_ref().map(given));
        steps.extend(roles);
        steps.push(owner);
        steps
    }
}

/// What a credential was given in workspaces, as a sentence.
fn given(scope: &WorkspaceScope) -> String {
    let all: Vec<String> =
        scope.given.iter().map(|(name, permission)| format!("{name} ({permission})")).collect();
    let alone = if scope.confined { " and reaches nothing else" } else { "" };
    match all.as_slice() {
        [] => format!("The credential was given no workspace{alone}."),
        all => format!("The credential was given {}{alone}.", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::authz::catalogue;
    use crate::authz::roles::RoleDef;
    use crate::id::UserId;
    use crate::principal::Principal;

    #[test]
    fn the_verdict_is_the_decisions_and_the_facts_say_why() {
        let roles = Roles::new(&Default::default()).expect("the defaults");
        let read = catalogue::find("thread", "read").expect("there");
        let administer = catalogue::find("user", "administer").expect("there");
        let ann = AuthContext {
            principal: Principal::local(&UserId::from("usr_ann")),
            administrative: true,
            ..AuthContext::anonymous(vec!["user".into()])
        };
        let narrow = AuthContext { scopes: Some(vec!["thread:list".into()]), ..ann.clone() };
        for (auth, action, target, denial, fact) in [
            (&ann, read, Target::owned("t", "local|usr_ann"), None, "the caller's own"),
            (&ann, read, Target::owned("t", "local|usr_bob"), Some(Denial::Owner), "local|usr_bob's"),
            (&ann, administer, Target::any(), Some(Denial::Role), "The role user does not allow it."),
            (&narrow, read, Target::any(), Some(Denial::Scope), "(thread:list) do not cover"),
        ] {
            let explained = explain(&roles, auth, action, target);
            assert_eq!(explained.denial, denial, "{fact}");
            assert_eq!(explained.denial, decide(&roles, auth, action, target).err());
            assert!(explained.steps().iter().any(|step| step.contains(fact)), "{:?}", explained.steps());
        }
        let reviewer = BTreeMap::from([(
            "reviewer".to_owned(),
            RoleDef { permissions: vec!["thread:read@native/t".into()], ..RoleDef::default() },
        )]);
        let shared = Roles::new(&reviewer).expect("good");
        let only = AuthContext { roles: vec!["reviewer".into()], ..ann.clone() };
        let both = AuthContext { roles: vec!["user".into(), "reviewer".into()], ..ann.clone() };
        let others = |id| Target::owned(id, "local|usr_bob").through("native");
        for (auth, target, denial, fact) in [
            (&only, others("t"), None, "on this very resource"),
            (&both, others("t"), None, "on this very resource"),
            (&only, others("u"), Some(Denial::Owner), "1 other resource(s) named in it, not on this one"),
            (&both, others("u"), Some(Denial::Owner), "1 other resource(s)"),
            (&only, others("t").through("flow"), Some(Denial::Role), "reviewer does not allow it"),
            (
                &only,
                Target::owned("u", "local|usr_ann").through("native"),
                Some(Denial::Owner),
                "not on this one",
            ),
        ] {
            let explained = explain(&shared, auth, read, target);
            assert_eq!(explained.denial, denial, "{fact}: {:?}", explained.steps());
            assert!(explained.steps().iter().any(|step| step.contains(fact)), "{:?}", explained.steps());
        }
        let hidden = explain(&roles, &ann, read, Target::owned("t", "local|usr_bob"));
        assert_eq!(hidden.refusal(), Some((404, "not_found")));
    }
}
