//! Roles: names for sets of permissions, each with a reach, inherited along a hierarchy.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::catalogue::{self, Access, ActionDef};

/// Whose resources a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The principal's own.
    Own,
    /// Anybody's.
    Any,
}

/// A role as configured.
#[derive(Debug, Clone, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RoleDef {
    /// Roles whose permissions it has too.
    #[serde(default)]
    pub inherits: Vec<String>,
    /// `resource:action` or `resource:*` for one's own resources, with `@any` behind for anybody's. A `*` leaves
    /// out administrative actions unless `@any` is behind it.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// The role of callers without a credential.
pub const ANONYMOUS: &str = "anonymous";
/// The role of people without another one.
pub const USER: &str = "user";
/// The role between.
pub const PREMIUM: &str = "premium";
/// The role that administers.
pub const ADMIN: &str = "admin";
/// The role of Doorward itself; nobody can be given it.
pub const SYSTEM: &str = "system";

/// Why role definitions were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Inherits from a role that is not defined.
    #[error("role {role:?} inherits from {parent:?}, which is not defined")]
    UnknownParent {
        /// The role.
        role: String,
        /// What it names.
        parent: String,
    },
    /// Inherits from itself, perhaps through others.
    #[error("role {0:?} inherits from itself")]
    Cycle(String),
    /// A permission that names nothing.
    #[error(
        "role {role:?}: the permission {permission:?} names nothing; \
         use resource:action or resource:*, with @any behind for anybody's resources"
    )]
    UnknownPermission {
        /// The role.
        role: String,
        /// What it names.
        permission: String,
    },
    /// A name that cannot be a role's, or that is Doorward's own.
    #[error("{0:?} cannot be a role: 1 to 64 of a-z, 0-9, '-', '_', and not \"system\"")]
    Name(String),
}

type Grants = HashMap<(&'static str, &'static str), Reach>;

/// The roles there are, with everything inherited worked out.
#[derive(Debug, Clone)]
pub struct Roles {
    by_name: BTreeMap<Arc<str>, Grants>,
}

/// The roles without configuration: admin > premium > user, and what callers without a credential may do.
#[must_use]
pub fn defaults() -> BTreeMap<String, RoleDef> {
    let role = |inherits: &[&str], permissions: &[&str]| RoleDef {
        inherits: inherits.iter().map(|&text| text.to_owned()).collect(),
        permissions: permissions.iter().map(|&text| text.to_owned()).collect(),
    };
    BTreeMap::from([
        (
            ANONYMOUS.to_owned(),
            role(&[], &["user:sign_up", "session:login", "token:refresh", "token:surrender", "service:ping"]),
        ),
        (
            USER.to_owned(),
            role(
                &[ANONYMOUS],
                &[
                    "user:*",
                    "session:*",
                    "token:*",
                    "api_key:*",
                    "thread:*",
                    "message:*",
                    "run:*",
                    "graph:*",
                    "store:*",
                    "file:*",
                    "service:*",
                    "feature:basic",
                ],
            ),
        ),
        (PREMIUM.to_owned(), role(&[USER], &["feature:premium"])),
        (ADMIN.to_owned(), role(&[PREMIUM], &["*@any"])),
    ])
}

impl Roles {
    /// Works the definitions out. A definition of a default role's name replaces the default.
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn new(configured: &BTreeMap<String, RoleDef>) -> Result<Self, RoleError> {
        let mut all = defaults();
        for (name, role) in configured {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            if name == SYSTEM || name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
                return Err(RoleError::Name(name.clone()));
            }
            all.insert(name.clone(), role.clone());
        }
        let mut by_name = BTreeMap::new();
        for name in all.keys() {
            let mut grants = Grants::new();
            collect(&all, name, name, &mut Vec::new(), &mut grants)?;
            by_name.insert(name.as_str().into(), grants);
        }
        let everything = catalogue::ALL.iter().map(|a| ((a.resource, a.name), Reach::Any)).collect();
        by_name.insert(SYSTEM.into(), everything);
        Ok(Self { by_name })
    }

    /// The widest reach that any of these roles gives for an action; `None` if none allows it. Unknown roles give
    /// nothing.
    #[must_use]
    pub fn reach(&self, roles: &[Arc<str>], action: &ActionDef) -> Option<Reach> {
        roles
            .iter()
            .filter_map(|role| self.by_name.get(role)?.get(&(action.resource, action.name)).copied())
            .max()
    }

    /// Whether a person can be given this role.
    #[must_use]
    pub fn can_be_given(&self, role: &str) -> bool {
        role != SYSTEM && role != ANONYMOUS && self.by_name.contains_key(role)
    }

    /// Every role's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }
}

fn collect(
    all: &BTreeMap<String, RoleDef>,
    role: &str,
    name: &str,
    path: &mut Vec<String>,
    grants: &mut Grants,
) -> Result<(), RoleError> {
    if path.iter().any(|seen| seen == name) {
        return Err(RoleError::Cycle(role.to_owned()));
    }
    let Some(definition) = all.get(name) else {
        let child = path.last().cloned().unwrap_or_else(|| role.to_owned());
        return Err(RoleError::UnknownParent { role: child, parent: name.to_owned() });
    };
    for permission in &definition.permissions {
        let unknown =
            || RoleError::UnknownPermission { role: name.to_owned(), permission: permission.clone() };
        let (pattern, reach) = match permission.strip_suffix("@any") {
            Some(pattern) => (pattern, Reach::Any),
            None => (permission.as_str(), Reach::Own),
        };
        let mut named = false;
        for action in catalogue::ALL {
            if matches_pattern(pattern, reach, action) {
                named = true;
                let held = grants.entry((action.resource, action.name)).or_insert(reach);
                *held = reach.max(*held);
            }
        }
        if !named {
            return Err(unknown());
        }
    }
    path.push(name.to_owned());
    for parent in &definition.inherits {
        collect(all, role, parent, path, grants)?;
    }
    path.pop();
    Ok(())
}

fn matches_pattern(pattern: &str, reach: Reach, action: &ActionDef) -> bool {
    // A star for one's own resources must not hand out administration by accident.
    let star_reaches = reach == Reach::Any || action.access != Access::Admin;
    match pattern.split_once(':') {
        None => pattern == "*" && star_reaches,
        Some((resource, "*")) => resource == action.resource && star_reaches,
        Some((resource, name)) => resource == action.resource && name == action.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn define(roles: &[(&str, &[&str], &[&str])]) -> Result<Roles, RoleError> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Roles::new(
            &roles
                .iter()
                .map(|(name, inherits, permissions)| {
                    let role = RoleDef { inherits: owned(inherits), permissions: owned(permissions) };
                    ((*name).to_owned(), role)
                })
                .collect(),
        )
    }

    #[test]
    fn definitions_that_name_nothing_or_go_round_are_refused() {
        assert!(matches!(define(&[("a", &["b"], &[])]), Err(RoleError::UnknownParent { .. })));
        assert!(matches!(define(&[("a", &["b"], &[]), ("b", &["a"], &[])]), Err(RoleError::Cycle(_))));
        assert!(matches!(define(&[("a", &[], &["thread:fly"])]), Err(RoleError::UnknownPermission { .. })));
        assert!(matches!(define(&[("system", &[], &[])]), Err(RoleError::Name(_))));
        assert!(matches!(define(&[("Big Boss", &[], &[])]), Err(RoleError::Name(_))));
    }

    #[test]
    fn a_configured_role_has_what_it_inherits_and_the_wider_reach_wins() {
        let roles = define(&[("support", &["user"], &["thread:read@any"])]).expect("good");
        let held = |name| roles.reach(&["support".into()], catalogue::find("thread", name).expect("there"));
        assert_eq!((held("read"), held("delete")), (Some(Reach::Any), Some(Reach::Own)));
        let administer = catalogue::find("user", "administer").expect("there");
        assert_eq!(roles.reach(&["support".into(), "unheard-of".into()], administer), None);
        assert!(
            !roles.can_be_given(SYSTEM) && !roles.can_be_given(ANONYMOUS) && roles.can_be_given("support")
        );
    }
}
