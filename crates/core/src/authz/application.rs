//! What an application that Doorward is part of adds to the catalogue: resource types and actions of its own, and its roles as
//! actions.
//!
//! ```text
//! built-in table ─┐
//! its own actions ┼─► Catalogue ─► Roles, scopes ─► decide        one function knows them all
//! role names ─────┘
//! ```
//! An action of an application is a row like any other: the same roles give it, the same scopes limit it, the same audit log tells of
//! it (`docs/adr/0028`). That somebody is of a role is the action `role:NAME`, which only that role and those that inherit from it have.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use super::catalogue::{ALL, Access, ActionDef, AuditClass};

/// Most actions of an application's own.
pub const MAX_ACTIONS: usize = 256;
/// Longest name of a resource type or an action.
const MAX_NAME_BYTES: usize = 32;
/// The resource type whose actions are roles.
pub(super) const ROLE: &str = "role";
/// First halves of names in the audit log that no action of the table has.
const TAKEN: [&str; 3] = [ROLE, "credential", "anomaly"];

/// Why an application's own actions are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// A name that cannot stand in a scope.
    #[error(
        "{0:?} cannot name an action: both halves are 1 to 32 of a-z, 0-9 and '_', and begin with a letter"
    )]
    Name(String),
    /// A resource type that Doorward has itself.
    #[error("{0:?}: the resource type is Doorward's own; give yours another name")]
    Taken(String),
    /// Declared twice, with different meanings.
    #[error("{0:?} is declared twice, and not alike")]
    Twice(String),
    /// More than are looked through.
    #[error("more than 256 actions of one's own")]
    TooMany,
}

/// Every action that an engine knows. By default those of Doorward itself.
#[derive(Debug, Clone)]
pub struct Catalogue {
    actions: Vec<&'static ActionDef>,
    roles: BTreeSet<Arc<str>>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { actions: ALL.to_vec(), roles: BTreeSet::new() }
    }
}

impl Catalogue {
    /// Doorward's own actions and these.
    ///
    /// # Errors
    /// [`ActionError`].
    pub fn with(own: &[&'static ActionDef]) -> Result<Self, ActionError> {
        let mut actions = ALL.to_vec();
        for &def in own {
            let spelled = || def.to_string();
            if ![def.resource, def.name].into_iter().all(is_name) {
                return Err(ActionError::Name(spelled()));
            }
            if TAKEN.contains(&def.resource) || ALL.iter().any(|one| one.resource == def.resource) {
                return Err(ActionError::Taken(spelled()));
            }
            match actions.iter().find(|one| (one.resource, one.name) == (def.resource, def.name)) {
                Some(known) if *known == def => continue,
                Some(_) => return Err(ActionError::Twice(spelled())),
                None => actions.push(def),
            }
        }
        if actions.len() > ALL.len() + MAX_ACTIONS {
            return Err(ActionError::TooMany);
        }
        Ok(Self { actions, roles: BTreeSet::new() })
    }

    /// The same, of an engine with these roles.
    pub(super) fn of_roles(mut self, names: impl Iterator<Item = Arc<str>>) -> Self {
        self.roles = names.collect();
        self
    }

    /// All actions, but for roles.
    #[must_use]
    pub fn actions(&self) -> &[&'static ActionDef] {
        &self.actions
    }

    /// Whether it has exactly this action.
    #[must_use]
    pub fn knows(&self, action: &ActionDef) -> bool {
        action.is_built_in
            || self.actions[ALL.len()..].contains(&action)
            || (action.resource == ROLE && self.roles.contains(action.name))
    }

    /// Every resource type and action with how far it reaches, as scopes name them: roles among them, in either reach.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str, Access)> {
        let roles = self
            .roles
            .iter()
            .flat_map(|role| [Access::Write, Access::Admin].map(|access| (ROLE, &**role, access)));
        self.actions.iter().map(|def| (def.resource, def.name, def.access)).chain(roles)
    }
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= MAX_NAME_BYTES
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
}

/// A role as a type, so that code can demand it.
pub trait RoleName: Send + Sync + 'static {
    /// The role's name, as it is defined and given to people.
    const NAME: &'static str;
}

/// The rows of a role.
struct Rows<R>(PhantomData<R>);

impl<R: RoleName> Rows<R> {
    const PLAIN: &'static ActionDef =
        &ActionDef::of_application(ROLE, R::NAME, Access::Write, AuditClass::Buffered);
    const ADMINISTRATIVE: &'static ActionDef =
        &ActionDef::of_application(ROLE, R::NAME, Access::Admin, AuditClass::Buffered);
}

/// The action of being of a role. One that reaches administrative actions is administrative itself: a user key of an administrator's
/// does not pass for one.
pub(super) fn being<R: RoleName>(administrative: bool) -> &'static ActionDef {
    if administrative { Rows::<R>::ADMINISTRATIVE } else { Rows::<R>::PLAIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn def(resource: &'static str, name: &'static str, access: Access) -> ActionDef {
        ActionDef::of_application(resource, name, access, AuditClass::Buffered)
    }

    #[test]
    fn an_applications_actions_take_no_name_of_ours_and_none_that_is_no_scope() {
        static GOOD: ActionDef = def("report", "read", Access::Read);
        static OTHER: ActionDef = def("report", "read", Access::Write);
        static OURS: ActionDef = def("thread", "fly", Access::Read);
        static A_ROLE: ActionDef = def("role", "admin", Access::Read);
        static LOUD: ActionDef = def("Report", "read", Access::Read);
        static STAR: ActionDef = def("report", "*", Access::Read);
        static LONG: ActionDef = def("report", "a_name_that_is_longer_than_thirty_two", Access::Read);
        let with =
            |own: &[&'static ActionDef]| Catalogue::with(own).map(|made| made.actions().len() - ALL.len());
        assert_eq!(with(&[&GOOD, &GOOD]), Ok(1));
        assert_eq!(with(&[&GOOD, &OTHER]), Err(ActionError::Twice("report:read".into())));
        for taken in [&OURS, &A_ROLE] {
            assert_eq!(with(&[taken]), Err(ActionError::Taken(taken.to_string())));
        }
        for none in [&LOUD, &STAR, &LONG] {
            assert_eq!(with(&[none]), Err(ActionError::Name(none.to_string())));
        }
    }
}
